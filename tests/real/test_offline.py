"""Builds in an empty network namespace: with what the store has, and with a clear word on what it has not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.peers import builders, repositories
from tests.peers.builders import img
from tests.peers.web import serving

pytestmark = pytest.mark.real


def cut_off(*words: str, root: Path) -> subprocess.CompletedProcess[str]:
    """img in a network namespace that has nothing, not even a loopback that is up."""
    env = {"IMG_ROOT": str(root), "PATH": os.environ["PATH"], "HOME": "/root"}
    argv = ["unshare", "-n", str(builders.TOOL), *words]
    return subprocess.run(argv, capture_output=True, text=True, env=env, cwd="/", check=False, timeout=120)


@pytest.fixture
def context(work: Path, busybox: str) -> Path:
    folder = work / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {busybox}\nARG TEXT=one\nRUN echo $TEXT > /text\n")
    return folder


@pytest.mark.parametrize("flag", ["--pull=missing", "--pull=never", "--offline"])
def test_the_second_build_needs_no_network(context: Path, work: Path, flag: str) -> None:
    store = work / "store"
    assert img("build", "-t", "app", str(context), root=store).returncode == 0
    for words in ((), ("--no-cache",), ("--build-arg", "TEXT=two")):
        done = cut_off("build", flag, "-t", "app", *words, str(context), root=store)
        assert done.returncode == 0, done.stderr


def test_a_first_build_from_images_that_were_loaded(context: Path, work: Path, busybox: str) -> None:
    one, two = work / "one", work / "two"
    assert img("pull", busybox, root=one).returncode == 0
    assert img("save", "-o", str(work / "base.tar"), busybox, root=one).returncode == 0
    assert cut_off("load", "-i", str(work / "base.tar"), root=two).returncode == 0
    done = cut_off("build", "--offline", "-t", "app", "-o", f"type=oci,dest={work}/app.tar", str(context), root=two)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("flag", "word"), [("--offline", "--offline"), ("--pull=never", "--pull=never")])
def test_what_is_missing_is_told_with_its_line(context: Path, work: Path, busybox: str, flag: str, word: str) -> None:
    done = cut_off("build", flag, "-t", "app", str(context), root=work / "store")
    assert done.returncode == 1
    assert f"error: the store has no {busybox} for linux/amd64" in done.stderr
    assert f"or leave out {word}" in done.stderr
    assert "Dockerfile:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_bytes_that_were_never_needed_are_missing_offline(work: Path, busybox: str) -> None:
    """A base that is only known by its descriptors: a label needs none of its bytes."""
    folder = work / "c"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {busybox}\nLABEL a=b\n")
    name = f"{busybox.rpartition(':')[0]}:files"
    assert img("build", "-o", "type=registry", "-t", name, str(folder), root=work / "s").returncode == 0
    (folder / "Dockerfile").write_text(f"FROM {busybox}\nRUN true\n")
    done = cut_off("build", "--offline", "-t", "app", str(folder), root=work / "s")
    assert done.returncode == 1
    assert "is not asked: img is offline" in done.stderr and "img pull" in done.stderr


def test_files_of_urls_and_refs_of_git_are_what_they_were(work: Path, busybox: str) -> None:
    repository = work / "served" / "app.git"
    repository.mkdir(parents=True)
    repositories.git(repository, "init", "-q", "-b", "main")
    repositories.commit(repository, {"file": "one\n"})
    folder, store = work / "c", work / "s"
    folder.mkdir()
    with repositories.web(work / "served") as git, serving() as web:
        file = web.put("/plain", b"plain\n")
        text = f"FROM {busybox}\nADD {git.url}/app.git#main /git/\nADD {file} /\nRUN cat /git/file /plain\n"
        (folder / "Dockerfile").write_text(text)
        first = img("build", "-t", "app", str(folder), root=store)
        assert first.returncode == 0, first.stderr
    for words in ((), ("--no-cache",)):
        done = cut_off("build", "--offline", "-t", "app", *words, str(folder), root=store)
        assert done.returncode == 0, done.stderr
    (folder / "Dockerfile").write_text(text.replace("#main", "#other"))
    done = cut_off("build", "--offline", "-t", "app", str(folder), root=store)
    assert done.returncode == 1 and "img is offline" in done.stderr
