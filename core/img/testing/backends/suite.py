"""All cases as one class of pytest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from img.testing.backends.bench import Bench
from img.testing.backends.changes import ChangeCases
from img.testing.backends.files import FileCases
from img.testing.backends.mounts import MountCases
from img.testing.backends.output import OutputCases
from img.testing.backends.processes import ProcessCases
from img.testing.backends.trouble import TroubleCases


class BackendConformance(FileCases, ChangeCases, ProcessCases, MountCases, OutputCases, TroubleCases):
    """Derive from it, name the backend, and let pytest find the class."""

    backend: ClassVar[str] = ""
    """The name it is offered by."""
    settings: ClassVar[Mapping[str, str]] = {}
    """Settings of img for it, e.g. ``{"runtime": "crun"}``."""
    busybox: ClassVar[str] = ""
    """Path of a static busybox for this machine's architecture; empty: the one that is installed."""

    @pytest.fixture(scope="class")
    @classmethod
    def bench(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
        """The backend, ready to build. For a backend whose service is started for the tests: override, and yield from
        `opened`."""
        yield from cls.opened(tmp_path_factory)

    @classmethod
    def opened(cls, folders: pytest.TempPathFactory, settings: Mapping[str, str] | None = None) -> Iterator[Bench]:
        """One bench with the class's settings and further ones, closed after its use."""
        assert cls.backend, "say which backend: set `backend` in the class"
        known = {**cls.settings, **(settings or {}), "cdi": str(folders.mktemp("cdi"))}
        made = Bench(folders.mktemp("bench"), cls.backend, known, cls.busybox)
        try:
            found = made.session.engine.load("backend", cls.backend).probe()
            assert found.ok, f"the backend {cls.backend} does not work here: {found.reason} ({found.remedy})"
            yield made
        finally:
            made.close()
