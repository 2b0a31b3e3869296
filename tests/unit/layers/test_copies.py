"""A root as a plain copy, what changed in it, and the form in which two rungs give one layer."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from img.files.trees import scan
from img.files.view import View
from img.files.whiteouts import is_whiteout, make_whiteout
from img.files.xattrs import OPAQUE
from img.oci.changes import collect, index, unlink_twins
from img.oci.copies import lay
from img.oci.settle import settle


def _tree(folder: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, ns=(5, 5))
    return str(folder)


def _root(tmp_path: Path, files: dict[str, str]) -> tuple[str, Path]:
    """A tree and its copy."""
    base = _tree(tmp_path / "base", files)
    root = tmp_path / "root"
    root.mkdir()
    lay(base, str(root))
    return base, root


def _changes(tmp_path: Path, base: str, root: Path, script: str) -> dict[str, str]:
    """What a shell script changes in a root: path to kind, with ``!`` if opaque."""
    upper = tmp_path / "upper"
    upper.mkdir()
    before = index(str(root))
    subprocess.run(["sh", "-ec", script], cwd=root, check=True)
    collect(str(root), before, str(upper))
    settle(str(upper), [base])
    return {e.path: e.kind + ("!" if e.opaque else "") for e in scan(str(upper)) if e.path}


FILES = {"etc/a": "a", "etc/b": "b", "usr/doc/x": "x", "usr/doc/y": "y", "var/log": "l"}

CASES = [
    ("nothing", "cat etc/a", {}),
    ("opened for writing, not written", "exec 3<>etc/a", {}),
    ("chmod that changes nothing", "chmod 644 etc/a; chmod 755 usr", {}),
    (
        "changed with all times set back",
        "printf A > etc/a; touch -d @0.000000005 etc/a",
        {"etc": "dir", "etc/a": "file"},
    ),
    ("touched", "touch usr/doc/x", {"usr": "dir", "usr/doc": "dir", "usr/doc/x": "file"}),
    ("removed", "rm etc/a", {"etc": "dir", "etc/a": "whiteout"}),
    ("a folder removed", "rm -r usr", {"usr": "whiteout"}),
    ("made anew", "rm -r usr/doc; mkdir usr/doc", {"usr": "dir", "usr/doc": "dir!"}),
    (
        "made anew with a file of old",
        "mv usr/doc/x /tmp/$$; rm -r usr/doc; mkdir usr/doc; mv /tmp/$$ usr/doc/x",
        {"usr": "dir", "usr/doc": "dir!", "usr/doc/x": "file"},
    ),
    ("a file that becomes a folder", "rm var/log; mkdir var/log", {"var": "dir", "var/log": "dir"}),
    ("a folder that becomes a file", "rm -r usr/doc; echo > usr/doc", {"usr": "dir", "usr/doc": "file"}),
    ("a link instead of a folder", "rm -r usr/doc; ln -s /etc usr/doc", {"usr": "dir", "usr/doc": "symlink"}),
    (
        "moved",
        "mv usr/doc usr/new",
        {"usr": "dir", "usr/doc": "whiteout", "usr/new": "dir", "usr/new/x": "file", "usr/new/y": "file"},
    ),
    ("linked", "ln etc/a etc/c", {"etc": "dir", "etc/a": "file", "etc/c": "hardlink"}),
    ("made and removed", "mkdir etc/t; rmdir etc/t; touch -d @0.000000005 etc", {}),
    ("whiteouts of its own making", "mknod etc/a2 c 0 0", {"etc": "dir"}),
]


@pytest.mark.parametrize(("script", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_changes_of_a_copy(tmp_path: Path, script: str, expected: dict[str, str]) -> None:
    base, root = _root(tmp_path, FILES)
    assert _changes(tmp_path, base, root, script) == expected


@pytest.mark.parametrize(("script", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_an_overlay_settles_to_the_same(tmp_path: Path, script: str, expected: dict[str, str]) -> None:
    """The oracle: the kernel's overlay in a mount namespace, and the same script."""
    if "mknod" in script:
        return  # overlayfs refuses it
    base = _tree(tmp_path / "base", FILES)
    program = (
        "import os, subprocess, sys; from img.sandbox import libc, root\n"
        "work, base, script = sys.argv[1:]\n"
        "libc.unshare(libc.CLONE_NEWNS); libc.mount('none', '/', '', libc.MS_REC | libc.MS_PRIVATE)\n"
        "os.mkdir(work + '/stubs')\n"
        "root.overlay(work, [base], work + '/upper')\n"
        "subprocess.run(['sh', '-ec', script], cwd=work + '/root', check=True)\n"
    )
    work = tmp_path / "work"
    (work / "upper").mkdir(parents=True)
    os.utime(work / "upper", ns=(5, 5))
    env = {"PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", program, str(work), base, script], check=True, env=env)
    settle(str(work / "upper"), [base])
    found = {e.path: e.kind + ("!" if e.opaque else "") for e in scan(str(work / "upper")) if e.path}
    assert found == expected


