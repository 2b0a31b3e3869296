"""The form of the cases: text files, one a theme, each with many cases. README.md describes it.

=== name of the case
A sentence on what is held.
build: --target x
--- Dockerfile
FROM @base@
--- folder/file mode=600
content
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "cases"

KEYS = ("build", "fails", "line", "times", "except", "known", "spec")


@dataclass(frozen=True)
class Section:
    """A file of the context: its name, its attributes, and the text below it."""

    name: str
    attributes: dict[str, str]
    text: str
    number: int


@dataclass
class Case:
    """One Dockerfile with its context, and what should come of it."""

    theme: str
    name: str
    place: str
    about: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"{self.theme}-{self.name}"

    def words(self, key: str) -> list[str]:
        return shlex.split(self.keys.get(key, ""))

    def expectation(self, name: str) -> str | None:
        """The text of a section ``--- expect NAME``."""
        for section in self.sections:
            if section.name == f"expect {name}":
                return section.text
        return None


def read_all() -> list[Case]:
    """Every case of every theme. Raises `ValueError` for a file that is not in the form, or a name used twice."""
    found = [case for path in sorted(FOLDER.glob("*.txt")) for case in read(path)]
    names = [case.id for case in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"cases with the same name: {', '.join(twice)}")
    return found


def read(path: Path) -> list[Case]:
    """The cases of one file."""
    cases: list[Case] = []
    body: list[str] | None = None
    head: tuple[str, int] = ("", 0)

    def close() -> None:
        if body is not None:
            cases[-1].sections.append(_section(head[0], "".join(body), head[1], path))

    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), 1):
        if line.startswith("=== "):
            close()
            body = None
            cases.append(Case(path.stem, line[4:].strip().replace(" ", "-"), f"{path.name}:{number}"))
        elif line.startswith("--- ") and cases:
            close()
            body, head = [], (line[4:].strip(), number)
        elif body is not None:
            body.append(line)
        elif cases:
            _head(cases[-1], line.strip(), f"{path.name}:{number}")
        elif line.strip() and not line.startswith("#"):
            raise ValueError(f"{path.name}:{number}: text before the first case must be a comment")
    close()
    return cases


def _head(case: Case, line: str, place: str) -> None:
    key, colon, value = line.partition(":")
    if colon and key in KEYS:
        if key in case.keys:
            raise ValueError(f"{place}: {key} is given twice")
        case.keys[key] = value.strip()
    elif line:
        case.about = f"{case.about} {line}".strip()


def _words(head: str) -> list[str]:
    r"""Words in quotes or not; a backslash is kept, since names are written with ``\xff`` and the like."""
    reader = shlex.shlex(head, posix=True)
    reader.whitespace_split, reader.escape, reader.commenters = True, "", ""
    return list(reader)


def _section(head: str, text: str, number: int, path: Path) -> Section:
    """``name [-> target | = name] [attribute…]``; the blank lines before the next heading belong to nobody."""
    words = _words(head)
    attributes: dict[str, str] = {}
    name = words.pop(0) if words else ""
    if not name:
        raise ValueError(f"{path.name}:{number}: a section needs a name")
    if name == "expect":
        return Section(f"expect {words[0]}", {}, text, number)
    if len(words) >= 2 and words[0] in ("->", "="):
        attributes["symlink" if words[0] == "->" else "hardlink"] = words[1]
        words = words[2:]
    for word in words:
        key, _, value = word.partition("=")
        attributes[key] = value
    return Section(name, attributes, text.rstrip("\n") + "\n" if text.strip() else "", number)
