"""Repairs: edits of single lines that make a finding go away and leave the image as it is.

Comments, blanks and line ends stay. A repair that might change the image in any way is not made: a rule without an entry
in `REPAIRS` is for people to decide. Repairs can uncover others (AS follows FROM), so they go in rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from img.errors import FrontendError, Place
from img.ir.definition import Advice
from img_frontends.dockerfile.checks import casing, forms
from img_frontends.dockerfile.checks.run import told
from img_frontends.dockerfile.checks.subject import Finding, Subject
from img_frontends.dockerfile.checks.variables import uses
from img_frontends.dockerfile.expand import expand
from img_frontends.dockerfile.parse import parse_line
from img_frontends.dockerfile.reader import Line

ROUNDS = 4
BOM = b"\xef\xbb\xbf"


class Edit(NamedTuple):
    """`old`, which stands at a place (line and column from 1), becomes `new`. `row`: the whole line goes."""

    line: int
    column: int
    old: str
    new: str
    row: bool = False


@dataclass(frozen=True, slots=True)
class Repaired:
    """The file's new bytes, and the advice that was followed."""

    data: bytes
    done: tuple[Advice, ...]


def repaired(data: bytes, subject_of: Callable[[bytes], Subject]) -> Repaired:
    """The file after all repairs. `subject_of` reads a version of it. Raises `FrontendError` if it can't be read."""
    done: list[Advice] = []
    for _ in range(ROUNDS):
        data, followed = _round(data, subject_of(data))
        done.extend(followed)
        if not followed:
            break
    return Repaired(data, tuple(done))


def _round(data: bytes, subject: Subject) -> tuple[bytes, list[Advice]]:
    rows: list[str | None] = [*data.removeprefix(BOM).decode("utf-8", "surrogateescape").split("\n")]
    edits: list[Edit] = []
    followed: list[Advice] = []
    for one in told(subject):
        repair = REPAIRS.get(one.rule.name)
        wanted = list(repair(subject, one.finding)) if repair else []
        if wanted and all(_fits(rows, edit) for edit in wanted):
            edits.extend(wanted)
            followed.append(one.advice)
    for edit in sorted(set(edits), reverse=True):
        row = rows[edit.line - 1]
        if edit.row or row is None:
            rows[edit.line - 1] = None
            continue
        start = edit.column - 1
        rows[edit.line - 1] = row[:start] + edit.new + row[start + len(edit.old) :]
    text = "\n".join(row for row in rows if row is not None)
    return data[: len(data) - len(data.removeprefix(BOM))] + text.encode("utf-8", "surrogateescape"), followed


def _fits(rows: list[str | None], edit: Edit) -> bool:
    """Whether the file has at that place what the edit takes away: not if continued lines cut it in two."""
    row = rows[edit.line - 1] or ""
    return edit.row or row.startswith(edit.old, edit.column - 1)


def _word(place: Place, old: str, new: str) -> Iterator[Edit]:
    yield Edit(place.line, place.column, old, new)


def _stage_name(subject: Subject, finding: Finding) -> Iterator[Edit]:
    name = finding.words["name"]
    return _word(finding.place, name, name.lower())


def _from_as(subject: Subject, finding: Finding) -> Iterator[Edit]:
    keyword, word = finding.words["from"], finding.words["as"]
    return _word(finding.place, word, word.lower() if keyword.islower() else word.upper())


def _keyword(subject: Subject, finding: Finding) -> Iterator[Edit]:
    keyword = finding.words["keyword"]
    lower = finding.words["case"] == casing.LOWER
    return _word(finding.place, keyword, keyword.lower() if lower else keyword.upper())


def _protocol(subject: Subject, finding: Finding) -> Iterator[Edit]:
    name = finding.words["port"].rpartition("/")[2]
    return _word(finding.place, name, name.lower())


def _port(subject: Subject, finding: Finding) -> Iterator[Edit]:
    port = finding.words["port"]
    return _word(finding.place, port, port.rpartition(":")[2])


def _empty(subject: Subject, finding: Finding) -> Iterator[Edit]:
    for number in forms.empty_rows(finding.line):
        yield Edit(number, 1, "", "", True)


def _pair(subject: Subject, finding: Finding) -> Iterator[Edit]:
    """``NAME value`` to ``NAME=value``, in quotes if need be; nothing if the value would be read differently."""
    line, escape = finding.line, subject.script.escape
    name, value = parse_line(line, escape).pairs[0]
    text = line.text
    end, start = text.index(name) + len(name), len(text) - len(value or "")
    behind, before, last = line.place(end), line.place(start), line.place(len(text) - 1)
    if behind.line != before.line or not value:
        return
    for quote in ("", '"'):
        if _reads(line, f"{name}={quote}{value}{quote}", name, value, escape):
            yield Edit(behind.line, behind.column, text[end:start], f"={quote}")
            if quote:
                yield Edit(last.line, last.column + 1, "", quote)
            return


def _reads(line: Line, text: str, name: str, value: str, escape: str) -> bool:
    """Whether `text` is one pair of this name, with this value whatever the variables in it are."""
    changed = replace(line, text=text)
    names = [use.name for use in uses(value, escape)]
    scopes: tuple[Mapping[str, str], ...] = ({}, {use: f" {use} \"'" for use in names}, dict.fromkeys(names, ""))
    try:
        pairs = parse_line(changed, escape).pairs
        return (
            len(pairs) == 1
            and pairs[0][0] == name
            and all(expand(pairs[0][1] or "", scope, escape) == expand(value, scope, escape) for scope in scopes)
        )
    except (FrontendError, ValueError):
        return False


REPAIRS: dict[str, Callable[[Subject, Finding], Iterator[Edit]]] = {
    "ConsistentInstructionCasing": _keyword,
    "ExposeInvalidFormat": _port,
    "ExposeProtoCasing": _protocol,
    "FromAsCasing": _from_as,
    "LegacyKeyValueFormat": _pair,
    "NoEmptyContinuation": _empty,
    "StageNameCasing": _stage_name,
}
