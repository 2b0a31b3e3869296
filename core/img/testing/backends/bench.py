"""Where a case of the suite builds: one backend, one store, and what is known of each build when it has ended."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pytest

from img.backends import abilities
from img.errors import BackendError
from img.events import Event, StepLog, StepStarted
from img.ir.definition import Definition, Target
from img.ir.nodes import Copy, Exec, Node, Scratch, Source
from img.ir.values import Notes
from img.ir.walk import topological
from img.oci.platform import host_platform
from img.request import Options
from img.session import Session

PATH = "/bin"
PROGRAMS = (
    "cat chgrp chmod chown cut date dd echo env expr false grep head hostname id kill ln ls mkdir mkfifo mknod mount mv nc "
    "printf pwd rm rmdir seq setsid sh sleep sort stat tail test touch tr true umount wc yes"
).split()
"""What steps call busybox by."""
PASSWD = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/var:/bin/sh\n"
GROUP = "root:x:0:\nwww:x:33:\nextra:x:44:www\n"
BASE = Copy(Scratch(), Source("local", "base"), (".",), "/", notes=Notes("the base"))
"""What every step stands on: busybox under all its names, and two users."""


MOUNTED = ("/dev/shm", "/proc", "/sys/fs/cgroup", "/etc/hosts", "/etc/resolv.conf")
"""Mount points of every step."""


class Found(NamedTuple):
    """One entry of a result. `kind` is file, dir, symlink, char, block or fifo; hard links are files with one `name`."""

    kind: str
    mode: int
    uid: int
    gid: int
    data: bytes = b""
    target: str = ""
    device: tuple[int, int] = (0, 0)
    name: str = ""
    """The first name of the file, in the order of the archive."""
    mtime: float = 0
    xattrs: Mapping[str, str] = {}


@dataclass
class Watcher:
    """Keeps the events of a build."""

    events: list[Event] = field(default_factory=list)

    def handle(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        """Nothing to do."""

    @property
    def logs(self) -> list[StepLog]:
        return [event for event in self.events if isinstance(event, StepLog)]

    def output(self, stream: str = "stdout") -> bytes:
        """All that the steps wrote to one stream."""
        return b"".join(log.data for log in self.logs if log.stream == stream)

    @property
    def started(self) -> list[str]:
        """Titles of the steps that began."""
        return [event.title for event in self.events if isinstance(event, StepStarted)]


def sh(script: str, root: Node = BASE, *, env: Mapping[str, str] | None = None, **how: Any) -> Exec:
    """A step that runs a script with the base's shell."""
    return run(("/bin/sh", "-c", script), root, env=env, **how)


def run(argv: Sequence[str], root: Node = BASE, *, env: Mapping[str, str] | None = None, **how: Any) -> Exec:
    """A step; `how` are further fields of `Exec`."""
    variables = {"PATH": PATH, **(env or {})}
    how.setdefault("notes", Notes(f"RUN {' '.join(argv)[:60]}"))
    return Exec(root, tuple(argv), tuple(variables.items()), **how)


