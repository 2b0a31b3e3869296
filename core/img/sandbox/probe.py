"""Trying, cheaply, what this machine allows."""

from __future__ import annotations

import os

from img.sandbox import libc, root


def try_overlay(work: str) -> str:
    """The job: mount an overlay in a mount namespace of its own; returns what went wrong, or nothing."""
    upper = f"{work}/upper"
    try:
        libc.unshare(libc.CLONE_NEWNS)
        os.mkdir(upper)
        os.mkdir(f"{work}/stubs")
        root.overlay(work, [], upper)
    except OSError as error:
        return error.strerror or str(error)
    return ""
