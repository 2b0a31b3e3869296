"""What a notebook shows: well-formed, bounded, and never markup from a build."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.dockerfile.lowering import Resolver

import img
from img.ir.definition import Definition, Target
from img.ir.nodes import Mkdir, Node, Scratch
from img.ir.picture import svg
from img.request import BuildResult, StepOutcome

SVG = "{http://www.w3.org/2000/svg}"


def test_a_picture_has_each_node_and_each_arrow(tmp_path: Path) -> None:
    build = img.image("base:1").run("make")
    app = img.image("base:1").copy(build, "/a", to="/a").copy(img.local(tmp_path), to="/b")
    root = ElementTree.fromstring(app._repr_svg_())
    titles = [element.text for element in root.iter(f"{SVG}title")]
    assert titles[0] == "docker-image base:1" and set(titles[1:]) >= {"RUN make", "COPY /a /a", "COPY . /b"}
    assert len(titles) == 5 and len(list(root.iter(f"{SVG}path"))) == 5
    boxes = [(float(e.get("x", "0")), float(e.get("y", "0"))) for e in root.iter(f"{SVG}rect") if e.get("rx")]
    assert len(set(boxes)) == 5, "no box lies on another"
    assert app.definition(Resolver(), "linux/amd64")._repr_svg_().count("stroke-width") == 1


@given(st.text(max_size=40))
def test_no_text_becomes_markup(words: str) -> None:
    target = Target(
        Mkdir(Scratch(), "/a", notes=img.scratch().mkdir("/x").lower(Resolver(), "l/a").root.notes), {}, "l/a"
    )
    assert ElementTree.fromstring(svg(Definition((target,)))) is not None
    try:
        state = img.image("base:1").run(f"<script>{words}")
    except img.ImgError:
        return
    picture = state._repr_svg_()
    assert ElementTree.fromstring(picture) is not None and "<script" not in picture
    html = BuildResult((), (f"<script>{words}",), (), (), {}, (StepOutcome(f"</td>{words}", True),))._repr_html_()
    assert "<script" not in html and html.count("</td>") == 2 * 2 + 3


@pytest.mark.parametrize("count", [300, 10_000])
def test_large_graphs_are_told_of_not_drawn(count: int) -> None:
    node: Node = Scratch()
    for number in range(count):
        node = Mkdir(node, f"/{number}")
    picture = svg(Definition((Target(node, {}, "linux/amd64"),)))
    assert f"a graph of {count + 1} steps" in picture and len(picture) < 1000


def test_what_cannot_be_drawn_says_why(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("[")
    assert "this can&#x27;t be drawn" in img.scratch().copy(img.local(tmp_path), to="/")._repr_svg_()
