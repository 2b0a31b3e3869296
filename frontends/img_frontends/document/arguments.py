"""The arguments of a document: their types, and what ``when`` asks of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from img.errors import FrontendError, Place
from img.ports import FrontendRequest
from img_frontends.dockerfile.expand import ExpandError, expand
from img_frontends.dockerfile.scope import platform_args
from img_frontends.document.bind import near
from img_frontends.document.instructions import at
from img_frontends.document.model import Arg, Document, Step
from img_frontends.document.words import word

BOOLEANS = ("true", "false")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def check_args(document: Document) -> None:
    """Raises `FrontendError` for an argument whose type and other keys do not go together."""
    for name, arg in document.args:
        if (arg.type == "choice") != bool(arg.choices):
            hint = "choices: [one, another]" if not arg.choices else "type: choice"
            message = f"args.{name}: a choice has choices, and nothing else has"
            raise FrontendError(message, hint=hint, place=at(arg, "choices", "type"))
        if arg.default is not None and "$" not in arg.default:
            _check(name, arg, arg.default, at(arg, "default"))


def _check(name: str, arg: Arg, value: str, place: Place) -> None:
    if arg.type == "number" and not _NUMBER.fullmatch(value):
        raise FrontendError(f"args.{name}: expected a number, not {value[:80]!r}", place=place)
    if arg.type == "boolean" and value not in BOOLEANS:
        raise FrontendError(f"args.{name}: expected true or false, not {value[:80]!r}", place=place)
    if arg.type == "choice" and value not in arg.choices:
        hint = near(value, arg.choices, "choices")
        message = f"args.{name}: it can't be {value[:80]!r}; it is one of {', '.join(arg.choices)}"
        raise FrontendError(message, hint=hint, place=place)


def values(document: Document, request: FrontendRequest, platform: str, target: str) -> dict[str, str]:
    """What the file's arguments come to, and the automatic ones. Raises `FrontendError` for one of the wrong type."""
    found = platform_args(request, platform, target)
    found |= {name: request.args[name] for name in found if name in request.args}
    for name, arg in document.args:
        value = request.args.get(name)
        if value is None and arg.default is not None:
            try:
                value = expand(word(arg.default), found)
            except ExpandError as error:
                raise FrontendError(f"args.{name}: {error}", place=at(arg, "default")) from None
        if value is not None:
            _check(name, arg, value, at(arg, "default"))
            found[name] = value
    return found


def holds(step: Step, given: Mapping[str, str], known: tuple[str, ...]) -> bool:
    """Whether a step's ``when`` holds: every argument has one of its values. One that is not set is empty."""
    for name, wanted in step.when:
        place = at(step, f"when.{name}", "when")
        if name not in given and name not in known:
            hint = near(name, tuple(sorted({*given, *known})), "arguments")
            raise FrontendError(f"when: there is no argument {name!r}", hint=hint, place=place)
        if given.get(name, "") not in wanted:
            return False
    return True
