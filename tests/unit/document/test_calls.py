"""Questions about documents, compose files as plans, and comments."""

from __future__ import annotations

import json
import random

import pytest
from tests.documents.lowering import document
from tests.unit.dockerfile.lowering import Resolver
from tests.unit.document.test_mutated import mutated

from img.errors import FrontendError, UsageError
from img.ports import FrontendRequest, Report
from img_frontends.document.calls import CALLS, answer
from img_frontends.document.convert import written
from img_frontends.document.from_dockerfile import from_dockerfile
from img_frontends.toml.frontend import TomlFrontend
from img_frontends.yaml.frontend import YamlFrontend
from img_frontends.yaml.read import read_yaml

TEXT = """\
args:
  N: {type: choice, choices: [a, b], default: a, description: which}
stages:
  one: {from: base}
  two: {from: one}
targets:
  both: {stage: two, args: {N: b}, tags: [t:1, t:2]}
default: both
"""


def call(name: str, text: str = TEXT, file: str = "img.yaml", **options: str) -> Report:
    request = FrontendRequest(file, text.encode(), options={"path": file, **options})
    report = YamlFrontend(None).call(name, request, Resolver())  # type: ignore[arg-type]
    json.dumps(report.document)
    return report


def test_the_calls_are_what_the_frontends_offer() -> None:
    assert YamlFrontend.calls == TomlFrontend.calls == tuple(CALLS)
    with pytest.raises(UsageError, match="a document can't be asked for 'x'"):
        call("x")


def test_check_outline_targets_describe_plan() -> None:
    assert call("lint").status == 0
    with pytest.raises(FrontendError, match="unknown key"):
        call("check", "from: base\nstep: 1\n")
    assert call("outline").document["args"][0]["choices"] == ("a", "b")
    assert "N           a       which" in call("outline").text
    assert [(one["name"], one["default"]) for one in call("targets").document["targets"]] == [
        ("both", True),
        ("one", False),
        ("two", False),
    ]
    assert "compose" in call("describe").text
    plan = call("plan").document
    assert plan["target"]["both"]["tags"] == ["t:1", "t:2"]
    assert plan["group"] == {"default": {"targets": ["both"]}}
    assert call("schema").document["title"] == "img document"


def test_convert_asks_for_a_form() -> None:
    assert call("convert", "from: base\n", to="toml").text == 'from = "base"\n'
    with pytest.raises(UsageError, match="there is no form 'ini'"):
        call("convert", to="ini")


def test_compose() -> None:
    build = "{context: b, args: [A=1], labels: {l: 2}}"
    text = f"services:\n  a: {{image: i, build: ./a}}\n  b: {{build: {build}}}\n  c: {{image: x}}\n"
    assert call("compose", text, "compose.yaml").document["target"] == {
        "a": {"context": "./a", "tags": ["i"]},
        "b": {"context": "b", "args": {"A": "1"}, "labels": {"l": "2"}},
    }


@pytest.mark.parametrize(
    ("build", "column", "message"),
    [
        ("{ctx: x}", 13, "services.a.build.ctx: img does not know this key"),
        ("{context: [x]}", 22, "expected a text"),
        ("{args: {X: [1]}}", 23, "services.a.build.args.X: expected a text"),
        ('{context: "${X"}', 22, "services.a.build.context: a } is missing"),
        ('{context: "${X!"}', 22, "${X is followed by '!'"),
        ('{context: "${X:?why}"}', 22, "the variable X is not set: why"),
        ('{context: "$1"}', 22, "a $ stands before no name"),
        ('{context: "' + "${X:-" * 30 + '"}', 22, "nested too deep"),
        ("{secrets: [x]}", 23, "there is no secret 'x'"),
        ("{sbom: true}", 19, "img makes no attestations"),
        ("{pull: maybe}", 19, "expected true or false"),
        ("{x-ours: 1, dockerfile: B, dockerfile_inline: x}", 12, "it has dockerfile and dockerfile_inline"),
    ],
)
def test_compose_mistakes(build: str, column: int, message: str) -> None:
    with pytest.raises(FrontendError) as caught:
        call("compose", f"services:\n  a:\n    build: {build}\n", "compose.yaml")
    assert message in str(caught.value)
    assert caught.value.place and (caught.value.place.line, caught.value.place.column) == (3, column)


def test_mutated_compose() -> None:
    """Taken, or refused with a place."""
    text = """\
services:
  base:
    build: {context: ".", args: ["A=${V:-1}", "HOME"], labels: {l: "$$x"}, tags: ["a:${T:?no}"]}
  app:
    extends: base
    image: app:1
    build:
      additional_contexts: ["base=service:base"]
      secrets: [{source: s, target: t}]
      ulimits: {nofile: {soft: 1, hard: 2}}
secrets: {s: {file: ./tok}}
"""
    chance, taken = random.Random("compose"), 0
    for _ in range(300):
        odd = mutated(text, chance)
        request = FrontendRequest("compose.yaml", odd.encode(), args={"T": "1"})
        try:
            taken += bool(answer("compose", request, Resolver(), read_yaml).document["target"])
        except FrontendError as error:
            assert error.place is not None, odd
    assert 30 < taken < 270


def test_comments_go_along() -> None:
    text = "# head\nARG A\n\n# the first\nFROM base AS x\n# why\nRUN a && \\\n  # inner\n  b\nFROM x\n# last\nCMD a\n"
    for form in ("yaml", "toml", "dockerfile"):
        there = written(from_dockerfile(text.encode(), "Dockerfile"), form)
        for comment in ("# head", "# the first", "# why", "# inner", "# last"):
            assert there.count(f"{comment}\n") == 1, there


def test_a_comment_of_a_script_is_none_of_the_document() -> None:
    made = document("from: base\nsteps:\n  - run: |\n      a\n      # of the script\n  # of the step\n  - run: b\n")
    assert [step.comments for step in made.stages[0][1].steps] == [(), ("of the step",)]
    made = document("from: base\nsteps:\n  - run: |\n      a\n      # of the script\n  - run: b\n")
    assert [step.comments for step in made.stages[0][1].steps] == [(), ()]
