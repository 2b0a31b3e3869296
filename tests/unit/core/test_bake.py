"""Plans of several targets: what is selected, inherited, put in, overridden, and refused."""

from pathlib import Path
from typing import Any

import pytest

from img.bake import filled, links, read_plan, resolved, selected, waves
from img.errors import UsageError
from img.request import Request
from img.session import Session
from img_cli.commands.bake_targets import request_of

PLAN = read_plan(
    {
        "target": {
            "app": {"context": "src", "args": {"A": "1", "N": 5, "T": True, "Z": None}, "tags": ["app:1"]},
            "web": {"target": "web", "inherits": ["app"], "args": {"A": "2"}, "annotations": ["b=2"]},
            "test": {"inherits": ["app", "web"], "tags": ["t:1"], "annotations": ["c=3"]},
        },
        "group": {"default": {"targets": ["both"]}, "both": {"targets": ["app", "web", "both"]}},
    },
    "f",
)
GIVEN = {"no_cache": False, "pull": False, "push": False, "load": False, "backend": "", "allow": []}


def test_selected() -> None:
    assert selected(PLAN, []) == ["app", "web"]
    assert selected(PLAN, ["test", "both", "app"]) == ["test", "app", "web"]
    assert selected(PLAN._replace(groups={}), []) == ["app", "web", "test"]
    with pytest.raises(UsageError) as caught:
        selected(PLAN, ["apq"])
    assert caught.value.hint == "did you mean app?"


def test_what_is_inherited() -> None:
    found = resolved(PLAN, ["web.args.B=3"])
    assert found["app"]["args"] == {"A": "1", "N": "5", "T": "true"}
    assert found["web"] == {
        "context": "src",
        "target": "web",
        "tags": ["app:1"],
        "annotations": ["b=2"],
        "args": {"A": "2", "N": "5", "T": "true", "B": "3"},
    }
    assert found["test"]["annotations"] == ["b=2", "c=3"] and found["test"]["tags"] == ["t:1"]
    assert found["test"]["args"]["B"] == "3", "--set goes down with the rest"


