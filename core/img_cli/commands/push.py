"""``img push``."""

from __future__ import annotations

import sys

from img_cli.commands.build import chosen, stop_on_signals
from img_cli.context import open_session


def push(name: str, insecure: bool = False, quiet: bool = False) -> int:
    """Push, and print the digest; nothing else if `quiet`."""
    from img.oci.reference import Reference

    host = Reference.parse(name).registry
    with open_session({"insecure_registries": host if insecure else ""}) as session:
        stop_on_signals(session)
        reporter = session.engine.registry.load("reporter", "quiet" if quiet else chosen("auto"))
        digest = session.push(name, [reporter(session.engine)])
    if not quiet:
        print(f"Successfully pushed {name}", file=sys.stderr)
    print(digest)
    return 0
