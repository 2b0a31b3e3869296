"""The examples of the documentation: every block of code of README.md and docs/, and every ``img …`` in the prose.

A block is fenced, or indented by four spaces after an empty line. ``<!-- not run: REASON -->`` in the line of text before
it says why no test runs it. What a block is in, its fence says, else its first words.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = ("docs/decisions/", "docs/reference/rules/")
"""Records, and pages whose examples tests/unit/dockerfile/test_checks.py holds against the rules."""
NOT_RUN = re.compile(r"<!-- not run: (\S.*?) -->")


class Block(NamedTuple):
    """One block. `reason` is why it is not run, or empty."""

    page: str
    line: int
    language: str
    text: str
    reason: str

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """README.md, and every page of the site that people write."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path for path in found if not str(path.relative_to(ROOT)).startswith(SKIPPED)]


def blocks() -> list[Block]:
    """Every block of every page, in order."""
    return [block for path in pages() for block in _of(path)]


def _of(path: Path) -> Iterator[Block]:
    lines = path.read_text(encoding="utf-8").split("\n")
    page, at, above = str(path.relative_to(ROOT)), 0, ""
    while at < len(lines):
        fence = re.match(r"( *)(```+)(\w*)", lines[at])
        indented = re.match(r" {4,}\S", lines[at]) and (at == 0 or not lines[at - 1].strip())
        start = at
        if fence:
            at += 1
            while not lines[at].startswith(fence[1] + fence[2]):
                at += 1
            body = lines[start + 1 : at]
            at += 1
        elif indented:
            while at < len(lines) and (lines[at].startswith("    ") or not lines[at].strip()):
                at += 1
            body = lines[start:at]
        else:
            above = lines[at] if lines[at].strip() else above
            at += 1
            continue
        text = _dedented(body)
        reason = NOT_RUN.search(above)
        above = ""
        yield Block(page, start + 1, (fence and fence[3]) or _language(text), text, reason[1] if reason else "")


def _dedented(lines: list[str]) -> str:
    full = [line for line in lines if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in full), default=0)
    return "\n".join(line[margin:] for line in lines).strip("\n") + "\n"


def _language(text: str) -> str:
    first = text.split("\n", 1)[0]
    if re.match(r"(?:\$ |img |sh |pip |[A-Z_]+=\S+ img )", first):
        return "console"
    if re.match(r"(?:# check=|FROM |RUN |COPY )", first):
        return "dockerfile"
    if re.match(r"(?:import |from \S+ import )", first):
        return "python"
    return "yaml" if re.match(r"[a-z-]+:(?: |$)", first) else "text"


class Command(NamedTuple):
    """An ``img …`` somewhere in a page."""

    place: str
    words: str


def commands() -> list[Command]:
    """Every command of a console block, and every code span of the prose that begins with ``img`` and a command."""
    found: list[Command] = []
    for path in pages():
        page = str(path.relative_to(ROOT))
        text = re.sub(r"\n *(?=[^\n`]*`)", " ", path.read_text(encoding="utf-8"))
        found += [Command(page, span) for span in re.findall(r"`(?:[A-Z_]+=\S+ )?(img [a-z-][^`]*)`", text)]
    for block in blocks():
        for line in block.text.split("\n"):
            words = re.search(r"(?:^|[\s\"])(img [a-z][^#\"]*)", line)
            if words and block.language in ("console", "yaml") and "pip install" not in words[1]:
                found.append(Command(block.name, words[1].strip()))
    return found


def unknown(command: Command, root: Any) -> str:
    """What of a command line img does not have: a command or an option; empty if it has all."""
    try:
        words = [word for word in shlex.split(command.words.replace("…", "")) if word][1:]
    except ValueError:
        return "a quote is open"
    above, options = root, _options(root)
    for word in words:
        if word == "&&" or word == "|":
            break
        if word.startswith("-") and word.strip("-"):
            if not (
                word.partition("=")[0] in options
                or getattr(above, "context_settings", {}).get("ignore_unknown_options")
            ):
                return f"the option {word}"
        elif hasattr(above, "commands"):
            if re.fullmatch(r"[A-Z]+|\[.*", word):
                break
            if word not in above.commands:
                return f"the command {word}"
            above = above.commands[word]
            options |= _options(above)
    return ""


def _options(command: Any) -> set[str]:
    return {"--help"} | {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
