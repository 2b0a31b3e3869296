"""Build arguments: which are there, in which scope, and with what value."""

from __future__ import annotations

from collections.abc import Mapping

from img.oci.platform import Platform
from img.ports import FrontendRequest

PROXIES = tuple(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)
EPOCH = "SOURCE_DATE_EPOCH"
NOT_ENV = ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE")
"""Arguments for the builder that no step ever sees."""


def platform_args(request: FrontendRequest, target: str, stage: str) -> dict[str, str]:
    """The automatic arguments of the global scope (spec: Automatic global ARGs)."""
    values: dict[str, str] = {"TARGETSTAGE": stage}
    for prefix, text in (("BUILD", request.build_platform), ("TARGET", target)):
        platform = Platform.parse(text)
        values[f"{prefix}PLATFORM"] = str(platform)
        values[f"{prefix}OS"] = platform.os
        values[f"{prefix}OSVERSION"] = ""
        values[f"{prefix}ARCH"] = platform.architecture
        values[f"{prefix}VARIANT"] = platform.variant
    return values


class Args:
    """The arguments given to a build, and which of them some ARG asked for."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = dict(given)
        self._used: set[str] = set()

    def given(self, name: str) -> str | None:
        """What ``--build-arg`` says of `name`."""
        if name in self._given:
            self._used.add(name)
            return self._given[name]
        return None

    def settle(self, name: str, value: str | None) -> None:
        """Replace a given value by what it stands for; None takes it away."""
        if name in self._given:
            if value is None:
                del self._given[name]
            else:
                self._given[name] = value

    def unused(self) -> list[str]:
        """Given, but no ARG has the name, and it means nothing by itself."""
        return sorted(
            name
            for name in self._given
            if name not in self._used and name not in PROXIES and not name.startswith("BUILDKIT_") and name != EPOCH
        )

    def proxies(self) -> tuple[tuple[str, str], ...]:
        """The proxy arguments: they reach every RUN, in both cases of letters, but no key and no history."""
        found: dict[str, str] = {}
        for name in PROXIES:
            if name in self._given:
                found[name.upper()] = found[name.lower()] = self._given[name]
        return tuple((name, found[name]) for name in PROXIES if name in found)
