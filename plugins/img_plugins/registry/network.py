"""Connections: pools of them by what they trust and which proxy they use, waiting between tries, and one clear error for
every way in which a server can't be reached. urllib3 is imported when the first connection is made."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from img._version import VERSION
from img.errors import Cancelled, RegistryError
from img_plugins.offline import OFFLINE, is_offline
from img_plugins.registry.hosts.choose import is_loopback
from img_plugins.registry.hosts.model import Trust
from img_plugins.registry.proxies import proxy_for, shown

CONNECT, READ = 10.0, 60.0
"""Seconds until a connection, and until the next bytes."""
SLOW_READ = 300.0
"""Seconds until a registry has to answer that puts an upload where it belongs."""
LONGEST_WAIT = 60.0
"""Seconds: the longest that a ``Retry-After`` is obeyed."""


class Failure(Exception):
    """A request that got no answer, or not all of it. `refused`: there was not even a connection."""

    def __init__(self, host: str, cause: Exception, refused: bool) -> None:
        super().__init__(host)
        self.host = host
        self.cause = cause
        self.refused = refused


class Patience(NamedTuple):
    """How often something is tried, and the first pause between two tries, in seconds; each next one is twice as long."""

    tries: int = 6
    pause: float = 0.25


PATIENCE = Patience()
SYSTEM = Trust()


class Network:
    """What all transports of a session share. Safe from several threads."""

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        patience: Patience = PATIENCE,
        longest: float = LONGEST_WAIT * 10,
    ) -> None:
        self._settings = settings or {}
        self._cancelled = cancelled
        self._pools: dict[tuple[Trust, str], Any] = {}
        self._lock = threading.Lock()
        self.patience = patience
        self._longest = longest
        """Seconds: no wait for a server is longer."""

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Any = None,
        *,
        trust: Trust = SYSTEM,
        proxy: str | None = None,
        read_timeout: float = READ,
    ) -> Any:
        """One request, once; returns urllib3's streaming response. Raises `Failure`, `Cancelled`, `RegistryError` if img
        is offline."""
        self.check()
        if is_offline(self._settings):
            raise RegistryError(f"{urlsplit(url).netloc.rpartition('@')[2]} is not asked: img is offline", hint=OFFLINE)
        import urllib3

        via = proxy_for(url, self._settings, proxy)
        try:
            return self._pool(trust, via).request(
                method,
                url,
                headers={"User-Agent": f"img/{VERSION}", **headers},
                body=body,
                preload_content=False,
                redirect=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=min(CONNECT, self._longest), read=min(read_timeout, self._longest)),
            )
        except urllib3.exceptions.HTTPError as error:
            raise _failure(error, url, via) from error

    def wait(self, attempt: int, after: str | None = None) -> None:
        """Pause after try number `attempt` (from 0), as long as a ``Retry-After`` says if there is one. Raises
        `Cancelled`."""
        seconds = self.patience.pause * 2**attempt * random.uniform(0.75, 1.25)
        if (asked := retry_after(after)) is not None:
            seconds = min(asked, LONGEST_WAIT, self._longest)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, 0.2))

    def check(self) -> None:
        """Raises `Cancelled` if the build was cancelled."""
        if self._cancelled():
            raise Cancelled

    def close(self) -> None:
        """Close all connections; the next request opens new ones."""
        with self._lock:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()

    def _pool(self, trust: Trust, proxy: str) -> Any:
        with self._lock:
            if (trust, proxy) not in self._pools:
                self._pools[trust, proxy] = _make_pool(trust, proxy)
            return self._pools[trust, proxy]


def _failure(error: Exception, url: str, via: str) -> Failure:
    """What urllib3 says went wrong, and with whom: the host, or the proxy on the way to it."""
    from urllib3 import exceptions

    host = shown(via) if isinstance(error, exceptions.ProxyError) else urlsplit(url).netloc.rpartition("@")[2]
    none = (exceptions.NewConnectionError, exceptions.ConnectTimeoutError, exceptions.SSLError, exceptions.ProxyError)
    return Failure(host, error, isinstance(error, none))


def _make_pool(trust: Trust, proxy: str) -> Any:
    import urllib3

    from img_plugins.registry.tls import context

    options: dict[str, Any] = {"num_pools": 16, "maxsize": 8, "retries": False, "ssl_context": context(trust)}
    if not proxy:
        made = urllib3.PoolManager(**options)
    else:
        user = urlsplit(proxy).netloc.rpartition("@")[0]
        headers = urllib3.make_headers(proxy_basic_auth=user) if user else None
        made = urllib3.ProxyManager(shown(proxy), proxy_headers=headers, proxy_ssl_context=context(Trust()), **options)
    if not trust.verify:
        made.pool_classes_by_scheme = {**made.pool_classes_by_scheme, "https": _unverified()}
    return made


def _unverified() -> Any:
    """Pools without urllib3's warning of each request whose certificate is not looked at: the user said so. Warning filters
    belong to the whole program, which may not be img."""
    import urllib3
    from urllib3.connection import HTTPSConnection

    class Connection(HTTPSConnection):
        is_verified = property(lambda self: True, lambda self, value: None)

    class Pool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool


def retry_after(text: str | None) -> float | None:
    """Seconds that a ``Retry-After`` asks for: a number, or a date (RFC 9110, 10.2.3). None if it is neither."""
    if not text:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def unreachable(failure: Failure) -> RegistryError:
    """A failure in one sentence, with what would help."""
    import urllib3

    error, host = failure.cause, failure.host
    reason, text = str(getattr(error, "reason", None) or error), _words(error)
    kind = urllib3.exceptions
    if isinstance(error, kind.ProxyError):
        return RegistryError(f"can't get through the proxy {host}: {text}", hint="check HTTPS_PROXY and NO_PROXY")
    if isinstance(error, kind.SSLError):
        return RegistryError(f"can't trust the registry {host}: {_tls_words(reason)}", hint=_tls_hint(reason, host))
    hint = "is it running?" if is_loopback(host) else "check the name, the network, and whether it speaks HTTPS"
    if isinstance(error, kind.TimeoutError) and not isinstance(error, kind.NewConnectionError):
        text = "it does not answer in time"
    return RegistryError(f"can't reach the registry {host}: {text}", hint=hint)


def _words(error: BaseException) -> str:
    """The innermost reason of an exception that wraps others, without the objects around it."""
    seen = 0
    while (inner := _inner(error)) is not None and seen < 8:
        error, seen = inner, seen + 1
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error.args[0]) if error.args else type(error).__name__
    return text.rpartition(">: ")[2] or text


def _inner(error: BaseException) -> BaseException | None:
    found = (getattr(error, "reason", None), *reversed(error.args), error.__cause__)
    return next((item for item in found if isinstance(item, BaseException)), None)


def _tls_words(reason: str) -> str:
    head, found, tail = reason.partition("certificate verify failed: ")
    text = tail if found else head
    return text.partition(" (_ssl")[0].replace("[SSL] ", "").strip("'() ") or "the TLS handshake failed"


def _tls_hint(reason: str, host: str) -> str:
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason or "HTTP_REQUEST" in reason:
        return f'it speaks plain HTTP: [host."{host}"] plain-http = true in registries.toml, or insecure in registries.conf'
    if "CERTIFICATE_REQUIRED" in reason or "ALERT_BAD_CERTIFICATE" in reason or "ALERT_UNKNOWN_CA" in reason:
        return f"put your certificate into /etc/docker/certs.d/{host}/client.cert, and its key into client.key"
    if "certificate verify failed" in reason:
        return f"put the certificate of its authority into /etc/docker/certs.d/{host}/ca.crt"
    return f"img registry check {host} shows what is used"
