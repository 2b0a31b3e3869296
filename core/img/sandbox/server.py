"""The helper process. It has one thread, enters its namespaces first, and forks for every job.

It lives as long as the engine's end of the control socket is open; then it ends, and everything it started with it.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from img.sandbox import chrooted, libc, probe, processes, seccomp, step, wire
from img.sandbox.ids import one_id
from img.sandbox.refused import Refused

RUN = f"{step.__name__}:{step.supervise.__name__}"


def main(control_fd: int, paths: list[str], found: dict[str, str] | None = None) -> None:
    """Serve jobs until the engine is gone. Called in the fresh process that `client.Sandbox.start` spawns; with `found`,
    what is known to be possible, it stays in the namespaces it is in."""
    os.setsid()
    libc.close_from(control_fd + 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.path[:0] = [path for path in paths if path not in sys.path]
    seccomp.program()
    control = socket.socket(fileno=control_fd)
    wire.send(control, _alone(found) if found else _enter(control))
    _serve(control)


def _enter(control: socket.socket) -> dict[str, str]:
    """Enter the namespaces this machine allows; says which rung that is, or what is missing."""
    if os.geteuid() == 0 and not one_id():
        try:
            libc.unshare(libc.CLONE_NEWNS)
            libc.mount("none", "/", "", libc.MS_REC | libc.MS_PRIVATE)
        except OSError as error:
            return _without_namespaces(error)
        return {"rung": "overlay", "reason": "root with mount namespaces", "remedy": ""}
    if os.geteuid() == 0:
        return _alone({"reason": "this user namespace has a single id", "remedy": "a namespace with a range of ids"})
    try:
        libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWNS)
    except OSError as error:
        return _no_namespace(error)
    wire.send(control, {"map": str(os.getpid())})
    answer = wire.receive(control)
    if answer is None:
        os._exit(0)
    problem: dict[str, str] = answer[0]
    if problem:
        return problem
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    os.setgroups([])
    libc.mount("none", "/", "", libc.MS_REC | libc.MS_PRIVATE)
    return {"rung": "userns", "reason": "a user namespace with a range of ids", "remedy": ""}


def _alone(found: dict[str, str]) -> dict[str, str]:
    """Enter a user namespace with a single id, if this is not in one: for `found`, what kept it from a range of ids."""
    from img.sandbox import alone  # with the recorder, which no other rung needs

    try:
        alone.enter()
        lacking = probe.tried(alone.try_recorder)
    except OSError as error:
        return {**_no_namespace(error), "reason": f"{found['reason']}, and {_no_namespace(error)['reason']}"}
    if lacking:
        return {**found, "rung": "none", "reason": f"{found['reason']}, and ownership can't be recorded: {lacking}"}
    return {**found, "rung": "one-id"}


def _no_namespace(error: OSError) -> dict[str, str]:
    return {
        "rung": "none",
        "reason": f"user namespaces are not allowed here ({error.strerror})",
        "remedy": "sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0, and on Ubuntu "
        "kernel.apparmor_restrict_unprivileged_userns=0",
    }


def _without_namespaces(error: OSError) -> dict[str, str]:
    """What root in a confined container stands on."""
    reason = f"root here may not make mount namespaces ({error.strerror})"
    remedy = "give the container CAP_SYS_ADMIN and an unconfined seccomp profile, or be an ordinary user with user namespaces"
    lacking = chrooted.missing()
    if not lacking:
        libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 1)
        return {"rung": "copy", "reason": reason, "remedy": remedy}
    names = ", ".join(lacking)
    return {
        "rung": "none",
        "reason": f"{reason}, nor has it what copies and chroot take: {names}",
        "remedy": f"give the container the capabilities {names}, which docker and Kubernetes give by default",
    }


def _serve(control: socket.socket) -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    watched = select.poll()
    watched.register(control, select.POLLIN | select.POLLHUP)
    watched.register(reader, select.POLLIN)
    jobs: set[int] = set()
    while True:
        for fd, _ in watched.poll():
            if fd == reader:
                os.read(reader, 4096)
                _reap(jobs)
            elif not _accept(control, jobs):
                os._exit(0)


def _reap(jobs: set[int]) -> None:
    """Reap what has ended. Where steps have no namespaces, one may have killed the job that watches it: what it leaves falls
    to this process then, and must not live on."""
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if ended == 0:
            return
        if ended in jobs and os.WIFSIGNALED(status):
            for orphan in processes.children(os.getpid()):
                if orphan not in jobs:
                    for pid in (orphan, *processes.descendants(orphan)):
                        with suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
        jobs.discard(ended)


def _accept(control: socket.socket, jobs: set[int]) -> bool:
    """Take one job, fork for it, and note the process. False when the engine is gone."""
    received = wire.receive(control)
    if received is None:
        return False
    request, fds = received
    for function in _named(request):
        _preload(function)
    me = os.getpid()
    job = os.fork()
    if job == 0:
        code = 1
        try:
            control.close()
            libc.die_with_parent(me)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            code = _job(request, fds)
        finally:
            os._exit(code)
    jobs.add(job)
    for fd in fds:
        os.close(fd)
    return True


def _preload(function: str) -> None:
    """Import the function's module here, once, so that no child has to. Its errors are the child's to tell."""
    try:
        importlib.import_module(function.partition(":")[0])
    except Exception:
        return


def _job(request: dict[str, Any], fds: list[int]) -> int:
    job = socket.socket(fileno=fds.pop(0))
    try:
        if "step" in request:
            reply = _step(request["step"], fds, job)
        else:
            keywords = {"fds": fds} if fds else {}
            reply = {"result": _function(request["function"])(*request["args"], **keywords)}
    except BaseException as error:
        reply = {"error": _told(error)}
    try:
        wire.send(job, reply)
    except BrokenPipeError:
        return 1
    return 0


def _step(step: dict[str, Any], fds: list[int], job: socket.socket) -> dict[str, Any]:
    """A step with what comes before and after it, all in one child (see `client.Sandbox.run`)."""
    if step.get("before"):
        step = _function(step["before"])(step)
    reply: dict[str, Any] = _function(step.get("run") or RUN)(step, fds, job)
    if step.get("after") and reply.get("status") == 0:
        reply["made"] = _function(step["after"])(step)
    return reply


def _named(request: dict[str, Any]) -> list[str]:
    """The functions that a request will call."""
    step = request.get("step", {})
    names = [request.get("function"), step.get("before"), step.get("run"), step.get("after")]
    return [name for name in names if name]


def _function(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _told(error: BaseException) -> list[Any]:
    """An error as the engine can raise it again: module, class, message, hint."""
    kind = type(error)
    if isinstance(error, Refused):
        return ["img.errors", "BackendError", str(error), error.remedy]
    if kind.__module__ == "img.errors":
        return [kind.__module__, kind.__qualname__, str(error), getattr(error, "hint", "")]
    import traceback

    return ["", kind.__qualname__, f"{kind.__name__}: {error}", "".join(traceback.format_exception(error))]


if __name__ == "__main__":
    main(3, json.loads(sys.argv[1]))
