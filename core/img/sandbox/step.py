"""One step: a supervisor in the helper's namespaces, an init as process 1 of the step's own, and the process itself.

The supervisor watches the engine's end of the job: when that closes, or says so, it kills process 1, and with it the
kernel kills everything in the step's process namespace and drops its mounts. If the helper dies, so does all of it.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
from typing import Any

from img.sandbox import cgroups, groups, libc, limits, network, process, root

Reply = dict[str, Any]


def supervise(step: dict[str, Any], fds: list[int], job: socket.socket, needed: int | None = None) -> Reply:
    """Run `step` (see `client.Sandbox.run`) with ``fds`` as its stdout and stderr, and perhaps the memory file of its
    secrets; returns the reply to the engine. When the process of the descriptor
    `needed` ends, so does the step. Raises `Refused` for a promise that can't be kept."""
    kept = limits.begin(step)
    attached = None
    try:
        helper = limits.alone(kept)
        attached = network.attach(step)
        return _supervise(step, fds, job, kept, attached, (helper, needed))
    finally:
        if attached is not None:
            attached.end()
        kept.end()


def _supervise(
    step: dict[str, Any],
    fds: list[int],
    job: socket.socket,
    kept: limits.Kept,
    attached: network.Attached | None,
    others: tuple[int | None, ...],
) -> Reply:
    flags = libc.CLONE_NEWPID | libc.CLONE_NEWIPC | libc.CLONE_NEWUTS
    if step.get("network") == "none":
        flags |= libc.CLONE_NEWNET
    reader, writer = os.pipe()
    try:
        libc.unshare(flags)
        me = os.getpid()
        init = os.fork()
        if init == 0:
            os.close(reader)
            _init(step, fds, writer, job, me, kept, attached)
    except OSError as error:
        return {"failed": ["namespaces", error.errno, error.strerror, error.filename or ""]}
    os.close(writer)
    for fd in fds:
        os.close(fd)
    kept.below = init
    if attached is not None:
        try:
            attached.serve(init)
        except BaseException:
            os.kill(init, signal.SIGKILL)
            os.waitpid(init, 0)
            raise
    status = os.waitstatus_to_exitcode(wait_for(init, job, *others, kept=kept))
    trouble = read_all(reader)
    if trouble:
        stage, number, text, name = trouble.decode("utf-8", "replace").split("\0")[:4]
        return {"failed": [stage, int(number), text, name]}
    status = status if status >= 0 else 128 - status
    return {"status": status, **kept.verdict(status)}


def wait_for(init: int, job: socket.socket, *others: int | None, kept: limits.Kept | None = None) -> int:
    """Wait for a process to end; kill it if the engine says so or is gone, when the process of a descriptor of
    `others` ends, or when it is over a limit of `kept`. Returns its wait status."""
    pidfd = os.pidfd_open(init)
    watched = select.poll()
    watched.register(pidfd, select.POLLIN)
    watched.register(job, select.POLLIN | select.POLLHUP)
    for other in others:
        if other is not None:
            watched.register(other, select.POLLIN)
    try:
        while True:
            for fd, _ in watched.poll(kept.pause() if kept else None):
                if fd == pidfd:
                    return os.waitpid(init, 0)[1]
                os.kill(init, signal.SIGKILL)
                watched.unregister(fd)
            if kept is not None and kept.over():
                os.kill(init, signal.SIGKILL)
    finally:
        os.close(pidfd)


def read_all(reader: int) -> bytes:
    """All that comes from a pipe, which is then closed."""
    parts: list[bytes] = []
    while data := os.read(reader, 65536):
        parts.append(data)
    os.close(reader)
    return b"".join(parts)


def _init(
    step: dict[str, Any],
    fds: list[int],
    failure: int,
    job: socket.socket,
    parent: int,
    kept: limits.Kept,
    attached: network.Attached | None,
) -> None:
    """Process 1: make the root, start the process, reap, and end as the process ended."""
    stage = "setup"
    memory = fds[2] if len(fds) > 2 else None
    try:
        job.close()
        libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.unshare(libc.CLONE_NEWNS)  # not the supervisor's: it has work on the trees when all this is gone
        stage = "cgroup"
        if step.get("cgroup") and not (kept.group and kept.group.unified):
            cgroups.enter(step["cgroup"])
        entrances = kept.entrances()
        stage = "network"
        if attached is not None:
            libc.unshare(libc.CLONE_NEWNET)
            attached.wait()
        stage = "root"
        root.enter(step, memory)
        libc.prctl(libc.PR_SET_DUMPABLE, 0)
        stage = "hostname"
        libc.sethostname(step["hostname"])
        stage = "network"
        if step.get("network") == "none":
            loopback()
        stage = "fork"
        child = os.fork()
        if child == 0:
            groups.join(entrances)  # not this process: it is none of the step's, and must outlive what is killed there
            process.run(step, fds, failure)
        if step.get("recorder"):
            os.close(step["recorder"])
    except BaseException as error:
        os.write(failure, _what_failed(stage, error))
        os._exit(125)
    libc.close_from(0)  # the helper's, and folders of the machine among them: the step must find none by /proc/1/fd
    _reap(child)


def _what_failed(stage: str, error: BaseException) -> bytes:
    """Stage, errno, words and file, which `_supervise` takes apart."""
    if isinstance(error, OSError):
        text = f"{stage}\0{error.errno or 0}\0{error.strerror}\0{error.filename or ''}"
    else:
        text = f"{stage}\0000\0{type(error).__name__}: {error}\0"
    return text.encode("utf-8", "replace")


def _reap(child: int) -> None:
    """Wait for every process, and end as the first one ended."""
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def loopback() -> None:
    """Bring ``lo`` up in a fresh network namespace: SIOCSIFFLAGS (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))
