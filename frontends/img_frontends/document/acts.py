"""The steps that no Dockerfile has: folders made, files removed, links. Each is one node and one layer."""

from __future__ import annotations

from img.errors import FrontendError
from img.ir.nodes import Link, Mkdir, Remove
from img_frontends.dockerfile.files import LAYERS, Act
from img_frontends.dockerfile.origins import Scope
from img_frontends.dockerfile.state import StageState
from img_frontends.dockerfile.tree import Instruction
from img_frontends.dockerfile.words import Words

_WILD = frozenset("*?[")


def _path(state: StageState, i: Instruction, words: Words, number: int = 0) -> str:
    """The absolute path that a word says. Raises `FrontendError` for none, and for the root."""
    one = i.words[number]
    path = state.absolute(words.one(one.text, one.offset))
    if path == "/":
        raise FrontendError(f"{i.keyword.lower()} needs a path below /", place=i.line.place(one.offset))
    return path


def _mkdir(state: StageState, i: Instruction, words: Words, scope: Scope) -> None:
    path = _path(state, i, words)
    owner, mode = words.flag("chown"), words.flag("chmod")
    node = Mkdir(state.node, path, _octal(mode, i), owner, mtime=state.epoch, notes=scope.notes(i))
    flags = "".join(f" --{name}={value}" for name, value in (("chown", owner), ("chmod", mode)) if value)
    state.note(f"MKDIR{flags} {path}", node, built=True)


def _octal(mode: str, i: Instruction) -> int:
    try:
        if mode and int(mode, 8) > 0o7777:
            raise ValueError
        return int(mode, 8) if mode else 0o755
    except ValueError:
        hint = 'octal, e.g. "0755"'
        raise FrontendError(f"{mode!r} is no mode", hint=hint, place=i.line.whole) from None


def _remove(state: StageState, i: Instruction, words: Words, scope: Scope) -> None:
    path = _path(state, i, words)
    missing = bool(i.flags)
    node = Remove(state.node, path, bool(_WILD & set(path)), missing, notes=scope.notes(i))
    state.note(f"REMOVE {path}", node, built=True)


def _link(state: StageState, i: Instruction, words: Words, scope: Scope) -> None:
    path, target = _path(state, i, words), words.one(i.words[1].text, i.words[1].offset)
    if not target:
        raise FrontendError("a link must say something", place=i.line.place(i.words[1].offset))
    owner = words.flag("chown")
    node = Link(state.node, path, target, owner, notes=scope.notes(i))
    state.note(f"LINK {path} -> {target}", node, built=True)


ACTS: dict[str, Act] = {
    **LAYERS,
    "MKDIR": _mkdir,
    "REMOVE": _remove,
    "LINK": _link,
}
