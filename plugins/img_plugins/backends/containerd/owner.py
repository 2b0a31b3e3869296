"""Whose a container is: a process, told apart from every other one that ever had its number; and clearing up after those
that died."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from img_plugins.backends.containerd.client import Containerd, Refusal
from img_plugins.backends.containerd.task import OWNER, end


def mark(pid: int) -> str:
    """The process as text: this boot, its number, and when it started (proc(5)); empty if there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        with open(f"/proc/{pid}/stat", "rb") as stat:
            words = stat.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return f"{boot}/{pid}/{int(words[19])}" if words[0] not in (b"Z", b"X") else ""


def alive(owner: str) -> bool:
    """Whether the process of a mark still runs."""
    pid = owner.split("/")[1] if owner.count("/") == 2 else ""
    return pid.isdecimal() and mark(int(pid)) == owner


def sweep(client: Containerd) -> None:
    """Remove the containers of builds that died before they could. What can't be removed is left for the next time."""
    with suppress(Refusal):
        for container in client.call("Containers.List", filters=[f'labels."{OWNER}"']).containers:
            if not alive(container.labels[OWNER]):
                with suppress(Refusal):
                    end(client, container.id)


def sweep_leases(client: Containerd) -> None:
    """End the leases of exports that died before they could: what those had brought is the collector's then."""
    with suppress(Refusal):
        for lease in client.call("Leases.List", filters=[f'labels."{OWNER}"']).leases:
            if not alive(lease.labels[OWNER]):
                with suppress(Refusal):
                    client.call("Leases.Delete", id=lease.id)


def main() -> None:
    """Remove one container: ``ADDRESS NAMESPACE ID``. Run by a step's child whose build was killed."""
    address, namespace, id = sys.argv[1:4]
    client = Containerd(address, namespace)
    with suppress(Refusal):
        end(client, id)
    os._exit(0)
