"""``img push``."""

from __future__ import annotations

import sys

from img_cli.commands.build import chosen, stop_on_signals
from img_cli.context import open_session


def push(name: str) -> int:
    """Push, and print the digest."""
    with open_session() as session:
        stop_on_signals(session)
        reporter = session.engine.registry.load("reporter", chosen("auto"))
        digest = session.push(name, [reporter(session.engine)])
    print(f"Successfully pushed {name}", file=sys.stderr)
    print(digest)
    return 0
