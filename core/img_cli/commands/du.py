"""``img du`` and ``img prune``: what takes room in the store, and giving it back."""

from __future__ import annotations

import json as encoder
import sys
from collections.abc import Sequence
from typing import Any

from img.settings import human
from img_cli.commands.ls import table, when
from img_cli.context import open_session

WIDTH = 50
"""Letters of a description in the table."""


def du(filters: Sequence[str], verbose: bool, json: bool) -> int:
    """Print a table and totals, every field (`verbose`), or a JSON array."""
    with open_session() as session:
        found = session.usage(filters)
    if json:
        print(encoder.dumps([one.to_json() for one in found], indent=2))
        return 0
    show(found, verbose)
    if not filters:
        print(f"Reclaimable:\t{human(sum(one.size for one in found if one.reclaimable))}")
        print(f"Total:\t\t{human(sum(one.size for one in found))}")
    return 0


def prune(filters: Sequence[str], everything: bool, verbose: bool, json: bool, keep: str = "") -> int:
    """Prune, and print what went: a table and totals, or a JSON array. `keep` is a size: prune down to it."""
    from img.settings import size_of

    most = size_of(keep, "--keep-storage") if keep else None
    with open_session() as session:
        done = session.prune(filters, everything, most)
        left = sum(one.size for one in session.usage())
    if json:
        print(encoder.dumps([one.to_json() for one in done.taken], indent=2))
    else:
        if done.taken:
            show(done.taken, verbose)
        print(f"Reclaimed:\t{human(done.size)}")
        print(f"Total:\t\t{human(left)}")
    if not done.alone:
        print("warning: a build is running, so layers and blobs were left alone; prune again after it", file=sys.stderr)
    return 0


def show(found: Sequence[Any], verbose: bool) -> None:
    """The records as a table, or as blocks of fields."""
    if not verbose:
        table([("ID", "RECLAIMABLE", "SIZE", "DESCRIPTION"), *map(_row, found)])
        return
    for one in found:
        fields = one.to_json()
        fields["size"] = human(one.size)
        fields["created"], fields["used"] = (when(time) if time else "-" for time in (one.created, one.used))
        for name, value in fields.items():
            print(f"{name.capitalize()}:".ljust(16) + (str(value).lower() if isinstance(value, bool) else str(value)))
        print()


def _row(one: Any) -> tuple[str, str, str, str]:
    words = one.description if len(one.description) <= WIDTH else one.description[: WIDTH - 1] + "…"
    id = one.id.removeprefix("sha256:")[:25] + ("*" if one.mutable else "")
    return id, str(one.reclaimable).lower(), human(one.size), words