def test_layers_are_laid_over_each_other(tmp_path: Path) -> None:
    """Whiteouts, opaque folders, kinds that change, owners, modes, times and attributes: as a view of them sees it."""
    low = Path(_tree(tmp_path / "low", FILES))
    os.link(low / "etc/a", low / "etc/twin")
    high = Path(_tree(tmp_path / "high", {"usr/doc/z": "z", "var/log/f": "f", "etc/c": "c"}))
    make_whiteout(str(high / "etc/b"))
    os.setxattr(high / "usr/doc", OPAQUE, b"y")
    os.setxattr(high / "etc/c", "user.mark", b"m")
    os.chown(high / "etc/c", 7, 8)
    os.chmod(high / "etc/c", 0o4751)
    root = tmp_path / "root"
    root.mkdir()
    for tree in (low, high):
        lay(str(tree), str(root))
    view = View([str(low), str(high)])
    for entry in scan(str(root)):
        if entry.path:
            seen = view.lstat(entry.path)
            assert seen is not None
            ours = entry._replace(source="", digest="")
            assert ours == seen._replace(source="", opaque=False)
    names = {str(path.relative_to(root)) for path in root.rglob("*")}
    assert names == {*"etc etc/a etc/c etc/twin usr usr/doc usr/doc/z var var/log var/log/f".split()}
    assert (root / "etc/a").stat().st_nlink == 1


def test_hard_links_are_parted_in_a_root_that_is_kept(tmp_path: Path) -> None:
    base, root = _root(tmp_path, FILES)
    assert _changes(tmp_path, base, root, "ln etc/a etc/c") == {"etc": "dir", "etc/a": "file", "etc/c": "hardlink"}
    before = (root / "etc").stat().st_mtime_ns
    unlink_twins(str(root), str(tmp_path / "upper"))
    assert [(root / name).stat().st_nlink for name in ("etc/a", "etc/c")] == [1, 1]
    assert (root / "etc").stat().st_mtime_ns == before


def test_whiteouts_where_no_device_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """overlayfs refuses 0:0 devices on itself; the marked socket means the same to everything that reads trees."""
    make = os.mknod

    def refusing(path: str, mode: int = 0, device: int = 0, *, dir_fd: int | None = None) -> None:
        if stat.S_ISCHR(mode):
            raise PermissionError(1, "Operation not permitted", path)
        make(path, mode, device, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mknod", refusing)
    base = _tree(tmp_path / "base", FILES)
    high = tmp_path / "high"
    (high / "etc").mkdir(parents=True)
    make_whiteout(str(high / "etc/a"))
    assert stat.S_ISSOCK(os.lstat(high / "etc/a").st_mode)
    assert is_whiteout(os.lstat(high / "etc/a"))
    view = View([base, str(high)])
    assert view.lstat("etc/a") is None
    assert view.listdir("etc") == ["b"]
    assert {entry.path: entry.kind for entry in scan(str(high))} == {"": "dir", "etc": "dir", "etc/a": "whiteout"}


def test_a_plain_socket_is_no_whiteout(tmp_path: Path) -> None:
    os.mknod(tmp_path / "s", stat.S_IFSOCK | 0o777)
    assert not is_whiteout(os.lstat(tmp_path / "s"))
