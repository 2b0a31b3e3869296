"""The entry point. Imports nothing but sys: what a command needs, it imports itself."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the arguments name, and exit."""
    arguments = sys.argv[1:]
    if arguments in (["version"], ["--version"], ["-v"]):
        from img._version import VERSION

        print(f"img {VERSION}")
        return
    from img_cli.outcome import guarded

    sys.exit(guarded(arguments))
