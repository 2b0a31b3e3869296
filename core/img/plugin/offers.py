"""What a plugin says of itself: light records, cheap to list, naming the heavy object only by its import path."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

OfferKind = Literal["frontend", "backend", "source", "exporter", "registry", "cache", "reporter"]
KINDS: tuple[str, ...] = get_args(OfferKind)


def a(kind: str) -> str:
    """A kind with its article."""
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


class Offer(NamedTuple):
    """One thing that a plugin can do.

    `target` is ``"package.module:attribute"``: a class or function that makes the object for this `kind` (see
    `img.ports` for what each kind must be). It is imported only when somebody asks for this very offer. Of two
    offers of one (kind, name) the later package is left out, with a sentence that names both distributions.
    """

    kind: OfferKind
    name: str
    help: str
    target: str
    files: tuple[str, ...] = ()
    """Of a frontend: the names of its build files, looked for in this order when it is asked for by name (``--frontend``) and
    no file is."""


class Setting(NamedTuple):
    """One setting: its flag, its key in the settings file, its environment variable and its line in the docs. Of several
    variables, parted by spaces, the first that is set counts."""

    name: str
    help: str
    env: str = ""
    default: str = ""
