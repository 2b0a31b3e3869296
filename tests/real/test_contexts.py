"""Contexts from everywhere, as root and as an ordinary user, held against docker given the same."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from tests.peers import bases, builders, flatten, repositories
from tests.peers.servers import Registry
from tests.peers.web import Web, serving

pytestmark = pytest.mark.real

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: bytes(zstd.compress(data)),
}
DOCKER_READS = ("plain", "gzip", "bzip2", "xz")
"""What the docker of the tests takes; newer ones take zstd too."""
WHO = pytest.mark.parametrize("user", [False, True], ids=["root", "user"])


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as running:
        yield running


def info(name: str, kind: bytes, link: str = "", mode: int = 0o755, uid: int = 0) -> tuple[str, tarfile.TarInfo]:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.mode, found.uid, found.gid, found.mtime = kind, link, mode, uid, uid, 1700000000
    return name, found


def context(uid: int = 0) -> bytes:
    """Files of every kind with their modes, and a hard link; owned by `uid`."""
    file = info("tree/owned", tarfile.REGTYPE, mode=0o640, uid=uid)
    return bases.tar(
        [
            ("Dockerfile", b"FROM scratch\nCOPY tree /tree\nCOPY tree/exec tree/soft /two/\n"),
            ("Other", b"FROM scratch\nCOPY tree/exec /other\n"),
            info("tree", tarfile.DIRTYPE, mode=0o755, uid=uid),
            file,
            ("tree/exec", b"#!/bin/sh\n"),
            info("tree/hard", tarfile.LNKTYPE, "tree/exec"),
            info("tree/soft", tarfile.SYMTYPE, "exec", mode=0o777),
            info("tree/absolute", tarfile.SYMTYPE, "/nowhere/at/all", mode=0o777),
            info("tree/closed", tarfile.DIRTYPE, mode=0o500),
            ("tree/closed/inner", b"x" * 70_000),
            info("tree/sticky", tarfile.DIRTYPE, mode=0o1777),
        ]
    )


def built(work: Path, user: bool, *arguments: str, stdin: Path = Path(os.devnull), name: str = "img") -> flatten.Flat:
    """What img makes of a command line, read back without it."""
    out = work / f"{name}.tar"
    store = work / f"store-{name}"
    done = builders.img("build", "-q", "-o", f"type=oci,dest={out}", *arguments, root=store, user=user, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return flatten.flatten(f"oci-archive:{out}", work / f"{name}.dir")


def docker(host: str, registry: Registry, work: Path, *arguments: str, stdin: Path = Path(os.devnull)) -> flatten.Flat:
    name = f"{registry.host}/contexts/{work.name.encode().hex()}"
    env = {**os.environ, "DOCKER_BUILDKIT": "1", "DOCKER_HOST": host}
    with stdin.open("rb") as stream:
        argv = [builders.DOCKER, "build", "--no-cache", "-t", name, *arguments]
        done = subprocess.run(argv, stdin=stream, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    subprocess.run([builders.DOCKER, "push", name], check=True, capture_output=True, env=env)
    return flatten.flatten(f"docker://{name}", work / "docker.dir")


@WHO
@pytest.mark.parametrize("pack", PACKERS)
def test_a_tar_on_standard_input(docker_host: str, registry: Registry, work: Path, pack: str, user: bool) -> None:
    tar = work / "context.tar"
    tar.write_bytes(PACKERS[pack](context()))
    ours = built(work, user, "-", stdin=tar)
    theirs = docker(docker_host, registry, work, "-", stdin=tar if pack in DOCKER_READS else _plain(work))
    assert flatten.differences(ours.files, theirs.files) == []
    assert ours.files["tree/closed"].mode == 0o500


def _plain(work: Path) -> Path:
    path = work / "plain.tar"
    path.write_bytes(context())
    return path


@WHO
def test_owners_of_a_tar_do_not_come_along(docker_host: str, registry: Registry, work: Path, user: bool) -> None:
    """docs/explanation/differences.md: docker keeps the owners that a tar context has; a folder's it never keeps."""
    tar = work / "context.tar"
    tar.write_bytes(context(uid=7))
    ours = built(work, user, "-", stdin=tar)
    theirs = docker(docker_host, registry, work, "-", stdin=tar)
    assert {file.uid for file in ours.files.values()} == {0}
    assert theirs.files["tree/owned"].uid == 7
    same = {name: file._replace(uid=0, gid=0) for name, file in theirs.files.items()}
    assert flatten.differences(ours.files, same) == []


