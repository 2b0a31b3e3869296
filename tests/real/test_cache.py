"""Remote caches between machines: each store here stands for one. The registry is Debian's docker-registry."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.peers import builders
from tests.peers.servers import Registry

pytestmark = pytest.mark.real

FILE = """\
FROM {base} AS tools
RUN mkdir /out && echo tool > /out/tool
FROM {base} AS extra
COPY --from=tools /out/tool /tool
RUN cat /tool > /extra && echo more >> /extra
FROM {base}
WORKDIR /app
COPY a.txt b.txt ./
RUN cat a.txt b.txt > ab.txt
COPY --from=extra /extra ./
ENV LAST=1
"""


@pytest.fixture
def context(work: Path, busybox: str) -> Path:
    folder = work / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(FILE.format(base=busybox))
    (folder / "a.txt").write_text("a")
    (folder / "b.txt").write_text("b")
    return folder


def build(store: Path, context: Path, *options: str, user: bool = False) -> subprocess.CompletedProcess[str]:
    done = builders.img("build", "--progress", "json", *options, str(context), root=store, user=user)
    assert done.returncode == 0, done.stderr
    return done


def warnings(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [event["message"] for event in builders.events(done) if event.get("event") == "Warning"]


def digest(name: str) -> str:
    argv = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{name}"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def test_another_machine_runs_nothing_and_pulls_no_layers(registry: Registry, context: Path, work: Path) -> None:
    """A keeps everything; B, with an empty store and in another folder, pushes the same image without running a step and
    without a layer's bytes; then a file is touched, and B knows which, in its first build even."""
    cache, name = f"{registry.host}/cache/one:main", f"{registry.host}/cached/one"
    built = build(
        work / "a", context, "-o", f"type=registry,name={name}:a", "--cache-to", f"type=registry,ref={cache},mode=max"
    )
    assert len(builders.ran(built)) >= 6
    raw = json.loads(
        subprocess.run(
            ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{cache}"], check=True, capture_output=True
        ).stdout
    )
    assert {layer["mediaType"] for layer in raw["layers"]} == {"application/vnd.oci.image.layer.v1.tar+gzip"}

    other = work / "elsewhere"
    shutil.copytree(context, other)
    before = len(registry.requests())
    again = build(work / "b", other, "-o", f"type=registry,name={registry.host}/moved/one:b", "--cache-from", cache)
    asked = registry.requests()[before:]
    assert builders.ran(again) == []
    assert warnings(again) == []
    pulled = {line.split("/blobs/")[1][:71] for line in asked if '"GET' in line and "/blobs/" in line}
    assert not pulled & {layer["digest"] for layer in raw["layers"][1:]}, "no layer's bytes come"
    sent = [line for line in asked if '"PATCH' in line or ('"PUT' in line and "/blobs/uploads/" in line)]
    assert len(sent) == 1, "only the configuration is sent"
    assert digest(f"{registry.host}/moved/one:b") == digest(f"{name}:a")
    assert builders.ran(build(work / "b", other, "-t", "x")) == [], "later builds need no --cache-from"

    (other / "a.txt").write_text("changed")
    touched = build(work / "b", other, "-t", "x", "--cache-from", cache)
    assert builders.ran(touched) == [
        "COPY a.txt b.txt ./",
        "RUN cat a.txt b.txt > ab.txt",
        "COPY --from=extra /extra ./",
    ]
    told = builders.img("explain", root=work / "b")
    assert "a.txt (content)" in told.stdout, told.stdout + told.stderr

    fresh = build(work / "c", other, "-t", "x", "--cache-from", cache)
    assert builders.ran(fresh) == builders.ran(touched)
    assert "a.txt (content)" in builders.img("explain", root=work / "c").stdout


def test_min_has_only_the_result(registry: Registry, context: Path, work: Path) -> None:
    """``min``: the steps of the last stage are found, and those of the others are not asked for as long as they hold."""
    cache = f"{registry.host}/cache/min"
    build(work / "a", context, "-t", "x", "--cache-to", f"type=registry,ref={cache}")
    assert builders.ran(build(work / "b", context, "-t", "x", "--cache-from", f"type=registry,ref={cache}")) == []
    (context / "b.txt").write_text("changed")
    ran = builders.ran(build(work / "c", context, "-t", "x", "--cache-from", cache))
    assert "RUN mkdir /out && echo tool > /out/tool" in ran
    assert "WORKDIR /app" not in ran


