"""``img context ls``."""

from __future__ import annotations

import json as encoder
from typing import TYPE_CHECKING, Any

from img.settings import human
from img_cli.context import open_session, standard_input
from img_cli.outcome import printable

if TYPE_CHECKING:
    from img.contexts.listing import Listing, Verdict

SIGNS = {"dir": "d", "symlink": "l", "char": "c", "block": "b", "fifo": "p", "socket": "s"}


def ls(context: str, file: str, why: str, json: bool) -> int:
    """Print what a build would see, or why it sees a path or not."""
    from img.request import Request
    from img_cli.commands.build import stop_on_signals

    stdin = standard_input(context, file)
    with open_session() as session:
        stop_on_signals(session)
        listing = session.listing(Request(context=context, file=file, stdin=stdin))
        if why:
            show_why(listing, listing.why(why), json)
        else:
            show(listing, json)
    return 0


def show(listing: Listing, json: bool) -> None:
    """One line an entry as it comes, and the sums; or one JSON document."""
    count, size = 0, 0
    rows: list[dict[str, Any]] = []
    for entry in listing.entries():
        count += 1
        size += entry.size
        if json:
            link = {"link": entry.link} if entry.kind == "symlink" else {}
            rows.append(
                {"path": entry.path, "kind": entry.kind, "mode": f"{entry.mode:04o}", "size": entry.size, **link}
            )
            continue
        arrow = f" -> {entry.link}" if entry.kind == "symlink" else ""
        print(f"{SIGNS.get(entry.kind, '-')} {entry.mode:04o} {entry.size:>12} {printable(entry.path + arrow)}")
    if json:
        document = {"ignoreFile": listing.ignore_file, "entries": rows, "count": count, "size": size}
        print(encoder.dumps(document, indent=2))
        return
    ignoring = f", ignoring what {listing.ignore_file} says" if listing.ignore_file else ", no ignore file"
    print(f"{count} entries, {human(size)}{ignoring}")


def show_why(listing: Listing, verdict: Verdict, json: bool) -> None:
    """The rule that decides, with its place."""
    rule = verdict.rule
    if json:
        document = {
            "path": verdict.path,
            "exists": verdict.exists,
            "seen": verdict.seen,
            "ignoreFile": listing.ignore_file,
            "rule": None if rule is None else {"line": rule.line, "text": rule.text},
        }
        print(encoder.dumps(document, indent=2))
        return
    path = printable(verdict.path)
    if rule is None:
        words = f"no rule of {listing.ignore_file} is about it" if listing.ignore_file else "there is no ignore file"
        excluded = False
    else:
        excluded = not rule.pattern.startswith("!")
        words = f"{listing.ignore_file}:{rule.line}: {printable(rule.text)}"
    if verdict.through:
        print(f"{path} is ignored, but something in it is not: {words}")
    elif not verdict.exists:
        print(f"{path} does not exist; it would be {'ignored' if excluded else 'seen'}: {words}")
    else:
        print(f"{path} is {'seen' if verdict.seen else 'ignored'}: {words}")
