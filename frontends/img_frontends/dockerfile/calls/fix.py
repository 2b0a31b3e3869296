"""``fix``: the file after the repairs that leave its image as it is (img's own question; `checks.repair`)."""

from __future__ import annotations

from dataclasses import replace

from img.ports import FrontendRequest, Report, Resolver
from img_frontends.dockerfile.calls.opened import opened
from img_frontends.dockerfile.calls.shape import encoded, location
from img_frontends.dockerfile.checks.repair import repaired


def fix(request: FrontendRequest, resolver: Resolver) -> Report:
    """The new bytes (base64) and what was repaired. Asks for no image. Raises `FrontendError`."""
    result = repaired(request.text, lambda data: opened(replace(request, text=data, target=""), resolver, every=True))
    done = [
        {"ruleName": one.rule, "detail": one.message, "location": location(one.place) if one.place else {}}
        for one in result.done
    ]
    text = "".join(f"{one.place}: {one.rule}: {one.message}\n" for one in result.done)
    return Report(text, {"filename": request.file, "data": encoded(result.data), "repairs": done})
