"""A sandbox and a small root for its steps."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

from img.sandbox.client import Sandbox


class Stage:
    """A busybox root and a sandbox."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.base = folder / "base"
        (self.base / "bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", self.base / "bin" / "busybox")
        for name in (
            "sh",
            "cat",
            "id",
            "ls",
            "mount",
            "sleep",
            "true",
            "echo",
            "touch",
            "mknod",
            "hostname",
            "head",
            "kill",
        ):
            (self.base / "bin" / name).symlink_to("busybox")
        self._count = 0

    def run(self, argv: list[str], memory: int | None = None, **how: Any) -> tuple[dict[str, Any], str, Path]:
        """Run a step; returns the reply, what it printed, and its upper folder."""
        self._count += 1
        place = self.folder / f"step{self._count}-{threading.get_ident()}"
        (place / "upper").mkdir(parents=True)
        (place / "work").mkdir()
        step: dict[str, Any] = {
            "lower": [str(self.base)],
            "upper": str(place / "upper"),
            "work": str(place / "work"),
            "argv": argv,
            "env": [["PATH", "/bin"]],
            "cwd": "/",
            "uid": 0,
            "gid": 0,
            "groups": [],
            "mounts": [],
            "network": "host",
            "hostname": "sandbox",
            **how,
        }
        with (place / "out").open("w+b") as out:
            reply = self.sandbox.run(step, out.fileno(), out.fileno(), memory).wait()
        return reply, (place / "out").read_text(errors="replace"), place / "upper"

    def sh(self, script: str, **how: Any) -> tuple[dict[str, Any], str, Path]:
        return self.run(["sh", "-c", script], **how)
