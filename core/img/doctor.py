"""The diagnosis: which rung of the ladder a step stands on here, what each other rung lacks, and what unlocks it.

`examine` tries everything for real in a process of its own (`img.sandbox.probe`); `rungs` turns the facts into words and
knows nothing else, so that every machine can be told about on any other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from img.errors import BackendError
from img.ports import Availability, Report
from img.sandbox.idmap import why

Facts = Mapping[str, Any]

_PROBE = "import sys; sys.path.insert(0, {root!r}); from img.sandbox.probe import main; main({work!r})"
_SYS_ADMIN = 1 << 21


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that is missing, and the line that gives it: a sysctl, a package, a line of a pod's description."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung; it works here if it lacks nothing."""

    name: str
    words: str
    lacks: tuple[Lack, ...]
    runs: bool = True
    """Whether RUN works on it."""

    @property
    def ok(self) -> bool:
        return not self.lacks


@dataclass(frozen=True, slots=True)
class Ability:
    """Something beside RUN itself that a build can ask for; `how` says by what it is kept, `lacks` what is in its way."""

    name: str
    how: str
    lacks: tuple[Lack, ...]


def abilities(facts: Facts) -> tuple[Ability, ...]:
    """Limits of steps, and the network that leads outside only."""
    found = []
    for flag, (lack, remedy) in facts.get("limits", {}).items():
        watched = flag != "--cpus"
        how = "a cgroup" if not lack else "a watchdog, which is coarse" if watched else ""
        found.append(Ability(flag, how, (Lack(f"a cgroup: {lack}", remedy),) if lack else ()))
    if "network" in facts:
        found.append(_sandbox(facts["network"]))
    return tuple(found)


def _sandbox(network: Mapping[str, str]) -> Ability:
    lacks = []
    if not network["program"]:
        lacks.append(Lack("pasta or slirp4netns: neither is installed", "install the package passt or slirp4netns"))
    if network["tun"]:
        remedy = "as root on the host: modprobe tun; chmod 666 /dev/net/tun; in a container: docker run --device /dev/net/tun"
        lacks.append(Lack(f"/dev/net/tun ({network['tun']})", remedy))
    return Ability("--network=sandbox", "" if lacks else network["program"], tuple(lacks))


