"""The instructions that make layers."""

from __future__ import annotations

from collections.abc import Callable

from img.errors import FrontendError
from img.ir.nodes import Mkdir
from img_frontends.dockerfile.copies import copy
from img_frontends.dockerfile.origins import Scope
from img_frontends.dockerfile.runs import run
from img_frontends.dockerfile.state import StageState
from img_frontends.dockerfile.tree import Instruction
from img_frontends.dockerfile.words import Words


def workdir(state: StageState, i: Instruction, words: Words, scope: Scope) -> None:
    """WORKDIR: a folder that is there from now on, and a layer of its own unless it is /."""
    path = words.one(i.text, i.words[0].offset)
    if not path:
        hint = "a variable in it is not set"
        raise FrontendError("WORKDIR needs a path", hint=hint, place=i.line.place(i.words[0].offset))
    notes = scope.notes(i)
    where = state.absolute(path)
    shown = path if path.startswith("/") else where  # BuildKit cleans only what it has to join
    state.config["WorkingDir"] = shown
    if where == "/":
        state.note(f"WORKDIR {shown}")
        return
    node = Mkdir(state.node, where, owner=state.user, mtime=state.epoch, notes=notes)
    state.note(f"WORKDIR {shown}", node)


Act = Callable[[StageState, Instruction, Words, Scope], None]
"""Carries out one instruction on a stage."""

LAYERS: dict[str, Act] = {
    "ADD": copy,
    "COPY": copy,
    "RUN": run,
    "WORKDIR": workdir,
}
