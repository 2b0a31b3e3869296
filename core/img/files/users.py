"""Users and groups by name, as a root filesystem's own /etc/passwd and /etc/group have them (passwd(5), group(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from img.errors import FileError
from img.files.view import View

LIMIT = 8 << 20
"""Bytes read of either file."""


class User(NamedTuple):
    """Who a process runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"


def find_user(view: View, text: str) -> User:
    """``user[:group]``, each a name or a number; empty is root. A number need not be in the files.

    With a group given there are no supplementary groups, as with Docker. Raises `FileError` for an unknown name.
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
        return User(uid, find_group(view, group), (), home)
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
    """Owner and group of ``--chown``: a number alone stands for the group of the same number, no user for root."""
    name, colon, group = text.partition(":")
    name = name or "0"
    row = _user_row(view, name)
    if row is None and not name.isdigit():
        raise FileError(f"the image has no user {name!r}", hint="add it with useradd, or give a number")
    uid = row[1] if row is not None else int(name)
    if colon and group:
        return uid, find_group(view, group)
    return uid, row[2] if row is not None and not name.isdigit() else uid


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
