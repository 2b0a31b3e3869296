"""The ids of processes where all are the same one to the kernel, and how a process carries its own.

A process carries its identity in the soft limit on realtime processor time (RLIMIT_RTTIME): the kernel hands limits down at
fork, keeps them over exec, and looks at this one for realtime processes only, which a step can't have. So nothing has to
be known of how processes come and go. The limit says which of the identities that were met so far it is.
"""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterable
from typing import NamedTuple

CARRIER = resource.RLIMIT_RTTIME
_BASE = 1 << 40
"""Microseconds. The first identity's limit; the others' lie below."""
_ROOM, _EACH = 1 << 20, 16
"""Supplementary groups that a recorder remembers, and how many of them an identity counts for: what processes become is a
step's to choose, and a recorder's memory is not."""
KEEP = 0xFFFFFFFF
"""-1, as an id: leave it."""


class Ids(NamedTuple):
    """User ids of a process, or its group ids (credentials(7))."""

    real: int
    effective: int
    saved: int
    files: int


class Identity(NamedTuple):
    """Who a process is."""

    users: Ids
    groups: Ids
    others: tuple[int, ...] = ()
    """Supplementary groups."""
    keeps: bool = False
    """Whether it asked, as root, to keep its capabilities when it becomes somebody else (PR_SET_KEEPCAPS)."""

    @property
    def root(self) -> bool:
        """Whether it may do what root may."""
        return self.users.effective == 0

    @property
    def sets(self) -> bool:
        """Whether it may become anybody."""
        return self.root or self.keeps

    def member(self, group: int) -> bool:
        """Whether its files' group, or a supplementary one, is this."""
        return group == self.groups.files or group in self.others


def one(uid: int, gid: int, groups: Iterable[int] = ()) -> Identity:
    """Who is nobody else beside."""
    return Identity(Ids(uid, uid, uid, uid), Ids(gid, gid, gid, gid), tuple(groups))


class Identities:
    """Every identity met so far. `first` is the one that a step begins with."""

    def __init__(self, first: Identity) -> None:
        self._all = [first]
        self._numbers = {first: 0}
        self._groups: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._room = _ROOM

    def of(self, pid: int) -> Identity:
        """The identity of a process. Raises `ProcessLookupError`, also for one that carries none."""
        number = _BASE - resource.prlimit(pid, CARRIER)[0]
        if not 0 <= number < len(self._all):
            raise ProcessLookupError(errno.ESRCH, "identity")
        return self._all[number]

    def become(self, pid: int, identity: Identity) -> None:
        """A process is somebody else from now on. Raises `ProcessLookupError`, `OSError` (EAGAIN) if there are too many."""
        number = self._numbers.get(identity)
        if number is None:
            number = self._met(identity)
        resource.prlimit(pid, CARRIER, (_BASE - number, resource.prlimit(pid, CARRIER)[1]))

    def _met(self, identity: Identity) -> int:
        """Remember a new one; returns its number. Equal groups are kept once."""
        new = identity.others not in self._groups
        room = self._room - _EACH - (len(identity.others) if new else 0)
        if room < 0:
            raise OSError(errno.EAGAIN, "identities")
        self._room = room
        identity = identity._replace(others=self._groups.setdefault(identity.others, identity.others))
        self._numbers[identity] = len(self._all)
        self._all.append(identity)
        return len(self._all) - 1


def carry_first() -> None:
    """This process is the first of a step. Raises `OSError` if its limits leave no room."""
    hard = resource.getrlimit(CARRIER)[1]
    if hard != resource.RLIM_INFINITY and hard < _BASE:
        raise OSError(errno.EPERM, "the limit on realtime processor time (ulimit -R) must be unlimited", "identity")
    resource.setrlimit(CARRIER, (_BASE, hard))


# --- the rules of setuid(2) and its like, for users and groups alike ---------------------------------------------------


def set_one(ids: Ids, id: int, root: bool) -> Ids:
    """setuid(2), setgid(2). Raises `OSError` (EINVAL, EPERM), as all here."""
    if id == KEEP:
        raise OSError(errno.EINVAL, "setuid")
    if root:
        return Ids(id, id, id, id)
    _allowed(id, (ids.real, ids.saved))
    return ids._replace(effective=id, files=id)


def set_two(ids: Ids, real: int, effective: int, root: bool) -> Ids:
    """setreuid(2), setregid(2)."""
    if not root:
        _allowed(real, (KEEP, ids.real, ids.effective))
        _allowed(effective, (KEEP, ids.real, ids.effective, ids.saved))
    new_real = ids.real if real == KEEP else real
    new = ids.effective if effective == KEEP else effective
    saved = new if real != KEEP or (effective != KEEP and effective != ids.real) else ids.saved
    return Ids(new_real, new, saved, new)


def set_three(ids: Ids, wanted: tuple[int, int, int], root: bool) -> Ids:
    """setresuid(2), setresgid(2)."""
    if not root:
        for id in wanted:
            _allowed(id, (KEEP, ids.real, ids.effective, ids.saved))
    real, effective, saved = (old if new == KEEP else new for new, old in zip(wanted, ids[:3], strict=True))
    return Ids(real, effective, saved, effective)


def set_files(ids: Ids, id: int, root: bool) -> Ids:
    """setfsuid(2), setfsgid(2): they never fail."""
    return ids._replace(files=id) if (root and id != KEEP) or id in ids else ids


def execute(identity: Identity, setuid: int | None, setgid: int | None) -> Identity:
    """What execve(2) makes of it, by the owners of a file with these bits."""
    users, groups = identity.users, identity.groups
    user = users.effective if setuid is None else setuid
    group = groups.effective if setgid is None else setgid
    return Identity(Ids(users.real, user, user, user), Ids(groups.real, group, group, group), identity.others)


def _allowed(id: int, among: tuple[int, ...]) -> None:
    if id not in among:
        raise OSError(errno.EPERM, "setuid")
