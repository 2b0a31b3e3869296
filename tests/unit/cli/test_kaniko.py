"""``img kaniko``: the executor's command line, read, mapped, and built from."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.cli.program import img

from img.errors import UsageError
from img_cli.commands.kaniko import command, contexts, transport
from img_cli.commands.kaniko.flags import FLAGS, SHORT, Given, help_text, read
from img_plugins.registry.hosts.choose import Hosts


def given(*words: str) -> Given:
    return read(words)


def test_every_flag_is_taken_ignored_or_refused() -> None:
    for name, flag in FLAGS.items():
        assert sum(map(bool, (flag.help, flag.ignored, flag.refused))) == 1, name
        assert (f"--{name} " in help_text()) != bool(flag.refused)
    assert set(SHORT.values()) <= set(FLAGS)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("-c", "dir", "-fName", "-d=a", "--destination", "b"), {"context": ["dir"], "dockerfile": ["Name"]}),
        (
            ("--cache", "--no-push=FALSE", "--insecure=1"),
            {"cache": ["true"], "no-push": ["false"], "insecure": ["true"]},
        ),
        (("--tarPath=x", "--customPlatform", "linux/arm64"), {"tar-path": ["x"], "custom-platform": ["linux/arm64"]}),
        (("--build-arg", "A=b,c", "--build-arg=D=--e"), {"build-arg": ["A=b,c", "D=--e"]}),
        (("--label=", "--target", ""), {"label": [""], "target": [""]}),
    ],
)
def test_the_syntax_is_the_executors(words: tuple[str, ...], values: dict[str, list[str]]) -> None:
    assert {name: read(words).values[name] for name in values} == values


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("--destnation=a",), "kaniko's executor has no flag --destnation", "did you mean --destination?"),
        (("--frobnicate",), "kaniko's executor has no flag --frobnicate", "see 'img kaniko --help'"),
        (("-x",), "kaniko's executor has no flag -x", "see 'img kaniko --help'"),
        (("--cache", "true"), "img kaniko takes only flags, and 'true' is none", "--cache=true"),
        (("--cache=maybe",), "--cache=maybe is neither true nor false", ""),
        (("--context",), "--context needs a value", ""),
        (("-b", "bucket"), "img kaniko has no -b", "tar://FILE"),
    ],
)
def test_wrong_flags_are_told(words: tuple[str, ...], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(words)
    assert caught.value.message == message
    assert hint in caught.value.hint


def test_what_is_ignored_has_one_line_with_the_reason() -> None:
    said = read(
        ["--snapshotMode=redo", "--push-retry", "3", "--ignore-path=/a", "--ignore-path=/b", "--cache=true"]
    ).ignored
    assert [line.partition(" is ignored: ")[0] for line in said] == ["--snapshot-mode", "--push-retry", "--ignore-path"]
    assert all(line.partition(" is ignored: ")[2] for line in said)


def test_caches_become_options_of_build_once_it_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(command.BUILD, "--cache-to", ("cache_to", "many"))
    options, said = command._cache(given("--cache=true", "-d", "h.example/a/b:1"))
    place = "type=registry,ref=h.example/a/b/cache"
    assert (options, said) == ({"cache_from": [place], "cache_to": [f"{place},mode=max"]}, ())
    options, _ = command._cache(given("--cache=true", "--cache-repo=r.example/c", "--no-push-cache"))
    assert options == {"cache_from": ["type=registry,ref=r.example/c"], "cache_to": []}
    with pytest.raises(UsageError, match="no place for the cache"):
        command._cache(given("--cache=true", "--no-push"))
    assert "without --cache=true" in command._cache(given("--cache-repo=r.example/c"))[1][0]


def test_outputs() -> None:
    one = command._outputs(given("-d", "a.example/x", "-d", "b.example/y", "--tar-path=t", "--compression=zstd"))
    assert one == (
        {"type": "docker", "dest": "t", "name": "a.example/x,b.example/y", "compression": "zstd"},
        {"type": "registry", "name": "a.example/x,b.example/y", "compression": "zstd"},
    )
    assert command._outputs(given("--no-push", "-d", "a")) == ({"type": "image", "store": "false"},)
    (layout,) = command._outputs(given("--no-push", "--oci-layout-path=l", "--reproducible"))
    assert layout["rewrite-timestamp"] == "true" and layout["tar"] == "false"


# --- registries --------------------------------------------------------------------------------------------------


def test_mirrors_and_certificates_are_understood_by_the_client(tmp_path: Path) -> None:
    from img.oci.reference import Reference

    for name in ("ca.pem", "cert", "key"):
        (tmp_path / name).write_text("x")
    words = [
        "--registry-mirror=m1.example",
        "--registry-mirror=m2.example/hub",
        "--registry-map=quay.io=q.example/quay",
        f"--registry-certificate=m1.example={tmp_path}/ca.pem",
        f"--registry-client-cert=q.example={tmp_path}/cert,{tmp_path}/key",
    ]
    file = tmp_path / "more.toml"
    settings = {"etc": str(tmp_path / "etc"), "more_registries": str(file)}

    def places(text: str, name: str) -> list[str]:
        file.write_text(text)
        return [f"{e.host}/{e.repository}" for e in Hosts.of(settings).endpoints(Reference.parse(name))]

    text = transport.registries(given(*words), {})
    assert places(text, "busybox") == [
        "m1.example/library/busybox",
        "m2.example/hub/library/busybox",
        "docker.io/library/busybox",
    ]
    assert places(text, "quay.io/a/b") == ["q.example/quay/a/b", "quay.io/a/b"]
    assert Hosts.of(settings).server("m1.example").trust.ca == (f"{tmp_path}/ca.pem",)
    assert Hosts.of(settings).server("q.example").trust.key == f"{tmp_path}/key"
    text = transport.registries(given(*words, "--skip-default-registry-fallback"), {})
    assert places(text, "busybox") == ["m1.example/library/busybox", "m2.example/hub/library/busybox"]
    assert places(text, "quay.io/a/b") == ["q.example/quay/a/b"]
    text = transport.registries(given(), {"KANIKO_REGISTRY_MIRROR": "env.example"})
    assert places(text, "busybox")[0] == "env.example/library/busybox"
    assert transport.registries(given(), {}) == ""


def test_our_own_file_still_counts_beside_the_flags(tmp_path: Path) -> None:
    own, more = tmp_path / "own.toml", tmp_path / "more.toml"
    own.write_text('[host."a.example"]\nplain-http = true\n')
    more.write_text('[host."b.example"]\nplain-http = true\n')
    hosts = Hosts.of({"etc": str(tmp_path), "registries": str(own), "more_registries": str(more)})
    assert hosts.server("a.example").schemes == hosts.server("b.example").schemes == ("http",)


def test_insecure_registries() -> None:
    assert (
        transport.insecure(given("--insecure-registry=a:1", "--skip-tls-verify-registry=b"), ["c.example/x"]) == "a:1,b"
    )
    assert transport.insecure(given("--insecure"), ["c.example/x", "c.example/y"]) == "c.example"
    assert transport.insecure(given("--insecure-pull"), []) == "*"
    assert Hosts.of({"etc": "/nowhere", "insecure_registries": "*"}).server("any.example").schemes == ("https", "http")


@pytest.mark.parametrize(
    "words", [("--registry-map=a",), ("--registry-certificate=a",), ("--registry-certificate=a=/nowhere/ca",)]
)
def test_wrong_values_of_registries_are_told(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        transport.registries(given(*words), {})


# --- contexts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "environ", "address"),
    [
        (("-c", "git://h.example/a/b.git"), {}, "https://h.example/a/b.git?submodules=false&keep-git-dir=true"),
        (
            ("-c", "git://h.example/a/b#refs/heads/x#abc", "--context-sub-path=/s/"),
            {"GIT_PULL_METHOD": "http"},
            "http://h.example/a/b.git?ref=abc&subdir=s&submodules=false&keep-git-dir=true",
        ),
        (
            ("-c", "git://h.example/a/b.git", "--git=branch=main,recurse-submodules=true"),
            {},
            "https://h.example/a/b.git?ref=main&keep-git-dir=true",
        ),
    ],
)
def test_git_contexts(words: tuple[str, ...], environ: dict[str, str], address: str) -> None:
    from img.gitref import parse_git

    assert contexts.where(given(*words), None, environ) == (address, "Dockerfile")
    assert parse_git(address) is not None


def test_logins_of_git_become_secrets() -> None:
    found = contexts.logins({"GIT_USERNAME": "u", "GIT_PASSWORD": "p"})["GIT_AUTH_HEADER"]
    assert found.source == "basic " + base64.b64encode(b"u:p").decode()
    assert contexts.logins({"GIT_TOKEN": "t"})["GIT_AUTH_TOKEN"].source == "t"
    assert contexts.logins({}) == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-c", "s3://b/x.tar.gz"), "contexts in a s3:// bucket are not read"),
        (("-c", "ftp://b/x"), "the context ftp://b/x can't be used"),
        (("-c", "/nowhere"), "there is no folder /nowhere to be the context"),
        (("-c", "/usr", "--context-sub-path", "../etc"), "--context-sub-path ../etc leads out of /usr"),
        (("-c", "git://h/x", "--git=depth=1"), "invalid --git value 'depth=1'"),
        (("-c", "tar:///nowhere.tar"), "can't read the context /nowhere.tar: No such file or directory"),
    ],
)
def test_contexts_that_cannot_be_used(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    session: Any = SimpleNamespace(store=SimpleNamespace(scratch=lambda: tmp_path))
    with pytest.raises(UsageError) as caught:
        contexts.where(given(*words), session, {})
    assert caught.value.message == message


# --- whole runs, with files only -----------------------------------------------------------------------------------


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "sub").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\nARG A=0\nCOPY Dockerfile /file\nLABEL a=$A\n")
    (folder / "sub" / "Other").write_text("FROM scratch\nCOPY Other /other\n")
    return folder


def labels(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as tar:
        (entry,) = json.load(tar.extractfile("manifest.json") or io.BytesIO())
        found: dict[str, str] = json.load(tar.extractfile(entry["Config"]) or io.BytesIO())["config"]["Labels"]
        return {**found, "names": ",".join(entry["RepoTags"] or ())}


def test_an_image_in_an_archive_with_the_files_about_it(context: Path, tmp_path: Path) -> None:
    out = tmp_path / "image.tar"
    words = [
        "--context",
        f"dir://{context}",
        "--no-push",
        "--tar-path",
        str(out),
        "--build-arg",
        "A=1",
        "--label",
        "b=2",
    ]
    words += [
        "-d",
        "h.example/a/b:1",
        "-d",
        "h.example/a/b:2",
        "--single-snapshot",
        "--digest-file",
        str(tmp_path / "d"),
    ]
    words += [
        "--image-name-with-digest-file",
        str(tmp_path / "n"),
        "--image-name-tag-with-digest-file",
        str(tmp_path / "t"),
    ]
    done = img("kaniko", *words, root=tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert labels(out) == {"a": "1", "b": "2", "names": "h.example/a/b:1,h.example/a/b:2"}
    assert "note: --single-snapshot is ignored: " in done.stderr
    digest = (tmp_path / "d").read_text()
    with tarfile.open(out) as tar:
        index = json.load(tar.extractfile("index.json") or io.BytesIO())
    assert {entry["digest"] for entry in index["manifests"]} == {digest}
    assert (tmp_path / "n").read_text() == f"h.example/a/b@{digest}\n" * 2
    assert (tmp_path / "t").read_text() == f"h.example/a/b:1@{digest}\nh.example/a/b:2@{digest}\n"


@pytest.mark.parametrize("how", ["file", "stdin"])
def test_a_tar_as_context_with_a_folder_in_it(context: Path, tmp_path: Path, how: str) -> None:
    archive = tmp_path / "context.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(context, arcname=".")
    place = "tar://stdin" if how == "stdin" else f"tar://{archive}"
    argv = [sys.executable, "-m", "img_cli", "kaniko", "-c", place, "--context-sub-path", "sub", "-f", "Other"]
    argv += ["--no-push", "--oci-layout-path", str(tmp_path / "layout"), "-v", "error"]
    with archive.open("rb") as stream:
        env = {**os.environ, "IMG_ROOT": str(tmp_path / "store")}
        done = subprocess.run(argv, stdin=stream, capture_output=True, text=True, env=env, cwd="/", check=False)
    assert (done.returncode, done.stderr.startswith("Successfully exported")) == (0, True), done.stderr
    assert json.loads((tmp_path / "layout" / "index.json").read_text())["manifests"]


def test_reproducible_and_the_digest_of_nothing_kept(context: Path, tmp_path: Path) -> None:
    found = set()
    for number in range(2):
        file = tmp_path / f"d{number}"
        words = ["-c", str(context), "--no-push", "--reproducible", "--digest-file", str(file)]
        done = img("kaniko", *words, root=tmp_path / f"store{number}")
        assert done.returncode == 0, done.stderr
        found.add(file.read_text())
        (context / "Dockerfile").touch()
    assert len(found) == 1
    assert json.loads(img("ls", "--json", root=tmp_path / "store0").stdout) == []


def test_nowhere_to_push_to(tmp_path: Path) -> None:
    done = img("kaniko", "-c", "x", root=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "error: there is nowhere to push to\nhint: name it with --destination, or say --no-push\n",
    )
