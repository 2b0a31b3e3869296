"""What a COPY takes and where it puts it, over folders on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from img.errors import FileError
from img.files.folder import FolderTree
from img.files.modes import Mode
from img.files.place import Placing, place
from img.files.select import Selection, items_digest, select
from img.files.view import View


@pytest.fixture
def context(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    (root / "d" / "sub").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "d/one", "d/sub/two"):
        (root / name).write_text(name)
    (root / "link").symlink_to("d")
    (root / "file-link").symlink_to("a.txt")
    (root / "escape").symlink_to("../../../../etc")
    os.chmod(root / "d" / "sub", 0o750)
    return root


def placed(context: Path, paths: list[str], dest: str, base: Path | None = None, **how: object) -> dict[str, str]:
    selection = Selection(
        tuple(paths), parents=bool(how.pop("parents", False)), excludes=tuple(how.pop("excludes", ()))
    )  # type: ignore[arg-type]
    items = select(FolderTree(str(context), how.pop("ignore", ())), selection)  # type: ignore[arg-type]
    owner = how.pop("owner", (0, 0))
    mode = Mode.parse(str(how.pop("mode"))) if "mode" in how else None
    view = View([str(base)] if base else [])
    placing = Placing(dest, owner, mode, dest.endswith("/") or len(paths) > 1)  # type: ignore[arg-type]
    entries = place(view, items, placing)
    return {e.path: f"{e.kind} {e.mode:o} {e.uid}:{e.gid}" for e in entries}


F = "file 644 0:0"
D = "dir 755 0:0"


@pytest.mark.parametrize(
    ("paths", "dest", "expected"),
    [
        (["a.txt"], "/x", {"": D, "x": F}),
        (["a.txt"], "/x/", {"": D, "x": D, "x/a.txt": F}),
        (["a.txt"], "/p/q/x", {"": D, "p": D, "p/q": D, "p/q/x": F}),
        (["*.txt"], "/x/", {"": D, "x": D, "x/a.txt": F, "x/b.txt": F}),
        (["*.none"], "/x/", {"": D, "x": D}),
        (["d"], "/x", {"": D, "x": D, "x/one": F, "x/sub": "dir 750 0:0", "x/sub/two": F}),
        (["d/"], "/", {"": D, "one": F, "sub": "dir 750 0:0", "sub/two": F}),
        (["link"], "/x", {"": D, "x": D, "x/one": F, "x/sub": "dir 750 0:0", "x/sub/two": F}),
        (["file-link"], "/x/", {"": D, "x": D, "x/file-link": F}),
        (["/a.txt", "../../b.txt"], "/x/", {"": D, "x": D, "x/a.txt": F, "x/b.txt": F}),
        (["d/*"], "/x/", {"": D, "x": D, "x/one": F, "x/two": F}),
        (["d", "a.txt"], "/x/", {"": D, "x": D, "x/a.txt": F, "x/one": F, "x/sub": "dir 750 0:0", "x/sub/two": F}),
    ],
)
def test_where_things_land(context: Path, paths: list[str], dest: str, expected: dict[str, str]) -> None:
    assert placed(context, paths, dest) == expected


def test_parents_are_kept_on_request(context: Path) -> None:
    found = placed(context, ["d/sub/two"], "/x/", parents=True)
    assert found == {"": D, "x": D, "x/d": D, "x/d/sub": "dir 750 0:0", "x/d/sub/two": F}


def test_excludes(context: Path) -> None:
    assert "sub" not in placed(context, ["d"], "/", excludes=("d/sub",))


def test_owner_and_mode(context: Path) -> None:
    found = placed(context, ["d"], "/x", owner=(5, 6), mode="u=rwX,go=")
    assert found["x"] == "dir 755 5:6"
    assert found["x/one"] == "file 600 5:6"
    assert found["x/sub"] == "dir 700 5:6"


def test_a_destination_through_a_link(context: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "usr" / "bin").mkdir(parents=True)
    (base / "bin").symlink_to("usr/bin")
    assert "usr/bin/a.txt" in placed(context, ["a.txt"], "/bin/", base)
    assert "usr/bin/tool" in placed(context, ["a.txt"], "/bin/tool", base)


def test_a_folder_that_is_there_keeps_its_attributes(context: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "app").mkdir(parents=True)
    os.chmod(base / "app", 0o711)
    assert placed(context, ["a.txt"], "/app", base)["app"].startswith("dir 711")


def test_a_file_where_a_folder_is(context: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "x" / "one").mkdir(parents=True)
    with pytest.raises(FileError, match="/x/one is a folder"):
        placed(context, ["d"], "/x", base)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("a.tx", "did you mean a.txt"),
        ("../../../etc/passwd", "nothing outside its context"),
        ("escape/passwd", "relative to the context"),
    ],
)
def test_what_is_missing(context: Path, path: str, words: str) -> None:
    with pytest.raises(FileError) as caught:
        placed(context, [path], "/x")
    assert words in caught.value.hint


def test_what_is_ignored_is_told_apart(context: Path) -> None:
    with pytest.raises(FileError, match="excluded by the ignore file"):
        placed(context, ["a.txt"], "/x", ignore=("*.txt",))


def test_ignored_files_are_not_copied_but_exceptions_are(context: Path) -> None:
    found = placed(context, ["."], "/", ignore=("*", "!d/sub"))
    assert sorted(found) == ["", "d", "d/sub", "d/sub/two"]


def test_times_do_not_matter_but_content_and_modes_do(context: Path) -> None:
    def digest() -> str:
        return items_digest(select(FolderTree(str(context), ()), Selection(("d",))))

    before = digest()
    os.utime(context / "d" / "one", (1, 1))
    assert digest() == before
    os.chmod(context / "d" / "one", 0o600)
    changed = digest()
    assert changed != before
    (context / "d" / "one").write_text("other")
    assert digest() not in (before, changed)


def test_hard_links_stay_links(context: Path) -> None:
    os.link(context / "d" / "one", context / "d" / "zwei")
    assert placed(context, ["d"], "/x")["x/zwei"].startswith("hardlink")


@pytest.mark.parametrize(
    ("text", "mode", "folder", "expected"),
    [
        ("755", 0o600, False, 0o755),
        ("4755", 0o600, False, 0o4755),
        ("u+x", 0o600, False, 0o700),
        ("a-w", 0o666, False, 0o444),
        ("go=", 0o777, False, 0o700),
        ("u=rwX,go=rX", 0o600, False, 0o644),
        ("u=rwX,go=rX", 0o700, False, 0o755),
        ("u=rwX,go=rX", 0o600, True, 0o755),
        ("g=u", 0o640, False, 0o660),
        ("+x", 0o644, False, 0o755),
        ("u+s", 0o755, False, 0o4755),
        ("+t", 0o755, True, 0o1755),
    ],
)
def test_modes(text: str, mode: int, folder: bool, expected: int) -> None:
    assert Mode.parse(text).applied(mode, folder) == expected


@pytest.mark.parametrize("text", ["", "9", "77777", "u", "u=q", "rwx", "u+x,", "-1"])
def test_bad_modes(text: str) -> None:
    with pytest.raises(FileError, match="is not a mode"):
        Mode.parse(text)
