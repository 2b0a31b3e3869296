"""What a COPY takes and where it puts it, over folders on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from img.errors import FileError
from img.files.folder import FolderTree
from img.files.jobs import place_folder
from img.files.listing import read_listing
from img.files.modes import Mode
from img.files.place import Placing, place, retimed
from img.files.select import Selection, items_digest, select
from img.files.users import find_owner
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
    placing = Placing(dest, owner, mode, dest.endswith("/"), len(paths), selection.parents)  # type: ignore[arg-type]
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
        (["*.none"], "/x/", {"": D}),
        (["*.none", "a.txt"], "/x/", {"": D, "x": D, "x/a.txt": F}),
        (["*.txt"], "/x", {"": D, "x": F}),
        (["[ab].txt"], "/x/", {"": D, "x": D, "x/a.txt": F, "x/b.txt": F}),
        (["?.txt"], "/x/", {"": D, "x": D, "x/a.txt": F, "x/b.txt": F}),
        (["[^a].txt"], "/x/", {"": D, "x": D, "x/b.txt": F}),
        (["file-lin*"], "/x/", {"": D, "x": D, "x/file-link": F}),
        (["**/two"], "/x/", {"": D}),
        (["d/**"], "/x/", {"": D, "x": D, "x/one": F, "x/two": F}),
        (["d", "link"], "/x", {"": D, "x": D, "x/one": F, "x/sub": "dir 750 0:0", "x/sub/two": F}),
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


def test_the_last_of_several_matches_is_what_a_destination_becomes(context: Path) -> None:
    items = select(FolderTree(str(context), ()), Selection(("*.txt",)))
    (entry,) = [e for e in place(View([]), items, Placing("/x", None, None, False)) if e.path == "x"]
    assert entry.source.endswith("b.txt")


def test_named_files_do_not_take_each_others_place(context: Path) -> None:
    with pytest.raises(FileError, match="several files would become /x") as caught:
        placed(context, ["a.txt", "b.txt"], "/x")
    assert "end the destination with a /" in caught.value.hint
    with pytest.raises(FileError, match="/x is a file"):
        placed(context, ["a.txt", "d"], "/x")


def test_several_files_into_a_folder_that_is_there(context: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "app").mkdir(parents=True)
    assert {"app/a.txt", "app/b.txt"} <= set(placed(context, ["a.txt", "b.txt"], "/app", base))


SUB = "dir 750 0:0"


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["d/sub/two"], {"d": D, "d/sub": SUB, "d/sub/two": F}),
        (["d/./sub/two"], {"sub": SUB, "sub/two": F}),
        (["./d/sub"], {"d": D, "d/sub": SUB, "d/sub/two": F}),
        (["d/sub/./two"], {"two": F}),
        (["link/./sub/two"], {"sub": SUB, "sub/two": F}),
        (["d*/./sub/t*"], {"sub": SUB, "sub/two": F}),
        (["d*/./none"], None),
        (["file-link"], {"file-link": "symlink 777 0:0"}),
        (["d/./*"], {"one": F, "sub": SUB, "sub/two": F}),
        (["**/two"], {"d": D, "d/sub": SUB, "d/sub/two": F}),
        (["d/**/two"], {"d": D, "d/sub": SUB, "d/sub/two": F}),
        (["d/./**/two"], {"sub": SUB, "sub/two": F}),
        (["*/one", "a.txt"], {"a.txt": F, "d": D, "d/one": F}),
        (["none/**/x", "a.txt/**"], None),
    ],
)
def test_parents_are_kept_on_request(context: Path, paths: list[str], expected: dict[str, str] | None) -> None:
    found = placed(context, paths, "/x/", parents=True)
    assert found == {"": D, **({"x": D, **{f"x/{k}": v for k, v in expected.items()}} if expected is not None else {})}


def test_a_path_that_is_not_there_is_an_error_with_parents_too(context: Path) -> None:
    with pytest.raises(FileError, match="there is no 'd/./none'"):
        placed(context, ["d/./none"], "/x/", parents=True)
    for path in ("link/one", "escape/passwd"):
        with pytest.raises(FileError, match=f"there is no {path!r}"):
            placed(context, [path], "/x/", parents=True)


@pytest.mark.parametrize(
    ("paths", "excludes", "left"),
    [
        (["d"], ("sub",), {"one"}),
        (["d"], ("sub/two",), {"one", "sub"}),
        (["d"], ("d/sub",), {"one", "sub", "sub/two"}),
        (["d"], ("**/two",), {"one", "sub"}),
        (["d"], ("/one", "sub"), set()),
        (["d"], ("*", "!one"), {"one"}),
        (["d"], ("sub", "!sub/two"), {"one", "sub", "sub/two"}),
        (["."], ("d/sub", "*link", "escape", "*.txt"), {"d", "d/one"}),
        (["*.txt"], ("b*",), {"a.txt"}),
        (["a.txt"], ("a.txt",), {"a.txt"}),
        (["d/*"], ("one",), {"two"}),
    ],
)
def test_excludes(context: Path, paths: list[str], excludes: tuple[str, ...], left: set[str]) -> None:
    assert set(placed(context, paths, "/", excludes=excludes)) - {""} == left


@pytest.mark.parametrize(
    ("excludes", "left"),
    [(("d/sub",), {"d", "d/one"}), (("sub",), {"d", "d/one", "d/sub", "d/sub/two"}), (("d",), set())],
)
def test_excludes_are_relative_to_the_cut_with_parents(
    context: Path, excludes: tuple[str, ...], left: set[str]
) -> None:
    assert set(placed(context, ["d"], "/", parents=True, excludes=excludes)) - {""} == left


def test_times_can_be_set(context: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "app").mkdir(parents=True)
    os.utime(base / "app", (5, 5))
    view = View([str(base)])
    items = select(FolderTree(str(context), ()), Selection(("d",)))
    entries = place(view, items, Placing("/app/x", (0, 0), None, False))
    times = {e.path: e.mtime for e in retimed(entries, view, 9)}
    assert times["app"] == 5 * 10**9
    assert {times[path] for path in ("app/x", "app/x/one", "app/x/sub/two")} == {9}
    assert retimed(entries, view, None) == entries


def test_owners_of_chown(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("root:x:0:0::/:\nu:x:7:8::/:\n")
    (tmp_path / "etc" / "group").write_text("g:x:9:\n")
    view = View([str(tmp_path)])
    cases = {"5": (5, 5), "5:6": (5, 6), "u": (7, 8), "u:g": (7, 9), "7": (7, 7), ":6": (0, 6), "5:": (5, 5)}
    assert {text: find_owner(view, text) for text in cases} == cases
    unknown = {"v": (0, 0), "v:9": (0, 9), "u:v": (7, 8), "5:v": (5, 5)}
    assert {text: find_owner(view, text) for text in unknown} == unknown
    for name in ("passwd", "group"):
        (tmp_path / "etc" / name).unlink()
    with pytest.raises(FileError, match="the image has no user 'v'"):
        find_owner(view, "v")
    with pytest.raises(FileError, match="the image has no group 'g'"):
        find_owner(view, "5:g")


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


def test_a_link_to_nothing_is_told_as_one(context: Path) -> None:
    (context / "out").symlink_to("/etc/hostname")
    with pytest.raises(FileError, match="'out' is a symbolic link to /etc/hostname, which is not there"):
        select(FolderTree(str(context), ()), Selection(("out",)))


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


def test_a_wildcard_that_meets_a_dead_link(context: Path) -> None:
    with pytest.raises(FileError, match="'escape' is a link to nothing"):
        placed(context, ["esc*"], "/x/")


def test_a_made_folder_is_owned_as_a_copied_one(tmp_path: Path) -> None:
    out = str(tmp_path / "listing")
    plain = place_folder([], "/w/x", 0o755, "5", None, out)
    assert [(entry.path, entry.uid, entry.gid) for entry in read_listing(out)] == [
        ("", 0, 0),
        ("w", 5, 5),
        ("w/x", 5, 5),
    ]
    dated = place_folder([], "/w/x", 0o755, "5", 10**9, str(tmp_path / "dated"))
    assert {entry.mtime for entry in read_listing(str(tmp_path / "dated"))} == {10**9}
    assert plain["id"] != dated["id"]


def test_folders_made_for_an_octal_mode() -> None:
    """As BuildKit's mkdir leaves them: with the mode, less the umask and special bits."""
    made = {text: Mode.parse(text).made for text in ("640", "777", "1777", "2775", "0", "u=rwx,go=")}
    assert made == {"640": 0o640, "777": 0o755, "1777": 0o755, "2775": 0o755, "0": 0, "u=rwx,go=": 0o755}
