"""A step as an OCI bundle, and the seccomp profile in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from img.sandbox.root import MASKED, READ_ONLY
from img_plugins.backends.runc.launch import _errors
from img_plugins.worker.bundle import NAMES, cgroup, config
from img_plugins.worker.complaints import classified
from img_plugins.worker.seccomp import profile

STEP: dict[str, Any] = {
    "id": "img-1",
    "argv": ["/bin/true"],
    "cwd": "/w",
    "uid": 0,
    "gid": 0,
    "groups": [44],
    "mounts": [
        {"kind": "bind", "source": "/x", "target": "/y", "readonly": True},
        {"kind": "bind", "source": "/z", "target": "/t", "options": ["nodev"]},
    ],
    "network": "host",
    "hostname": "h",
    "limits": [["nofile", 5, 6]],
    "insecure": False,
    "cgroup": "",
}


def _config(userns: bool = False, **changes: Any) -> dict[str, Any]:
    return config({**STEP, **changes}, {"A": "1"}, "/root", {"defaultAction": "x"}, userns)


def test_a_step() -> None:
    found = _config()
    process, linux = found["process"], found["linux"]
    assert process["args"] == ["/bin/true"]
    assert process["env"] == ["A=1"]
    assert process["user"] == {"uid": 0, "gid": 0, "additionalGids": [44], "umask": 0o022}
    assert process["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 6}]
    assert len(process["capabilities"]["effective"]) == 14
    assert "CAP_SYS_ADMIN" not in process["capabilities"]["bounding"]
    assert linux["maskedPaths"] == list(MASKED)
    assert linux["readonlyPaths"] == list(READ_ONLY)
    assert linux["seccomp"] == {"defaultAction": "x"}
    assert {one["type"] for one in linux["namespaces"]} == {"pid", "ipc", "uts", "mount"}
    assert found["mounts"][-2:] == [
        {"destination": "/y", "type": "bind", "source": "/x", "options": ["rbind", "ro", "nodev"]},
        {"destination": "/t", "type": "bind", "source": "/z", "options": ["rbind", "rw", "nodev"]},
    ]
    assert "hooks" not in found


def test_devices() -> None:
    """A step makes any node, and opens those that every step has and its own; /dev is the one that was laid for it."""
    device = {
        "kind": "bind",
        "target": "/d",
        "source": "/z",
        "options": ["dev"],
        "rule": {"type": "b", "major": 7, "minor": 1},
    }
    found = _config(mounts=[device], devices="/laid")
    rules = found["linux"]["resources"]["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert [rule["type"] for rule in rules if rule["access"] == "m"] == ["c", "b"]
    assert rules[-1] == {"allow": True, "type": "b", "major": 7, "minor": 1, "access": "rwm"}
    dev = next(mount for mount in found["mounts"] if mount["destination"] == "/dev")
    assert dev["source"] == "/laid" and "nodev" in dev["options"]
    assert "nodev" not in found["mounts"][-1]["options"]
    assert _config(insecure=True)["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert "nodev" not in _config(True)["mounts"][-2]["options"], "in a user namespace there are none to be opened"


def test_another_user_holds_no_capabilities() -> None:
    capabilities = _config(uid=33)["process"]["capabilities"]
    assert capabilities["effective"] == capabilities["permitted"] == capabilities["ambient"] == []
    assert len(capabilities["bounding"]) == 14


def test_no_network_is_a_namespace_of_its_own() -> None:
    assert {"type": "network"} in _config(network="none")["linux"]["namespaces"]


def test_sys_in_a_user_namespace() -> None:
    """sysfs can be mounted there only with a network namespace of its own."""
    kinds = {
        (userns, network): next(
            one["type"] for one in _config(userns, network=network)["mounts"] if one["destination"] == "/sys"
        )
        for userns in (False, True)
        for network in ("host", "none")
    }
    assert kinds == {
        (False, "host"): "sysfs",
        (False, "none"): "sysfs",
        (True, "host"): "bind",
        (True, "none"): "sysfs",
    }


def test_insecure_lifts_the_rest() -> None:
    found = _config(insecure=True)
    assert len(found["process"]["capabilities"]["effective"]) == len(NAMES) == 41
    assert found["linux"]["maskedPaths"] == found["linux"]["readonlyPaths"] == []
    assert "seccomp" not in found["linux"]


def test_cgroups() -> None:
    assert cgroup(STEP) == "/img-1"
    assert cgroup({**STEP, "cgroup": "/a/b/"}) == "/a/b/img-1"
    assert "cgroupsPath" not in _config(userns=True)["linux"]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "s390x"])
def test_the_profile(machine: str) -> None:
    found = profile(machine)
    assert found is not None
    allowed = {name for rule in found["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert {"openat", "clone", "chown"} <= allowed
    assert not {"mount", "unshare", "bpf", "keyctl", "clone3"} & allowed
    clone = next(rule for rule in found["syscalls"] if rule["names"] == ["clone"])
    assert clone["args"][0]["index"] == (1 if machine == "s390x" else 0)


def test_no_profile_for_a_machine_without_a_policy() -> None:
    assert profile("vax") is None


def test_the_profile_is_that_of_the_policy() -> None:
    """The file in the tree is the one that the policy gives (contrib/seccomp)."""
    root = Path(__file__).parents[3]
    program = (
        "import sys; sys.path.insert(0, 'contrib/seccomp'); import policy, json\n"
        "print(json.dumps([sorted(policy.ALLOWED), sorted(policy.MISSING)]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    text = (root / "plugins/img_plugins/worker/seccomp.json").read_text()
    document = json.loads(text)
    assert [document["allowed"], document["missing"]] == json.loads(done.stdout)


@pytest.mark.parametrize(
    ("message", "stage"),
    [
        ('exec: "x": executable file not found in $PATH: unknown', "exec"),
        ("executable file `x` not found in $PATH: No such file or directory", "exec"),
        ("chdir to cwd (/w) set in config.json failed: permission denied", "cwd"),
        ("something else altogether", "container"),
    ],
)
def test_what_runtimes_complain_of(message: str, stage: str) -> None:
    log = (
        json.dumps({"level": "error", "msg": message})
        + "\n"
        + json.dumps({"level": "warning", "msg": "no"})
        + "\nplain\n"
    )
    assert list(_errors(log)) == [message]
    assert classified(message, "x")[0] == stage
