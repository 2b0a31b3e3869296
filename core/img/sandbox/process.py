"""The process of a step, from inside its namespaces: who it is, what it may do, and exec."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from typing import Any

from img.sandbox import libc, seccomp, secrets

DEFAULT_CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
"""What Docker leaves to a container: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,
net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap."""

_LAST = 63


def run(step: dict[str, Any], fds: list[int], failure: int) -> None:
    """Become the step's process; never returns. `fds` are stdout, stderr and perhaps the memory file of secrets. What
    fails before exec is written to `failure` as text."""
    stage, told = "start", failure
    try:
        os.setsid()
        stage = "descriptors"
        environment = secrets.environment(step, fds[2] if len(fds) > 2 else None)
        asked = _descriptors(fds[0], fds[1], failure, step.get("recorder"))
        told = 3
        stage = "limits"
        _limits(step.get("limits", []))
        stage = "capabilities"
        if not step.get("insecure"):
            _bound(step.get("capabilities", DEFAULT_CAPABILITIES))
            stage = "seccomp filter"
            if step.get("filter", True):
                seccomp.install()
        stage = "user"
        os.umask(0o022)
        _own_streams(step)
        _working_folder(step["cwd"])
        if asked is None:
            os.setgroups(step["groups"])
            os.setresgid(step["gid"], step["gid"], step["gid"])
            os.setresuid(step["uid"], step["uid"], step["uid"])
        else:
            from img.sandbox.owners import recorder  # loaded before the fork, by `img.sandbox.recorded`

            recorder.attach(asked, user=step["uid"] != 0)
        stage = "cwd"
        os.chdir(step["cwd"])
        stage = "exec"
        _exec(step["argv"], environment)
    except OSError as error:
        os.write(
            told, f"{stage}\0{error.errno or 0}\0{error.strerror}\0{error.filename or ''}".encode("utf-8", "replace")
        )
    except BaseException as error:
        os.write(told, f"{stage}\0000\0{type(error).__name__}: {error}\0".encode("utf-8", "replace"))
    os._exit(127)


def _descriptors(stdout: int, stderr: int, failure: int, recorder: int | None) -> int | None:
    """0, 1 and 2 are the step's; 3 tells of a failure and is closed by exec, and so is 4, the recorder's, which is
    returned; nothing else stays open."""
    kept = (stdout, stderr, failure) if recorder is None else (stdout, stderr, failure, recorder)
    high = [os.dup2(fd, number, inheritable=False) for number, fd in enumerate(kept, 200)]
    null = os.open("/dev/null", os.O_RDONLY)
    if null != 0:
        os.dup2(null, 0)
    os.dup2(high[0], 1)
    os.dup2(high[1], 2)
    os.dup2(high[2], 3, inheritable=False)
    if recorder is None:
        libc.close_from(4)
        return None
    os.dup2(high[3], 4, inheritable=False)
    libc.close_from(5)
    return 4


def _own_streams(step: dict[str, Any]) -> None:
    """Give the process its pipes, as runc does: else a user could not open /dev/stdout."""
    for stream in (1, 2):
        with contextlib.suppress(OSError):  # the pipe of somebody who is no id here
            os.fchown(stream, step["uid"], step["gid"])


def _working_folder(path: str) -> None:
    """Make the working folder if it is gone, as root, as runc does. What is in its way shows when it is entered."""
    with contextlib.suppress(OSError):
        os.makedirs(path, 0o755)


def _limits(limits: list[list[Any]]) -> None:
    for name, soft, hard in limits:
        number = getattr(resource, f"RLIMIT_{name.upper()}", None)
        if number is None:
            raise OSError(22, f"there is no limit named {name}")
        resource.setrlimit(number, (soft, hard))


def _bound(allowed: tuple[int, ...]) -> None:
    """Drop every other capability from the bounding set: exec gives root no more than what is left there."""
    for number in range(_LAST + 1):
        try:
            if number not in allowed and libc.prctl(libc.PR_CAPBSET_READ, number):
                libc.prctl(libc.PR_CAPBSET_DROP, number)
        except OSError:
            break
    libc.prctl(libc.PR_CAP_AMBIENT, libc.PR_CAP_AMBIENT_CLEAR_ALL)


def _exec(argv: list[str], environment: dict[str, str]) -> None:
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    name = argv[0]
    if "/" in name:
        os.execve(name, argv, environment)
    path = environment.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    problem: OSError = FileNotFoundError(2, "No such file or directory", name)
    for folder in path.split(":"):
        try:
            os.execve(f"{folder or '.'}/{name}", argv, environment)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            problem = error
    raise problem
