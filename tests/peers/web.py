"""A web server on loopback that can do what servers do wrong: redirects, conditions, truncation, slowness, errors."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODIFIED = "Wed, 01 May 2024 10:00:00 GMT"
UNIX = 1714557600
"""The same as Unix time."""


class Web:
    """A running server. `files` are bodies by path; `plans` what else is sent: see `_Handler`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.files: dict[str, bytes] = {}
        self.plans: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, int]] = []
        """(path, status) of each request."""
        self.headers: list[dict[str, str]] = []

    def put(self, path: str, body: bytes, **plan: Any) -> str:
        """Serve `body` at `path`; returns the URL."""
        self.files[path] = body
        self.plans[path] = plan
        return self.url + path


@contextlib.contextmanager
def serving() -> Iterator[Web]:
    """A server for the time of the block."""

    class Handler(_Handler):
        web: Web

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Handler.web = web = Web(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Plans: ``redirect`` (a URL), ``status``, ``failures`` (that many 503 first), ``short`` (bytes that are not sent,
    the first `failures` times or always), ``stall`` (seconds before the last byte), ``headers``, ``plain`` (without
    ETag and Last-Modified), ``login`` (the Authorization that is wanted)."""

    protocol_version = "HTTP/1.1"
    web: Web

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        web, plan = self.web, self.web.plans.get(path, {})
        web.headers.append(dict(self.headers.items()))
        if path not in web.files:
            return self._end(404, b"nothing here")
        if "redirect" in plan:
            return self._end(302, b"", {"Location": plan["redirect"]})
        if "login" in plan and self.headers.get("Authorization") != plan["login"]:
            return self._end(401, b"who are you?")
        broken = plan.get("failures", 0) > 0
        if broken:
            plan["failures"] -= 1
        if broken and "short" not in plan:
            return self._end(503, b"later")
        return self._file(web.files[path], plan, broken or plan.get("always", False))

    def _file(self, body: bytes, plan: dict[str, Any], broken: bool) -> None:
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        headers = dict(plan.get("headers", {}))
        if not plan.get("plain"):
            headers |= {"ETag": tag, "Last-Modified": MODIFIED}
            if self.headers.get("If-None-Match") == tag:
                return self._end(304, b"", headers)
        short = plan.get("short", 0) if broken else 0
        return self._end(plan.get("status", 200), body, headers, short, plan.get("stall", 0))

    def _end(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, short: int = 0, stall: float = 0
    ) -> None:
        self.web.asked.append((self.path.partition("?")[0], status))
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        sent = body[: len(body) - short]
        with contextlib.suppress(OSError):
            if stall:
                self.wfile.write(sent[:-1])
                self.wfile.flush()
                time.sleep(stall)
                sent = sent[-1:]
            self.wfile.write(sent)
        if short:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""
