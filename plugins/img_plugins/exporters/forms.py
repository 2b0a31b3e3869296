"""The attributes that say what form an image takes, checked and as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from img.errors import UsageError
from img.ir.definition import Target
from img_plugins.exporters.annotations import is_annotation

if TYPE_CHECKING:
    from img.oci.packing import Packing

IMAGE = (
    "name",
    "oci-mediatypes",
    "compression",
    "compression-level",
    "force-compression",
    "rewrite-timestamp",
    "source-date-epoch",
    "prefer-nondist-layers",
    "compatibility-version",
)
"""Attributes of every exporter that writes images."""

REFUSED = {
    "attestation-inline": "attestations are not made yet",
    "attestation-prefix": "attestations are not made yet",
    "oci-artifact": "attestations are not made yet",
    "registry.insecure": "it pushes nothing",
    "buildinfo": "it has been gone from BuildKit since 0.12",
    "nydus": "nydus images are not made",
}
"""Attributes of BuildKit's that can't be honoured here, and why."""


VERSIONS = (10, 20, 30)
"""Of BuildKit's exporters, by ``compatibility-version``: 30 is the newest; before it docker's media types were the default,
and 10 has no zstd."""


class Form(NamedTuple):
    """What an output asks of its images."""

    packing: Packing | None
    """None: layers are packed as they are, new ones with the default."""
    force: bool
    """Whether the base's layers are packed anew too."""
    oci: bool
    rewrite: bool
    epoch: int | None
    """From ``source-date-epoch``; None: the target's."""
    foreign: bool = False
    """From ``prefer-nondist-layers``: a base's layers that may not be distributed stay so, and are not pushed."""

    @classmethod
    def of(cls, attrs: Mapping[str, str]) -> Form:
        """Raises `UsageError` for values that are wrong, or that do not go together."""
        kind, level = attrs.get("compression", ""), attrs.get("compression-level", "")
        force, oci = flag(attrs, "force-compression"), flag(attrs, "oci-mediatypes", _oci_by_default(attrs))
        packing = _packing(kind, level) if kind or level or force else None
        if not oci and kind in ("zstd", "estargz"):
            raise UsageError(
                f"compression={kind} needs OCI media types: docker's have none for it", hint="leave out oci-mediatypes"
            )
        if not oci and any(map(is_annotation, attrs)):
            raise UsageError("annotations need OCI media types", hint="leave out oci-mediatypes=false")
        return cls(
            packing, force, oci, flag(attrs, "rewrite-timestamp"), epoch_of(attrs), flag(attrs, "prefer-nondist-layers")
        )

    def epoch_for(self, target: Target) -> int | None:
        return target.epoch if self.epoch is None else self.epoch

    def packing_for(self, target: Target) -> Packing | None:
        """How the target's own layers are packed; None for the default. Raises `UsageError` if times are to be clamped
        and nobody said to what."""
        if not self.rewrite:
            return self.packing
        epoch = self.epoch_for(target)
        if epoch is None:
            raise UsageError(
                "rewrite-timestamp=true needs to know the time", hint="set SOURCE_DATE_EPOCH, or source-date-epoch=…"
            )
        return (self.packing or _packing("", ""))._replace(epoch=epoch)


def version_of(attrs: Mapping[str, str]) -> int:
    """``compatibility-version``. Raises `UsageError` for one that there is not, or that lacks what is asked for."""
    text = attrs.get("compatibility-version", "")
    version = int(text) if text.isascii() and text.isdigit() else 0 if text else VERSIONS[-1]
    if version not in VERSIONS:
        raise UsageError(f"there is no compatibility-version={text}", hint=f"one of {', '.join(map(str, VERSIONS))}")
    if version == VERSIONS[0] and attrs.get("compression") == "zstd":
        raise UsageError("compatibility-version=10 has no compression=zstd", hint="20 has")
    return version


def _oci_by_default(attrs: Mapping[str, str]) -> bool:
    """Whether an output that does not say has OCI media types."""
    newest = version_of(attrs) == VERSIONS[-1]
    return newest or attrs.get("compression") in ("zstd", "estargz") or any(map(is_annotation, attrs))


def _packing(kind: str, level: str) -> Packing:
    from img.oci.packing import Packing

    return Packing.parse(kind or "gzip", level)


def check_attrs(attrs: Mapping[str, str], kind: str, known: Sequence[str]) -> None:
    """Raises `UsageError` for an attribute that the exporter `kind` does not know, or can't honour."""
    images = "name" in known
    for name, value in attrs.items():
        if name in known or (images and is_annotation(name)) or (name in REFUSED and value in ("false", "0")):
            continue
        if name in REFUSED:
            raise UsageError(f"--output type={kind} can't do {name}: {REFUSED[name]}", hint="leave it out")
        raise UsageError(
            f"--output type={kind} has no attribute {name!r}", hint=f"it has: {', '.join(known) or 'none'}"
        )


def flag(attrs: Mapping[str, str], name: str, default: bool = False) -> bool:
    """A boolean attribute. Raises `UsageError`."""
    text = attrs.get(name, "true" if default else "false").lower()
    if text not in ("true", "false", "1", "0", ""):
        raise UsageError(f"{name}={attrs[name]} is neither true nor false")
    return text in ("true", "1", "")


def epoch_of(attrs: Mapping[str, str]) -> int | None:
    """``source-date-epoch``, in Unix seconds; None if it is not given or empty. Raises `UsageError`."""
    text = attrs.get("source-date-epoch", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 35):
        raise UsageError(f"source-date-epoch={text} is not a Unix time", hint="whole seconds since 1970")
    return int(text)
