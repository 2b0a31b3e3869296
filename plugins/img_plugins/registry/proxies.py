"""Which proxy a request goes through: ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` as Go's programs read them, since
registries' users set them for those. This machine itself is never spoken to through a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from img_plugins.registry.hosts.choose import is_loopback


def proxy_for(url: str, settings: Mapping[str, str], given: str | None = None) -> str:
    """The proxy's URL, empty for none. `given` is what the configuration says of the host, which goes before all."""
    if given is not None:
        return _whole(given)
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(parts.netloc.rpartition("@")[2]):
        return ""
    proxy = settings.get(f"{parts.scheme}_proxy", "")
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    if not proxy or any(_excepts(word.strip().lower(), host, port) for word in settings.get("no_proxy", "").split(",")):
        return ""
    return _whole(proxy)


def _excepts(word: str, host: str, port: int) -> bool:
    """Whether one word of ``NO_PROXY`` speaks of `host`: ``*``, a domain, an address, a network, each with a port."""
    if not word:
        return False
    if word == "*":
        return True
    try:
        return ip_address(host) in ip_network(word, strict=False)
    except ValueError:
        pass
    name, colon, wanted = word.rpartition(":")
    if colon and wanted.isdigit():
        if int(wanted) != port:
            return False
        word = name
    domain = word.removeprefix("*").removeprefix(".")
    return (host == domain and not word.startswith(".")) or host.endswith(f".{domain}")


def _whole(proxy: str) -> str:
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def shown(proxy: str) -> str:
    """A proxy's URL without user and password."""
    scheme, found, rest = proxy.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if found else proxy
