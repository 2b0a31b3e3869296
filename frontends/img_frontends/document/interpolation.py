"""Variables in the texts of compose files (the Compose Specification, interpolation)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from img.errors import FrontendError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORMS = (":-", ":?", ":+", "-", "?", "+")
NESTED = 20

Wrong = Callable[[str, str], FrontendError]


def interpolated(text: str, environ: Mapping[str, str], wrong: Wrong) -> str:
    """`text` with its variables put in: ``$NAME``, ``${NAME}``, and ``${NAME:-word}`` and its like, where a word may have
    variables again. ``$$`` is a ``$``. A variable that is not set is empty. Raises what `wrong` makes of a message and a
    hint."""
    found, rest = _read(text, environ, wrong, False, 0)
    assert not rest
    return found


def _read(text: str, environ: Mapping[str, str], wrong: Wrong, inside: bool, deep: int) -> tuple[str, str]:
    """What `text` stands for up to its end, or `inside` of braces to the brace that ends them; and what follows."""
    if deep > NESTED:
        raise wrong("variables are nested too deep", "")
    made: list[str] = []
    while text:
        plain, mark, text = _before(text, inside)
        made.append(plain)
        if mark == "}":
            return "".join(made), text
        if mark == "$":
            value, text = _variable(text, environ, wrong, deep)
            made.append(value)
    if inside:
        raise wrong("a } is missing", "a dollar sign itself is $$")
    return "".join(made), ""


def _before(text: str, inside: bool) -> tuple[str, str, str]:
    for at, character in enumerate(text):
        if character == "$" or (inside and character == "}"):
            return text[:at], character, text[at + 1 :]
    return text, "", ""


def _variable(text: str, environ: Mapping[str, str], wrong: Wrong, deep: int) -> tuple[str, str]:
    """What stands behind a ``$``, and what follows it."""
    if text.startswith("$"):
        return "$", text[1:]
    braced = text.startswith("{")
    match = _NAME.match(text, 1 if braced else 0)
    if match is None:
        raise wrong("a $ stands before no name", "a dollar sign itself is $$")
    name, rest = match[0], text[match.end() :]
    value = environ.get(name)
    if not braced:
        return value or "", rest
    if rest.startswith("}"):
        return value or "", rest[1:]
    form = next((form for form in _FORMS if rest.startswith(form)), None)
    if not rest:
        raise wrong("a } is missing", "a dollar sign itself is $$")
    if form is None:
        raise wrong(f"${{{name} is followed by {rest[:1]!r}", "${NAME}, ${NAME:-word}, ${NAME:?words} or ${NAME:+word}")
    word, rest = _read(rest[len(form) :], environ, wrong, True, deep + 1)
    given = bool(value) if form.startswith(":") else value is not None
    if form.endswith("+"):
        return word if given else "", rest
    if given:
        return value or "", rest
    if form.endswith("?"):
        raise wrong(f"the variable {name} is not set: {word}" if word else f"the variable {name} is not set", "")
    return word, rest
