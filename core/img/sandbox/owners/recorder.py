"""The recorder's process, beside the step that it serves.

It is forked before the step's namespaces are made, so that it sees the step's processes and they not it; when the step's
process has put itself under the filter, it enters the step's mounts, and so its root. It does nothing that could wait for
a process of the step, and ends when none is left. If it ends before that, the step is killed: nobody may go on unrecorded.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from img.sandbox import libc, wire
from img.sandbox.owners import asking, being, calls, changing, making, program
from img.sandbox.owners.identity import Identities, carry_first, one
from img.sandbox.owners.listener import Call, Listener
from img.sandbox.owners.table import Owner, Table
from img.sandbox.owners.where import DONE, Reply, Served, process_of, root_of

Answer = Callable[[Served, Call], Reply]
SYSTEMS = ("/proc", "/sys", "/dev/pts", "/dev/mqueue")
FOREIGN = b"img: a program for another kind of processor (32 bits?) can't run where ownership is recorded\n"


def fork(step: dict[str, Any], stderr: int, out: int) -> tuple[int, socket.socket]:
    """Start the recorder of `step`, whose ``owners`` are the rows of its table, and ``given`` the owners of files that its
    mounts bring, as [path, uid, gid]. What it knows at the end goes to `out` as JSON: the rows, or if it failed, why.
    Returns its process id, and the end of a socket that the step's process is to have (`attach`)."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    me = os.getpid()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            libc.die_with_parent(me)
            theirs.close()
            code = _main(step, mine, stderr, out)
        finally:
            os._exit(code)
    mine.close()
    return child, theirs


def attach(descriptor: int, *, user: bool) -> None:
    """Put this process, the first of a step, under its recorder; `user`: it is to be somebody else than root.

    Raises `OSError`, e.g. where the kernel has no such thing. Everything that is asked afterwards has to be answered, so
    that nothing is done in between.
    """
    sock = socket.socket(fileno=descriptor)
    mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    carry_first()
    libc.prctl(libc.PR_SET_DUMPABLE, 1)  # it is read by who has not its user namespace's rights over the builder
    listener = program.install(user=user)
    wire.send(sock, {}, [listener, mounts])
    os.close(listener)
    sock.close()


def _main(step: dict[str, Any], control: socket.socket, stderr: int, out: int) -> int:
    try:
        rows = _record(step, control, stderr)
    except BaseException:
        os.write(out, json.dumps(traceback.format_exc()).encode())
        return 1
    with os.fdopen(out, "w", encoding="ascii", closefd=False) as file:
        json.dump(rows, file)
    return 0


def _record(step: dict[str, Any], control: socket.socket, stderr: int) -> list[list[object]]:
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    table = Table(step["owners"])
    received = wire.receive(control)
    if received is None:
        return table.rows()  # the step never started
    descriptor, mounts = received[1]
    libc.setns(mounts, libc.CLONE_NEWNS)
    os.close(mounts)
    for path, uid, gid in step["given"]:
        table.set(os.stat(path), Owner(uid, gid))
    identities = Identities(one(step["uid"], step["gid"], step["groups"]))
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    served = Served(Listener(descriptor), table, identities, proc, root, _systems())
    _serve(served, stderr)
    while control.recv(4096):  # until the step's own init has ended as well
        pass
    return table.rows()


def _systems() -> frozenset[int]:
    found = set()
    for path in SYSTEMS:
        with suppress(OSError):
            found.add(os.stat(path).st_dev)
    return frozenset(found)


def _serve(served: Served, stderr: int) -> None:
    machine = calls.here()
    assert machine is not None
    every = asking.ANSWERS | making.ANSWERS | being.ANSWERS | changing.ANSWERS
    answers = {number: every[name] for name, number in machine.numbers.items()}
    waiting = select.poll()
    waiting.register(served.listener.descriptor, select.POLLIN)
    while True:
        ((_, event),) = waiting.poll()
        if not event & select.POLLIN:
            return
        call = served.listener.receive()
        if call is None:
            continue
        if call.architecture != machine.audit:
            _end_foreign(served, call, stderr)
            continue
        _answer(served, call, answers[call.number])


def _end_foreign(served: Served, call: Call, stderr: int) -> None:
    """Nothing is known of its calls, not even that by which it would end."""
    with suppress(OSError):
        process = process_of(served, call)
        try:
            os.write(stderr, FOREIGN)
            signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)


def _answer(served: Served, call: Call, answer: Answer) -> None:
    try:
        if served.chrooted:
            with root_of(served, call):
                reply = answer(served, call)
        else:
            reply = answer(served, call)
    except OSError as error:
        served.listener.answer(call, error=error.errno or errno.EIO)
        return
    except (OverflowError, ValueError):  # a number that the kernel, too, finds no sense in
        served.listener.answer(call, error=errno.EINVAL)
        return
    if reply is None:
        served.listener.proceed(call)
    elif reply != DONE:
        served.listener.answer(call, reply)


def failure(text: str) -> str:
    """The last line of a failed recorder's words."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it was killed"
