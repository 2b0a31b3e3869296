"""A worker that does file steps itself and leaves only the running of processes to its backend."""

from __future__ import annotations

import os
from collections.abc import Sequence

from img.abilities import ALL
from img.ir.nodes import Exec, Node, Scratch
from img.ports import Host, Result, Snapshot
from img_plugins.worker.emulation import Emulation
from img_plugins.worker.exec import Start, make_exec
from img_plugins.worker.files import make_files


def root_trouble(host: Host) -> tuple[str, str] | None:
    """What can't be had of that which every step's root takes, and what the kernel says; None if all of it can be."""
    work = host.store.scratch()
    try:
        found: tuple[str, str] | None = host.sandbox.call("img.sandbox.probe:try_root", os.fspath(work))
    finally:
        host.store.discard(work)
    return found


class StepWorker:
    """`img.ports.Worker.run` for a backend whose whole skill is `start`."""

    @property
    def abilities(self) -> frozenset[str]:
        """See `img.ports.Worker`: everything, unless the backend takes something away."""
        return ALL

    def __init__(self, host: Host) -> None:
        self.host = host
        self._emulation = Emulation(host)

    def start(self) -> Start:
        """What runs a step's process."""
        raise NotImplementedError

    def run(self, node: Node, inputs: Sequence[Result]) -> Snapshot:
        """See `img.ports.Worker.run`."""
        if isinstance(node, Scratch):
            return Snapshot()
        if isinstance(node, Exec):
            self._emulation.check(node)
            return make_exec(self.host, node, inputs, self.start(), devices="devices" in self.abilities)
        return make_files(self.host, node, inputs)
