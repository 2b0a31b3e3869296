"""The attributes of ``--cache-from`` and ``--cache-to``, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from img.errors import UsageError
from img_plugins.exporters.forms import flag

WRITES = ("mode", "ignore-error", "compression", "compression-level", "force-compression")
"""What every cache that is written takes; the engine honours them."""
ALWAYS = {"image-manifest": True, "oci-mediatypes": True}
"""Attributes of BuildKit's for what is always so here."""


def check_attrs(attrs: Mapping[str, str], kind: str, writes: bool, known: Sequence[str], needed: str) -> None:
    """Raises `UsageError` for attributes that are unknown, wrong or missing."""
    option = f"--cache-{'to' if writes else 'from'} type={kind}"
    allowed = (*known, *(WRITES if writes else ()))
    for name in attrs:
        if name in ALWAYS and writes:
            if not flag(attrs, name, True):
                raise UsageError(f"{option} can't do {name}=false", hint="caches are OCI image manifests: leave it out")
        elif name not in allowed:
            raise UsageError(f"{option} has no attribute {name!r}", hint=f"it has: {', '.join(allowed)}")
    if needed and not attrs.get(needed):
        raise UsageError(f"{option} needs {needed}=…")
