"""What is sent of a folder, and how: the daemon's side of the protocol is played here."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from img.errors import FileError
from img.files.folder import FolderTree
from img.ir.nodes import Copy, Scratch, Source
from img_plugins.backends.buildkit.api import fsutil_pb2 as fsutil
from img_plugins.backends.buildkit.filesync import send
from img_plugins.backends.buildkit.needed import Needed, patterns_of

FILES = Source("local", "context")


def sent(root: Path, *paths: str, ignore: tuple[str, ...] = (), literal: bool = False) -> list[str]:
    """The paths that a COPY of `paths` has sent, in their order."""
    copy = Copy(Scratch(), FILES, paths, "/", literal=literal)
    needed = Needed(FolderTree(str(root), ignore), patterns_of([copy]))
    return [entry.path for entry in needed.entries()]


def fill(root: Path, *files: str) -> None:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def test_only_what_is_named_and_the_folders_on_the_way(tmp_path: Path) -> None:
    fill(tmp_path, "a", "b", "dir/a", "dir/sub/deep/x", "dir/sub/y", "other/z")
    assert sent(tmp_path, "a") == ["a"]
    assert sent(tmp_path, "dir/sub") == ["dir", "dir/sub", "dir/sub/deep", "dir/sub/deep/x", "dir/sub/y"]
    assert sent(tmp_path, "*/a", "b") == ["b", "dir", "dir/a", "other"]
    assert sent(tmp_path, "dir/s*/deep/../y") == ["dir", "dir/sub", "dir/sub/y"]
    assert len(sent(tmp_path, ".")) == len(sent(tmp_path, "**/x")) == 10
    assert sent(tmp_path, "[ab]", literal=True) == []
    assert sent(tmp_path) == []


def test_nothing_outside_is_sent(tmp_path: Path) -> None:
    fill(tmp_path, "context/a", "secret")
    os.symlink("../secret", tmp_path / "context" / "up")
    os.symlink("/etc", tmp_path / "context" / "etc")
    context = tmp_path / "context"
    assert sent(context, "../secret") == []
    assert sent(context, "../../../a") == ["a"]
    assert sent(context, "up", "etc/passwd") == ["etc", "up"]


def test_what_has_become_a_link_since_it_was_told_of_is_not_sent(tmp_path: Path) -> None:
    fill(tmp_path, "context/dir/deep/a", "context/b", "context/c", "outside/deep/a", "secret")
    tree = FolderTree(str(tmp_path / "context"), ())
    entries = {
        entry.path: entry for entry in Needed(tree, patterns_of([Copy(Scratch(), FILES, (".",), "/")])).entries()
    }
    os.close(tree.open(entries["dir/deep/a"]))
    (tmp_path / "context" / "dir").rename(tmp_path / "moved")
    os.symlink("../outside", tmp_path / "context" / "dir")
    for name in ("b", "c"):
        (tmp_path / "context" / name).unlink()
    os.symlink("../secret", tmp_path / "context" / "b")
    os.mkfifo(tmp_path / "context" / "c")
    for path in ("dir/deep/a", "b", "c"):
        with pytest.raises(OSError):
            tree.open(entries[path])


def test_what_is_ignored_stays(tmp_path: Path) -> None:
    fill(tmp_path, "a", "b.o", "dir/c.o", "dir/d", "dir/keep.o")
    assert sent(tmp_path, ".", ignore=("**/*.o", "!dir/keep.o")) == ["a", "dir", "dir/d", "dir/keep.o"]
    assert sent(tmp_path, "b.o", ignore=("**/*.o",)) == []


def test_links_bring_what_they_lead_to(tmp_path: Path) -> None:
    fill(tmp_path, "real/f", "real/g", "file", "far/away")
    os.symlink("real", tmp_path / "link")
    os.symlink("link/f", tmp_path / "twice")
    os.symlink("/far", tmp_path / "real" / "absolute")
    os.symlink("loop", tmp_path / "loop")
    assert sent(tmp_path, "link/f") == ["link", "real", "real/f"]
    assert sent(tmp_path, "twice") == ["link", "real", "real/f", "twice"]
    assert sent(tmp_path, "link/absolute/away") == ["far", "far/away", "link", "real", "real/absolute"]
    assert sent(tmp_path, "real") == ["real", "real/absolute", "real/f", "real/g"]
    assert sent(tmp_path, "loop") == ["loop"]


def test_the_order_is_that_of_the_names_bytes_folder_by_folder(tmp_path: Path) -> None:
    fill(tmp_path, "a/z", "a.b", "a0", "b")
    assert sent(tmp_path, ".") == ["a", "a/z", "a.b", "a0", "b"]


# --- the conversation ----------------------------------------------------------------------------------------------


class Daemon:
    """Asks for the entries with these numbers once it knows everything, then ends."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        self.knows = threading.Event()

    def requests(self) -> Iterator[fsutil.Packet]:
        assert self.knows.wait(20)
        for number in self._numbers:
            yield fsutil.Packet(type=fsutil.Packet.PACKET_REQ, ID=number)
        yield fsutil.Packet(type=fsutil.Packet.PACKET_FIN)

    def talk(self, root: Path) -> list[fsutil.Packet]:
        tree = FolderTree(str(root), ())
        needed = Needed(tree, patterns_of([Copy(Scratch(), FILES, (".",), "/")]))
        packets = []
        for packet in send(tree, needed, self.requests()):
            packets.append(packet)
            if packet.type == fsutil.Packet.PACKET_STAT and not packet.HasField("stat"):
                self.knows.set()
        return packets


