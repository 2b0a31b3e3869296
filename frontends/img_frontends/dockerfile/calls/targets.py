"""``targets``: the stages that can be built (frontend.targets)."""

from __future__ import annotations

from dataclasses import replace

from img.ports import FrontendRequest, Report, Resolver
from img_frontends.dockerfile.calls.opened import described, opened
from img_frontends.dockerfile.calls.shape import columns, encoded, location, present


def targets(request: FrontendRequest, resolver: Resolver) -> Report:
    """Every stage in the order of the file, whatever the target. Raises `FrontendError`."""
    subject = opened(replace(request, target=""), resolver, every=True)
    listed = []
    rows = [("TARGET", "DESCRIPTION")]
    for stage in subject.stages:
        default = stage is subject.stages[-1]
        words = described(stage.start.line.comments, stage.name)
        document = {
            "name": stage.name,
            "default": default,
            "description": words,
            "base": stage.base,
            "platform": stage.start.flag("platform") or "",
        }
        listed.append({**present(document), "location": location(stage.start.line.whole)})
        rows.append((" ".join(filter(None, (stage.name, "(default)" if default else ""))), words))
    return Report(columns(rows, 1), {"targets": listed, "sources": [encoded(request.text)]})
