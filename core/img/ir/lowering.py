"""From what a `img.ir.state.State` remembers to nodes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from img.errors import UsageError
from img.ir import checked
from img.ir.building import Building, Images, Json, mountable
from img.ir.mounting import FilesMount, Mounted
from img.ir.nodes import Merge, Node, Scratch, Write
from img.ir.origin import Files
from img.ir.values import Bind, CacheDir, Confinement, Mount, Network, Notes, Secret, Ssh, Tmpfs

if TYPE_CHECKING:
    from img.ir.state import State

PIPES = "/dev/pipes"
"""Where a command that is a program of its own is mounted, as BuildKit does with heredocs."""
MOUNTS = (FilesMount, CacheDir, Secret, Ssh, Tmpfs, Bind)


def lowered(
    state: State, images: Images, platform: str, epoch: int | None, done: dict[int, tuple[object, Building]]
) -> Building:
    """A State's filesystem and configuration. `done` are the States of the same graph that were lowered already."""
    known = done.get(id(state))
    if known is not None:
        return known[1]
    chain: list[State] = [state]
    start = state.base
    while start is not None and not isinstance(start, str):
        chain.append(start)
        start = start.base
    building = _start(start, images, platform)
    building.epoch, building.done = epoch, done
    for one in reversed(chain):
        for operation in one.operations:
            operation(building)
    done[id(state)] = (state, building)
    return building


def _start(base: str | None, images: Images, platform: str) -> Building:
    os_name, _, rest = platform.partition("/")
    architecture, _, variant = rest.partition("/")
    if base is None:
        config: Json = {"architecture": architecture, "os": os_name, "config": {}, "history": []}
        if variant:
            config["variant"] = variant
        root: Node = Scratch()
        layers = 0
    else:
        found = images.image(base, platform)
        config = copy.deepcopy({k: value for k, value in found.config.items() if k not in ("rootfs", "created")})
        root, layers = found.source, found.layers
    building = Building(root, config, [], layers, platform, images)
    if not isinstance(config.get("config"), dict):
        config["config"] = {}
    config["history"] = list(config.get("history") or [])
    if "PATH" not in building.environment:
        from img.ir.building import PATH

        building.set_env({"PATH": PATH})
    return building


def files(b: Building, source: Files | State) -> Node:
    """The node of what is copied or mounted."""
    if isinstance(source, Files):
        return source.source()
    return lowered(source, b.images, b.platform, b.epoch, b.done).root


def linked(base: Node, placed: Callable[[Node], Node], notes: Notes) -> Node:
    """A layer that knows nothing of what is below it, on top of that; over nothing, just the layer."""
    layer = placed(Scratch())
    return (
        layer if isinstance(base, Scratch) else Merge((base, layer), notes=replace(notes, title=f"LINK {notes.title}"))
    )


def argv_of(b: Building, words: str | tuple[str, ...], notes: Notes) -> tuple[tuple[str, ...], tuple[Mount, ...]]:
    """The argv of a command, and what must be mounted for it."""
    if not isinstance(words, str):
        return words, ()
    if not words.startswith("#!"):
        return (*b.shell, words), ()
    data = words.encode("utf-8", "surrogateescape")
    script = Write(Scratch(), "/EOF", data, 0o755, notes=replace(notes, title="[internal] the program of a RUN"))
    return (*b.shell, f"{PIPES}/EOF"), (Bind(script, PIPES, "/", True),)


def mounts_of(mounts: Sequence[Mounted]) -> tuple[Mounted, ...]:
    """The mounts of a run, checked."""
    if isinstance(mounts, MOUNTS) or not isinstance(mounts, Sequence):
        raise UsageError(f"mounts is a sequence, not {checked.kind(mounts)}", hint="mounts=[img.mount.cache('/x')]")
    for one in mounts:
        if not isinstance(one, MOUNTS):
            raise UsageError(
                f"a mount can't be {checked.kind(one)}", hint="make it with img.mount: cache, bind, secret, …"
            )
    return tuple(mounts)


def mounted(b: Building, mount: Mounted, notes: Notes) -> Mount:
    """A mount with its place, and its node."""
    if not mount.target:
        assert isinstance(mount, Secret)
        return mount
    target = b.absolute(mount.target)
    if isinstance(mount, FilesMount):
        inner = replace(notes, title=f"[internal] files for the mount on {target}")
        return Bind(mountable(files(b, mount.source), mount.path, inner), target, mount.path, mount.readonly)
    return replace(mount, target=target)


def confined(network: str, given: Confinement | None) -> Confinement:
    """The confinement of a run."""
    if network not in tuple(Network):
        raise UsageError(f"network can't be {network!r}", hint=f"one of {', '.join(Network)}")
    found = given or Confinement()
    return replace(found, network=Network(network)) if network != Network.DEFAULT else found


def port(value: Any) -> str:
    """``port/protocol``. Raises `UsageError`."""
    number, slash, protocol = str(value).partition("/")
    if isinstance(value, bool) or not (number.isascii() and number.isdigit() and 0 < int(number) <= 65535):
        raise UsageError(f"{value!r} is no port", hint="e.g. 8080, or '53/udp'")
    if slash and protocol not in ("tcp", "udp", "sctp"):
        raise UsageError(f"the protocol of a port is tcp, udp or sctp, not {protocol!r}")
    return f"{number}/{protocol or 'tcp'}"
