"""What documents have that Dockerfiles lack: include, extends, matrix, when, typed arguments, targets."""

from __future__ import annotations

from typing import Any

import pytest
from tests.documents.lowering import definition, document, images, problems
from tests.unit.dockerfile.lowering import Resolver

from img.errors import FrontendError
from img.ir import wire
from img.ir.nodes import Exec, Link, Mkdir, Remove
from img_frontends.document.convert import written
from img_frontends.hooks import img_detect_frontend, named

STAGES = "stages:\n  a: {from: base, env: {X: 1, Y: 1}, steps: [{run: one}], cmd: [a]}\n"


def runs(text: str, **how: Any) -> list[str]:
    """The scripts of the goal's steps, and of what it stands on."""
    node: Any = definition(text, **how).targets[0].root
    found: list[str] = []
    while isinstance(node, Exec):
        found.insert(0, node.argv[-1])
        node = node.root
    return found


def test_extends_takes_base_steps_and_settings() -> None:
    text = STAGES + "  b: {extends: a, env: {Y: 2}, steps: [{run: two}], cmd: [b]}\n"
    assert runs(text) == ["one", "two"]
    config = definition(text).targets[0].config["config"]
    assert config["Cmd"] == ["b"]
    assert {"X=1", "Y=2"} <= set(config["Env"])


def test_matrix_makes_stages() -> None:
    text = "stages:\n  t: {matrix: {V: [a, b], W: [1]}, from: base-$V, steps: [{run: x, when: {V: a}}, {run: y}]}\n"
    resolver = Resolver()
    assert runs(text, target="t-a-1", resolver=resolver) == ["x", "y"]
    assert resolver.asked == [("base-a", "linux/amd64")]
    assert runs(text, target="t-b-1") == ["y"]
    assert "target stage 't'" in str(problems(text, target="t")[0])


def test_when_looks_at_arguments_and_platforms() -> None:
    text = "args: {FAST: {type: boolean, default: false}}\nfrom: base\nsteps:\n  - {run: fast, when: {FAST: true}}\n"
    text += "  - {run: arm, when: {TARGETARCH: [arm64, arm]}}\n  - run: all\n"
    assert runs(text) == ["all"]
    assert runs(text, args={"FAST": "true"}) == ["fast", "all"]
    both = definition(text, platforms=("linux/amd64", "linux/arm64")).targets
    assert [one.root.argv[-1] for one in both] == ["all", "all"]  # type: ignore[attr-defined]
    assert [len(one.layers) for one in both] == [1, 2]
    with pytest.raises(FrontendError, match="expected true or false, not 'maybe'"):
        definition(text, args={"FAST": "maybe"})


def test_include_joins_documents_of_the_context() -> None:
    files = {
        "ci/more.yaml": b"include: deep.toml\nstages: {b: {from: a, steps: [{run: two}]}}\n",
        "ci/deep.toml": b'[stages.a]\nfrom = "base"\nsteps = [{ run = "one" }]\n',
    }
    text = "include: [ci/more.yaml, ci/deep.toml]\nstages: {c: {from: b, steps: [{run: three}]}}\n"
    assert runs(text, resolver=Resolver(files=files)) == ["one", "two", "three"]
    twice = problems("include: ci/deep.toml\nstages: {a: {from: base}}\n", resolver=Resolver(files=files))[0]
    assert "a is there twice" in str(twice) and "ci/deep.toml:1:9" in twice.hint
    files["ci/deep.toml"] = b'include = "more.yaml"\n'
    circle = problems(text, resolver=Resolver(files=files))[0]
    assert "ci/more.yaml → ci/deep.toml → ci/more.yaml" in str(circle)
    assert circle.place and circle.place.file == "ci/deep.toml"
    files["ci/deep.toml"] = b"stages = 1\n"
    inner = problems(text, resolver=Resolver(files=files))[0]
    assert inner.place and (inner.place.file, inner.place.line) == ("ci/deep.toml", 1)


