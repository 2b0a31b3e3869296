"""One step where there is a single id: as any other, with a recorder beside it (`img.sandbox.owners`)."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from typing import Any

from img.sandbox import step as steps
from img.sandbox.owners import recorder
from img.sandbox.step import Reply


def supervise(step: dict[str, Any], fds: list[int], job: socket.socket) -> Reply:
    """See `img.sandbox.step.supervise`. `step` has ``root``, the folder that is its root, and ``owners`` and ``given`` for
    the recorder. The reply has ``owners``: the rows of its table at the end."""
    given = [[mount["target"], mount["uid"] or 0, mount["gid"] or 0] for mount in step["mounts"] if "uid" in mount]
    out = os.memfd_create("owners", os.MFD_CLOEXEC)
    pid, theirs = recorder.fork({**step, "given": given}, fds[1], out)
    needed = os.pidfd_open(pid)
    try:
        reply = steps.supervise({**step, "recorder": theirs.fileno()}, fds, job, needed)
    finally:
        with suppress(OSError):
            theirs.close()
        os.waitpid(pid, 0)
        os.close(needed)
    with os.fdopen(out, "rb") as file:
        file.seek(0)
        told = file.read()
    if reply.get("failed"):
        return reply
    owners = json.loads(told) if told else ""
    if isinstance(owners, str):
        return {"failed": ["recorder", 0, recorder.failure(owners), ""]}
    return {**reply, "owners": owners}
