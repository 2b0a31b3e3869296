"""Rules about upper and lower case."""

from __future__ import annotations

from collections.abc import Iterator

from img_frontends.dockerfile.checks.subject import Finding, Subject, written_keyword
from img_frontends.dockerfile.tree import Instruction

LOWER, UPPER = "lower case", "upper case"


def stage_name(subject: Subject) -> Iterator[Finding]:
    """StageNameCasing."""
    for stage in subject.stages:
        words = stage.start.words
        if len(words) == 3 and words[2].text != words[2].text.lower():
            line = stage.start.line
            yield Finding(line, line.place(words[2].offset), {"name": words[2].text})


def from_as(subject: Subject) -> Iterator[Finding]:
    """FromAsCasing. A FROM of mixed case is the next rule's."""
    for stage in subject.stages:
        line, words = stage.start.line, stage.start.words
        keyword, _ = written_keyword(line)
        if len(words) == 3 and words[1].text != _like(keyword, words[1].text):
            yield Finding(line, line.place(words[1].offset), {"from": keyword, "as": words[1].text})


def _like(keyword: str, word: str) -> str:
    """`word` in the case of `keyword`; as it is if that has no one case."""
    if keyword == keyword.lower():
        return word.lower()
    return word.upper() if keyword == keyword.upper() else word


def majority_is_lower(subject: Subject) -> bool:
    """Whether more instructions of the stages are written in lower case than in upper case."""
    lower = upper = 0
    for i in _staged(subject):
        keyword, _ = written_keyword(i.line)
        lower += keyword == keyword.lower()
        upper += keyword == keyword.upper()
    return lower > upper


def instruction(subject: Subject) -> Iterator[Finding]:
    """ConsistentInstructionCasing. As BuildKit has it, arguments before the first FROM do not count."""
    lower = majority_is_lower(subject)
    for i in _staged(subject):
        keyword, place = written_keyword(i.line)
        if keyword != (keyword.lower() if lower else keyword.upper()):
            yield Finding(i.line, place, {"keyword": keyword, "case": LOWER if lower else UPPER})


def _staged(subject: Subject) -> Iterator[Instruction]:
    for stage in subject.stages:
        yield stage.start
        yield from stage.body


def protocol(subject: Subject, i: Instruction) -> Iterator[Finding]:
    """ExposeProtoCasing."""
    for word in i.words:
        _, slash, name = word.text.rpartition("/")
        if slash and "$" not in name and name != name.lower():
            at = word.offset + len(word.text) - len(name)
            yield Finding(i.line, i.line.place(at), {"port": word.text})
