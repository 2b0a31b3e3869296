"""package.json to a graph. A real build is in tests/real/test_contrib.py of img."""

from __future__ import annotations

import json
from typing import Any

import pytest

from img.errors import FrontendError
from img.ir.definition import Target
from img.ir.nodes import Exec, Source
from img.ir.walk import topological
from img.plugin.registry import Registry
from img.ports import BaseImage, FrontendRequest
from img_node import versions
from img_node.frontend import NodeFrontend
from img_node.hooks import img_detect_frontend

LOCK = {"lockfileVersion": 3, "version": "1.0.0", "packages": {"": {"version": "1.0.0"}, "node_modules/a": {}}}


class Resolver:
    """Files of a context by name; every image is there."""

    def __init__(self, **files: str) -> None:
        self.files = {name.replace("__", "-").replace("_", "."): text for name, text in files.items()}

    def image(self, ref: str, platform: str) -> BaseImage:
        return BaseImage(Source("docker-image", ref, (("platform", platform),)), {"config": {}}, 1)

    def context_file(self, path: str, context: str = "context") -> bytes | None:
        text = self.files.get(path)
        return None if text is None else text.encode()

    def named(self, name: str, platform: str) -> BaseImage | Source | None:
        return None

    def modified(self, context: str) -> int | None:
        return None


def target(package: dict[str, Any], lock: dict[str, Any] | None = LOCK, **request: Any) -> Target:
    files = {"package__lock_json": json.dumps(lock)} if lock else {}
    host: Any = None
    asked = FrontendRequest("package.json", json.dumps(package, indent=2).encode(), **request)
    return NodeFrontend(host).load(asked, Resolver(**files)).targets[0]


def installs(made: Target) -> dict[str, str]:
    """Digest of each step that installs, by its title."""
    return {
        n.notes.title: n.digest for n in topological([made.root]) if isinstance(n, Exec) and "npm ci" in n.notes.title
    }


BASIC = {"name": "x", "version": "1.0.0", "scripts": {"start": "node a.js --x 'b c'"}, "dependencies": {"a": "1"}}


def test_two_layers_and_no_root() -> None:
    made = target(BASIC)
    words = [
        entry["created_by"].removesuffix(" # buildkit")
        for entry in made.config["history"]
        if not entry.get("empty_layer")
    ]
    assert words == ["WORKDIR /app", "COPY /app/node_modules /app/node_modules", "COPY . /app/"]
    assert made.config["config"]["Cmd"] == ["node", "a.js", "--x", "b c"]
    assert made.config["config"]["User"] == "node"
    assert "NODE_ENV=production" in made.config["config"]["Env"]
    (source,) = {n.ref for n in topological([made.layers and made.root]) if isinstance(n, Source) and "slim" in n.ref}
    assert source == "docker.io/library/node:24-slim"


def test_what_is_installed_hangs_on_the_packages_alone() -> None:
    first = installs(target(BASIC))
    other = {**BASIC, "version": "2.0.0", "scripts": {"start": "node b.js", "test": "x"}}
    newer = {**LOCK, "version": "2.0.0", "packages": {**LOCK["packages"], "": {"version": "2.0.0"}}}  # type: ignore[dict-item]
    assert installs(target(other, newer)) == first
    assert installs(target({**BASIC, "dependencies": {"a": "2"}})) != first


def test_a_build_has_all_packages_and_the_image_has_not() -> None:
    made = target({**BASIC, "scripts": {"start": "node a", "build": "tsc"}, "devDependencies": {"t": "1"}})
    assert sorted(installs(made)) == ["RUN npm ci --no-audit --no-fund", "RUN npm ci --no-audit --no-fund --omit=dev"]


def test_a_project_without_packages_needs_no_npm() -> None:
    made = target({"name": "x", "main": "a.js"}, None)
    assert installs(made) == {} and made.config["config"]["Cmd"] == ["node", "a.js"]


@pytest.mark.parametrize(
    "range, major",
    [
        ("*", 24),
        (">=18", 24),
        ("^20.1.0", 20),
        ("~22", 22),
        ("20.x", 20),
        ("18 || 20", 20),
        (">=18 <23", 22),
        ("18 - 21", 20),
        ("< 20", 18),
        ("<=20.0.0", 20),
        ("v22.1.0", 22),
        (">=99", None),
        (">22", 24),
    ],
)
def test_ranges(range: str, major: int | None) -> None:
    assert versions.newest(range) == major


@pytest.mark.parametrize(
    "package, lock, message, line",
    [
        ({"img-node": {"bse": "x"}}, LOCK, "img-node has no key 'bse'", 11),
        ({"img-node": {"command": "x"}}, LOCK, "img-node.command must be a list of texts", 11),
        ({"engines": {"node": ">=99"}}, LOCK, "no Node.js that is known fits '>=99'", 11),
        ({"engines": {"node": "new"}}, LOCK, "engines.node says 'new', which is no range", 11),
        ({"workspaces": ["a"]}, LOCK, "workspaces are not built from here", 10),
        ({"scripts": {}}, LOCK, "nothing says what the image runs", 4),
        ({"scripts": []}, LOCK, "scripts must be an object of texts", 4),
        ({}, None, "nothing locks the dependencies: there is no package-lock.json", 7),
        ({}, {"lockfileVersion": 1}, "package-lock.json has an old format", 1),
        ({}, {"packages": {"b": {"link": True}}}, "b is a folder beside the project", 1),
    ],
)
def test_mistakes_have_a_place(package: dict[str, Any], lock: Any, message: str, line: int) -> None:
    with pytest.raises(FrontendError) as caught:
        target({**BASIC, **package}, lock)
    assert message in caught.value.message
    assert caught.value.place is not None and caught.value.place.line == line, caught.value.place


def test_what_is_no_json_has_a_place() -> None:
    host: Any = None
    with pytest.raises(FrontendError, match="package.json is not JSON: expecting") as caught:
        NodeFrontend(host).load(FrontendRequest("package.json", b'{\n  "a": }\n'), Resolver())
    assert str(caught.value.place) == "package.json:2:8"


def test_detection() -> None:
    assert img_detect_frontend("a/package.json", b'{"img-node": {}}') == "node"
    assert img_detect_frontend("package.json", b"{}") is None
    assert img_detect_frontend("other.json", b'{"img-node": {}}') is None


def test_the_offer_names_its_file() -> None:
    offers = {offer.name: offer for offer, _ in Registry.discover().offers("frontend")}
    assert offers["node"].files == ("package.json",)
