"""What the Dockerfile language comes to in real images: files, owners, layers, configurations."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.peers import builders, flatten
from tests.peers.servers import Registry

pytestmark = pytest.mark.real


class Built(NamedTuple):
    """An image: its configuration, the digests of its layers, and every entry of each layer with a file's bytes."""

    config: dict[str, Any]
    layers: list[str]
    entries: list[dict[str, tuple[tarfile.TarInfo, bytes]]]
    ran: list[str]

    def text(self, path: str) -> str:
        """The file `path` of the topmost layer that has it."""
        return next(layer[path][1].decode() for layer in reversed(self.entries) if path in layer)

    def info(self, path: str) -> tarfile.TarInfo:
        return next(layer[path][0] for layer in reversed(self.entries) if path in layer)

    @property
    def names(self) -> set[str]:
        return {name for layer in self.entries for name in layer}


def built(work: Path, text: str, *extra: str) -> Built:
    """The image of a Dockerfile in the context ``work/c``, built with the store ``work/s``."""
    context, archive = work / "c", work / "image.tar"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(text)
    argv = ("build", "--progress", "json", "-o", f"type=oci,dest={archive}", *extra, str(context))
    done = builders.img(*argv, root=work / "s")
    assert done.returncode == 0, done.stderr[-3000:]
    with tarfile.open(archive) as image:

        def blob(digest: str) -> bytes:
            member = image.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")
            assert member is not None
            return member.read()

        index = image.extractfile("index.json")
        assert index is not None
        manifest = json.loads(blob(json.load(index)["manifests"][0]["digest"]))
        layers = [layer["digest"] for layer in manifest["layers"]]
        config = json.loads(blob(manifest["config"]["digest"]))
        return Built(config, layers, [_entries(blob(digest)) for digest in layers], builders.ran(done))


def _entries(data: bytes) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as layer:
        return {
            member.name: (member, content.read() if (content := layer.extractfile(member)) else b"")
            for member in layer
            if not member.isdir() or member.name not in ("", ".")
        }


def test_a_linked_layer_is_independent_of_what_is_below(busybox: str, work: Path) -> None:
    context = work / "c"
    (context / "d").mkdir(parents=True)
    (context / "d" / "f").write_text("content")
    text = (
        "FROM {base}\nRUN echo {word} > /below\nCOPY --link --chown=3:4 d /etc/new/\nRUN cat /etc/new/f /below > /all\n"
    )
    first = built(work, text.format(base=busybox, word="one"))
    second = built(work, text.format(base=busybox, word="two"))
    assert len(first.layers) == len(second.layers) == 4
    assert first.layers[2] == second.layers[2]
    assert first.layers[1] != second.layers[1]
    assert second.text("all") == "contenttwo\n"
    copies = [title for title in second.ran if title.startswith("COPY")]
    assert copies == []
    info = second.info("etc/new/f")
    assert (info.uid, info.gid) == (3, 4)
    alone = built(work, "FROM scratch\nCOPY --link --chown=3:4 d /etc/new/\n")
    assert alone.layers == [first.layers[2]]
    assert built(work, text.format(base=busybox, word="two")).ran == []


def test_heredocs(busybox: str, work: Path) -> None:
    image = built(
        work,
        f"FROM {busybox}\nENV NAME=world\n"
        'RUN <<EOF\necho "hello $NAME" > /plain\nEOF\n'
        "RUN <<'EOF'\n#!/bin/sh\necho $0 > /script\nEOF\n"
        "RUN cat <<A > /a && cat <<-B > /b\nin a\nA\n\tin b\n\tB\n"
        "WORKDIR /dir\n"
        "COPY --chmod=u=rwx,go=rx --chown=7 <<tool <<'raw' /dir\n#!/bin/sh\necho $NAME\ntool\n$NAME\nraw\n"
        "COPY <<one /made/file\nx\none\n"
        "RUN /dir/tool > /ran\n",
    )
    assert image.text("plain") == "hello world\n"
    assert image.text("script") == "/dev/pipes/EOF\n"
    assert (image.text("a"), image.text("b")) == ("in a\n", "in b\n")
    assert image.text("dir/raw") == "$NAME\n"
    assert image.text("made/file") == "x\n"
    assert image.text("ran") == "world\n"
    tool = image.info("dir/tool")
    assert (tool.mode, tool.uid, tool.gid) == (0o755, 7, 7)
    assert image.info("made/file").mode == 0o644


def test_mounts_of_the_context_of_stages_and_of_caches(busybox: str, work: Path) -> None:
    context = work / "c"
    (context / "sub").mkdir(parents=True)
    (context / "sub" / "f").write_text("from the context")
    image = built(
        work,
        f"FROM {busybox} AS a\nRUN echo from a stage > /s\nFROM {busybox}\nARG WHERE=/m\nWORKDIR /w\n"
        "RUN --mount=target=$WHERE,source=sub --mount=from=a,source=/s,target=st --mount=type=tmpfs,target=/t,size=1m "
        "--mount=type=cache,target=/c,mode=0750 cat /m/f /w/st > /out && df -k /t | tail -1 >> /out && "
        "touch /t/x /c/x && stat -c %a /c >> /out\n",
    )
    lines = image.text("out").replace("from the context", "from the context\n").splitlines()
    assert lines[:2] == ["from the context", "from a stage"]
    assert lines[2].split()[1] == "1024"
    assert lines[3] == "750"
    assert not {"t/x", "c/x", "m/f"} & image.names