@pytest.mark.parametrize("user", [False, True], ids=["root", "user"])
def test_a_folder(context: Path, work: Path, user: bool) -> None:
    """``type=local``: a layout that skopeo reads; the bytes come from it when they are needed."""
    if user:
        builders.readable_by_user(context)
    folder = work / "cache"
    options = ("--cache-to", f"type=local,dest={folder},mode=max", "--cache-from", f"type=local,src={folder}")
    built = build(work / "a", context, "-o", f"type=oci,dest={work}/a.tar", *options, user=user)
    assert len(builders.ran(built)) >= 6
    subprocess.run(["skopeo", "inspect", f"oci:{folder}:latest"], check=True, capture_output=True)
    again = build(work / "b", context, "-o", f"type=oci,dest={work}/b.tar", *options, user=user)
    assert builders.ran(again) == []
    assert (work / "a.tar").read_bytes() == (work / "b.tar").read_bytes()
    kept = build(work / "c", context, "-t", "x", "--target", "extra", *options[2:], user=user)
    assert builders.ran(kept) == [], "a cached build has kept what it was not asked for, too"


def test_inline(registry: Registry, context: Path, work: Path) -> None:
    """The image is its own cache."""
    name = f"{registry.host}/inline/one"
    build(work / "a", context, "-o", f"type=registry,name={name}", "--cache-to", "type=inline")
    again = build(
        work / "b", context, "-o", f"type=registry,name={name}", "--cache-to", "type=inline", "--cache-from", name
    )
    assert builders.ran(again) == []
    (context / "b.txt").write_text("changed")
    assert "WORKDIR /app" not in builders.ran(build(work / "c", context, "-t", "x", "--cache-from", name))


def test_blobs_that_are_gone_or_wrong(context: Path, work: Path) -> None:
    """A hit whose bytes can't be had, or are others, is a miss: it is built, with a warning, and the image is right."""
    folder = work / "cache"
    build(work / "a", context, "-o", f"type=oci,dest={work}/a.tar", "--cache-to", f"type=local,dest={folder},mode=max")
    for number, spoil in enumerate(
        (lambda path: path.unlink(), lambda path: path.write_bytes(b"x" * path.stat().st_size))
    ):
        spoiled = work / f"spoiled{number}"
        shutil.copytree(folder, spoiled)
        index = json.loads((spoiled / "index.json").read_text())["manifests"][0]["digest"][7:]
        manifest = json.loads((spoiled / "blobs/sha256" / index).read_text())
        for layer in manifest["layers"][1:]:
            spoil(spoiled / "blobs/sha256" / layer["digest"][7:])
        store = work / f"b{number}"
        options = ("-o", f"type=tar,dest={work}/b.tar", "--cache-from", f"type=local,src={spoiled}")
        again = build(store, context, *options)
        assert "RUN cat a.txt b.txt > ab.txt" in builders.ran(again)
        assert bool(warnings(again)) == bool(number), "what is gone is not even found"
        listed = subprocess.run(["tar", "-xOf", str(work / "b.tar"), "app/ab.txt"], check=True, capture_output=True)
        assert listed.stdout == b"ab"


def test_words_travel_but_secrets_do_not(context: Path, work: Path, busybox: str) -> None:
    """On another machine a changed token is named as such, an unchanged one is not, and neither is anywhere to read."""
    (context / "Dockerfile").write_text(f"FROM {busybox}\nARG API_TOKEN\nARG MODE\nRUN echo $MODE > /mode\n")
    place = f"type=local,dest={work}/cache,mode=max"
    arguments = ("--build-arg", "API_TOKEN=hunter22", "--build-arg", "MODE=slow")
    build(work / "a", context, "-t", "x", *arguments, "--cache-to", place)
    for blob in (work / "cache/blobs/sha256").iterdir():
        data = blob.read_bytes()
        assert b"hunter22" not in (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    found = ("--cache-from", f"type=local,src={work}/cache")
    build(work / "b", context, "-t", "x", "--build-arg", "API_TOKEN=hunter22", "--build-arg", "MODE=fast", *found)
    said = builders.img("explain", root=work / "b").stdout
    assert "MODE is fast, was slow" in said
    assert "API_TOKEN" not in said
    build(work / "c", context, "-t", "x", "--build-arg", "API_TOKEN=other", "--build-arg", "MODE=slow", *found)
    said = builders.img("explain", root=work / "c").stdout
    assert "API_TOKEN changed" in said
    assert "MODE" not in said.replace("$MODE", "")
