"""Makes the seccomp filters that steps run under: one BPF program for each architecture, by libseccomp.

    python3 contrib/seccomp/generate.py            write core/img/sandbox/filters/*.bpf
    python3 contrib/seccomp/generate.py --check    say whether they are what this libseccomp makes

Needs libseccomp2 2.5.4 (the version decides which system calls there are, and how the program is laid out); no
development files. The policy is in `policy.py` beside this file, in the words of seccomp(2).
"""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import policy

OUT = Path(__file__).resolve().parents[2] / "core" / "img" / "sandbox" / "filters"
VERSION = (2, 5, 4)

ARCHITECTURES = {
    # machine (uname -m): libseccomp's names of the architectures whose programs it runs; the kernel's own first
    "x86_64": ("x86_64", "x86"),
    "aarch64": ("aarch64", "arm"),
    "armv7l": ("arm",),
    "i686": ("x86",),
    "riscv64": ("riscv64",),
    "ppc64le": ("ppc64le",),
    "s390x": ("s390x", "s390"),
}

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
EPERM, ENOSYS = 1, 38
BAD_ARCHITECTURE, OPTIMIZE = 2, 8  # enum scmp_filter_attr
COMPARE = {"!=": 1, "<": 2, "<=": 3, "==": 4, ">=": 5, ">": 6, "masked": 7}
HIGHEST = 600
"""System calls are looked for below this number, and from ARM's private ones."""
ARM_PRIVATE = 0xF0000

_lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
_lib.seccomp_init.restype = ctypes.c_void_p
_lib.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p


class Compare(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class Version(ctypes.Structure):
    _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))


def version() -> tuple[int, int, int]:
    _lib.seccomp_version.restype = ctypes.POINTER(Version)
    found = _lib.seccomp_version().contents
    return found.major, found.minor, found.micro


def known(token: int) -> list[str]:
    """Every system call that libseccomp has a name for on an architecture."""
    libc = ctypes.CDLL(None)
    names = []
    for number in (*range(HIGHEST), *range(ARM_PRIVATE, ARM_PRIVATE + 16)):
        text = _lib.seccomp_syscall_resolve_num_arch(ctypes.c_uint32(token), ctypes.c_int(number))
        if text:
            names.append(ctypes.cast(text, ctypes.c_char_p).value.decode())
            libc.free(ctypes.c_void_p(text))
    return names


def resolve(name: str) -> int:
    token: int = _lib.seccomp_arch_resolve_name(name.encode())
    return token


def check(result: int, about: str) -> None:
    if result < 0:
        raise SystemExit(f"libseccomp: {about}: error {-result}")


class Filter:
    """A filter for one architecture, as libseccomp builds it up: what no rule names answers ENOSYS."""

    def __init__(self, architecture: str) -> None:
        self.architecture = architecture
        self.context = ctypes.c_void_p(_lib.seccomp_init(ctypes.c_uint32(ERRNO | ENOSYS)))
        check(_lib.seccomp_arch_remove(self.context, ctypes.c_uint32(_lib.seccomp_arch_native())), "arch_remove")
        check(_lib.seccomp_arch_add(self.context, ctypes.c_uint32(resolve(architecture))), "arch_add")
        check(_lib.seccomp_attr_set(self.context, BAD_ARCHITECTURE, ctypes.c_uint32(ERRNO | EPERM)), "attr_set")
        check(_lib.seccomp_attr_set(self.context, OPTIMIZE, ctypes.c_uint32(2)), "attr_set")
        self._add_rules()

    def _add_rules(self) -> None:
        conditional, refused = policy.conditions(self.architecture), policy.refusals(self.architecture)
        for name in sorted(set(known(resolve(self.architecture)))):
            if name in policy.MISSING:
                continue
            if name not in conditional:
                self.rule(ALLOW if name in policy.ALLOWED else ERRNO | EPERM, name)
            for action, rules in ((ALLOW, conditional), (ERRNO | EPERM, refused)):
                for alternative in rules.get(name, []):
                    self.rule(action, name, *[Compare(arg, COMPARE[op], a, b) for arg, op, a, b in alternative])

    def rule(self, action: int, name: str, *comparisons: Compare) -> None:
        number = _lib.seccomp_syscall_resolve_name(name.encode())
        array = (Compare * len(comparisons))(*comparisons)
        result = _lib.seccomp_rule_add_array(
            self.context, ctypes.c_uint32(action), ctypes.c_int(number), ctypes.c_uint(len(comparisons)), array
        )
        check(result, name)

    def merge(self, other: Filter) -> None:
        """Take over the rules for the other's architecture."""
        check(_lib.seccomp_merge(self.context, other.context), "merge")

    def export(self) -> bytes:
        with tempfile.TemporaryFile() as out:
            check(_lib.seccomp_export_bpf(self.context, ctypes.c_int(out.fileno())), "export_bpf")
            out.seek(0)
            return out.read()


def program(machine: str) -> bytes:
    """The BPF program for `machine`."""
    made = Filter(ARCHITECTURES[machine][0])
    for other in ARCHITECTURES[machine][1:]:
        made.merge(Filter(other))
    return made.export()


OCI = OUT.parents[3] / "plugins/img_plugins/worker/seccomp.json"
OPERATORS = {"masked": "SCMP_CMP_MASKED_EQ", "==": "SCMP_CMP_EQ", "<": "SCMP_CMP_LT", ">": "SCMP_CMP_GT"}


def document() -> str:
    """The same policy for OCI runtimes: what is allowed, and by machine its architectures and conditions."""
    machines = {
        machine: {
            "architectures": [f"SCMP_ARCH_{name.upper()}" for name in names],
            "conditions": {
                name: [[[arg, OPERATORS[op], a, b] for arg, op, a, b in one] for one in alternatives]
                for name, alternatives in policy.conditions(names[0]).items()
            },
        }
        for machine, names in ARCHITECTURES.items()
    }
    found = {"allowed": sorted(policy.ALLOWED), "missing": sorted(policy.MISSING), "machines": machines}
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def main() -> int:
    if version() != VERSION:
        print(f"needs libseccomp {VERSION}, this is {version()}", file=sys.stderr)
        return 2
    everything = {name for names in ARCHITECTURES.values() for arch in names for name in known(resolve(arch))}
    if unknown := policy.ALLOWED - everything:
        raise SystemExit(f"policy.py names calls that there are not: {', '.join(sorted(unknown))}")
    stale = []
    for machine in ARCHITECTURES:
        data, path = program(machine), OUT / f"{machine}.bpf"
        if sys.argv[1:] == ["--check"]:
            if not path.exists() or path.read_bytes() != data:
                stale.append(path.name)
        else:
            path.write_bytes(data)
            print(f"{path.name}: {len(data) // 8} instructions")
    if sys.argv[1:] == ["--check"]:
        if not OCI.exists() or OCI.read_text() != document():
            stale.append(OCI.name)
    else:
        OCI.write_text(document())
    if stale:
        print(f"out of date: {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
