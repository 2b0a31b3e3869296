"""Plans of several targets: what is selected, overridden, and refused."""

from pathlib import Path

import pytest

from img.bake import checked, override, request_of, selected
from img.errors import UsageError
from img.request import Request
from img.session import Session

PLAN = {
    "target": {"app": {"context": "src", "args": {"A": "1"}, "tags": ["app:1"]}, "web": {"target": "web"}, "test": {}},
    "group": {"default": {"targets": ["both"]}, "both": {"targets": ["app", "web", "both"]}},
}


def test_selected() -> None:
    targets = checked(PLAN, "f")
    assert selected(PLAN, targets, []) == ["app", "web"]
    assert selected(PLAN, targets, ["test", "both", "app"]) == ["test", "app", "web"]
    assert selected({"target": PLAN["target"]}, targets, []) == ["app", "web", "test"]
    with pytest.raises(UsageError) as caught:
        selected(PLAN, targets, ["apq"])
    assert caught.value.hint == "did you mean app?"


def test_override() -> None:
    targets = checked(PLAN, "f")
    override(
        targets, ["app.args.A=2", "*.platforms=linux/amd64", "*.platforms=linux/arm64", "app.tags=x", "web.target=w"]
    )
    assert targets["app"]["args"] == {"A": "2"}
    assert targets["app"]["tags"] == ["x"]
    assert [one["platforms"] for one in targets.values()] == [["linux/amd64", "linux/arm64"]] * 3
    assert targets["web"]["target"] == "w"
    assert PLAN["target"]["app"]["args"] == {"A": "1"}  # type: ignore[index]
    for wrong in ("app", "app=1", "nope.target=x", "app.nope=x", "app.args=x", "app.target.x=y"):
        with pytest.raises(UsageError, match="invalid --set"):
            override(targets, [wrong])


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ([], "has no target"),
        ({"target": {"a": 1}}, "target.a is a table"),
        ({"target": {"a": {"tag": []}}}, "target.a.tag is not known"),
        ({"target": {"a": {"tags": "x"}}}, "target.a.tags is a list of texts"),
        ({"target": {"a": {"args": {"A": 1}}}}, "target.a.args is a table of texts"),
        ({"target": {"a": {"context": 1}}}, "target.a.context is a text"),
    ],
)
def test_refused(plan: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        checked(plan, "f")


def test_requests_are_relative_to_the_file() -> None:
    found = request_of({"context": "src", "dockerfile": "x/Dockerfile", "tags": ["t"]}, "/p", "")
    assert (found.context, found.file, found.tags) == ("/p/src", "/p/src/x/Dockerfile", ("t",))
    assert request_of({"context": "https://e.org/x.git"}, "/p", "").context == "https://e.org/x.git"
    assert request_of({}, "/p", "/p/img.yaml").file == "/p/img.yaml"


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
