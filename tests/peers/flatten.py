"""An image's files and configuration, read without img: skopeo fetches, tarfile unpacks into a dict."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from backports import zstd

SHORT = 400


class File(NamedTuple):
    """What two builders must agree on. Times are left out."""

    kind: bytes
    mode: int
    uid: int
    gid: int
    content: str
    link: str
    device: tuple[int, int]
    xattrs: tuple[tuple[str, str], ...]


class Flat(NamedTuple):
    files: dict[str, File]
    config: dict[str, Any]
    layers: int


def flatten(source: str, folder: Path) -> Flat:
    """The image at `source` (``docker://…``, ``oci:…``, ``docker-archive:…``) as one filesystem."""
    argv = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", source, f"dir:{folder}"]
    if not source.startswith("docker://"):
        argv.remove("--src-tls-verify=false")
    subprocess.run(argv, check=True, capture_output=True)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    files: dict[str, File] = {}
    for layer in manifest["layers"]:
        _apply(folder / layer["digest"].removeprefix("sha256:"), files)
    config = json.loads((folder / manifest["config"]["digest"].removeprefix("sha256:")).read_bytes())
    return Flat(files, config, len(manifest["layers"]))


Known = dict[str, tuple[dict[str, File], dict[str, float]]]
"""Files and times of first layers, by the digests of these."""


class Whole(NamedTuple):
    """An image of an OCI layout: `Flat`, and when each file was modified."""

    flat: Flat
    times: dict[str, float]


def read_archive(archive: Path, folder: Path, known: Known | None = None) -> Whole:
    """The same of an archive of such a layout, by way of a new folder."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder)
    return read_layout(folder, known)


def read_layout(folder: Path, known: Known | None = None) -> Whole:
    """The one image of an OCI image layout on disk, without any tool. What the first layer of many images holds is read once
    if they share `known`."""
    blobs = folder / "blobs" / "sha256"

    def blob(descriptor: dict[str, Any]) -> Path:
        return blobs / str(descriptor["digest"]).removeprefix("sha256:")

    (only,) = json.loads((folder / "index.json").read_bytes())["manifests"]
    manifest = json.loads(blob(only).read_bytes())
    files: dict[str, File] = {}
    times: dict[str, float] = {}
    layers = manifest["layers"] or []
    for number, layer in enumerate(layers):
        if number == 0 and known is not None:
            if layer["digest"] not in known:
                _apply(blob(layer), files, times)
                known[layer["digest"]] = dict(files), dict(times)
            first = known[layer["digest"]]
            files, times = dict(first[0]), dict(first[1])
        else:
            _apply(blob(layer), files, times)
    config = json.loads(blob(manifest["config"]).read_bytes())
    return Whole(Flat(files, config, len(layers)), {name: times[name] for name in files})


def _apply(path: Path, files: dict[str, File], times: dict[str, float] | None = None) -> None:
    folders = {folder for name in files for folder in _above(name)}
    raw = path.read_bytes()[:2]
    opener = {b"\x1f\x8b": gzip.open, b"\x28\xb5": zstd.open}.get(raw, open)
    with opener(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            name = member.name.strip("/").removeprefix("./")
            head, _, tail = name.rpartition("/")
            if tail == ".wh..wh..opq":
                _remove_below(files, head)
            elif tail.startswith(".wh."):
                hidden = f"{head}/{tail[4:]}" if head else tail[4:]
                files.pop(hidden, None)
                _remove_below(files, hidden)
            elif name not in ("", "."):
                if not member.isdir() and name in folders:
                    _remove_below(files, name)
                folders.update(_above(name))
                files[name] = _file(archive, member, files)
                if times is not None:
                    first = member.linkname.strip("/").removeprefix("./")
                    times[name] = times[first] if member.islnk() else member.mtime


def _above(name: str) -> Iterator[str]:
    """The folders that `name` is in."""
    while name := name.rpartition("/")[0]:
        yield name


def _remove_below(files: dict[str, File], folder: str) -> None:
    for name in [name for name in files if name.startswith(f"{folder}/") or not folder]:
        del files[name]


def _file(archive: tarfile.TarFile, member: tarfile.TarInfo, files: dict[str, File]) -> File:
    if member.islnk():
        return files[member.linkname.strip("/").removeprefix("./")]
    content = _content(archive, member) if member.isreg() else ""
    prefix = "SCHILY.xattr."
    xattrs = tuple(sorted((k.removeprefix(prefix), v) for k, v in member.pax_headers.items() if k.startswith(prefix)))
    kind = tarfile.REGTYPE if member.isreg() else member.type
    device = (member.devmajor, member.devminor) if member.ischr() or member.isblk() else (0, 0)
    mode = 0o777 if member.issym() else member.mode & 0o7777
    return File(kind, mode, member.uid, member.gid, content, member.linkname, device, xattrs)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """The bytes themselves if they are few, so that a difference can be read; else their digest."""
    stream = archive.extractfile(member)
    assert stream is not None
    if member.size <= SHORT:
        return repr(stream.read())
    record = hashlib.sha256()
    while data := stream.read(1 << 20):
        record.update(data)
    return record.hexdigest()


def differences(ours: dict[str, File], theirs: dict[str, File], allowed: tuple[str, ...] = ()) -> list[str]:
    """Every path that is not the same, in words; paths below one of `allowed` are left out."""
    found: list[str] = []
    for name in sorted({*ours, *theirs}):
        if any(name == skip or name.startswith(f"{skip}/") for skip in allowed):
            continue
        left, right = ours.get(name), theirs.get(name)
        if left != right:
            found.append(f"{name}: img {left}, peer {right}")
    return found


STUBS = ("dev", "proc", "sys", "run", "tmp/a", "etc/hosts", "etc/resolv.conf", "etc/hostname")
"""Mount points that BuildKit leaves behind in the image; docs/explanation/differences.md."""


def check_same(one: Whole, other: Whole) -> None:
    """Hold an image against BuildKit's: the same files and configuration, in as many layers, whatever is in each."""
    assert differences(one.flat.files, other.flat.files, STUBS) == []
    left, right = dict(one.flat.config), dict(other.flat.config)
    assert len(left.pop("rootfs")["diff_ids"]) == len(right.pop("rootfs")["diff_ids"])
    assert left == right
