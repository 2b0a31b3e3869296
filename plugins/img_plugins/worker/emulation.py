"""Steps of images for another kind of machine: whether this one can run them, by way of binfmt_misc and an emulator.

The kernel's register is read as it is (binfmt-misc.rst): an entry counts if it would take a program of that machine,
whatever its name is. Where the register can't be seen (it is not mounted in every container) the step is tried.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from img.errors import BackendError
from img.events import Warning
from img.ir.nodes import Exec, Source
from img.ir.walk import chain
from img.oci.platform import Platform, host_platform
from img.ports import Host

REGISTER = Path("/proc/sys/fs/binfmt_misc")
ALSO = {("amd64", "386"), ("arm64", "arm")}
"""(machine, architecture) that a kernel mostly runs by itself."""

MACHINES: dict[str, tuple[int, Literal["little", "big"], int]] = {
    "386": (1, "little", 3),
    "amd64": (2, "little", 62),
    "arm": (1, "little", 40),
    "arm64": (2, "little", 183),
    "loong64": (2, "little", 258),
    "mips64le": (2, "little", 8),
    "ppc64le": (2, "little", 21),
    "riscv64": (2, "little", 243),
    "s390x": (2, "big", 22),
}
"""ELF class, byte order and machine number of each architecture (elf.h)."""

CROSS = "or cross-compile in a stage that begins FROM --platform=$BUILDPLATFORM"
REMEDY = f"install an emulator (Debian, Ubuntu: apt-get install qemu-user-static binfmt-support), {CROSS}"


class Entry(NamedTuple):
    """One enabled line of the register that goes by magic bytes."""

    interpreter: str
    flags: str
    offset: int
    magic: bytes
    mask: bytes

    def takes(self, head: bytes) -> bool:
        """Whether a program that begins with `head` would be given to this interpreter."""
        part = head[self.offset : self.offset + len(self.magic)]
        mask = self.mask or b"\xff" * len(self.magic)
        return len(part) == len(self.magic) and all(
            (byte ^ magic) & bits == 0 for byte, magic, bits in zip(part, self.magic, mask, strict=True)
        )


class Emulation:
    """Looks at each step before it runs; tells once of each platform that is emulated."""

    def __init__(self, host: Host, register: Path = REGISTER) -> None:
        self._host = host
        self._register = register
        self._lock = threading.Lock()
        self._told: set[str] = set()

    def check(self, node: Exec) -> None:
        """Raises `BackendError` with the step's place if nothing here can run it."""
        platform = foreign(node)
        if platform is None or not (self._register / "status").exists():
            return
        found = next((entry for entry in entries(self._register) if entry.takes(head_of(platform))), None)
        if found is None:
            raise cannot(node, platform)
        if "F" not in found.flags:
            raise BackendError(
                f"{found.interpreter}, which runs {platform} here, is not at hand inside of an image",
                hint="it has to be registered with the flag F, as Debian's qemu-user-static does",
                place=node.notes.place,
            )
        self._tell(node, platform, os.path.basename(os.path.realpath(found.interpreter)))

    def _tell(self, node: Exec, platform: Platform, name: str) -> None:
        with self._lock:
            if str(platform) in self._told:
                return
            self._told.add(str(platform))
        words = f"steps for {platform} are emulated here ({name}), which takes several times as long; {CROSS[3:]}"
        self._host.emit(Warning(words, node.notes.place, time.monotonic()))


def cannot(node: Exec, platform: Platform) -> BackendError:
    """The error for a step that this machine can't run."""
    return BackendError(
        f"this machine ({host_platform()}) can't run a step of an image for {platform}",
        hint=REMEDY,
        place=node.notes.place,
    )


def foreign(node: Exec) -> Platform | None:
    """The platform of the image that a step runs in, if it is for another kind of machine than this."""
    base = chain(node.root)[0]
    text = dict(base.attrs).get("platform", "") if isinstance(base, Source) else ""
    if not text:
        return None
    platform, here = Platform.parse(text), host_platform()
    same = platform.architecture == here.architecture or (here.architecture, platform.architecture) in ALSO
    return None if same else platform


def head_of(platform: Platform) -> bytes:
    """How a program for the platform begins: an ELF header. Empty for an architecture that is not known."""
    if platform.architecture not in MACHINES:
        return b""
    width, order, machine = MACHINES[platform.architecture]
    ident = b"\x7fELF" + bytes((width, 1 if order == "little" else 2, 1)) + bytes(9)
    return ident + b"".join(number.to_bytes(2, order) for number in (2, machine))


def entries(register: Path) -> Iterator[Entry]:
    """What the register has, if it is enabled at all."""
    if _read(register / "status").strip() != "enabled":
        return
    for path in sorted(register.iterdir()):
        if path.name not in ("register", "status") and (entry := _parsed(_read(path))) is not None:
            yield entry


def _parsed(text: str) -> Entry | None:
    lines = text.splitlines()
    fields = dict(line.partition(" ")[::2] for line in lines[1:])
    if lines[:1] != ["enabled"] or "magic" not in fields:
        return None
    magic, mask = bytes.fromhex(fields["magic"]), bytes.fromhex(fields.get("mask", ""))
    flags = fields.get("flags:", "")
    return Entry(fields.get("interpreter", ""), flags, int(fields.get("offset", "0")), magic, mask)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
