"""Files that appear whole or not at all, and what is no file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from img.errors import StoreError
from img.whole import whole_file


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    place = tmp_path / "f"
    with whole_file(str(place)) as write:
        write(b"one")
        assert not place.exists()
    with pytest.raises(ValueError), whole_file(str(place)) as write:
        write(b"two")
        raise ValueError
    assert place.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["f"]


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "f").symlink_to("precious")
    with whole_file(str(tmp_path / "f")) as write:
        write(b"new")
    assert (tmp_path / "precious").read_text() == "kept"
    assert not (tmp_path / "f").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="the suite runs as root")
def test_a_device_stays_one(tmp_path: Path) -> None:
    """As root, a file in the place of /dev/null would break the machine."""
    os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (tmp_path / "link").symlink_to("null")
    for name in ("null", "link"):
        with whole_file(str(tmp_path / name)) as write:
            write(b"x")
    assert stat.S_ISCHR((tmp_path / "null").lstat().st_mode)
    assert (tmp_path / "link").is_symlink()


def test_a_pipe_gets_the_bytes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    with whole_file(str(tmp_path / "pipe")) as write:
        write(b"through")
    reader.join(10)
    assert got == [b"through"]


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_names_of_open_files(name: str, tmp_path: Path) -> None:
    """Also when they lead to a regular file."""
    program = "import sys\nfrom img.whole import whole_file\nwith whole_file(sys.argv[1]) as write: write(b'x')\n"
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", program, name], stdout=out, check=True)
        assert os.fstat(out.fileno()).st_nlink == 1
    assert (tmp_path / "out").read_bytes() == b"x"


def test_what_can_not_be_written(tmp_path: Path) -> None:
    for place in (tmp_path / "no" / "f", tmp_path):
        with pytest.raises(StoreError, match="can't write"), whole_file(str(place)) as write:
            write(b"x")
    assert os.listdir(tmp_path) == []
