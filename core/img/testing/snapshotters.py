"""The conformance suite for snapshotters: what makes a step's root out of trees, and of what was changed a tree of its own.

It is no kind of plugin: a backend brings its own (docs/decisions/0024). img has two, the kernel's overlay and a plain copy with
an index, and both are held to this suite; so can be that of a backend which has its roots from elsewhere. It is pure Python
over folders: no backend, no store and no process is needed.

A *tree* is a folder with the files of one layer in overlayfs' form: a deleted file is a whiteout (`img.files.whiteouts`), a
folder that hides what is below it is marked (`img.files.xattrs.OPAQUE`).
"""

from __future__ import annotations

import os
import random
import shutil
import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import pytest

from img.files.content import file_digest
from img.files.view import View
from img.files.xattrs import write_xattrs
from img.oci.copies import set_folder
from img.oci.settle import settle


class Snapshotter(Protocol):
    """One way to have a root."""

    def root(self, trees: Sequence[str], upper: str, work: str) -> AbstractContextManager[str]:
        """A folder that shows `trees`, bottom up, and may be changed at will by any program.

        When it is left, however that is, `upper` (before, an empty folder with the attributes of the root) holds what was
        changed, as a tree; a change that changes nothing may be in it. The trees stay as they are, and may be shown by several
        roots at a time. `work` is an empty folder on the disk of `upper` for whatever else is needed. Raises `OSError`, and
        what the user of the root raises."""


class Seen(NamedTuple):
    """One entry of a root, as far as it must be the same in every one."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    what: str
    """A file's digest, a link's target, a device's number."""
    xattrs: tuple[tuple[str, bytes], ...]


Change = Callable[[Path], Any]


def _mkdirs(root: Path, path: str) -> Path:
    (root / path).mkdir(parents=True)
    return root / path


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def _both(first: Change, second: Change) -> Change:
    def change(root: Path) -> None:
        first(root)
        second(root)

    return change


CHANGES: dict[str, Change] = {
    "a file is made": lambda root: (root / "new").write_text("new"),
    "a file is written": lambda root: (root / "etc/a").write_text("other"),
    "a file is written to": lambda root: _append(root / "etc/a", "more"),
    "the times are set back": _both(
        lambda root: (root / "etc/a").write_text("b"), lambda root: os.utime(root / "etc/a", ns=(5, 5))
    ),
    "a mode": lambda root: (root / "etc/a").chmod(0o4711),
    "an owner": lambda root: os.chown(root / "etc/b", 5, 6),
    "a folder's mode": lambda root: (root / "usr").chmod(0o1750),
    "the root's mode": lambda root: root.chmod(0o700),
    "a time": lambda root: os.utime(root / "etc/b", ns=(9, 9)),
    "a link is made": lambda root: (root / "link").symlink_to("/etc/a"),
    "a link is turned": _both(
        lambda root: (root / "usr/link").unlink(), lambda root: (root / "usr/link").symlink_to("y")
    ),
    "a hard link": lambda root: os.link(root / "etc/a", root / "etc/c"),
    "a pipe": lambda root: os.mkfifo(root / "pipe", 0o640),
    "a file is removed": lambda root: (root / "etc/a").unlink(),
    "a tree is removed": lambda root: shutil.rmtree(root / "usr"),
    "removed, and made again": _both(
        lambda root: (root / "etc/a").unlink(), lambda root: (root / "etc/a").write_text("back")
    ),
    "a folder is made anew": _both(
        lambda root: shutil.rmtree(root / "usr"), lambda root: _mkdirs(root, "usr/doc/deep")
    ),
    "a file for a folder": _both(
        lambda root: shutil.rmtree(root / "usr"), lambda root: (root / "usr").write_text("file")
    ),
    "a folder for a file": _both(lambda root: (root / "etc/a").unlink(), lambda root: _mkdirs(root, "etc/a/b")),
    "a link for a folder": _both(
        lambda root: shutil.rmtree(root / "usr"), lambda root: (root / "usr").symlink_to("etc")
    ),
    "a file is moved": lambda root: (root / "etc/a").rename(root / "var/a"),
    "a new folder is moved": lambda root: _mkdirs(root, "n/o").parent.rename(root / "var/n"),
    "a file of a lower tree is back": lambda root: (root / "var/gone").write_text("again"),
    "through a link": lambda root: (root / "usr/here/through").write_text("x"),
    "odd names": lambda root: [
        (root / name).write_bytes(os.fsencode(name))
        for name in ("a b", "\n", "\\", "é", ".wh.x", "-", os.fsdecode(b"\xff"))
    ],
    "an attribute": lambda root: write_xattrs(os.fspath(root / "etc/b"), (("user.note", b"v"),)),
}
"""What steps do to their root, each on top of `TREES`."""


def trees(place: Path) -> list[str]:
    """Two trees: files, folders, links, and a whiteout in the upper one."""
    from img.files.whiteouts import make_whiteout

    lower, upper = place / "lower", place / "upper"
    for path in ("etc/a", "etc/b", "usr/doc/x", "usr/doc/y", "var/gone", "var/log/l"):
        (lower / path).parent.mkdir(parents=True, exist_ok=True)
        (lower / path).write_text(path)
    (lower / "usr/link").symlink_to("doc/x")
    (lower / "usr/here").symlink_to("doc")
    (upper / "var").mkdir(parents=True)
    (upper / "etc").mkdir()
    (upper / "etc/b").write_text("upper")
    make_whiteout(os.fspath(upper / "var/gone"))
    for tree in (lower, upper):
        for inner in (*sorted(tree.rglob("*"), reverse=True), tree):
            os.utime(inner, ns=(5, 5), follow_symlinks=False)
    return [os.fspath(lower), os.fspath(upper)]


