"""The seccomp profile of a step for OCI runtimes: the policy of `contrib/seccomp`, which also wrote the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ALLOW, ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
EPERM, ENOSYS = 1, 38


def profile(machine: str) -> dict[str, Any] | None:
    """``linux.seccomp`` for a machine as uname(2) calls it; None if there is no policy for it."""
    policy = json.loads((Path(__file__).parent / "seccomp.json").read_text(encoding="utf-8"))
    here = policy["machines"].get(machine)
    if here is None:
        return None
    conditional = here["conditions"]
    plain = [name for name in policy["allowed"] if name not in conditional]
    rules: list[dict[str, Any]] = [
        {"names": plain, "action": ALLOW},
        {"names": policy["missing"], "action": ERRNO, "errnoRet": ENOSYS},
    ]
    for name, alternatives in sorted(conditional.items()):
        for comparisons in alternatives:
            args = [{"index": i, "op": op, "value": a, "valueTwo": b} for i, op, a, b in comparisons]
            rules.append({"names": [name], "action": ALLOW, "args": args})
    return {
        "defaultAction": ERRNO,
        "defaultErrnoRet": EPERM,
        "architectures": here["architectures"],
        "syscalls": rules,
    }