@WHO
def test_a_build_file_in_a_tar_by_name(docker_host: str, registry: Registry, work: Path, user: bool) -> None:
    ours = built(work, user, "-f", "Other", "-", stdin=_plain(work))
    theirs = docker(docker_host, registry, work, "-f", "Other", "-", stdin=_plain(work))
    assert flatten.differences(ours.files, theirs.files) == []
    assert list(ours.files) == ["other"]


@WHO
def test_build_files_on_standard_input(docker_host: str, registry: Registry, work: Path, user: bool) -> None:
    folder, file = work / "c", work / "Dockerfile"
    folder.mkdir()
    (folder / "a").write_text("1")
    file.write_text("FROM scratch\nCOPY . /\n")
    ours = built(work, user, "-f", "-", str(folder), stdin=file)
    theirs = docker(docker_host, registry, work, "-f", "-", str(folder), stdin=file)
    assert flatten.differences(ours.files, theirs.files) == []
    file.write_text("FROM scratch\nWORKDIR /w\n")
    assert list(built(work, user, "-", stdin=file, name="alone").files) == ["w"]


@WHO
def test_a_tar_behind_a_url(docker_host: str, registry: Registry, work: Path, web: Web, user: bool) -> None:
    url = web.put("/dir/context.tar.gz", gzip.compress(context()))
    ours = built(work, user, url)
    theirs = docker(docker_host, registry, work, url)
    assert flatten.differences(ours.files, theirs.files) == []


@WHO
def test_a_git_repository(docker_host: str, registry: Registry, work: Path, user: bool) -> None:
    base = work / "served"
    folder = base / "r.git"
    repositories.commit(folder, {"Dockerfile": "FROM scratch\nCOPY . /x\n", "run": "#!/bin/sh\n", "sub/a": "1"})
    (folder / "run").chmod(0o755)
    (folder / "sub" / "Dockerfile").write_text("FROM scratch\nCOPY . /sub\n")
    (folder / "sub" / "soft").symlink_to("a")
    repositories.commit(folder, {})
    repositories.git(
        folder, "branch", "master"
    )  # what the docker of the tests takes for the default, whatever HEAD says
    with repositories.daemon(base) as url:
        for number, what in enumerate(("", "#main", "#main:sub", "#:sub")):
            place = work / str(number)
            place.mkdir()
            place.chmod(0o777)
            ours = built(place, user, f"{url}/r.git{what}")
            # the docker of the tests knows no subdir yet: there it gets that folder
            given = str(folder / "sub") if what.endswith("sub") else f"{url}/r.git{what}"
            theirs = docker(docker_host, registry, place, given)
            assert flatten.differences(ours.files, theirs.files) == [], what


@WHO
def test_a_cached_build_of_a_git_repository(work: Path, user: bool) -> None:
    """The second build runs nothing; a new commit is seen."""
    base = work / "served"
    repositories.commit(base / "r.git", {"Dockerfile": "FROM scratch\nCOPY a /\nCOPY b /\n", "a": "1", "b": "1"})
    with repositories.daemon(base) as url:
        arguments = ("build", "--progress", "json", "-t", "x", f"{url}/r.git")
        assert builders.ran(builders.img(*arguments, root=work / "s", user=user)) == ["COPY a /", "COPY b /"]
        assert builders.ran(builders.img(*arguments, root=work / "s", user=user)) == []
        repositories.commit(base / "r.git", {"b": "2"})
        assert builders.ran(builders.img(*arguments, root=work / "s", user=user)) == ["COPY b /"]


@WHO
def test_a_cached_build_of_a_url_asks_but_downloads_nothing(work: Path, web: Web, user: bool) -> None:
    url = web.put("/c.tar", context())
    arguments = ("build", "--progress", "json", "-t", "x", url)
    assert len(builders.ran(builders.img(*arguments, root=work / "s", user=user))) == 2
    assert builders.ran(builders.img(*arguments, root=work / "s", user=user)) == []
    assert web.asked == [("/c.tar", 200), ("/c.tar", 304)]


@WHO
def test_a_hostile_tar(work: Path, user: bool) -> None:
    victim = work / "victim"
    victim.mkdir(mode=0o777)
    tar = work / "context.tar"
    file = ("out/written", b"x")
    tar.write_bytes(
        bases.tar([("Dockerfile", b"FROM scratch\nCOPY . /\n"), info("out", tarfile.SYMTYPE, str(victim)), file])
    )
    ours = built(work, user, "-", stdin=tar)
    assert list(victim.iterdir()) == []
    assert ours.files["out"].link == str(victim)
    for name in ("../x", "/../x", "a/../../x"):
        tar.write_bytes(bases.tar([(name, b"x")]))
        done = builders.img("build", "-t", "x", "-", root=work / "s", user=user, stdin=tar)
        assert done.returncode == 2
        assert "which lies outside of it" in done.stderr
        assert "Traceback" not in done.stderr


