"""How much text a process can be started with, told before it is tried: runtimes say nothing useful when it is too much."""

from __future__ import annotations

import os
import resource

from img.errors import StepFailed
from img.ir.nodes import Exec

ARGUMENT = 32 * os.sysconf("SC_PAGE_SIZE")
"""Bytes of the longest argument or variable that Linux takes, with its zero byte: MAX_ARG_STRLEN of execve(2)."""
MOST = 6 << 20
"""Bytes for all arguments and variables with their pointers that Linux takes at most, whatever the limits are (execve(2))."""


def check_lengths(node: Exec, room: int = 0) -> None:
    """Raises `StepFailed` for arguments and variables that the kernel does not take; `room` is for those of another machine,
    whose limits are not known."""
    sizes = [len(os.fsencode(text)) + 1 for text in _texts(node)]
    if max(sizes) > ARGUMENT or sum(sizes) + 8 * len(sizes) > (room or _room(node)):
        raise too_long(node)


def _texts(node: Exec) -> list[str]:
    """What goes to the process as one argument or variable each."""
    return [*node.argv, *(f"{name}={value}" for name, value in (*node.proxies, *node.env))]


def _room(node: Exec) -> int:
    """Bytes for all arguments and variables with their pointers: a quarter of the stack, within bounds (execve(2))."""
    own = resource.getrlimit(resource.RLIMIT_STACK)[0]
    stack = next((limit.soft for limit in node.confinement.limits if limit.name == "stack"), own)
    return max(128 << 10, MOST if stack < 0 else min(MOST, stack // 4))


def too_long(node: Exec) -> StepFailed:
    """Arguments or variables that Linux does not take: which, how long, and how long they may be."""
    sizes = [len(os.fsencode(text)) + 1 for text in _texts(node)]
    longest = max(range(len(sizes)), key=sizes.__getitem__)
    hint = "put the text into a file, with COPY or a heredoc of COPY, and let the step read it"
    if sizes[longest] > ARGUMENT:
        what = "the command" if longest < len(node.argv) else f"the variable {_texts(node)[longest].partition('=')[0]}"
        why = f"{what} is too long: {sizes[longest]} bytes, and Linux takes {ARGUMENT} in one"
    else:
        why = f"the command and its variables are too long together: {sum(sizes)} bytes, more than Linux takes"
    return StepFailed(why, status=126, place=node.notes.place, hint=hint)
