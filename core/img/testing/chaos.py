"""Faults for `img.testing.registry`: what registries, proxies and networks really do, chosen at random from a seed.

Each fault is one that a second try can mend, and no request meets more than `MOST` of them one after the other. So a
client that is as patient as that must succeed in the end, must never take wrong bytes for right ones, and must never
leave a tag that stands for half an image.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

from img.testing.registry import Answer, Handler, error

MOST = 2
"""Faults in a row of the same request."""

Fault = Callable[[Handler], None]


def drop(handler: Handler) -> None:
    """The connection ends without an answer."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def drop_in_the_middle(handler: Handler) -> None:
    """The answer breaks off."""
    answer = handler.honest()
    handler.head(answer, len(answer.body))
    if handler.command != "HEAD":
        handler.wfile.write(answer.body[: len(answer.body) // 2])
    drop(handler)


def fails(handler: Handler) -> None:
    handler.send(error(500, "UNKNOWN"))


def unavailable(handler: Handler) -> None:
    handler.send(error(503, "UNAVAILABLE", ("Retry-After", "0")))


def too_many(handler: Handler) -> None:
    handler.send(error(429, "TOOMANYREQUESTS", ("Retry-After", "0")))


def token_lost(handler: Handler) -> None:
    """Every token ends now."""
    handler.registry.tokens.clear()
    handler.send(handler.honest())


def not_found_after_commit(handler: Handler) -> None:
    """What was asked is done, and the answer says that it is not there."""
    handler.honest()
    handler.send(error(404, "BLOB_UPLOAD_UNKNOWN"))


def drop_after_commit(handler: Handler) -> None:
    handler.honest()
    drop(handler)


def fails_after_commit(handler: Handler) -> None:
    handler.honest()
    handler.send(error(502, "UNKNOWN"))


def slow(handler: Handler) -> None:
    answer = handler.honest()
    time.sleep(0.05)
    handler.send(answer)


def half_a_piece(handler: Handler) -> None:
    """Half of what came is kept, then the connection ends."""
    handler.body = handler.body[: len(handler.body) // 2]
    handler.honest()
    drop(handler)


def range_refused(handler: Handler) -> None:
    handler.send(error(416, "RANGE_INVALID"))


def range_ignored(handler: Handler) -> None:
    """The whole in place of a part."""
    del handler.headers["Range"]
    handler.send(handler.honest())


def wrong_bytes(handler: Handler) -> None:
    """Right in length and headers, wrong in one byte."""
    answer = handler.honest()
    if answer.body and answer.status < 300:
        at = random.Random(answer.body).randrange(len(answer.body))
        body = answer.body[:at] + bytes([answer.body[at] ^ 1]) + answer.body[at + 1 :]
        answer = answer._replace(body=body)
    handler.send(answer)


def other_digest(handler: Handler) -> None:
    """The header promises another digest than the body has."""
    answer = handler.honest()
    kept = tuple(pair for pair in answer.headers if pair[0] != "Docker-Content-Digest")
    handler.send(Answer(answer.status, answer.body, (*kept, ("Docker-Content-Digest", "sha256:" + "0" * 64))))


def endless(handler: Handler) -> None:
    """A body without a length that does not end."""
    answer = handler.honest()
    handler.send_response(answer.status)
    for name, value in answer.headers:
        handler.send_header(name, value)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    handler.wfile.write(answer.body)
    for _ in range(1 << 12):
        handler.wfile.write(b"x" * (1 << 14))


ANY = (drop, fails, unavailable, too_many, token_lost)


def faults(handler: Handler) -> tuple[Fault, ...]:
    """The faults that may meet a request."""
    path, method = urlsplit(handler.path).path, handler.command
    after = (not_found_after_commit, drop_after_commit, fails_after_commit, slow)
    if path == "/token" or method == "HEAD":
        return (drop, fails, unavailable, too_many)
    if method == "PUT":
        return (*ANY, *after)
    if method == "PATCH":
        return (*ANY, half_a_piece, range_refused, drop_after_commit, slow)
    if method == "GET" and "/blobs/sha256:" in path:
        ranged = (range_refused, range_ignored) if "Range" in handler.headers else ()
        return (*ANY, *ranged, drop_in_the_middle, drop_in_the_middle, wrong_bytes, endless)
    if method == "GET" and "/manifests/" in path:
        return (*ANY, drop_in_the_middle, wrong_bytes, other_digest, endless)
    return ANY


class Chaos:
    """Faults with probability `rate`, from `seed`. Set it as a registry's `fault`; `met` counts what happened."""

    def __init__(self, seed: int, rate: float = 0.25) -> None:
        self._random = random.Random(seed)
        self._rate = rate
        self._row: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self.met: Counter[str] = Counter()

    def __call__(self, handler: Handler) -> bool:
        parts = urlsplit(handler.path)
        key = (handler.command, parts.query if "digest=" in parts.query else parts.path)
        with self._lock:
            if self._random.random() > self._rate or self._row[key] >= MOST:
                self._row[key] = 0
                return False
            self._row[key] += 1
            fault = self._random.choice(faults(handler))
            self.met[fault.__name__] += 1
        fault(handler)
        return True