def test_triggers_of_a_base(busybox: str, registry: Registry, work: Path) -> None:
    context = work / "c"
    context.mkdir()
    (context / "f").write_text("mine")
    name = f"{registry.host}/onbuild:1"
    text = f"FROM {busybox}\nONBUILD COPY --from=src f /got\nONBUILD RUN <<E\ncp /got /again\nE\n"
    built(work, text, "-o", f"type=registry,name={name}")
    image = built(work, f"FROM scratch AS src\nCOPY f /\nFROM {name}\nRUN cat /again > /third\n")
    assert image.text("third") == "mine"
    assert "OnBuild" not in image.config["config"]


def test_files_have_the_time_of_the_epoch(busybox: str, work: Path) -> None:
    context = work / "c"
    (context / "d" / "e").mkdir(parents=True)
    (context / "d" / "e" / "f").write_text("x")
    text = f"FROM {busybox}\nWORKDIR /w/x\nCOPY d d\nCOPY <<h /h\nh\nARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH > /t\n"
    assert built(work, text).info("h").mtime != 1234567890
    image = built(work, text, "--build-arg", "SOURCE_DATE_EPOCH=1234567890")
    for path in ("w/x", "w/x/d", "w/x/d/e", "w/x/d/e/f", "h"):
        assert image.info(path).mtime == 1234567890, path
    assert image.text("t") == "1234567890\n"


def test_archives_beside_files(work: Path) -> None:
    context = work / "c"
    (context / "d").mkdir(parents=True)
    (context / "d" / "f").write_text("packed")
    (context / "plain").write_text("plain")
    pack = ["tar", "czf", str(context / "a.tgz"), "--owner=5", "--group=6", "-C", str(context), "d"]
    subprocess.run(pack, check=True)
    image = built(work, "FROM scratch\nADD --chown=7:8 a.tgz plain /x/\nADD --unpack=false a.tgz /y/\n")
    assert image.text("x/d/f") == "packed"
    assert image.text("x/plain") == "plain"
    owners = {path: (image.info(path).uid, image.info(path).gid) for path in ("x", "x/d/f", "x/plain")}
    assert owners == {"x": (7, 8), "x/d/f": (7, 8), "x/plain": (7, 8)}
    assert "y/a.tgz" in image.names


WHOLE = """FROM {base} AS one
ENV X=env
ARG X=arg
ARG Y=why
ENV KEPT=$X
RUN echo "X=$X Y=$Y" > /one
COPY a /$X-copied
FROM one
ARG Z W=1
RUN echo "X=$X Z=$Z W=$W" > /two; env | grep -E '^(X|Z|W|KEPT)=' | sort >> /two
COPY a b* /existing/
COPY d /existing
COPY d p /merged
COPY d/sub/ /deep/er/est
COPY [ab] /single
COPY zz* /nothing/
COPY link /followed
COPY lin* /by-wildcard/
COPY --chown=5 a /owned/by/five
COPY --chown=:7 a /owned-group
COPY --chown=1:2 d /owned-dir
ADD a.tgz a /unpacked/
ADD --chown=7:8 a.tgz /unpacked-owned/in
COPY ["a", "s p/x", "/s p/"]
WORKDIR /w/k
COPY d ..
COPY a ./
COPY --from=one /one /from/
USER 5:6
WORKDIR y/z
VOLUME /v1 v2
EXPOSE 90 80/udp 10-12 8080:81
LABEL l=$KEPT "k k"=v
STOPSIGNAL 9
HEALTHCHECK --interval=90s --retries=2 CMD true x
SHELL ["/bin/sh", "-ec"]
ONBUILD RUN x
CMD ["a", "b c"]
ENTRYPOINT e f
"""


def test_the_same_image_as_buildkit_makes(busybox: str, registry: Registry, docker_host: str, work: Path) -> None:
    context = work / "c"
    for folder in ("d/sub", "p/q", "s p"):
        (context / folder).mkdir(parents=True)
    for name in ("a", "b", "b2", "d/x", "d/sub/y", "p/q/z", "s p/x"):
        (context / name).write_text(name)
    (context / "link").symlink_to("a")
    subprocess.run(["tar", "czf", str(context / "a.tgz"), "-C", str(context), "d"], check=True)
    (context / "Dockerfile").write_text(WHOLE.format(base=busybox))
    name = f"{registry.host}/whole"
    arguments = ("--build-arg", "Z=given")
    theirs = flatten.flatten(
        builders.docker_build(docker_host, context, work / "whole.tar", *arguments), work / "docker"
    )
    done = builders.img("build", "-t", f"{name}:img", "-o", "type=registry", *arguments, str(context), root=work / "s")
    assert done.returncode == 0, done.stderr[-3000:]
    ours = flatten.flatten(f"docker://{name}:img", work / "img")
    stubs = ("dev", "proc", "sys", "etc/hosts", "etc/resolv.conf")
    newer = (
        "unpacked-owned",
    )  # 20.10 leaves an archive's files to their owners; tests/differential has the newer rule
    assert flatten.differences(ours.files, theirs.files, (*stubs, *newer)) == []
    for config in (ours.config["config"], theirs.config["config"]):
        config.pop("Image", None)
        for key in [key for key, value in config.items() if not value]:
            del config[key]
    assert ours.config["config"] == theirs.config["config"]
    told = [
        [entry["created_by"] for entry in image.config["history"] if not entry["created_by"].startswith(NEWER)]
        for image in (ours, theirs)
    ]
    assert told[0] == told[1]


NEWER = ("ARG", "EXPOSE", "HEALTHCHECK", "COPY", "ADD", "RUN |")
"""Instructions whose history reads otherwise since that BuildKit: values of ARG, flags, inherited arguments."""
