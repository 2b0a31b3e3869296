"""``img registry check``."""

from __future__ import annotations

import json as encoder

from img_cli.context import open_session


def check(name: str, json: bool) -> int:
    """Print what is used to speak to a registry, and where it fails."""
    with open_session() as session:
        report = session.registries.check(name)
    print(encoder.dumps(report.document, indent=2) if json else report.text)
    return report.status