@WHO
def test_ignore_files_of_every_context(work: Path, web: Web, user: bool) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY . /\n", ".dockerignore": "no\n", "no": "1", "yes": "1"}
    tar = bases.tar([(name, text.encode()) for name, text in files.items()])
    (work / "c.tar").write_bytes(tar)
    base = work / "served"
    repositories.commit(base / "r.git", dict(files))
    seen = {"Dockerfile", ".dockerignore", "yes"}
    with repositories.daemon(base) as git:
        contexts = {"stdin": "-", "url": web.put("/c.tar", tar), "git": f"{git}/r.git", "folder": str(base / "r.git")}
        for name, where in contexts.items():
            found = built(work, user, where, stdin=work / "c.tar", name=name).files
            assert {path for path in found if not path.startswith(".git")} == seen, name


@WHO
def test_listing(work: Path, user: bool) -> None:
    tar = work / "c.tar"
    tar.write_bytes(bases.tar([("Dockerfile", b""), (".dockerignore", b"*.x\n"), ("a.x", b"1"), ("a\x1b[0m", b"12")]))
    done = builders.img("context", "ls", "-", root=work / "s", user=user, stdin=tar)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "3 entries, 6B, ignoring what .dockerignore says"
    assert "\x1b" not in done.stdout
    done = builders.img("context", "ls", "--json", "-", root=work / "s", user=user, stdin=tar)
    document: dict[str, Any] = json.loads(done.stdout)
    assert [row["path"] for row in document["entries"]] == [".dockerignore", "Dockerfile", "a\x1b[0m"]
    done = builders.img("context", "ls", "--why", "a.x", "-", root=work / "s", user=user, stdin=tar)
    assert done.stdout == "a.x is ignored: .dockerignore:1: *.x\n"
    done = builders.img("context", "ls", "/nowhere", root=work / "s", user=user)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the context /nowhere does not exist" in done.stderr


@WHO
def test_a_step_over_files_whose_context_is_gone(busybox: str, work: Path, user: bool) -> None:
    """The first build only copies, so it keeps a blob and where the bytes came from, which is gone with the run."""
    tar = work / "c.tar"
    for number, run in enumerate(("", "RUN test $(cat /in/a) = 1\n")):
        text = f"FROM {busybox}\nCOPY a /in/\n{run}".encode()
        tar.write_bytes(bases.tar([("Dockerfile", text), ("a", b"1")]))
        done = builders.img("build", "--progress", "json", "-t", "x", "-", root=work / "s", user=user, stdin=tar)
        assert done.returncode == 0, done.stderr
        assert len(builders.ran(done)) == 1, number
    folders = [work / "one", work / "two"]
    for number, folder in enumerate(folders):
        folder.mkdir()
        (folder / "b").write_text("2")
        run = "RUN test $(cat /in/b) = 2\n" * number
        (folder / "Dockerfile").write_text(f"FROM {busybox}\nCOPY b /in/\n{run}")
        done = builders.img("build", "--progress", "json", "-t", "x", str(folder), root=work / "s", user=user)
        assert done.returncode == 0, done.stderr
        assert len(builders.ran(done)) == 1, number
        (folder / "b").unlink()


@WHO
def test_what_contexts_leave_is_listed_and_pruned(work: Path, web: Web, user: bool) -> None:
    base = work / "served"
    repositories.commit(base / "r.git", {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "1"})
    url = web.put("/c.tar", context())

    def kept() -> list[str]:
        rows = json.loads(builders.img("du", "--json", root=work / "s", user=user).stdout)
        return sorted(row["description"] for row in rows if row["type"] == "source.git.checkout")

    with repositories.daemon(base) as git:
        arguments = ("build", "--progress", "json", "-t", "x")
        for where in (f"{git}/r.git", url):
            assert builders.ran(builders.img(*arguments, where, root=work / "s", user=user)) != []
        unpacked = "context checked out or unpacked"
        assert kept() == [unpacked, unpacked, "git repository"]
        done = builders.img("prune", "--force", "--filter", "type=source.git.checkout", root=work / "s", user=user)
        assert done.returncode == 0, done.stderr
        assert kept() == []
        assert builders.ran(builders.img(*arguments, f"{git}/r.git", root=work / "s", user=user)) == []
