"""Another kind of machine: Debian's busybox for it, and its emulator in a user namespace with a register of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from tests.peers import bases

ARCHITECTURE = "arm64"
ENTRY = (
    r":qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:{program}:OPF"
)
SCRIPT = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
ready, inside = os.pipe()
mapped, outside = os.pipe()
child = os.fork()
if child == 0:
    if libc.unshare(0x10000000 | 0x20000):  # CLONE_NEWUSER, CLONE_NEWNS
        raise OSError(ctypes.get_errno(), "unshare")
    os.write(inside, b"x")
    os.read(mapped, 1)
    os.setgroups([]); os.setresgid(0, 0, 0); os.setresuid(0, 0, 0)
    os.execvp(sys.argv[1], sys.argv[1:])
os.read(ready, 1)
for kind in ("uid", "gid"):
    with open(f"/proc/{child}/{kind}_map", "w") as out:
        out.write("0 0 4294967295")
os.write(outside, b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def _package(name: str, architecture: str) -> Path:
    """The files of a Debian package for any architecture, in the cache, by way of an apt state of its own."""
    path = bases.CACHE / f"{name}-{architecture}"
    with bases.making(path) as wanted:
        if not wanted:
            return path
        part = path.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        for folder in ("lists/partial", "archives/partial", "files"):
            (part / folder).mkdir(parents=True)
        argv = ["apt-get", "-q", "-o", f"APT::Architecture={architecture}", "-o", f"Dir::State={part}"]
        argv += [
            "-o",
            f"Dir::State::lists={part}/lists",
            "-o",
            "Dir::State::status=/dev/null",
            "-o",
            f"Dir::Cache={part}",
        ]
        argv += ["-o", "Acquire::Check-Valid-Until=false", "-o", "APT::Sandbox::User=root"]
        for words in (["update"], ["download", name]):
            subprocess.run([*argv, *words], cwd=part, check=True, capture_output=True)
        (package,) = part.glob("*.deb")
        subprocess.run(["dpkg", "-x", str(package), str(part / "files")], check=True)
        os.replace(part / "files", path)
        shutil.rmtree(part)
    return path


def push_busybox(host: str, folder: Path) -> dict[str, str]:
    """Push the base for each of two architectures; their names."""
    names = {}
    for architecture in ("amd64", ARCHITECTURE):
        root = _package("busybox-static", architecture)
        entries: list[tuple[str, Any]] = [("bin/busybox", (root / "bin/busybox").read_bytes())]
        for name in ("sh", "cat", "uname"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            entries.append((link.name, link))
        names[architecture] = f"{host}/both:{architecture}"
        config = {"Env": ["PATH=/bin"]}
        layout = bases.layout(folder / architecture, [bases.tar(entries)], config, architecture)
        bases.push(layout, names[architecture])
    return names


def emulating(*argv: str) -> list[str]:
    """The command line that runs `argv` where programs for `ARCHITECTURE` run: in a user namespace with a register of
    formats of its own, which Linux has since 6.7. The machine's own stays as it is."""
    program = _package("qemu-user-static", "amd64") / "usr/libexec/qemu-binfmt/aarch64-binfmt-P"
    entry = ENTRY.format(program=program)
    script = (
        "mount --make-rprivate / && mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && "
        'printf %s "$0" > /proc/sys/fs/binfmt_misc/register && exec "$@"'
    )
    return [sys.executable, "-c", SCRIPT, "sh", "-c", script, entry, *argv]


def on_processor(model: str, *argv: str) -> list[str]:
    """The command line that runs `argv` on an x86-64 processor of another kind, e.g. ``Nehalem``."""
    return [str(_package("qemu-user-static", "amd64") / "usr/bin/qemu-x86_64-static"), "-cpu", model, *argv]