def test_targets_have_arguments_and_a_default() -> None:
    text = "args: {N: one}\nstages: {a: {from: base, arg: N, steps: [{run: $N}]}, b: {from: base}}\n"
    text += "targets: {two: {stage: a, args: {N: two}}}\ndefault: two\n"
    root: Any = definition(text).targets[0].root
    assert dict(root.env)["N"] == "two"
    given: Any = definition(text, args={"N": "three"}, target="two").targets[0].root
    assert dict(given.env)["N"] == "three"
    assert images(definition(text, target="b"))[0][2] == ()


def test_acts_that_no_dockerfile_has() -> None:
    text = 'from: base\nworkdir: /w\nsteps: [{mkdir: {path: a, mode: "0700"}}, {link: {path: l, target: a}}, {remove: "*"}]\n'
    target = definition(text).targets[0]
    remove: Any = target.root
    assert isinstance(remove, Remove) and (remove.path, remove.wildcard) == ("/w/*", True)
    assert isinstance(remove.base, Link) and (remove.base.path, remove.base.target) == ("/w/l", "a")
    assert isinstance(remove.base.base, Mkdir) and remove.base.base.mode == 0o700
    with pytest.raises(FrontendError, match="a Dockerfile can't say mkdir") as caught:
        written(document(text), "dockerfile")
    assert caught.value.place and caught.value.place.line == 3
    assert len(caught.value.others) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("from: base\nsteps: [{run: x, when: {TARGETOS: linux}}]\n", "can't say when"),
        ("args: {A: {type: number}}\nfrom: base\n", "can't say the type of args.A"),
        ("stages: {a: {from: base}}\ntargets: {t: a}\n", "can't say targets.t"),
        ('from: base\nsteps: [{run: "a\\nb"}]\n', "can't say this RUN"),
        ('from: base\nenv: {A: "a\\nb"}\n', "can't say this ENV"),
    ],
)
def test_what_a_dockerfile_cannot_say(text: str, message: str) -> None:
    with pytest.raises(FrontendError) as caught:
        written(document(text), "dockerfile")
    assert message in str(caught.value)
    assert caught.value.place and caught.value.place.line >= 1


def test_detection() -> None:
    assert [named(name) for name in ("img.yaml", "a/img.yml", "web.img.toml", "pyproject.toml")] == [
        "yaml",
        "yaml",
        "toml",
        "toml",
    ]
    assert [named(name) for name in ("Dockerfile", "compose.yaml", "x.toml", "img")] == ["dockerfile"] * 4
    assert img_detect_frontend("anything", b"# syntax=yaml\nfrom: x\n") == "yaml"
    assert img_detect_frontend("anything", b"# syntax=toml\n") == "toml"
    assert img_detect_frontend("img.yaml", b"# no syntax here\n") == "yaml"
    assert img_detect_frontend("img.yaml", b"# syntax=docker/dockerfile:1\n") == "dockerfile"


def test_a_step_without_cache() -> None:
    text = "from: base\nsteps: [{run: a}, {run: b, cache: false}, {copy: [x, /], cache: false}]\n"
    node: Any = definition(text).targets[0].root
    assert [node.notes.fresh, node.inputs[0].notes.fresh, node.inputs[0].inputs[0].notes.fresh] == [True, True, False]
    assert wire.load(wire.dump(definition(text))).targets[0].root.notes.fresh


def test_late_mistakes_have_their_path() -> None:
    files: dict[Any, bytes] = {"more.yaml": b"stages: {a: {from: '${X'}}\n"}
    text = "stages:\n  b: {from: base, steps: [{copy: [a, /]}, {copy: {from: '${Y', paths: x, to: /}}]}\n"
    assert str(problems(text)[0]).startswith("stages.b.steps[1].copy.from: ")
    found = problems("include: more.yaml\nstages: {b: {from: a}}\n", resolver=Resolver(files=files))
    assert str(found[0]).startswith("stages.a.from: ") and found[0].place and found[0].place.file == "more.yaml"
