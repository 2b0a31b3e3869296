"""The bases of the cases: busybox with a full root, the same with every kind of file and setting, and with triggers."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

from tests.peers import bases


def push_bases(host: str, folder: Path) -> dict[str, str]:
    """Push them; gives the reference of each by its name in the cases."""
    plain = bases.tar([(name, None) for name in ("dev", "proc", "sys", "run", "home", "opt", "srv")])
    layers = [bases.busybox_tar(), plain]
    env = {"Env": ["PATH=/bin"], "Cmd": ["sh"]}
    images: dict[str, tuple[list[bytes], dict[str, Any]]] = {
        "base": (layers, env),
        "rich": ([*layers, _rich_tar(), _upper_tar()], RICH),
        "onbuild": (layers, {**env, "OnBuild": ["RUN echo first > /first", "ENV SECOND=2", "COPY trigger* /trigger/"]}),
    }
    found: dict[str, str] = {}
    for name, (tars, config) in images.items():
        found[name] = f"{host}/{name}:1"
        bases.push(bases.layout(folder / name, tars, config), found[name])
    return found


RICH: dict[str, Any] = {
    "Env": ["PATH=/bin", "INHERITED=from the base", "EMPTY="],
    "Cmd": ["base-command"],
    "Entrypoint": ["base-entrypoint"],
    "User": "www",
    "WorkingDir": "/srv/work",
    "Labels": {"base": "yes", "shared": "base"},
    "ExposedPorts": {"1000/tcp": {}},
    "Volumes": {"/base-volume": {}},
    "StopSignal": "SIGINT",
    "Healthcheck": {"Test": ["CMD", "base-check"], "Interval": 5_000_000_000},
    "Shell": ["/bin/ash", "-c"],
}


def _rich_tar() -> bytes:
    return bases.tar(
        [
            ("srv/work", None),
            ("base-volume", None),
            ("tree", None),
            ("tree/file", b"lower file\n"),
            ("tree/other", b"lower other\n"),
            ("tree/dir", None),
            ("tree/dir/a", b"a\n"),
            ("tree/dir/b", b"b\n"),
            ("tree/link", "file"),
            ("tree/dirlink", "dir"),
            ("tree/absolute", "/tree/dir"),
            ("tree/dangling", "/nowhere"),
            _entry("tree/owned", tarfile.REGTYPE, 0o640, (5, 6)),
            _entry("tree/sticky", tarfile.DIRTYPE, 0o1777, (0, 0)),
            _entry("tree/setuid", tarfile.REGTYPE, 0o4755, (0, 0)),
            _entry("tree/setgid", tarfile.DIRTYPE, 0o2775, (0, 33)),
            _entry("tree/hard", tarfile.LNKTYPE, 0o755, (0, 0), "tree/file"),
            _entry("tree/fifo", tarfile.FIFOTYPE, 0o600, (0, 0)),
            ("tree/gone", b"hidden by the layer above\n"),
            ("tree/opaque", None),
            ("tree/opaque/gone", b"hidden by the layer above\n"),
        ]
    )


def _upper_tar() -> bytes:
    return bases.tar(
        [
            ("tree", None),
            ("tree/.wh.gone", b""),
            ("tree/opaque", None),
            ("tree/opaque/.wh..wh..opq", b""),
            ("tree/opaque/kept", b"kept\n"),
        ]
    )


def _entry(name: str, kind: bytes, mode: int, owner: tuple[int, int], link: str = "") -> tuple[str, tarfile.TarInfo]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, link
    entry.uid, entry.gid = owner
    return name, entry