def examine(work: Path) -> Facts:
    """Try what this machine allows. `work` is an empty folder in the store. Raises `BackendError` if even that fails."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    program = _PROBE.format(root=root, work=os.fspath(work))
    argv = [sys.executable, "-I", "-S", "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    try:
        facts: Facts = json.loads(done.stdout)
    except ValueError:
        raise BackendError(f"the machine can't be examined: {done.stderr.strip()[-500:]}") from None
    return facts


def rungs(facts: Facts) -> tuple[Rung, ...]:
    """The ladder, best first."""
    return (
        Rung("overlay", "overlayfs as root", tuple(_overlay(facts))),
        Rung("userns", "overlayfs in a user namespace with a range of ids", tuple(_userns(facts))),
        Rung("plain", "plain copies in namespaces, where overlayfs is refused", tuple(_plain(facts))),
        Rung("one-id", "plain copies in a user namespace with a single id, owners are recorded", tuple(_one_id(facts))),
        Rung("copy", "chroot over plain copies, as uid 0 in a container", tuple(_copy(facts))),
        Rung("assemble", "builds without RUN", (), runs=False),
    )


def best(ladder: Sequence[Rung]) -> Rung:
    """The rung that is used."""
    return next(rung for rung in ladder if rung.ok)


# --- what each rung lacks ------------------------------------------------------------------------------------------


def _overlay(facts: Facts) -> Iterator[Lack]:
    yield from _root(facts)
    if facts["uid"] == 0 and facts["capabilities"] & _SYS_ADMIN and not facts["mounts"]:
        yield from _disk(facts["overlay"])
        yield from _masked(facts["proc"])


def _root(facts: Facts) -> Iterator[Lack]:
    """What being root with mounts takes."""
    if facts["uid"] != 0:
        yield Lack(f"img is not root here (uid {facts['uid']})", "securityContext: {runAsUser: 0}, with what follows")
    if facts["alone"]:
        yield Lack(
            "this user namespace has a single id, so that nothing can be given away", "a namespace with more ids"
        )
    if not facts["capabilities"] & _SYS_ADMIN:
        remedy = "docker run --cap-add SYS_ADMIN; securityContext: {capabilities: {add: [SYS_ADMIN]}}"
        yield Lack("the capability SYS_ADMIN", remedy)
    elif facts["mounts"]:
        yield _refused("mount namespaces", facts["mounts"], facts)


def _userns(facts: Facts) -> Iterator[Lack]:
    if facts["uid"] == 0:
        yield Lack("img is root here", "securityContext: {runAsUser: 1000}, with what follows")
    if facts["userns"]:
        yield _namespaces(facts)
        return
    if facts["user_mounts"]:
        yield _restricted(facts)
        return
    if facts["uid"] != 0 and facts["ids"]:
        yield _ids(facts)
    yield from _disk(facts["user_overlay"])
    yield from _masked(facts["user_proc"])


def _plain(facts: Facts) -> Iterator[Lack]:
    """The same but the disk, as root or in a user namespace."""
    if facts["uid"] == 0:
        yield from _root(facts)
        if facts["capabilities"] & _SYS_ADMIN and not facts["mounts"]:
            yield from _masked(facts["proc"])
        return
    yield from _userns({**facts, "user_overlay": ""})


def _one_id(facts: Facts) -> Iterator[Lack]:
    if facts["uid"] == 0 and not facts["alone"]:
        yield Lack("img is root here", "securityContext: {runAsUser: 1000}, with what follows")
    if facts["userns"]:
        yield _namespaces(facts)
    elif facts["user_mounts"]:
        yield _restricted(facts)
    else:
        if facts["recorder"]:
            remedy = (
                "Linux 5.19 or later on x86-64 or arm64; in a container: docker run --security-opt seccomp=unconfined"
            )
            yield Lack(f"recording of owners: {facts['recorder']}", remedy)
        yield from _masked(facts["user_proc"])


def _copy(facts: Facts) -> Iterator[Lack]:
    if facts["uid"] != 0:
        yield Lack(f"img is not uid 0 here (uid {facts['uid']})", "securityContext: {runAsUser: 0}; docker run -u 0")
    if facts["uid"] == 0 and facts["lacking"]:
        names = ", ".join(facts["lacking"])
        adds = " ".join(f"--cap-add {name}" for name in facts["lacking"])
        remedy = f"docker run {adds}; securityContext: {{capabilities: {{add: [{names}]}}}}"
        yield Lack(f"of what docker gives a container by default: {names}", remedy)
    elif facts["uid"] == 0 and facts["chroot"]:
        yield _refused("chroot", facts["chroot"], facts)


def _refused(what: str, said: str, facts: Facts) -> Lack:
    """Something that the process has the capability for, and yet may not."""
    profile = facts["apparmor"]
    if facts["seccomp"]:
        remedy = "docker run --security-opt seccomp=unconfined; securityContext: {seccompProfile: {type: Unconfined}}"
        return Lack(f"{what}: the container's seccomp filter refuses them ({said})", remedy)
    if profile and not profile.startswith("unconfined"):
        remedy = "docker run --security-opt apparmor=unconfined; securityContext: {appArmorProfile: {type: Unconfined}}"
        return Lack(f"{what}: the AppArmor profile {profile} refuses them ({said})", remedy)
    return Lack(f"{what}: the kernel refuses them ({said})", "a container without further confinement")


def _namespaces(facts: Facts) -> Lack:
    """Why there are no user namespaces: a switch of the kernel, or a filter."""
    switches = facts["sysctls"]
    for name, off, line in (
        ("kernel.unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        ("user.max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
    ):
        if switches.get(name) == off:
            return Lack(f"user namespaces: {name} is {off}", f"as root on the host: {line}")
    return _refused("user namespaces", facts["userns"], facts)


def _restricted(facts: Facts) -> Lack:
    """User namespaces can be made, but nothing can be mounted in them."""
    name = "kernel.apparmor_restrict_unprivileged_userns"
    said = facts["user_mounts"]
    if facts["sysctls"].get(name) == "1":
        remedy = (
            f"as root on the host: sysctl -w {name}=0, or a profile for img: printf 'abi <abi/4.0>,\\nprofile img "
            f"{sys.executable} flags=(unconfined) {{\\n  userns,\\n}}\\n' > /etc/apparmor.d/img; apparmor_parser -r "
            "/etc/apparmor.d/img"
        )
        return Lack(f"mounts in a user namespace: {name} is 1 ({said})", remedy)
    return _refused("mounts in a user namespace", said, facts)


def _ids(facts: Facts) -> Lack:
    """Why newuidmap gives no range of ids."""
    reason, remedy = facts["ids"]["reason"], facts["ids"]["remedy"]
    if reason.endswith("failed"):
        reason, remedy = why(reason, "", facts["no_new_privs"], facts["bounding"])
    return Lack(reason, remedy)


def _disk(said: str) -> Iterator[Lack]:
    if said:
        remedy = (
            "put the store (IMG_ROOT) on ext4, xfs, btrfs or tmpfs: a volume (emptyDir), not the container's own files"
        )
        yield Lack(f"overlayfs over the disk of the store ({said})", remedy)


def _masked(said: str) -> Iterator[Lack]:
    if said:
        remedy = "docker run --security-opt systempaths=unconfined; securityContext: {procMount: Unmasked}"
        yield Lack(f"a /proc of its own: parts of the container's are masked ({said})", remedy)


# --- telling -------------------------------------------------------------------------------------------------------


def report(facts: Facts, backends: Sequence[tuple[str, Availability]]) -> Report:
    """The whole diagnosis. Status 1: RUN works on no rung, and with no other backend."""
    ladder = rungs(facts)
    used = best(ladder)
    others = [name for name, found in backends if found.ok and name != "chroot"]
    document = {
        "rung": used.name,
        "run": used.runs or bool(others),
        "rungs": [
            {
                "name": rung.name,
                "what": rung.words,
                "works": rung.ok,
                "run": rung.runs,
                "lacks": [{"what": lack.what, "remedy": lack.remedy} for lack in rung.lacks],
            }
            for rung in ladder
        ],
        "abilities": [
            {
                "name": ability.name,
                "works": bool(ability.how),
                "how": ability.how,
                "lacks": [{"what": lack.what, "remedy": lack.remedy} for lack in ability.lacks],
            }
            for ability in abilities(facts)
        ],
        "backends": [
            {"name": name, "works": found.ok, "reason": found.reason, "remedy": found.remedy}
            for name, found in backends
        ],
    }
    return Report("\n".join(_lines(ladder, used, backends, abilities(facts))), document, 0 if document["run"] else 1)


def _lines(
    ladder: Sequence[Rung], used: Rung, backends: Sequence[tuple[str, Availability]], others: Sequence[Ability]
) -> Iterator[str]:
    yield f"RUN works here: {used.words}" if used.runs else "RUN does not work here; builds without RUN do"
    yield ""
    yield "rungs, best first:"
    for rung in ladder:
        yield f"  {'*' if rung is used else ' '} {rung.name}: {rung.words}: {'works' if rung.ok else 'lacks'}"
        for lack in rung.lacks:
            yield f"        {lack.what}"
            yield f"          -> {lack.remedy}"
    if others:
        yield ""
        yield "what steps can be given:"
    for ability in others:
        yield f"    {ability.name}: {f'by {ability.how}' if ability.how else 'does not work'}"
        for lack in ability.lacks:
            yield f"        {lack.what}"
            yield f"          -> {lack.remedy}"
    yield ""
    yield "backends:"
    for name, found in backends:
        yield f"    {name}: {'works' if found.ok else 'does not work'}: {found.reason}"
        if found.remedy:
            yield f"          -> {found.remedy}"


def hint(facts: Facts) -> str:
    """The same for an error's hint: what each rung that can RUN lacks."""
    parts = [
        f"rung {rung.name} lacks {lack.what} -> {lack.remedy}"
        for rung in rungs(facts)
        if rung.runs
        for lack in rung.lacks
    ]
    return "; ".join(parts)
