"""``deb``: base images made from the Debian archive.

An address (`img_debian.address`) is pinned to what the archive's signed InRelease files say. The files are made by
mmdebstrap when somebody needs them, with the archive's own date as SOURCE_DATE_EPOCH: one InRelease, one layer. As for images
of registries, what the store knows is used until the build is asked to pull.

In a graph: `ref` is the canonical address; attributes are ``platform``, ``release`` (digests of the InRelease files, joined
by commas) and ``date`` (Unix time).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from img.digest import digest_of
from img.errors import SourceError, UsageError
from img.ir.nodes import Source
from img.oci.platform import Platform
from img.ports import BaseImage, Host, Pin, Snapshot
from img_debian import address, archive, make

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURES = {
    "386": "i386",
    "amd64": "amd64",
    "arm/v5": "armel",
    "arm/v7": "armhf",
    "arm64": "arm64",
    "mips64le": "mips64el",
    "ppc64le": "ppc64el",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
"""What Debian calls a platform's architecture."""


class DebianSource:
    """See `img.ports.ImageSource`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._asked: dict[str, archive.Releases] = {}

    def resolve(self, ref: str, platform: str) -> BaseImage:
        """Pin an address to what the archive says. Nothing is installed yet. Raises `UsageError`, `SourceError`."""
        wanted = address.parse(ref)
        architecture_of(platform)
        releases = self._releases(wanted, platform)
        source = _source(wanted, platform, releases)
        return BaseImage(source, _config(wanted, platform, releases.date), 1)

    def pin(self, source: Source) -> Pin:
        """What was asked for, and the digests of what the archive signed."""
        attrs = dict(source.attrs)
        return Pin(
            digest_of(["deb", make.VERSION, source.ref, attrs["platform"], attrs["release"]]),
            f"deb://{source.ref} of {_time(int(attrs['date']))}",
        )

    def fetch(self, source: Source) -> Snapshot:
        """The one layer, made now if the store does not have it. Raises `SourceError`."""
        key = self.pin(source).key
        with self._lock:
            alone = self._making.setdefault(key, threading.Lock())
        with alone:
            layer = self._known(key)
            if layer is None:
                layer = self._made(source)
                self._host.store.pins.set(_drawer(key), layer)
        return Snapshot((layer,))

    # --- what the archive says -----------------------------------------------------------------------------------

    def _releases(self, wanted: address.Wanted, platform: str) -> archive.Releases:
        """What the store knows, as long as it also has the files, or may ask nobody; else what the archive says."""
        settings = self._host.settings
        drawer = f"deb releases {wanted.canonical} {platform}"
        known = self._host.store.pins.get(drawer)
        offline = settings.get("offline", "").lower() in ("true", "1") or settings.get("pull") == "never"
        if known is not None and settings.get("pull") != "always":
            found = archive.Releases.of(known)
            if self._known(self.pin(_source(wanted, platform, found)).key) is not None:
                return found
        if offline:
            hint = "leave out --offline or --pull=never, or build once without"
            raise SourceError(f"the store has no deb://{wanted.canonical} for {platform}", hint=hint)
        with self._lock:
            if wanted.canonical not in self._asked:
                self._asked[wanted.canonical] = archive.ask(self._host, wanted.archives(*mirrors(settings)))
        self._host.store.pins.set(drawer, self._asked[wanted.canonical].text())
        return self._asked[wanted.canonical]

    # --- the layer -----------------------------------------------------------------------------------------------

    def _known(self, key: str) -> str | None:
        layer = self._host.store.pins.get(_drawer(key))
        return layer if layer is not None and self._host.store.layers.available(layer) else None

    def _made(self, source: Source) -> str:
        attrs = dict(source.attrs)
        wanted = address.parse(source.ref)
        order = make.Order(
            wanted,
            architecture_of(attrs["platform"]),
            tuple(wanted.archives(*mirrors(self._host.settings))),
            frozenset(attrs["release"].split(",")),
            int(attrs["date"]),
        )
        return make.layer(self._host, order)


def mirrors(settings: Mapping[str, str]) -> tuple[str, str]:
    """The mirrors that the settings name. Raises `UsageError`."""
    mirror = settings.get("debian_mirror") or "http://deb.debian.org/debian"
    security = settings.get("debian_security_mirror") or "http://deb.debian.org/debian-security"
    return address.url(mirror), address.url(security, "security mirror")


def architecture_of(platform: str) -> str:
    """Debian's name for a platform. Raises `UsageError` for one that Debian does not have."""
    found = Platform.parse(platform)
    name = f"{found.architecture}/{found.variant}" if found.architecture == "arm" else found.architecture
    name = "arm/v7" if name == "arm/" else name
    if found.os != "linux" or name not in ARCHITECTURES:
        raise UsageError(f"Debian has no {platform}", hint=f"linux/ and one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def _source(wanted: address.Wanted, platform: str, releases: archive.Releases) -> Source:
    attrs = (("date", str(releases.date)), ("platform", platform), ("release", ",".join(releases.digests)))
    return Source("deb", wanted.canonical, attrs)


def _config(wanted: address.Wanted, platform: str, date: int) -> dict[str, Any]:
    found = Platform.parse(platform)
    history = {"created": _time(date), "created_by": f"deb://{wanted.canonical}", "comment": "img-debian"}
    config: dict[str, Any] = {
        "architecture": found.architecture,
        "os": found.os,
        "config": {"Env": [f"PATH={PATH}"], "Cmd": ["bash"]},
        "history": [history],
    }
    return {**config, "variant": found.variant} if found.variant else config


def _drawer(key: str) -> str:
    return f"deb layer {key}"


def _time(date: int) -> str:
    return datetime.fromtimestamp(date, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
