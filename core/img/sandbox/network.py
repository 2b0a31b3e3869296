"""The network of a step that may reach the world but not this machine: a namespace of its own, and a program that passes
its traffic on from outside with ordinary sockets (pasta of passt, or slirp4netns).

The program runs beside the step: outside its process namespace, in the supervisor's network. It is started before the
supervisor enters any namespace, and told which one to serve when there is one. Nothing is forwarded into the step, and
no address leads to the loopback of this machine, but that of the name server, which the program asks in the step's place.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from typing import Any

from img.sandbox import libc
from img.sandbox.refused import Refused

PROGRAMS = ("pasta", "slirp4netns")
PACKAGES = "install the package passt or slirp4netns; or give the step --network=host or --network=none"
ADDRESS, GATEWAY, DNS = "10.0.2.100", "10.0.2.2", "10.0.2.3"
"""What a step sees, the same on every machine and with either program."""
PATIENCE = 20.0
"""Seconds until the program must have set the network up."""


def find(path: str | None = None) -> str:
    """The program to use, by full path; empty if there is none."""
    from shutil import which

    places = f"{path or os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
    return next((found for name in PROGRAMS if (found := which(name, path=places))), "")


class Attached:
    """The program beside one step. The step's process 1 calls `wait` in its new network, the supervisor `serve` meanwhile."""

    def __init__(self, program: str, work: str) -> None:
        if not program:
            raise Refused("--network=sandbox takes pasta or slirp4netns, and neither is installed", PACKAGES)
        self._program = program
        self._work = work
        self._ready, self._go, self._ask = os.pipe(), os.pipe(), os.pipe()
        self._said = os.memfd_create("network", os.MFD_CLOEXEC)
        me = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._become(me)
        os.close(self._ask[0])

    def wait(self) -> None:
        """In the step: say that the network namespace is there, and wait until it leads somewhere. Raises `OSError`."""
        os.close(self._ready[0])
        os.close(self._go[1])
        os.write(self._ready[1], b".")
        if not os.read(self._go[0], 1):
            raise OSError(101, "no user-mode network", os.path.basename(self._program))
        for fd in (self._ready[1], self._go[0], self._ask[1], self._said):
            os.close(fd)

    def serve(self, init: int) -> None:
        """In the supervisor: give the network of the process `init` its way out. Raises `Refused`."""
        os.close(self._ready[1])
        os.close(self._go[0])
        try:
            if not os.read(self._ready[0], 1):
                return  # the step failed before it had a network, and says why itself
            os.write(self._ask[1], str(init).encode())
            os.close(self._ask[1])
            trouble = self._trouble()
            if trouble:
                raise Refused(f"--network=sandbox can't be set up: {trouble}", _hint(trouble))
            os.write(self._go[1], b".")
        finally:
            for fd in (self._ready[0], self._go[1]):
                os.close(fd)

    def end(self) -> None:
        """End the program. May be called twice."""
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def _trouble(self) -> str:
        """Wait until the program has written its mark; what went wrong, or empty."""
        pidfd = os.pidfd_open(self._pid)
        gone = select.poll()
        gone.register(pidfd, select.POLLIN)
        end = time.monotonic() + PATIENCE
        try:
            while not _full(self._mark):
                if gone.poll(5) or time.monotonic() > end:
                    said = os.pread(self._said, 4096, 0).decode("utf-8", "replace")
                    lines = [line for line in said.splitlines() if line.strip() and "syslog" not in line]
                    name = os.path.basename(self._program)
                    return f"{name}: {'; '.join(lines[-3:]) or 'it does not answer'}"
        finally:
            os.close(pidfd)
        return ""

    @property
    def _mark(self) -> str:
        return f"{self._work}/network"

    def _become(self, parent: int) -> None:
        """The child: wait for the namespace, and become the program."""
        try:
            libc.die_with_parent(parent)
            for fd in (self._ask[1], *self._ready, *self._go):
                os.close(fd)
            init = os.read(self._ask[0], 32).decode()
            if not init:
                os._exit(0)
            place = f"{self._work}/netns"
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            mark = os.open(self._mark, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            libc.unshare(libc.CLONE_NEWNS)
            libc.mount("none", "/", "", libc.MS_REC | libc.MS_PRIVATE)
            libc.mount(f"/proc/{init}/ns/net", place, "", libc.MS_BIND)
            null = os.open("/dev/null", os.O_RDWR)
            high = [os.dup2(fd, 100 + number) for number, fd in enumerate((null, self._said, self._said, mark))]
            for number, fd in enumerate(high):
                os.dup2(fd, number)
            libc.close_from(4)
            os.chdir("/")
            for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)  # pasta ends if SIGPIPE is ignored already
            os.execve(self._program, arguments(self._program, place, self._mark), {"PATH": os.defpath})
        except OSError as error:
            os.write(self._said, f"{error.filename or ''}: {error.strerror}".encode())
        finally:
            os._exit(127)


def arguments(program: str, place: str, mark: str) -> list[str]:
    """How `program` is started for the network namespace at `place`; it makes the file `mark` (or descriptor 3) full when
    the network is there."""
    if os.path.basename(program) == "slirp4netns":
        safe = ["--disable-host-loopback", "--enable-seccomp"]
        return [program, "--configure", "--mtu=65520", *safe, "--ready-fd=3", "--netns-type=path", place, "eth0"]
    words = [program, "--foreground", "--stderr", "--quiet", "--pid", mark, "--config-net", "--no-netns-quit"]
    if _is_root():  # else it becomes nobody before it opens the namespace
        words += ["--runas", "0:0"]
    words += ["--no-map-gw", "--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none"]
    words += ["--ipv4-only", "--address", ADDRESS, "--netmask", "255.255.255.0", "--gateway", GATEWAY]
    return [*words, "--dns-forward", DNS, "--ns-ifname", "eth0", "--netns-only", "--netns", place]


def _is_root() -> bool:
    """Whether this is root of the machine, not of a user namespace."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return os.geteuid() == 0 and file.read().split() == ["0", "0", "4294967295"]


def _full(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except OSError:
        return False


def _hint(trouble: str) -> str:
    """What would help the program."""
    if "tun" in trouble:
        return "it takes /dev/net/tun: modprobe tun; chmod 666 /dev/net/tun; docker run --device /dev/net/tun"
    if "routable" in trouble or "interface" in trouble:
        return "this machine has no way out itself: --network=none, or --network=host"
    return "--network=host or --network=none"


def resolver(text: str) -> str:
    """The /etc/resolv.conf of a step, from this machine's: its search domains and options, the program as name server."""
    lines = [line for line in text.splitlines() if line.split()[:1] in (["search"], ["domain"], ["options"])]
    return "\n".join([f"nameserver {DNS}", *lines]) + "\n"


def attach(step: dict[str, Any]) -> Attached | None:
    """What a step of --network=sandbox needs beside it; None for another. Raises `Refused`."""
    if step.get("network") != "sandbox":
        return None
    return Attached(step.get("network_program", ""), step["work"])