def test_override() -> None:
    words = ["*.platform=linux/amd64", "*.platform=linux/arm64", "ap*.tags=x", "web.tags+=y", "web.no-cache=true"]
    found = resolved(PLAN, ["app.args.A=2", *words])
    assert found["app"]["args"]["A"] == "2" and found["app"]["tags"] == ["x"]
    assert [one["platforms"] for one in found.values()] == [["linux/amd64", "linux/arm64"]] * 3
    assert found["web"]["tags"] == ["x", "y"] and found["web"]["no-cache"] is True
    wrongs = (
        "app",
        "app=1",
        "nope.target=x",
        "app.nope=x",
        "app.args=x",
        "app.target.x=y",
        "app.target+=x",
        "app.pull=x",
    )
    for wrong in wrongs:
        with pytest.raises(UsageError, match="invalid --set"):
            resolved(PLAN, [wrong])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "is not a table"),
        ({"target": {}}, "has no target"),
        ({"targets": {}}, "'targets' is not known"),
        ({"function": {"f": {}}, "target": {"a": {}}}, "functions are not called"),
        ({"target": {"a": 1}}, "target.a is a table"),
        ({"target": {"a": {"tag": []}}}, "target.a.tag is not known"),
        ({"target": {"a": {"tags": "x"}}}, "target.a.tags is a list of texts"),
        ({"target": {"a": {"tags": [1]}}}, "target.a.tags is a list of texts"),
        ({"target": {"a": {"args": {"A": []}}}}, "target.a.args is a table of texts"),
        ({"target": {"a": {"context": 1}}}, "target.a.context is a text"),
        ({"target": {"a": {"pull": "yes"}}}, "target.a.pull is true or false"),
        ({"target": {"a": {"attest": ["type=sbom"]}}}, "attest can't be kept"),
        ({"target": {"a": {"call": "check"}}}, "call can't be 'check'"),
        ({"target": {"a": {}}, "group": {"g": 5}}, "group.g has targets"),
        ({"target": {"a": {"inherits": ["b"]}, "b": {"inherits": ["a"]}}}, "a inherits itself: a → b → a"),
        ({"target": {"a": {"inherits": ["z"]}}}, "no target 'z'"),
        ({"target": {f"t{n}": {"inherits": [f"t{n + 1}"]} for n in range(999)} | {"t999": {}}}, "more than 100"),
        ({"target": {"a": {"tags": ["${X}"]}}}, "variable 'X'"),
        ({"target": {"a": {"tags": ["${upper(X)}"]}}}, "not evaluated"),
        ({"target": {"a": {"tags": ["x%{ if a }"]}}}, "not read"),
        ({"target": {"a": {"tags": ["x${V}"]}}, "variable": {"V": {"default": "${V}"}}}, "made of itself"),
        ({"target": {"a": {"tags": ["x${V}"]}}, "variable": {"V": {"default": []}}}, "puts a list"),
        ({"target": {"a": {"matrix": {"x": ["1"]}}}}, "needs a name"),
        ({"target": {"a": {"matrix": {"x": ["1", "2"]}, "name": "a"}}}, "is 'a' twice"),
        ({"target": {"a": {"matrix": {"x": ["/"]}, "name": "${x}"}}}, "can't be '/'"),
        ({"target": {"a": {"matrix": {"x": [1] * 300}, "name": "${x}"}}}, "makes 300 targets"),
    ],
)
def test_refused(document: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolved(read_plan(filled(document, {}, "f"), "f"), [])


def test_variables_and_matrices() -> None:
    document = {
        "variable": {"TAG": {"default": "v1"}, "NAME": {"default": "r/app:${TAG}"}, "ALL": {"default": ["a", "b"]}},
        "group": {"default": {"targets": ["app", "m"]}},
        "target": {
            "app": {"tags": ["${NAME}", "$${TAG}"], "platforms": "${ALL}"},
            "m": {"name": "m-${v}-${i.os}", "matrix": {"v": [1, 2], "i": [{"os": "x"}]}, "args": {"V": "${v}"}},
        },
    }
    plan = read_plan(filled(document, {"TAG": "v2"}, "f"), "f")
    assert plan.targets["app"] == {"tags": ["r/app:v2", "${TAG}"], "platforms": ["a", "b"]}
    assert selected(plan, []) == ["app", "m-1-x", "m-2-x"]
    assert plan.targets["m-2-x"]["args"] == {"V": "2"}


def test_what_stands_on_what() -> None:
    targets: dict[str, dict[str, Any]] = {
        "a": {"contexts": {"b": "target:b", "f": "folder"}},
        "b": {"contexts": {"c": "target:c"}},
        "c": {},
    }
    assert waves(targets, ["a"]) == [["c"], ["b"], ["a"]]
    assert waves(targets, ["c"]) == [["c"]]
    assert links(targets["a"]) == {"b": "b"}
    with pytest.raises(UsageError, match="no target 'b'"):
        waves({"a": targets["a"]}, ["a"])
    with pytest.raises(UsageError, match="a → b → a"):
        waves({"a": targets["a"], "b": {"contexts": {"x": "target:a"}}}, ["a"])


def test_requests_are_relative_to_the_file() -> None:
    one = {"context": "src", "dockerfile": "x/Dockerfile", "tags": ["t"], "network": "none"}
    one |= {
        "output": ["type=oci,dest=o.tar"],
        "cache-to": ["type=local,dest=c"],
        "contexts": {"f": "f", "u": "https://e"},
    }
    found = request_of("n", one, "/p", "", GIVEN)
    assert (found.context, found.file, found.tags) == ("/p/src", "/p/src/x/Dockerfile", ("t",))
    assert found.outputs == ({"type": "oci", "dest": "/p/o.tar"},) and found.confinement.network.value == "none"
    assert found.cache_to[0]["dest"] == "/p/c" and found.contexts == {"f": "/p/f", "u": "https://e"}
    assert request_of("n", {"context": "https://e.org/x.git"}, "/p", "", GIVEN).context == "https://e.org/x.git"
    assert request_of("n", {}, "/p", "/p/img.yaml", GIVEN).file == "/p/img.yaml"
    inline = request_of("n", {"dockerfile-inline": "FROM x"}, "", "", GIVEN)
    assert inline.file == "-" and inline.stdin is not None and inline.stdin.read() == b"FROM x"
    with pytest.raises(UsageError, match="target n: there is no limit named 'x'"):
        request_of("n", {"ulimits": ["x=1"]}, "", "", GIVEN)


def test_a_file_grants_itself_nothing() -> None:
    asks = {"entitlements": ["security.insecure"]}
    with pytest.raises(UsageError, match="target n: it asks for security.insecure, which was not granted"):
        request_of("n", asks, "", "", GIVEN)
    granted = request_of("n", asks, "", "", {**GIVEN, "allow": ["security.insecure"]})
    assert granted.allow == {"security.insecure"}


def test_one_graph_has_one_context(tmp_path: Path) -> None:
    with Session(tmp_path / "root") as session:
        assert session.build_all([]) == []
        with pytest.raises(UsageError, match="one context"):
            session.build_all([Request(context="a"), Request(context="b")])


def test_one_graph_gives_each_its_own_result(tmp_path: Path) -> None:
    (tmp_path / "img.yaml").write_text(
        "stages: {a: {from: scratch, labels: {l: a}}, b: {from: scratch, labels: {l: b}}}\n"
    )
    requests = [Request(context=str(tmp_path), target=name, tags=(f"{name}:1",)) for name in "ab"]
    with Session(tmp_path / "root") as session:
        found = [result.images for result in session.build_all(requests)]
    assert [[name for name, _ in images] for images in found] == [["docker.io/library/a:1"], ["docker.io/library/b:1"]]
    assert found[0][0][1] != found[1][0][1]
