"""Archives into the store: every shape that is good, and one clear error for each that is not, with nothing left."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.peers import archives
from tests.peers.archives import archive, layout, legacy, link, stream
from tests.peers.bases import tar

from img.errors import ImgError
from img.images.copy import save
from img.images.inspect import inspect
from img.images.load import load
from img.images.verify import verify
from img.session import Session

ONE = tar([("a", b"one"), ("d", None)])
TWO = tar([("a", b"two"), ("d/b", b"more")])


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(tmp_path / "store") as opened:
        yield opened


def names(session: Session) -> list[str]:
    return [image.name for image in session.store.images.list()]


def sound(session: Session, name: str) -> bool:
    results = verify(session.engine, name)
    return bool(results) and not any(one.problem for one in results)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["plain", "gz", "bz2", "xz"])
@pytest.mark.parametrize("inner", [bytes, gzip.compress], ids=["plain-layers", "gz-layers"])
def test_docker_archives(session: Session, pack: Any, inner: Any) -> None:
    data = pack(archive(legacy([ONE, TWO], ("old:1", "host:5000/x/y:2"), inner)))
    (image,) = load(session.engine, stream(data))
    assert names(session) == ["docker.io/library/old:1", "host:5000/x/y:2"]
    assert sound(session, "old:1")
    assert inspect(session.engine, "old:1")["config"] == {"Cmd": ["sh"]}
    config = next(data for name, data in legacy([ONE, TWO]) if name.endswith(".json"))
    assert session.store.blobs.has(f"sha256:{archives.digest(config)}")
    assert len(image.names) == 2


def test_layers_as_links(session: Session) -> None:
    """As old docker wrote an image that has one layer twice."""
    members = legacy([ONE, ONE])
    first, second = "x/layer.tar", "y/layer.tar"
    row = json.loads(members[-1][1])[0]
    row["Layers"] = [first, second]
    good = [(first, ONE), link(second, "../x/layer.tar"), members[2], ("manifest.json", json.dumps([row]).encode())]
    load(session.engine, stream(archive(good)))
    assert sound(session, "old:1")


def test_several_images_of_one_archive(session: Session) -> None:
    one, two = legacy([ONE], ("a:1",)), legacy([ONE, TWO], ("b:1",))
    rows = json.loads(one[-1][1]) + json.loads(two[-1][1])
    members = dict([*one, *two])
    members["manifest.json"] = json.dumps(rows).encode()
    assert len(load(session.engine, stream(archive(list(members.items()))))) == 2
    assert sound(session, "a:1")
    assert sound(session, "b:1")


@pytest.mark.parametrize("folder", [False, True])
def test_layouts_keep_their_digests(session: Session, tmp_path: Path, folder: bool) -> None:
    members = layout([ONE, TWO])
    wanted = json.loads(dict(members)["index.json"])["manifests"][0]["digest"]
    if folder:
        for name, data in members:
            (tmp_path / "l" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "l" / name).write_bytes(data)
        (image,) = load(session.engine, tmp_path / "l")
    else:
        (image,) = load(session.engine, stream(archive(members)))
    assert image.descriptor.digest == wanted
    assert names(session) == ["docker.io/library/lay:1"]
    assert sound(session, "lay:1")


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_saved_and_loaded_elsewhere(session: Session, tmp_path: Path, form: str) -> None:
    load(session.engine, stream(archive(legacy([ONE], ("a:1", "b:1")))))
    load(session.engine, stream(archive(layout([TWO]))))
    parts: list[bytes] = []
    save(session.engine, ["a:1", "b:1", "lay:1"], form, parts.append)
    again: list[bytes] = []
    save(session.engine, ["a:1", "b:1", "lay:1"], form, again.append)
    assert parts == again
    with Session(tmp_path / "other") as other:
        load(other.engine, stream(b"".join(parts)))
        there = {image.name: image.descriptor.digest for image in other.store.images.list()}
        assert there == {image.name: image.descriptor.digest for image in session.store.images.list()}
        assert all(sound(other, name) for name in there)


# --- hostile ---------------------------------------------------------------------------------------------------------


def changed(members: archives.Members, name: str, change: Callable[[bytes], bytes]) -> archives.Members:
    return [(n, change(d) if n.endswith(name) else d) for n, d in members]


def row(**values: Any) -> archives.Members:
    members = legacy([ONE])
    return changed(members, "manifest.json", lambda data: json.dumps([{**json.loads(data)[0], **values}]).encode())


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


BLOB = layout([ONE])[0][0]
CASES: dict[str, tuple[archives.Members, str]] = {
    "climbs out": ([("../evil", b"x"), *legacy([ONE])], "which lies outside of it"),
    "absolute": ([("/etc/evil", b"x"), *legacy([ONE])], "which lies outside of it"),
    "climbs out inside": ([("a/../../evil", b"x"), *legacy([ONE])], "which lies outside of it"),
    "a layer is a link out": (
        [link("x/layer.tar", "../../../etc/passwd"), *row(Layers=["x/layer.tar"])],
        "is a link out of the archive",
    ),
    "a layer is an absolute link": (
        [link("x/layer.tar", "/etc/passwd"), *row(Layers=["x/layer.tar"])],
        "is a link out of the archive",
    ),
    "a loop of links": ([link("x", "y"), link("y", "x"), *row(Layers=["x"])], "which is not there"),
    "a hard link to nothing": ([link("x", "/etc/passwd", tarfile.LNKTYPE), *legacy([ONE])], "which is not before it"),
    "a device": ([link("x", "", tarfile.CHRTYPE), *legacy([ONE])], "a char, which no image needs"),
    "manifest points out": (row(Layers=["../../etc/passwd"]), "which is not there"),
    "manifest points at an absolute path": (row(Config="/etc/passwd"), "which is not there"),
    "manifest is no list": (changed(legacy([ONE]), "manifest.json", lambda _: b"{}"), "not a list of images"),
    "manifest is no JSON": (changed(legacy([ONE]), "manifest.json", lambda _: b"[" * 100_000), "is not JSON"),
    "manifest lacks layers": (row(Layers=None), "needs Config, RepoTags and Layers"),
    "too few layers": (row(Layers=[]), "an image has 0 layers, its configuration 1"),
    "a bad name": (row(RepoTags=["UPPER:1"]), "is upper case"),
    "a huge manifest": (changed(legacy([ONE]), "manifest.json", lambda d: d + b" " * (5 << 20)), "4194304 are allowed"),
    "a huge configuration": (
        [*legacy([ONE])[:-2], ("c.json", b" " * (5 << 20)), *row(Config="c.json")[-1:]],
        "4194304 are allowed",
    ),
    "a layer of other bytes": (changed(legacy([ONE]), "layer.tar", lambda d: d + bytes(512)), "configuration says"),
    "twice, differently": ([*legacy([ONE]), ("manifest.json", b"[]")], "twice, with different bytes"),
    "a blob of other bytes": (changed(layout([ONE]), BLOB, flip), "other bytes than"),
    "a longer blob": (changed(layout([ONE]), BLOB, lambda d: d + b"x"), "more than the promised"),
    "a shorter blob": (changed(layout([ONE]), BLOB, lambda d: d[:-1]), "has only"),
    "a missing blob": (layout([ONE])[1:], "which is not there"),
    "a broken index": (changed(layout([ONE]), "index.json", lambda _: b"[]"), "is not a JSON object"),
    "no images": (changed(layout([ONE]), "index.json", lambda _: b'{"manifests":[]}'), "has no images"),
    "nothing of ours": ([("file", b"x")], "has neither manifest.json nor index.json"),
    "empty": ([], "is empty, or no tar"),
}


@pytest.mark.parametrize("case", list(CASES))
def test_hostile_archives(session: Session, case: str) -> None:
    members, message = CASES[case]
    with pytest.raises(ImgError, match=message):
        load(session.engine, stream(archive(members)))
    assert names(session) == []
    assert not list(session.store.tmp.iterdir())


def test_an_archive_that_is_cut(session: Session) -> None:
    for data in (archive(legacy([ONE, TWO])), gzip.compress(archive(layout([ONE, TWO])))):
        with pytest.raises(ImgError):
            load(session.engine, stream(data[: len(data) // 2]))
    assert names(session) == []


@pytest.mark.parametrize("data", [b"", b"no tar at all" * 100, bytes(4096)])
def test_no_archive_at_all(session: Session, data: bytes) -> None:
    with pytest.raises(ImgError, match="standard input"):
        load(session.engine, stream(data))


def test_memory_is_bounded(tmp_path: Path) -> None:
    """An archive of 300 MiB, compressed to nearly nothing, in less than 150 MiB."""
    program = (
        "import sys, hashlib, io, json, tarfile; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path\n"
        "from img.session import Session\nfrom img.images.load import load\n"
        "from img.oci.tar import header\nfrom img.files.entry import Entry\n"
        "from img.oci.compress import gzip_chunks\n"
        "size = 300 << 20\n"
        "def layer():\n"
        "    yield header(Entry('big', 'file', size=size))\n"
        "    for _ in range(300): yield bytes(1 << 20)\n"
        "    yield bytes(1024)\n"
        "record, total = hashlib.sha256(), 0\n"
        "for piece in layer(): record.update(piece); total += len(piece)\n"
        "config = json.dumps({'architecture': 'amd64', 'os': 'linux', 'rootfs': {'type': 'layers', 'diff_ids':"
        " ['sha256:' + record.hexdigest()]}}).encode()\n"
        "rows = json.dumps([{'Config': 'c.json', 'RepoTags': ['big:1'], 'Layers': ['l.tar']}]).encode()\n"
        "def members():\n"
        "    yield header(Entry('l.tar', 'file', size=total)); yield from layer(); yield bytes(-total % 512)\n"
        "    for name, data in (('c.json', config), ('manifest.json', rows)):\n"
        "        yield header(Entry(name, 'file', size=len(data))) + data + bytes(-len(data) % 512)\n"
        "    yield bytes(1024)\n"
        "with Session(Path(sys.argv[1])) as session:\n"
        "    load(session.engine, gzip_chunks(members()))\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    argv = [sys.executable, "-c", program, str(tmp_path / "s"), *sys.path]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150 * 1024