class Bench:
    """One backend with a store of its own. `fresh` is a store where nothing is cached."""

    def __init__(self, place: Path, backend: str, settings: Mapping[str, str], busybox: str) -> None:
        self.backend = backend
        self.place = place
        self.session = Session(place / "store", settings)
        self._folders = {"base": base(place / "base", busybox)}
        self._count = 0
        self._before: dict[str, Found] = {}

    @property
    def abilities(self) -> frozenset[str]:
        """What the backend says it can do here."""
        return abilities(self.backend, self.session.engine.load("backend", self.backend))

    def context(self, name: str) -> Path:
        """A new folder that is the local source of that name."""
        self._folders[name] = place = self.place / f"context-{name}"
        place.mkdir()
        return place

    def build(self, *nodes: Node, watcher: Watcher | None = None, **options: Any) -> Watcher:
        """Make the nodes; nothing is written out. Returns what was seen, which `watcher` also gets if the build fails."""
        seen = watcher or Watcher()
        wanted = Options(backend=self.backend, **options)
        self.session.build_definition(Definition(tuple(map(target, nodes))), wanted, self._folders, [seen])
        return seen

    def output(self, node: Node, **options: Any) -> str:
        """What the steps of a build write to stdout, as text."""
        return self.build(node, **options).output().decode()

    def tree(self, node: Node, **options: Any) -> dict[str, Found]:
        """The files of a node's result by path, without the base's own unless they were changed."""
        self._count += 1
        archive = self.place / f"{self._count}.tar"
        self.build(node, outputs=({"type": "tar", "dest": os.fspath(archive)},), **options)
        with archive.open("rb") as stream:
            return dict(_read(stream.read()))

    def made(self, node: Node, **options: Any) -> dict[str, Found]:
        """The entries that the result has and the base has not, or has otherwise (but for times), and without mount points
        if the backend says that it leaves some."""
        before = self._before or {path: found._replace(mtime=0) for path, found in self.tree(BASE).items()}
        self._before = before
        found = self.tree(node, **options)
        left = frozenset() if "mounts.traceless" in self.abilities else mount_points(node)
        return {
            path: one
            for path, one in found.items()
            if before.get(path) != one._replace(mtime=0) and not (path in left and one.data == b"")
        }

    @contextmanager
    def given(self, ability: str, node: Node, **options: Any) -> Iterator[bool]:
        """Whether the backend has the ability. If it lacks it, building `node` must be refused before anything runs."""
        if ability in self.abilities:
            yield True
            return
        seen = Watcher()
        with pytest.raises(BackendError) as refused:
            self.build(node, watcher=seen, **options)
        assert ability in refused.value.message and self.backend in refused.value.message
        assert seen.started == []
        yield False

    def close(self) -> None:
        self.session.close()
        shutil.rmtree(self.place, ignore_errors=True)


def mount_points(node: Node) -> frozenset[str]:
    """Where something is mounted in the steps that make a node, with the folders above."""
    steps = [one for one in topological([node]) if isinstance(one, Exec)]
    paths = {*MOUNTED, *(mount.target for one in steps for mount in one.mounts)} if steps else set()
    return frozenset(
        os.fspath(above) for path in paths for above in (PurePosixPath(path), *PurePosixPath(path).parents)
    )


def target(node: Node) -> Target:
    """An image of one layer, made of everything that `node` stands on."""
    platform = host_platform()
    config = {
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {},
        "history": [{"created_by": "conformance", "comment": "img.testing"}],
    }
    return Target(node, config, str(platform), (node.digest,))


def base(folder: Path, busybox: str) -> Path:
    """The folder that the base is copied from. `busybox` is the path of a static one; empty: the machine's own."""
    program = busybox or next(
        (path for path in ("/bin/busybox", shutil.which("busybox")) if path and os.path.exists(path)), ""
    )
    if not program:
        pytest.fail("the suite needs a static busybox: install busybox-static, or set `busybox` to the path of one")
    for name in ("bin", "etc", "root", "var", "tmp", "mnt"):
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(0o755)
    (folder / "root").chmod(0o700)
    (folder / "tmp").chmod(0o1777)
    shutil.copy(program, folder / "bin" / "busybox")
    (folder / "bin" / "busybox").chmod(0o755)
    for name in PROGRAMS:
        (folder / "bin" / name).symlink_to("busybox")
    (folder / "etc" / "passwd").write_text(PASSWD)
    (folder / "etc" / "group").write_text(GROUP)
    return folder


KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}


def _read(data: bytes) -> Iterator[tuple[str, Found]]:
    """Every entry of a tar. A hard link is a file with the content, and the name, of what it links to."""
    seen: dict[str, Found] = {}
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as archive:
        for info in archive:
            path = "/" + info.name.removeprefix("./").strip("/")
            if info.type == tarfile.LNKTYPE:
                seen[path] = seen["/" + info.linkname.removeprefix("./").strip("/")]
                yield path, seen[path]
                continue
            stream = archive.extractfile(info) if info.isreg() else None
            seen[path] = Found(
                KINDS[info.type],
                info.mode & 0o7777,
                info.uid,
                info.gid,
                stream.read() if stream is not None else b"",
                info.linkname,
                (info.devmajor, info.devminor) if info.type in (tarfile.CHRTYPE, tarfile.BLKTYPE) else (0, 0),
                path,
                float(info.mtime),
                {
                    k.removeprefix("SCHILY.xattr."): v
                    for k, v in info.pax_headers.items()
                    if k.startswith("SCHILY.xattr.")
                },
            )
            yield path, seen[path]
