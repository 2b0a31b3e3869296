"""``img build --twice``."""

from __future__ import annotations

import sys
from typing import Any

from img.request import Request
from img.session import Session
from img_cli.commands.images import told
from img_cli.outcome import printable

SHOWN = 100
"""Differences that are listed; the rest are counted."""


def twice(session: Session, request: Request, reporter: Any) -> int:
    """Print the digest that both builds gave, or every file that differs with the likely cause; exit code 1 then."""
    from img.twice import build_twice

    verdict = build_twice(session, request, [reporter(session.engine)])
    if verdict.same:
        print(f"Reproducible: both builds gave {verdict.digests[0]}", file=sys.stderr)
        print(verdict.digests[0])
        return 0
    print(f"Not reproducible: {verdict.digests[0]} and {verdict.digests[1]}", file=sys.stderr)
    for one in verdict.causes[:SHOWN]:
        for line in told([one.difference]):
            print(line)
        print(printable(f"      likely cause: {one.cause}"))
    if len(verdict.causes) > SHOWN:
        print(f"and {len(verdict.causes) - SHOWN} more")
    return 1
