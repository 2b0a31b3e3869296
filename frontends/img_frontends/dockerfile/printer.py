"""Instructions to text: what is printed reads back as the same instructions, and prints the same again.

Keywords are in upper case, flags in their order and as they are written, JSON forms as JSON with one blank after each
comma. Directives, comments, blank rows and heredoc bodies are kept. An instruction over several rows keeps its rows;
blank rows in it go, as do blanks at the ends of rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

from img.errors import FrontendError
from img_frontends.dockerfile.parse import parse_line
from img_frontends.dockerfile.reader import Line, Script, continued
from img_frontends.dockerfile.space import BLANKS
from img_frontends.dockerfile.tree import Instruction


def printed(script: Script, instructions: Sequence[Instruction]) -> str:
    """A whole file, ending with a newline. `instructions` may be others than those of the script."""
    rows = [row.rstrip(BLANKS) for row in script.head]
    for one in instructions:
        rows += [*one.line.above, instruction(one, script.escape)]
    rows += script.tail
    return "".join(f"{row}\n" for row in rows)


def instruction(one: Instruction, escape: str) -> str:
    """One instruction with its heredocs, without a newline at the end.

    If it is what its line says, the rows of the line are kept; if it was made from that line by a change, it is
    written anew in one row, with the comments that stood inside of it behind the keyword.
    """
    line = one.line
    several = line.text and (len(line.starts) > 1 or line.inner)
    rows = _kept(line, escape) if several and _as_written(one, escape) else _anew(one, escape)
    bodies = [f"{heredoc.written or heredoc.body}{heredoc.name}" for heredoc in one.heredocs]
    return "\n".join([rows, *bodies])


def _as_written(one: Instruction, escape: str) -> bool:
    try:
        return parse_line(one.line, escape) == one
    except FrontendError:
        return False


def _kept(line: Line, escape: str) -> str:
    """The rows of a continued instruction."""
    text = line.text
    breaks = sorted({start for start, _, _ in line.starts if start > 0} | {offset for offset, _ in line.inner})
    ends_open = bool(breaks) and breaks[-1] == len(text)
    edges = [0, *breaks, *([] if ends_open else [len(text)])]
    slices = [text[a:b] for a, b in pairwise(edges)]
    keyword = f"{line.keyword} "
    if breaks and breaks[0] == 0:
        slices[0], keyword = ("", keyword) if not text.startswith("#") else (line.keyword[0], "")
        if text.startswith("#"):
            slices[1] = f"{line.keyword[1:]} {slices[1]}"
    slices[0] = keyword + slices[0]
    rows: list[str] = []
    for number, piece in enumerate(slices):
        last = number + 1 == len(slices)
        if last and not ends_open:
            rows.append(_closed(piece, escape))
            break
        rows.append(f"{piece} {escape}" if last or piece.endswith(escape) else piece + escape)
        rows += [row for offset, row in line.inner if offset == edges[number + 1]]
    return "\n".join(rows)


def _anew(one: Instruction, escape: str) -> str:
    """One row, after those that keep the comments."""
    arguments = _arguments(one)
    flags = [flag.written or _flag(flag.name, flag.value) for flag in one.flags]
    if arguments.startswith("--"):
        flags.append("--")
    row = " ".join([*flags, *([arguments] if arguments else [])])
    if not one.line.inner:
        return _closed(f"{one.keyword} {row}" if row else one.keyword, escape)
    comments = [text for _, text in one.line.inner]
    first, second = f"{one.keyword} {escape}", row
    if not row or row.startswith("#"):
        first, second = f"{one.keyword[0]}{escape}", f"{one.keyword[1:]} {row}".rstrip(" ")
    return "\n".join([first, *comments, _closed(second, escape)])


def _closed(row: str, escape: str) -> str:
    """A row that is not continued: a form feed, which is cut off when read, ends one that looks as if it were."""
    return row if continued(row, escape) is None else f"{row}\f"


def _flag(name: str, value: str | None) -> str:
    if value is None:
        return f"--{name}"
    if not set(value) & {*BLANKS, '"', "'", "\\"}:
        return f"--{name}={value}"
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'--{name}="{quoted}"'


def _arguments(one: Instruction) -> str:
    if one.exec:
        return json.dumps(one.values, ensure_ascii=False)
    if one.legacy:
        name, value = one.pairs[0]
        return f"{name} {value}"
    if one.pairs:
        return " ".join(name if value is None else f"{name}={value}" for name, value in one.pairs)
    return " ".join(one.values)
