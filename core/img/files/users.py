"""Users and groups by name, as a root filesystem's own /etc/passwd and /etc/group have them (passwd(5), group(5))."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from img.errors import FileError
from img.files.view import View

LIMIT = 8 << 20
"""Bytes read of either file."""


Found = TypeVar("Found")


class User(NamedTuple):
    """Who a process runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"


def find_user(view: View, text: str) -> User:
    """``user[:group]``, each a name or a number; empty is root. A number need not be in the files.

    With a group given it is the only supplementary one, as with Docker. Raises `FileError` for an unknown name.
    """
    name, _, group = text.partition(":")
    name = name or "0"
    row = _user_row(view, name)
    if row is None:
        if not name.isdigit():
            raise FileError(f"the image has no user {name!r}", hint="add it with useradd, or give a number")
        uid, gid, home, login = int(name), 0, "/", ""
    else:
        login, uid, gid, home = row
    if group:
        number = find_group(view, group)
        return User(uid, number, (number,), home)
    members = {number for _, number, names in _groups(view) if login and login in names}
    return User(uid, gid, tuple(sorted(members | {gid})), home)


def find_group(view: View, text: str) -> int:
    """A group's number, by name or number. Raises `FileError` for an unknown name."""
    for name, number, _ in _groups(view):
        if name == text:
            return number
    if not text.isdigit():
        raise FileError(f"the image has no group {text!r}", hint="add it with groupadd, or give a number")
    return int(text)


def find_owner(view: View, text: str) -> tuple[int, int]:
    """Owner and group of ``--chown``: a number alone stands for the group of the same number, no user for root.

    As BuildKit has it, a name that the files do not have is root, and such a group the user's own; but there must be
    such a file. Raises `FileError` if there is none.
    """
    name, _, group = text.partition(":")
    row = None if name.isdigit() or not name else _known(view, name, _user_row, "passwd")
    uid, gid = (row[1], row[2]) if row is not None else (int(name), int(name)) if name.isdigit() else (0, 0)
    if group.isdigit():
        return uid, int(group)
    if group:
        numbers = _known(view, group, lambda view, text: [n for name, n, _ in _groups(view) if name == text], "group")
        return uid, numbers[0] if numbers else gid
    return uid, gid


def _known(view: View, name: str, find: Callable[[View, str], Found], file: str) -> Found:
    """What is found for a name. Raises `FileError` if nothing is, because the image has no such file."""
    found = find(view, name)
    if not found and view.lstat(view.resolve(f"etc/{file}")) is None:
        kind = "user" if file == "passwd" else "group"
        hint = f"give a number: the image has no /etc/{file}"
        raise FileError(f"the image has no {kind} {name!r}", hint=hint)
    return found


def _user_row(view: View, text: str) -> tuple[str, int, int, str] | None:
    for fields in _lines(view, "etc/passwd"):
        if len(fields) >= 4 and fields[2].isdigit() and fields[3].isdigit() and text in (fields[0], fields[2]):
            return fields[0], int(fields[2]), int(fields[3]), fields[5] if len(fields) > 5 and fields[5] else "/"
    return None


def _groups(view: View) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    for fields in _lines(view, "etc/group"):
        if len(fields) >= 3 and fields[2].isdigit():
            yield fields[0], int(fields[2]), tuple(fields[3].split(",")) if len(fields) > 3 else ()


def _lines(view: View, path: str) -> Iterator[list[str]]:
    try:
        file = view.open(view.resolve(path))
    except (FileError, OSError):
        return
    with os.fdopen(file, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines.read(LIMIT).splitlines():
            yield line.strip().split(":")
