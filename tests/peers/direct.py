"""Builds of graphs that a test makes itself, in a process of their own, as root or as the ordinary user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from img.ir.definition import Definition, Target
from img.ir.nodes import Exec, Node, Source
from img.ir.values import Notes
from img.ir.walk import topological
from img.ir.wire import dump
from img.oci.reference import Reference
from tests.peers.builders import USER

PROGRAM = """
import base64, json, sys, threading
from pathlib import Path
from img.errors import ImgError
from img.events import StepLog
from img.ir.wire import load
from img.secrets import SecretSource
from img.session import Options, Session

asked = json.loads(sys.stdin.read())
log, events = [], []

class Collector:
    def handle(self, event):
        events.append(repr(event))
        if isinstance(event, StepLog):
            log.append(event.data)
    def close(self):
        pass

options = Options(
    secrets={id: SecretSource(*source) for id, source in asked["secrets"].items()},
    ssh={id: tuple(paths) for id, paths in asked["ssh"].items()},
    tags=tuple(asked["tags"]),
    no_cache=asked["no_cache"],
)
answer = {"ok": True, "error": "", "hint": "", "kind": ""}
with Session(Path(asked["root"]), asked["settings"]) as session:
    try:
        for base in asked["bases"]:
            session.engine.load("source", "docker-image").resolve(base, "linux/amd64")
        session.build_definition(load(asked["graph"]), options, {}, [Collector()])
    except ImgError as error:
        answer = {"ok": False, "error": str(error), "hint": error.hint, "kind": type(error).__name__}
answer["log"] = b"".join(log).decode("utf-8", "replace")
answer["events"] = "\\n".join(events)
answer["threads"] = [thread.name for thread in threading.enumerate() if not thread.daemon]
print(json.dumps(answer))
"""


@dataclass(frozen=True)
class Answer:
    """What came of a build. `log` is the output of all its steps, `events` all events as text."""

    ok: bool
    error: str
    hint: str
    kind: str
    log: str
    events: str
    threads: list[str]


both = pytest.mark.parametrize("user", [False, True], ids=["root", "user"])
"""For tests that build as root and as the ordinary user."""


def base(name: str) -> Source:
    """The image `name` of the tests' registry, as a node."""
    argv = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{name}"]
    digest = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    return Source("docker-image", str(Reference.parse(name).at(digest)), (("platform", "linux/amd64"),))


def step(root: Node, script: str, **how: Any) -> Exec:
    """A step that runs a shell script."""
    env = (("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), *how.pop("env", ()))
    return Exec(root, ("/bin/sh", "-ec", script), env, notes=Notes(title=f"RUN {script}"), **how)


def file(path: Path, text: str) -> str:
    """Write a file that every user may read; returns its path."""
    path.write_text(text)
    path.chmod(0o644)
    return str(path)


def start(
    node: Node,
    root: Path,
    *,
    user: bool = False,
    secrets: Mapping[str, tuple[str, str]] | None = None,
    ssh: Mapping[str, Sequence[str]] | None = None,
    settings: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
    no_cache: bool = False,
) -> subprocess.Popen[str]:
    """Begin to build `node` into the store `root`."""
    target = Target(node, {"architecture": "amd64", "os": "linux", "config": {}}, "linux/amd64", (node.digest,), 0)
    asked: dict[str, Any] = {
        "graph": dump(Definition((target,))),
        "bases": [node.ref for node in topological([node]) if isinstance(node, Source)],
        "root": str(root),
        "secrets": secrets or {},
        "ssh": ssh or {},
        "settings": settings or {},
        "tags": list(tags),
        "no_cache": no_cache,
    }
    argv = [sys.executable, "-c", PROGRAM]
    home = "/root"
    if user:
        home = f"/home/{USER}"
        argv = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--inh-caps=-all", *argv]
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": home},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asked))
    process.stdin.close()
    process.stdin = None
    return process


def finish(process: subprocess.Popen[str], timeout: float = 300) -> Answer:
    """Wait for a build. Raises `AssertionError` with what it said if it ended without an answer."""
    out, err = process.communicate(timeout=timeout)
    assert out.strip(), err[-3000:]
    return Answer(**json.loads(out.splitlines()[-1]))


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a build as nothing can be prepared for."""
    process.kill()
    process.communicate()


def build(node: Node, root: Path, **how: Any) -> Answer:
    """Build `node` into the store `root`; see `start`."""
    return finish(start(node, root, **how))
