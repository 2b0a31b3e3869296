"""Which rules apply: ``skip=A,B|all;error=BOOL;experimental=A|all``, as the directive, the build argument and comments say.

The form is BuildKit's. ``# check=`` at the top of a file and ``BUILDKIT_DOCKERFILE_CHECK`` (which takes its place) may
hold all three; a comment directly above an instruction may hold ``skip`` and ``experimental``, for that instruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from img.errors import FrontendError, Place
from img_frontends.dockerfile.checks.rules import RULES, Rule
from img_frontends.dockerfile.reader import Script

BUILD_ARG = "BUILDKIT_DOCKERFILE_CHECK"
TRUE, FALSE = ("1", "t", "true"), ("0", "f", "false")


@dataclass(frozen=True, slots=True)
class Options:
    """Rule names that are off, experimental ones that are on (``all`` stands for each), and whether warnings fail."""

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False

    def applies(self, rule: Rule) -> bool:
        """Whether `rule` is on."""
        if self.skip & {rule.name, "all"}:
            return False
        return not rule.experimental or bool(self.experimental & {rule.name, "all"})

    def with_comment(self, comments: Sequence[str]) -> Options:
        """These options for one instruction, with what the comments above it say. One that can't be read is a comment."""
        for comment in comments:
            name, equals, value = comment.partition("=")
            if name.strip().lower() != "check" or not equals:
                continue
            try:
                own = read(value.strip().split(" ", 1)[0], None)
            except FrontendError:
                return self
            return Options(self.skip | own.skip, self.experimental | own.experimental, self.error)
        return self


def read(text: str, place: Place | None) -> Options:
    """Options from their text. Raises `FrontendError` naming the part that is none."""
    found: dict[str, frozenset[str]] = {}
    error = False
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or name not in ("skip", "error", "experimental"):
            hint = "skip=RULE,…, error=true or experimental=RULE,…, with ; between them"
            raise FrontendError(f"invalid check option {part!r}", hint=hint, place=place)
        if name != "error":
            found[name] = found.get(name, frozenset()) | {rule.strip() for rule in value.split(",")}
        elif value.lower() in TRUE + FALSE:
            error = value.lower() in TRUE
        else:
            raise FrontendError(f"invalid check option {part!r}", hint="error=true or error=false", place=place)
    return Options(found.get("skip", frozenset()), found.get("experimental", frozenset()), error)


def options_of(script: Script, args: Mapping[str, str], rows: Sequence[str], file: str) -> Options:
    """The options of a whole file. Raises `FrontendError`."""
    if BUILD_ARG in args:
        return read(args[BUILD_ARG], None)
    text = script.directives.get("check", "")
    if not text:
        return Options()
    for number, row in enumerate(rows, 1):
        if row.lstrip().startswith("#") and row.lstrip(" \t#").lower().startswith("check"):
            return read(text, Place(file, number, 1, number, row))
    return read(text, None)


def unknown(options: Options) -> list[str]:
    """Names in `options` that no rule has."""
    return sorted((options.skip | options.experimental) - set(RULES) - {"all"})
