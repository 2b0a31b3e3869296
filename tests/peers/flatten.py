"""An image's files and configuration, read without img: skopeo fetches, tarfile unpacks into a dict."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

from backports import zstd


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


def _apply(path: Path, files: dict[str, File]) -> None:
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
                if not member.isdir():
                    _remove_below(files, name)
                files[name] = _file(archive, member, files)


def _remove_below(files: dict[str, File], folder: str) -> None:
    for name in [name for name in files if name.startswith(f"{folder}/") or not folder]:
        del files[name]


def _file(archive: tarfile.TarFile, member: tarfile.TarInfo, files: dict[str, File]) -> File:
    if member.islnk():
        return files[member.linkname.strip("/").removeprefix("./")]
    content = ""
    if member.isreg():
        record = hashlib.sha256()
        stream = archive.extractfile(member)
        assert stream is not None
        while data := stream.read(1 << 20):
            record.update(data)
        content = record.hexdigest()
    prefix = "SCHILY.xattr."
    xattrs = tuple(sorted((k.removeprefix(prefix), v) for k, v in member.pax_headers.items() if k.startswith(prefix)))
    kind = tarfile.REGTYPE if member.isreg() else member.type
    device = (member.devmajor, member.devminor) if member.ischr() or member.isblk() else (0, 0)
    mode = 0o777 if member.issym() else member.mode & 0o7777
    return File(kind, mode, member.uid, member.gid, content, member.linkname, device, xattrs)


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
