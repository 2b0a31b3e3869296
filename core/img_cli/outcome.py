"""From errors to words and exit codes: the one place that does it.

0  done                       70  an error of img itself: the traceback comes with --debug
1  the build failed           130  stopped by Ctrl-C or a signal
2  the command line is wrong
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TextIO

from img.errors import FrontendError, ImgError, Place, StepFailed, UsageError

INTERNAL = 70
FULL = (errno.ENOSPC, errno.EDQUOT)
WIDE = 160
"""The longest source row that is shown whole."""


def guarded(arguments: list[str]) -> int:
    """Run a command line; returns the exit code."""
    debug = "--debug" in arguments or "-d" in arguments[:1]
    try:
        _check_folder()
        from img_cli.commands.run import run

        return run(arguments)
    except ImgError as error:
        show(error, sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        if error.errno not in FULL or debug:
            return _internal(error, debug)
        print(f"error: {error.strerror}{f': {error.filename}' if error.filename else ''}", file=sys.stderr)
        print("hint: make room, or write somewhere else", file=sys.stderr)
        return 1
    except Exception as error:
        return _internal(error, debug)


def _internal(error: Exception, debug: bool) -> int:
    if debug:
        raise error
    print(f"error: internal error: {type(error).__name__}: {error}", file=sys.stderr)
    print("hint: run it again with --debug before the command to see where, and report that", file=sys.stderr)
    return INTERNAL


def _check_folder() -> None:
    """Raises `UsageError` if the folder that names are relative to has been removed."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UsageError("the current folder was removed", hint="change to another one") from None


def show(error: ImgError, out: TextIO) -> None:
    """Print an error: what, where with the line, what to do, and further problems of the same file."""
    for text in render(error):
        print(text, file=out)
    if isinstance(error, FrontendError):
        for other in error.others:
            show(other, out)


def render(error: ImgError) -> list[str]:
    """The lines of an error message."""
    lines: list[str] = []
    if isinstance(error, StepFailed) and error.tail:
        lines.append(" > the last lines of its output:")
        lines.extend(f" | {printable(line)}" for line in error.tail)
    if error.place is not None:
        lines.extend(excerpt(error.place))
    lines.append(f"error: {printable(error.message)}")
    if error.hint:
        lines.append(f"hint: {printable(error.hint)}")
    return lines


def excerpt(place: Place) -> list[str]:
    """``file:line:column`` and the source, with a caret where it is one line."""
    lines = [f"{place}"]
    rows = place.text.split("\n") if place.text else []
    if len(rows) == 1 and len(rows[0]) > WIDE:
        return [*lines, *_window(place)]
    width = len(str(place.line + len(rows)))
    for number, row in enumerate(rows[:12]):
        lines.append(f" {place.line + number:>{width}} | {printable(row)}")
    if len(rows) == 1:
        lead = "".join(c if c == "\t" else " " for c in rows[0][: place.column - 1])
        lines.append(f" {' ' * width} | {lead}^")
    elif len(rows) > 12:
        lines.append(f" {' ' * width} | … {len(rows) - 12} more lines")
    return lines


def _window(place: Place) -> list[str]:
    """What stands around the place in a row that no terminal shows whole."""
    start = max(place.column - 1 - WIDE // 2, 0)
    row = printable(place.text[start : start + WIDE].replace("\t", " "))
    before, after = "…" if start else "", "…" if start + WIDE < len(place.text) else ""
    lead = " " * (len(f" {place.line} | {before}") + place.column - 1 - start)
    return [f" {place.line} | {before}{row}{after}", f"{lead}^"]


def printable(text: str) -> str:
    """Text without what could move a terminal's cursor or change its state."""
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
