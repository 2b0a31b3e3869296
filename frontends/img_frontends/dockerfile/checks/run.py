"""Running the rules over a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from img.errors import FrontendError
from img.ir.definition import Advice
from img_frontends.dockerfile.checks.options import Options, options_of
from img_frontends.dockerfile.checks.rules import RULES, Rule
from img_frontends.dockerfile.checks.subject import Finding, Subject

HINT = "the comment # check=skip=RULE above the instruction leaves that rule out there"


class Told(NamedTuple):
    """A finding that the options let through, with the words for it."""

    rule: Rule
    finding: Finding
    advice: Advice


def told(subject: Subject) -> list[Told]:
    """What the rules find, in the order of the file. Raises `FrontendError` if an option can't be read."""
    options = options_of(subject.script, subject.request.args, subject.rows, subject.request.file)
    comments: dict[int, Options] = {}
    # a comment can switch an experimental rule on for one instruction: then the rule has to look
    commented = any("check" in comment for line in subject.script.lines for comment in line.comments)
    rules = [rule for rule in RULES.values() if options.applies(rule) or commented]
    found: list[Told] = []
    for rule, finding in findings(subject, rules):
        line = finding.line
        if line.first not in comments:
            comments[line.first] = options.with_comment(line.comments)
        if comments[line.first].applies(rule):
            message = rule.detail.format_map(finding.words)
            found.append(Told(rule, finding, Advice(message, finding.place, rule.name, rule.url)))
    return sorted(found, key=lambda one: (one.finding.place.line, one.finding.place.column, one.rule.name))


def advice(subject: Subject) -> tuple[Advice, ...]:
    """What the rules say about a file. Raises `FrontendError` if an option can't be read."""
    return tuple(one.advice for one in told(subject))


def obeyed(subject: Subject) -> tuple[Advice, ...]:
    """`advice`, for a build: with ``error=true`` any warning fails it. Raises `FrontendError` then."""
    found = advice(subject)
    error = violation(subject, found)
    if error is not None:
        raise error
    return found


def violation(subject: Subject, found: tuple[Advice, ...]) -> FrontendError | None:
    """The error that warnings are with ``error=true``: it carries each of them with its place."""
    options = options_of(subject.script, subject.request.args, subject.rows, subject.request.file)
    if not found or not options.error:
        return None
    rules = ", ".join(sorted({one.rule for one in found}))
    others = tuple(FrontendError(f"{one.rule}: {one.message}", place=one.place) for one in found)
    return FrontendError(f"lint violation found for rules: {rules}", hint=HINT, others=others)


def findings(subject: Subject, rules: list[Rule]) -> Iterator[tuple[Rule, Finding]]:
    """What each of `rules` finds. One walk through the stages serves all that need to know what a stage has come to."""
    for rule in rules:
        if rule.file is not None:
            yield from ((rule, finding) for finding in rule.file(subject))
    each = _by_keyword([rule for rule in rules if rule.each is not None])
    for i in subject.instructions:
        for rule in each.get(i.keyword, ()):
            if rule.each is not None:
                yield from ((rule, finding) for finding in rule.each(subject, i))
    scenes = _by_keyword([rule for rule in rules if rule.scene is not None])
    for i, scene in subject.walk() if scenes else ():
        for rule in scenes.get(i.keyword, ()):
            if rule.scene is not None:
                yield from ((rule, finding) for finding in rule.scene(subject, i, scene))


def _by_keyword(rules: list[Rule]) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        for keyword in rule.keywords:
            found.setdefault(keyword, []).append(rule)
    return found
