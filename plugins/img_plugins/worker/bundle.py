"""A step as ``config.json`` of an OCI bundle (runtime-spec 1.0.2). Pure: nothing is looked up, nothing is written."""

from __future__ import annotations

from typing import Any

from img.ir.values import CPU_PERIOD
from img.sandbox.process import DEFAULT_CAPABILITIES
from img.sandbox.root import MASKED, READ_ONLY, SHM_SIZE
from img_plugins.worker.nodes import rules

NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()
"""By number (capability.h)."""

SAFE = ["nosuid", "noexec", "nodev"]

Json = dict[str, Any]


def config(step: Json, environment: dict[str, str], root: str, seccomp: Json | None, userns: bool) -> Json:
    """The bundle of a step (see `img.sandbox.client.Sandbox.run`) whose mounts are all of kind bind. `userns`: the
    runtime runs in a user namespace, where it has no cgroups. A network of kind sandbox is that which it is started in."""
    insecure = bool(step.get("insecure"))
    alone = step.get("network") in ("none", "sandbox")
    kinds = ["pid", "ipc", "uts", "mount", *(["network"] if step.get("network") == "none" else [])]
    linux: Json = {
        "namespaces": [{"type": kind} for kind in kinds],
        "maskedPaths": [] if insecure else list(MASKED),
        "readonlyPaths": [] if insecure else list(READ_ONLY),
    }
    if not userns:
        linux["resources"] = {"devices": rules(step), **resources(step)}
        linux["cgroupsPath"] = cgroup(step)
    mounts = [_mount(item, [] if userns or insecure else ["nodev"]) for item in step["mounts"]]
    if seccomp is not None and not insecure:
        linux["seccomp"] = seccomp
    return {
        "ociVersion": "1.0.2",
        "process": _process(step, environment, insecure),
        "root": {"path": root, "readonly": False},
        "hostname": step["hostname"],
        "mounts": [*_system(step, insecure, userns and not alone), *mounts],
        "linux": linux,
    }


def resources(step: Json) -> Json:
    """The limits of a step (`img.ir.values.Resources.document`), but time, as ``linux.resources`` has them."""
    wanted = step.get("resources") or {}
    memory = {"limit": wanted.get("memory"), "swap": wanted.get("memory_swap") or 2 * wanted.get("memory", 0)}
    cpu = {
        "quota": wanted.get("cpu_quota"),
        "period": wanted.get("cpu_quota") and (wanted.get("cpu_period") or CPU_PERIOD),
        "shares": wanted.get("cpu_shares"),
        "cpus": wanted.get("cpuset_cpus"),
        "mems": wanted.get("cpuset_mems"),
    }
    found = {"memory": memory, "cpu": cpu, "pids": {"limit": wanted.get("pids")}}
    set_ = {kind: {name: value for name, value in fields.items() if value} for kind, fields in found.items()}
    return {kind: fields for kind, fields in set_.items() if fields}


def cgroup(step: Json) -> str:
    """The path of the container's cgroup below every cgroup filesystem."""
    parent = str(step.get("cgroup") or "").strip("/")
    return f"/{parent}/{step['id']}" if parent else f"/{step['id']}"


def _process(step: Json, environment: dict[str, str], insecure: bool) -> Json:
    allowed = step.get("allowed", (1 << len(NAMES)) - 1)
    numbers = range(len(NAMES)) if insecure else DEFAULT_CAPABILITIES
    names = [f"CAP_{NAMES[number]}" for number in numbers if allowed >> number & 1]
    held = names if step["uid"] == 0 else []
    return {
        "terminal": False,
        "user": {"uid": step["uid"], "gid": step["gid"], "additionalGids": list(step["groups"]), "umask": 0o022},
        "args": step["argv"],
        "env": [f"{name}={value}" for name, value in environment.items()],
        "cwd": step["cwd"],
        "capabilities": {"bounding": names, "effective": held, "permitted": held, "inheritable": [], "ambient": []},
        "rlimits": [{"type": f"RLIMIT_{n.upper()}", "soft": s, "hard": h} for n, s, h in step.get("limits", [])],
        "noNewPrivileges": False,
    }


def _system(step: Json, insecure: bool, shared_sys: bool) -> list[Json]:
    shm = step.get("shm_size") or SHM_SIZE
    tmpfs = {"type": "tmpfs", "source": "tmpfs"}
    sys: Json = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*SAFE]}
    if shared_sys:  # sysfs wants a network namespace of its own
        sys = {"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", *SAFE]}
    if not insecure:
        sys["options"].append("ro")
    dev: Json = {"destination": "/dev", **tmpfs, "options": ["nosuid", "noexec", "mode=755", "size=64k"]}
    if step.get("devices"):
        dev = {
            "destination": "/dev",
            "type": "bind",
            "source": step["devices"],
            "options": ["rbind", "rw", *SAFE],
        }
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": SAFE},
        dev,
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {"destination": "/dev/shm", **tmpfs, "options": [*SAFE, "mode=1777", f"size={shm}"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": SAFE},
        sys,
    ]


def _mount(item: Json, more: list[str]) -> Json:
    options = ["rbind", "ro" if item.get("readonly") else "rw", *item.get("options", more)]
    return {"destination": item["target"], "type": "bind", "source": item["source"], "options": options}
