"""The conformance suite for backends. A package with a backend runs it in three lines of a test file:

    from img.testing.backends import BackendConformance

    class TestMine(BackendConformance):
        backend = "mine"

It builds small graphs with the backend, as it is installed, and looks at what comes out: files, output, errors, and what is
left behind. It needs pytest, a static busybox, and no network. What the backend says it lacks (`img.abilities`) must be
refused before anything runs; everything else must work. A quality that it lacks (`QUALITIES`) is told by what it is instead.
"""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{name}" for name in ("bench", "changes", "files", "mounts", "output", "processes", "trouble"))
)

from img.testing.backends.suite import BackendConformance  # noqa: E402

__all__ = ["BackendConformance"]
