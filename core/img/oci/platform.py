"""Platforms: ``os/architecture[/variant]``, as image-index.md and Docker name them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from img.errors import RegistryError, UsageError
from img.oci.spec import Descriptor

ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "i386": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "riscv64": ("riscv64", ""),
    "loongarch64": ("loong64", ""),
}
ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm", "i386": "386"}
KNOWN = ("386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm").split()
"""Architectures that may stand alone, by Go's names."""
SYSTEMS = (
    "aix android darwin dragonfly freebsd illumos ios js linux netbsd openbsd plan9 solaris wasip1 windows".split()
)
OLDER_ARM = {"v8": ("v8", "v7", "v6", "v5"), "v7": ("v7", "v6", "v5"), "v6": ("v6", "v5"), "v5": ("v5",)}


@dataclass(frozen=True, slots=True)
class Platform:
    """One platform; `variant` is empty for the usual one."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read ``linux/arm64``, ``linux/arm/v7``, just ``arm64``, or just ``linux`` for this machine's. Raises
        `UsageError`."""
        parts = text.lower().split("/")
        if not all(part and part.replace("-", "").replace("_", "").replace(".", "").isalnum() for part in parts):
            raise UsageError(f"{text!r} is not a platform", hint="write it like linux/amd64 or linux/arm/v7")
        if len(parts) == 1 and parts[0] in SYSTEMS:
            here = host_platform()
            return cls(parts[0], here.architecture, here.variant)
        if len(parts) == 1:
            if ALIASES.get(parts[0], parts[0]) not in KNOWN:
                known = ", ".join(KNOWN)
                raise UsageError(f"{text!r} is no architecture and no system", hint=f"architectures: {known}")
            parts = ["linux", *parts]
        if len(parts) > 3:
            raise UsageError(f"{text!r} is not a platform", hint="write it like linux/amd64 or linux/arm/v7")
        system, architecture, variant = (*parts, "")[:3]
        return cls(system, *_normal(ALIASES.get(architecture, architecture), variant))

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Platform:
        """The platform that a descriptor's ``platform`` or a configuration states."""
        architecture = str(document.get("architecture") or "")
        return cls(str(document.get("os") or ""), *_normal(architecture, str(document.get("variant") or "")))


def _normal(architecture: str, variant: str) -> tuple[str, str]:
    if architecture == "arm64" and variant == "v8":
        return architecture, ""
    if architecture == "arm" and not variant:
        return architecture, "v7"
    if architecture == "amd64" and variant == "v1":
        return architecture, ""
    return architecture, variant


def host_platform() -> Platform:
    """The machine's own."""
    machine = os.uname().machine
    architecture, variant = ARCHITECTURES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant)


def runs(wanted: Platform, found: Platform) -> int | None:
    """How well an image for `found` serves `wanted`: 0 is exact, more is older, None is not at all."""
    if (wanted.os, wanted.architecture) != (found.os, found.architecture):
        return None
    if wanted.variant == found.variant:
        return 0
    if wanted.architecture == "arm":
        older = OLDER_ARM.get(wanted.variant, ())
        return older.index(found.variant) if found.variant in older else None
    return 1 if not found.variant else None


def select(manifests: Sequence[Descriptor], wanted: Platform, name: str) -> Descriptor:
    """The manifest of an index that serves `wanted` best. Raises `RegistryError` saying which platforms there are."""
    best: tuple[int, Descriptor] | None = None
    for descriptor in manifests:
        if descriptor.platform is None:
            continue
        rank = runs(wanted, Platform.of(descriptor.platform))
        if rank is not None and (best is None or rank < best[0]):
            best = (rank, descriptor)
    if best is None:
        there = sorted({str(Platform.of(d.platform)) for d in manifests if d.platform} - {"unknown/unknown"})
        raise RegistryError(
            f"{name} has no image for {wanted}", hint=f"it has: {', '.join(there) or 'none'}; choose with --platform"
        )
    return best[1]