def test_a_conversation(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 200_000)
    fill(tmp_path, "dir/empty", "small")
    (tmp_path / "dir" / "empty").write_text("")
    packets = Daemon(0, 2).talk(tmp_path)
    stats = [packet.stat for packet in packets if packet.HasField("stat")]
    assert [one.path for one in stats] == ["big", "dir", "dir/empty", "small"]
    big = b"".join(packet.data for packet in packets if packet.type == fsutil.Packet.PACKET_DATA and packet.ID == 0)
    assert big == b"x" * 200_000
    ends = [packet.ID for packet in packets if packet.type == fsutil.Packet.PACKET_DATA and not packet.data]
    assert ends == [0, 2]
    assert packets[-1].type == fsutil.Packet.PACKET_FIN


def test_entries_are_told_as_go_has_them(tmp_path: Path) -> None:
    fill(tmp_path, "a")
    (tmp_path / "a").chmod(0o4751)
    os.utime(tmp_path / "a", ns=(0, 1_234_567_890))
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(0o1777)
    os.mkfifo(tmp_path / "f")
    os.symlink("a", tmp_path / "s")
    found = {packet.stat.path: packet.stat for packet in Daemon().talk(tmp_path) if packet.HasField("stat")}
    assert found["a"].mode == 0o751 | 1 << 23 and found["a"].modTime == 1_234_567_890 and found["a"].size == 1
    assert found["b"].linkname == "a" and found["b"].mode & stat.S_IFMT(0xFFFFFFFF) == 0
    assert found["d"].mode == 0o777 | 1 << 31 | 1 << 20
    assert found["f"].mode & (1 << 25)
    assert found["s"].linkname == "a" and found["s"].mode & (1 << 27)
    assert {one.uid for one in found.values()} == {0}


@pytest.mark.parametrize("number", [1, 77])
def test_what_is_no_file_can_t_be_asked_for(tmp_path: Path, number: int) -> None:
    fill(tmp_path, "a", "dir/b")
    with pytest.raises(FileError, match=f"the file number {number}"):
        Daemon(number).talk(tmp_path)


def test_a_name_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).write_text("x")
    with pytest.raises(FileError, match="not UTF-8"):
        Daemon().talk(tmp_path)


def test_many_files_do_not_lock_both_sides_up(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number:05}").write_bytes(b"x")
    packets = Daemon(*range(3000)).talk(tmp_path)
    assert sum(1 for packet in packets if packet.data) == 3000
