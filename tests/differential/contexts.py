"""A case's files on disk: the context in ``context/``, what lies beside it (``--- ../name``) one folder up."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import socket
import stat
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.differential.cases import Case, Section

ATTRIBUTES = frozenset(
    ("mode", "owner", "mtime", "symlink", "hardlink", "fifo", "socket", "device", "tar", "escaped", "crlf", "bom")
)


def write(case: Case, work: Path, names: Mapping[str, str]) -> Path:
    """Write a case's files; `names` are replaced in their texts. Gives the context."""
    context = work / "context"
    context.mkdir()
    context.chmod(0o755)
    later: list[Callable[[], object]] = []
    for section in case.sections:
        if not section.name.startswith("expect "):
            _make(section, os.fsencode(context), names, later)
    for act in reversed(later):
        act()
    return context


def named(text: str, names: Mapping[str, str]) -> str:
    """The text with every ``@name@`` replaced."""
    for name, value in names.items():
        text = text.replace(f"@{name}@", value)
    return text


def escaped(text: str) -> bytes:
    r"""The bytes of a text with ``\xff`` and the like in it."""
    if "\\" not in text:
        return text.encode()
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")


def _make(section: Section, context: bytes, names: Mapping[str, str], later: list[Callable[[], object]]) -> None:
    unknown = {key for key in section.attributes if key not in ATTRIBUTES and not key.startswith("xattr.")}
    if unknown:
        raise ValueError(f"{section.name}: unknown attribute {', '.join(sorted(unknown))}")
    given = section.attributes
    path = os.path.join(context, escaped(section.name))
    os.makedirs(os.path.dirname(path.rstrip(b"/")), mode=0o755, exist_ok=True)
    text = named(section.text, names)
    mode: int | None = 0o644
    if section.name.endswith("/"):
        os.makedirs(path, exist_ok=True)
        path, mode = path.rstrip(b"/"), 0o755
    elif "symlink" in given:
        os.symlink(escaped(given["symlink"]), path)
        mode = None
    elif "hardlink" in given:
        os.link(os.path.join(context, escaped(given["hardlink"])), path)
        mode = None
    elif "fifo" in given:
        os.mkfifo(path)
    elif "socket" in given:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
    elif "device" in given:
        major, minor = map(int, given["device"].split(":"))
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(major, minor))
    else:
        with open(path, "wb") as out:
            out.write(_content(section, text))
    if mode is not None and "mode" in given:
        mode = int(given["mode"], 8)
    _attributes(path, given, mode)
    if "mtime" in given:
        seconds = float(given["mtime"])
        later.append(lambda: os.utime(path, (seconds, seconds), follow_symlinks=False))


def _attributes(path: bytes, given: Mapping[str, str], mode: int | None) -> None:
    if "owner" in given:
        uid, _, gid = given["owner"].partition(":")
        os.lchown(path, int(uid), int(gid))
    if mode is not None:
        os.chmod(path, mode)
    for key, value in given.items():
        if key.startswith("xattr."):
            os.setxattr(path, key.removeprefix("xattr."), value.encode(), follow_symlinks=False)


def _content(section: Section, text: str) -> bytes:
    given = section.attributes
    if "tar" in given:
        return compressed(archive(text), given["tar"])
    data = escaped(text.rstrip("\n")) if "escaped" in given else text.encode()
    if "crlf" in given:
        data = data.replace(b"\n", b"\r\n")
    return b"\xef\xbb\xbf" + data if "bom" in given else data


def archive(text: str) -> bytes:
    """A tar of lines ``kind name mode uid:gid rest``: kinds are d, f (rest: content), l and h (rest: target), p."""
    kinds = {
        "d": tarfile.DIRTYPE,
        "f": tarfile.REGTYPE,
        "l": tarfile.SYMTYPE,
        "h": tarfile.LNKTYPE,
        "p": tarfile.FIFOTYPE,
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for line in text.splitlines():
            kind, name, mode, owner, *rest = line.split(" ", 4)
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime = kinds[kind], int(mode, 8), 1_000_000_000
            info.uid, info.gid = map(int, owner.split(":"))
            data = (rest[0] if rest else "").encode()
            if kind in "lh":
                info.linkname = rest[0]
            elif kind == "f":
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def compressed(data: bytes, how: str) -> bytes:
    if how == "zstd":
        from backports import zstd

        packed: bytes = zstd.compress(data)
        return packed
    ways: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        "gz": lambda plain: gzip.compress(plain, mtime=0),
        "bz2": bz2.compress,
        "xz": lzma.compress,
    }
    return ways[how](data)
