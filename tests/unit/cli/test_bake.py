"""``img bake`` as it is typed: a target that stands on another, a compose file, and what is said when they are wrong."""

import json
from pathlib import Path

import pytest
from tests.unit.cli.program import img

BASE = "FROM scratch\nCOPY a /a\nENV BASE=yes\n"
BAKE = {
    "variable": {"V": {"default": "1"}},
    "target": {
        "base": {"dockerfile-inline": BASE},
        "app": {"dockerfile-inline": "FROM base\nCOPY --from=base /a /b\n", "contexts": {"base": "target:base"}},
        "m": {"matrix": {"v": ["1", "2"]}, "name": "m${v}", "inherits": ["app"], "tags": ["m:${v}"]},
    },
    "group": {"default": {"targets": ["m"]}},
}
COMPOSE = """\
services:
  db: {image: x}
  base:
    build: {context: ., dockerfile: B, args: ["A=${V:-1}", HOME], labels: {l: "$$x"}}
    image: ${NAME?}:1
  app:
    extends: base
    image: app:1
    build:
      additional_contexts: ["base=service:base"]
      secrets: [{source: s, target: t}]
      ulimits: {nofile: {soft: 1, hard: 2}}
      args: {A: 2}
secrets: {s: {file: ./tok}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "tok"):
        (tmp_path / name).write_text(name)
    (tmp_path / "B").write_text(BASE)
    return tmp_path


def test_a_target_stands_on_another(folder: Path) -> None:
    root = folder / "root"
    (folder / "docker-bake.json").write_text(json.dumps(BAKE))
    done = img("bake", "--progress", "plain", "--metadata-file", "facts", root=root)
    assert done.returncode == 0 and "img-bake" not in done.stderr, done.stderr
    assert set(json.loads((folder / "facts").read_text())) == {"m1", "m2"}
    listed = img("ls", root=root).stdout.splitlines()[1:]
    assert [line.split()[0] for line in listed] == ["m:1", "m:2"]
    assert "BASE=yes" in img("inspect", "m:2", root=root).stdout
    again = img("bake", "--pull", "app", root=root)
    assert again.returncode == 0, f"what was built is asked of no registry: {again.stderr}"


def test_compose(folder: Path) -> None:
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / ".env").write_text("# words\nexport NAME='b'\nV=9\n")
    done = img("bake", "--print", root=folder / "root", V="7", HOME="/h")
    found = json.loads(done.stdout)["target"]
    assert found["base"] == {
        "context": ".",
        "dockerfile": "B",
        "args": {"A": "7", "HOME": "/h"},
        "labels": {"l": "$x"},
        "tags": ["b:1"],
    }
    assert found["app"] == {
        **found["base"],
        "args": {"A": "2"},
        "contexts": {"base": "target:base"},
        "secret": ["id=t,src=./tok"],
        "ulimits": ["nofile=1:2"],
        "tags": ["app:1"],
    }