def seen(view: View) -> dict[str, Seen]:
    """Everything that a stack of trees shows, by path. A folder is a stack of one."""
    found: dict[str, Seen] = {}
    pending = [""]
    while pending:
        path = pending.pop()
        entry = view.lstat(path)
        assert entry is not None
        what = file_digest(entry.source) if entry.kind == "file" else entry.link or str(entry.device)
        mode = 0 if entry.kind == "symlink" else entry.mode
        found[path] = Seen(entry.kind, mode, entry.uid, entry.gid, entry.mtime, what, tuple(sorted(entry.xattrs)))
        if entry.kind == "dir":
            pending += [f"{path}/{name}" if path else name for name in view.listdir(path)]
    return found


def _differences(found: dict[str, Seen], wanted: dict[str, Seen]) -> dict[str, tuple[Seen | None, Seen | None]]:
    paths = sorted({*found, *wanted})
    return {path: (found.get(path), wanted.get(path)) for path in paths if found.get(path) != wanted.get(path)}


class SnapshotterConformance:
    """Derive from it, say what makes it, and let pytest find the class."""

    snapshotter: ClassVar[Callable[[], Snapshotter]]

    def changed(self, place: Path, change: Change, below: Sequence[str] = ()) -> list[str]:
        """Make `change` in a root over `below`; holds what came of it to what the root showed. Returns the stack with it."""
        stack = list(below or trees(place))
        number = len(os.listdir(place))
        upper, work = place / f"changes-{number}", place / f"work-{number}"
        upper.mkdir()
        work.mkdir()
        top = View(stack).lstat("")
        assert top is not None
        set_folder(os.fspath(upper), top)
        before = [seen(View([tree])) for tree in stack]
        with type(self).snapshotter().root(stack, os.fspath(upper), os.fspath(work)) as root:
            change(Path(root))
            shown = seen(View([root]))
        assert [seen(View([tree])) for tree in stack] == before, "a tree that was shown has changed"
        settle(os.fspath(upper), stack)
        made = [*stack, os.fspath(upper)]
        assert _differences(seen(View(made)), shown) == {}
        return made

    def test_it_shows_the_trees(self, tmp_path: Path) -> None:
        shown: dict[str, Seen] = {}
        made = self.changed(tmp_path, lambda root: shown.update(seen(View([os.fspath(root)]))))
        assert _differences(shown, seen(View(made[:-1]))) == {}
        assert "var/gone" not in shown

    def test_nothing_done_is_nothing_changed(self, tmp_path: Path) -> None:
        def look(root: Path) -> None:
            (root / "etc/a").read_text()
            with (root / "etc/a").open("r+"):
                """Opened for writing, and not written."""
            (root / "etc/b").chmod(stat.S_IMODE((root / "etc/b").stat().st_mode))

        *_, upper = self.changed(tmp_path, look)
        assert set(seen(View([upper]))) == {""}

    @pytest.mark.parametrize("case", CHANGES)
    def test_what_was_changed_is_what_there_is(self, case: str, tmp_path: Path) -> None:
        """…and one step later, still."""
        made = self.changed(tmp_path, CHANGES[case])
        self.changed(tmp_path, lambda root: (root / "later").write_text("later"), made)

    def test_only_what_was_changed(self, tmp_path: Path) -> None:
        *_, upper = self.changed(tmp_path, lambda root: (root / "usr/doc/x").write_text("other"))
        assert set(seen(View([upper]))) == {"", "usr", "usr/doc", "usr/doc/x"}

    def test_step_upon_step(self, tmp_path: Path) -> None:
        """Forty random changes in ten steps."""
        chance = random.Random(1)
        stack: list[str] = []

        def change(root: Path) -> None:
            for _ in range(4):
                _anything(root, chance)

        for _ in range(10):
            stack = self.changed(tmp_path, change, stack)

    def test_roots_at_one_time_know_nothing_of_each_other(self, tmp_path: Path) -> None:
        stack, ready = trees(tmp_path), threading.Barrier(3, timeout=60)
        found: list[list[str]] = []

        def one(name: str) -> None:
            place = tmp_path / name
            place.mkdir()

            def change(root: Path) -> None:
                (root / "etc/a").write_text(name)
                ready.wait()
                assert (root / "etc/a").read_text() == name

            found.append(self.changed(place, change, stack))

        threads = [threading.Thread(target=one, args=(f"r{number}",)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3

    def test_a_root_that_is_left_by_an_error_is_left(self, tmp_path: Path) -> None:
        stack = trees(tmp_path)
        for name in ("changes", "work"):
            (tmp_path / name).mkdir()
        upper, work = os.fspath(tmp_path / "changes"), os.fspath(tmp_path / "work")
        with pytest.raises(ZeroDivisionError), type(self).snapshotter().root(stack, upper, work):
            raise ZeroDivisionError
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            assert os.fspath(tmp_path) not in mounts.read()


def _anything(root: Path, chance: random.Random) -> None:
    """One random change to one of a few paths."""
    path = root / "/".join(chance.choices("abc", k=chance.randint(1, 3)))
    there = path.is_symlink() or path.exists()
    if there and chance.random() < 0.4:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    elif there and not path.is_symlink():
        path.chmod(chance.choice((0o755, 0o700, 0o711)))
    elif not there and path.parent.is_dir() and not any(one.is_symlink() for one in path.parents if one != root):
        acts: list[Callable[[], Any]] = [path.mkdir, lambda: path.write_text(path.name), lambda: path.symlink_to("a")]
        chance.choice(acts)()
