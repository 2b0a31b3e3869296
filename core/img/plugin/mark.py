"""`hookimpl`: marks a function as an implementation of one of img's hooks."""

from __future__ import annotations

from typing import TypeVar

F = TypeVar("F")


def hookimpl(function: F) -> F:
    """Mark `function`, which bears a hook's name, exactly as ``pluggy.HookimplMarker("img")`` would.

    It sets the same attribute without importing pluggy, so that a hooks module costs nothing to import. A test holds
    the two against each other.
    """
    options = {
        "wrapper": False,
        "hookwrapper": False,
        "optionalhook": False,
        "tryfirst": False,
        "trylast": False,
        "specname": None,
    }
    function.img_impl = options  # type: ignore[attr-defined]
    return function
