"""RUN: its command, mounts, devices and confinement as an Exec."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection
from dataclasses import replace
from difflib import get_close_matches

from img.errors import FrontendError
from img.ir.nodes import Exec, Scratch, Write
from img.ir.values import Bind, Confinement, Device, Mount, Network, Notes, Security, Ssh
from img_frontends.dockerfile.heredocs import opening
from img_frontends.dockerfile.mounts import MountReader, check_options, read_options
from img_frontends.dockerfile.origins import Scope
from img_frontends.dockerfile.state import StageState
from img_frontends.dockerfile.tree import Flag, Instruction
from img_frontends.dockerfile.words import Words

PIPES = "/dev/pipes"


def check_run(i: Instruction) -> None:
    """What can be said of a RUN without knowing any variable. Raises `FrontendError`."""
    if not (i.values if i.exec else i.text or i.heredocs):
        raise FrontendError("RUN needs a command", hint="write it behind RUN", place=i.line.whole)
    for flag in i.all("mount"):
        place = i.line.place(flag.offset)
        options = read_options(flag.value or "", place)
        if not any("$" in value for value in options.values()):
            check_options(options, place)
    devices(i)
    _of("network", Network, i)
    _of("security", Security, i)


def run(state: StageState, i: Instruction, words: Words, scope: Scope) -> None:
    """RUN."""
    notes = _notes(i, scope)
    argv, extra = _command(state, i, notes)
    reader = MountReader(
        state.cwd,
        lambda name, place: scope.files_of(name, place, numbers=False),
        scope.context,
        scope.builder_arg("BUILDKIT_CACHE_MOUNT_NS"),
        notes,
    )
    mounts: list[Mount] = []
    for flag in i.all("mount"):
        number = sum(isinstance(mount, Ssh) for mount in mounts)
        mounts.append(reader.read(flag.value or "", i.line.place(flag.offset), _expander(words, flag), number))
    wanted = devices(i)
    for device, flag in zip(wanted, i.all("device"), strict=True):
        if not allows(scope.allow, device.name):
            hint = f"build with --allow device={device.name}, or --allow device for every device"
            raise FrontendError(f"the device {device.name} is not allowed", hint=hint, place=i.line.place(flag.offset))
    node = Exec(
        state.node,
        tuple(argv),
        tuple(state.scope.items()),
        state.cwd,
        state.user,
        (*mounts, *extra),
        _confinement(i, scope),
        devices=wanted,
        proxies=scope.proxies,
        retry=i.retry,
        notes=notes,
    )
    state.note(f"RUN {state.told()}{' '.join(argv)}", node, built=True)


def _expander(words: Words, flag: Flag) -> Callable[[str], str]:
    """Expands what is in a flag; mistakes have the flag's place."""
    return lambda text: words.one(text, flag.offset)


def _command(state: StageState, i: Instruction, notes: Notes) -> tuple[list[str], list[Bind]]:
    """argv, and what must be mounted for it. Heredocs are BuildKit's (dispatchRun): a sole one is the shell's text, or
    a program of its own if it begins with ``#!``; else the shell gets the whole again."""
    if i.exec:
        return list(i.values), []
    text = i.text
    if i.heredocs:
        first = i.heredocs[0]
        if opening(text) is None:
            text += "".join(f"\n{heredoc.written}{heredoc.name}" for heredoc in i.heredocs)
        elif first.body.startswith("#!"):
            data = first.body.encode("utf-8", "surrogateescape")
            script = Write(
                Scratch(), f"/{first.name}", data, 0o755, notes=replace(notes, title=f"[internal] heredoc {first.name}")
            )
            return [*state.shell, f"{PIPES}/{first.name}"], [Bind(script, PIPES, "/", True)]
        else:
            text = first.body
    return [*state.shell, text], []


def _notes(i: Instruction, scope: Scope) -> Notes:
    notes = scope.notes(i)
    if not i.heredocs:
        return notes
    first, *more = i.heredocs[0].body.strip().split("\n")
    return replace(notes, title=f"{notes.title} ({first[:80]}{'...' if more else ''})")


def _confinement(i: Instruction, scope: Scope) -> Confinement:
    """The build's confinement with what this RUN says itself."""
    network, security = _of("network", Network, i), _of("security", Security, i)
    build = scope.confinement
    if security == Security.INSECURE and "security.insecure" not in scope.allow:
        raise _denied(i, "security", "security.insecure")
    if (
        network == Network.HOST
        and build.network in (Network.NONE, Network.SANDBOX)
        and "network.host" not in scope.allow
    ):
        raise _denied(i, "network", "network.host")
    return replace(
        build,
        network=build.network if network == Network.DEFAULT else Network(network),
        security=Security(security),
        hostname=scope.builder_arg("BUILDKIT_SANDBOX_HOSTNAME") or build.hostname,
        resources=i.resources.within(build.resources),
    )


def _of(name: str, kind: type[Network] | type[Security], i: Instruction) -> str:
    """The value of a flag that is one of a few; the first of them if it is not there."""
    known = [str(item.value) for item in kind]
    for flag in i.all(name):
        if flag.value not in known:
            near = get_close_matches(flag.value or "", known, 1)
            hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(known)}"
            raise FrontendError(f"--{name} can't be {flag.value!r}", hint=hint, place=i.line.place(flag.offset))
        return flag.value
    return known[0]


def _denied(i: Instruction, name: str, entitlement: str) -> FrontendError:
    flag = i.all(name)[0]
    return FrontendError(
        f"RUN --{name}={flag.value} is not allowed",
        hint=f"grant it for this build with --allow {entitlement}",
        place=i.line.place(flag.offset),
    )


# --- devices -------------------------------------------------------------------------------------------------------


def devices(i: Instruction) -> tuple[Device, ...]:
    """The devices a RUN asks for: ``NAME`` or ``name=NAME``, then ``required[=bool]``. Raises `FrontendError`."""
    found = []
    for flag in i.all("device"):
        place = i.line.place(flag.offset)
        name, required = "", False
        for field in next(csv.reader([flag.value or ""]), []):
            key, equals, value = field.partition("=")
            if key.lower() == "required":
                if equals and value.lower() not in ("true", "false", "1", "0", "t", "f"):
                    raise FrontendError(f"required is true or false, not {value!r}", place=place)
                required = not equals or value.lower() in ("true", "1", "t")
            elif name:
                hint = "--device=NAME[,required]"
                raise FrontendError(f"unexpected {field!r} in --device={flag.value}", hint=hint, place=place)
            else:
                name = value if equals and key.lower() == "name" else field
        if not name:
            raise FrontendError("--device needs a name", hint="e.g. --device=vendor.com/class=name", place=place)
        found.append(Device(name, required))
    return tuple(found)


def allows(granted: Collection[str], device: str) -> bool:
    """Whether the entitlements let a step have `device`: all of them, this one, or its class."""
    if "device" in granted:
        return True
    names = [item.removeprefix("device=").partition(",")[0] for item in granted if item.startswith("device=")]
    return any(device == name or device.partition("=")[0] == name.removesuffix("=*") for name in names)
