"""CDI specifications: which device a name means, and what it asks for."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from img.errors import BackendError, UsageError
from img.ir.nodes import Exec, Scratch
from img.ir.values import Device
from img_plugins.worker.devices import CLASS, Edits, find, read_entries, resolve_devices


def spec(folder: Path, name: str, **fields: Any) -> None:
    document = {"cdiVersion": "0.6.0", "kind": "acme.com/gpu", "devices": [], **fields}
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(document))


def device(name: str, **edits: Any) -> dict[str, Any]:
    return {"name": name, "containerEdits": edits}


def ask(folder: Path, name: str, allow: str = "device", required: bool = True) -> Edits:
    host: Any = SimpleNamespace(settings={"cdi": str(folder), "allow": allow})
    return resolve_devices(host, Exec(Scratch(), ("true",), devices=(Device(name, required),)))


def test_names(tmp_path: Path) -> None:
    spec(tmp_path / "a", "1.json", devices=[device("0"), device("1")], annotations={CLASS: "fast"})
    spec(tmp_path / "a", "2.json", kind="acme.com/net", devices=[device("0")])
    spec(tmp_path / "b", "1.json", devices=[device("1", env=["LATER=1"])])
    known = list(read_entries([str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "none")]))

    def names(text: str) -> list[str]:
        return [f"{entry.kind}={entry.name}" for entry in find(known, text)]

    assert names("acme.com/gpu=1") == ["acme.com/gpu=1"]
    assert find(known, "acme.com/gpu=1")[0].file == str(tmp_path / "b" / "1.json")
    assert names("acme.com/gpu=*") == ["acme.com/gpu=0", "acme.com/gpu=1"]
    assert names("acme.com/gpu") == ["acme.com/gpu=0"]
    assert names("fast") == ["acme.com/gpu=0"]
    assert names("acme.com/gpu=2") == names("slow") == names("other.com/x") == []


def test_what_a_device_adds(tmp_path: Path) -> None:
    node = {"path": "/dev/gpu0", "hostPath": "/dev/null", "fileMode": 0o660, "uid": 1, "gid": 2}
    mount = {"hostPath": "/etc", "containerPath": "/gpu/etc", "options": ["ro", "nosuid"]}
    spec(
        tmp_path,
        "x.json",
        containerEdits={"env": ["ALL=1", "EQ=a=b"], "additionalGids": [44]},
        devices=[device("0", deviceNodes=[node], mounts=[mount])],
    )
    found = ask(tmp_path, "acme.com/gpu=0")
    assert found.environment == {"ALL": "1", "EQ": "a=b"}
    assert found.groups == [44]
    assert [(m["kind"], m["target"], m["source"], m["file"]) for m in found.mounts] == [
        ("device", "/dev/gpu0", "/dev/null", True),
        ("bind", "/gpu/etc", "/etc", False),
    ]
    assert found.mounts[0]["mode"] == 0o660
    assert found.mounts[1]["readonly"] is True


def test_grants(tmp_path: Path) -> None:
    spec(tmp_path, "x.json", devices=[device("0")])
    ask(tmp_path, "acme.com/gpu=0", "network.host device")
    ask(tmp_path, "acme.com/gpu=0", "device=acme.com/gpu=0")
    for allow in ("", "security.insecure", "device=acme.com/gpu=1", "devices"):
        with pytest.raises(UsageError, match="was not granted"):
            ask(tmp_path, "acme.com/gpu=0", allow)


def test_missing(tmp_path: Path) -> None:
    spec(tmp_path, "x.json", devices=[device("0")])
    with pytest.raises(UsageError, match="no device 'acme.com/gpu=7'") as caught:
        ask(tmp_path, "acme.com/gpu=7")
    assert caught.value.hint == "CDI knows acme.com/gpu=0"
    assert ask(tmp_path, "acme.com/gpu=7", required=False) == Edits()


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"hooks": [{"hookName": "prestart", "path": "/x"}]}, "wants to run hooks on the host"),
        ({"intelRdt": {"closID": "x"}}, "asks for intelRdt"),
        ({"env": ["NOVALUE"]}, "is not NAME=VALUE"),
        ({"deviceNodes": [{"path": "relative"}]}, "is not an absolute path"),
        ({"deviceNodes": [{"path": "/dev/not-there"}]}, "this machine does not have"),
        ({"mounts": [{"hostPath": "/not/there", "containerPath": "/x"}]}, "this machine does not have"),
        ({"mounts": [{"hostPath": "/etc", "containerPath": "/x", "type": "tmpfs"}]}, "not a bind"),
        ({"deviceNodes": ["text"]}, "where an object must be"),
    ],
)
def test_edits_that_are_refused(tmp_path: Path, edits: dict[str, Any], message: str) -> None:
    spec(tmp_path, "x.json", devices=[device("0", **edits)])
    with pytest.raises(BackendError, match=message):
        ask(tmp_path, "acme.com/gpu=0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "where an object must be"),
        ('{"kind": "nokind", "devices": []}', "its kind must be vendor/class"),
        ('{"kind": "a/b"}', "it has no list of devices"),
        ('{"kind": "a/b", "devices": [{}]}', "a device has no name"),
        ('{"kind": "a/b", "devices": [3]}', "where an object must be"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(BackendError, match=message):
        list(read_entries([str(tmp_path)]))


def test_yaml_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "x.yaml").write_text("kind: a/b\ndevices: []\n")
    with pytest.raises(BackendError, match="needs PyYAML"):
        list(read_entries([str(tmp_path)]))


def test_the_stream_keeps_devices() -> None:
    from img.ir.definition import Definition, Target
    from img.ir.wire import dump, load

    node = Exec(Scratch(), ("true",), devices=(Device("a/b=c", True), Device("x")))
    (target,) = load(dump(Definition((Target(node, {}, "linux/amd64"),)))).targets
    assert target.root == node
    assert isinstance(target.root, Exec)
    assert target.root.devices == node.devices
    assert Exec(Scratch(), ("true",)).digest != node.digest
