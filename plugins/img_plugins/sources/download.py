"""Downloads over HTTP: one request with redirects and retries, as a stream, and every failure as one clear error."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from img.errors import Cancelled, SourceError
from img.events import Progress
from img.ports import Host
from img_plugins.registry.network import Failure, Network
from img_plugins.registry.transport import origin

TRIES = 4
REDIRECTS = 10
CHUNK = 1 << 20
SILENCE = 0.1
"""Seconds between two progress events."""


class Answer(NamedTuple):
    """What a server said before the body. `status` is 200, or 304 for a conditional request."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]


class Again(Exception):
    """The transfer broke in a way that another try may mend, after the time that ``Retry-After`` says."""

    def __init__(self, message: str, after: str = "") -> None:
        super().__init__(message)
        self.after = after


def shown(url: str) -> str:
    """A URL without user name and password, for messages."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class Downloads:
    """Requests on behalf of one session. Proxies come from the settings ``http_proxy``, ``https_proxy``, ``no_proxy``."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._network = Network(host.settings, lambda: host.cancelled)

    def get(self, url: str, headers: Mapping[str, str], take: Callable[[Answer], Any], downgrade: bool = False) -> Any:
        """GET `url` and hand the answer to `take`, once more from the start if the transfer breaks; returns its result.

        `downgrade` allows a redirect from https to http (for bytes that a checksum vouches for). Raises `SourceError`,
        `Cancelled`, and what `take` raises.
        """
        problem, after = "", ""
        for attempt in range(TRIES):
            if attempt:
                self._network.wait(attempt - 1, after)
            try:
                return self._once(url, headers, take, downgrade)
            except Again as error:
                problem, after = str(error), error.after
        raise SourceError(f"can't download {shown(url)}: {problem}", hint="check the address, and try again later")

    def _once(self, url: str, headers: Mapping[str, str], take: Callable[[Answer], Any], downgrade: bool) -> Any:
        response = self._follow(url, headers, downgrade)
        stop = self._host.on_cancel(lambda: _shut(response))
        try:
            if response.status in (200, 304):
                return take(Answer(response.status, response.headers, self._body(response, url)))
            raise self._refused(response, url)
        finally:
            stop()
            response.close()
            response.release_conn()

    def _follow(self, url: str, headers: Mapping[str, str], downgrade: bool) -> Any:
        here = url
        for _ in range(REDIRECTS + 1):
            response = self._send(here, {**headers, **(_basic(url) if origin(here) == origin(url) else {})}, url)
            if response.status not in (301, 302, 303, 307, 308):
                return response
            location = response.headers.get("Location", "")
            target = urljoin(here, location)
            response.drain_conn()
            response.release_conn()
            if not location or urlsplit(target).scheme not in ("http", "https"):
                raise SourceError(f"{shown(url)} redirects to nowhere ({shown(target)})")
            if here.startswith("https:") and target.startswith("http:") and not downgrade:
                raise SourceError(
                    f"{shown(url)} redirects to plain HTTP, which anybody on the way can change ({shown(target)})",
                    hint="name the file's checksum to allow it",
                )
            here = target
        raise SourceError(f"{shown(url)} redirects more than {REDIRECTS} times")

    def _send(self, here: str, headers: Mapping[str, str], url: str) -> Any:
        import urllib3

        try:
            return self._network.send("GET", _bare(here), {"Accept-Encoding": "identity", **headers})
        except Failure as failure:
            if failure.refused:
                raise self._unreachable(url, failure.cause) from failure
            if isinstance(failure.cause, urllib3.exceptions.LocationParseError):
                raise SourceError(f"{shown(url)} is not a URL: {failure.cause}") from failure
            raise Again(_words(failure.cause)) from failure

    def _body(self, response: Any, url: str) -> Iterator[bytes]:
        import urllib3

        total, done, told = _length(response.headers.get("Content-Length")), 0, 0.0
        try:
            while data := response.read(CHUNK):
                self._check()
                done += len(data)
                now = time.monotonic()
                if now - told >= SILENCE or done == total:
                    told = now
                    self._host.emit(Progress("", shown(url), "downloading", done, total, now))
                yield data
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._check()
            raise Again(_words(error)) from error
        self._check()

    def _refused(self, response: Any, url: str) -> Exception:
        status = response.status
        if status == 429 or status >= 500:
            return Again(f"the server answered {status}", response.headers.get("Retry-After", ""))
        hint = {404: "check the address", 401: "it needs a login", 403: "it needs a login, or is not public"}
        return SourceError(f"{shown(url)} can't be had: the server answered {status}", hint=hint.get(status, ""))

    def _unreachable(self, url: str, error: Exception) -> SourceError:
        return SourceError(
            f"can't reach {urlsplit(url).hostname}: {_words(error)}",
            hint=f"needed for {shown(url)}; check the address, the network and the proxy settings",
        )

    # --- waiting and connecting ---------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._host.cancelled:
            raise Cancelled


def _bare(url: str) -> str:
    """What is sent: no fragment, no user."""
    return urlunsplit(urlsplit(shown(url))._replace(fragment=""))


def _basic(url: str) -> dict[str, str]:
    """The header for user name and password in a URL (RFC 3986, 3.2.1)."""
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    if not at:
        return {}
    name, _, password = user.partition(":")
    token = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def _shut(response: Any) -> None:
    """Wake the thread that waits for the body's next bytes."""
    try:
        response.shutdown()
    except (ValueError, RuntimeError, OSError):
        return  # it is over already


def _words(error: Exception) -> str:
    """A transport failure without the library's object names."""
    reason = getattr(error, "reason", None) or error
    text = str(reason.args[0]) if isinstance(reason, Exception) and reason.args else str(reason)
    return text.rpartition(">: ")[2].rpartition(": ")[2] or type(error).__name__


def _length(text: str | None) -> int:
    """A Content-Length, 0 if there is none."""
    return int(text) if text and text.isdigit() else 0
