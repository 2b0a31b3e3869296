"""``img doctor``."""

from __future__ import annotations

import json as encoder

from img_cli.context import open_session


def doctor(json: bool) -> int:
    """Print what works here, and what the rest lacks; the exit code is 1 if RUN works nowhere."""
    with open_session() as session:
        report = session.doctor()
    print(encoder.dumps(report.document, indent=2) if json else report.text)
    return report.status
