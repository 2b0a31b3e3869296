"""A thousand damaged documents: each is taken, or refused with a `FrontendError` that has a place. Nothing else is raised."""

import random

import pytest
from tests.documents.apps import APPS
from tests.documents.lowering import READERS, definition
from tests.unit.dockerfile.lowering import Resolver

from img.errors import FrontendError
from img.ports import FrontendRequest
from img_frontends.document.convert import FORMS, written
from img_frontends.document.include import load

PIECES = (
    "\n",
    "  ",
    ":",
    "-",
    "[",
    "]",
    "{",
    "}",
    "'",
    '"',
    "#",
    "&a",
    "*a",
    "$",
    "${",
    "\\",
    "null",
    "1.5",
    "!!x",
    "=",
    "\t",
    "\0",
    "é",
)


def mutated(text: str, chance: random.Random) -> str:
    rows = text.split("\n")
    for _ in range(chance.randint(1, 3)):
        at, other = chance.randrange(len(rows)), chance.randrange(len(rows))
        row = rows[at]
        spot = chance.randint(0, len(row))
        rows[at] = chance.choice(
            [
                row[:spot] + chance.choice(PIECES) + row[spot:],
                row[:spot] + row[spot + 1 :],
                rows[other],
                row.replace(chance.choice(["from", "run", "copy", "steps", "to", "stages"]), "when", 1),
                row[:spot],
                row + row,
                " " * chance.randint(0, 8) + row.strip(),
            ]
        )
    return "\n".join(rows)


@pytest.mark.parametrize("kind", ["yaml", "toml"])
@pytest.mark.parametrize("name", APPS)
def test_mutated(name: str, kind: str) -> None:
    chance = random.Random(f"{name} {kind}")
    source = getattr(APPS[name], kind).replace("BASE", "base")
    refused = 0
    for _ in range(110):
        text = mutated(source, chance)
        try:
            definition(text, kind)
            request = FrontendRequest(f"img.{kind}", text.encode(), options={"path": f"img.{kind}"})
            document = load(request, Resolver(), READERS[kind])
            for form in FORMS:
                written(document, form)
        except FrontendError as error:
            refused += 1
            for one in (error, *error.others):
                assert one.place is not None and one.place.line >= 1 and one.place.column >= 1, (str(one), text)
                assert one.message
        except Exception as error:
            if type(error).__name__ != "NotFound":  # the image of another name, which the engine looks for
                raise AssertionError(f"{error!r} of\n{text}") from error
    assert refused > 20
