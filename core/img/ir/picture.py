"""The graph as SVG, for notebooks and pages. Pure text: nothing is loaded, and nothing of it is code.

Nodes stand in rows, each one below all that it is made from (longest path), and in a row by the middle of their inputs. Every
word is escaped, control characters are replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from img.ir.definition import Definition
from img.ir.nodes import Copy, Exec, Node, Scratch, Source
from img.ir.walk import topological

if TYPE_CHECKING:
    from img.ir.state import State

MOST = 300
"""Nodes of the largest picture; of more only the number is told."""
WIDTH, HEIGHT, GAP, ROW = 250, 34, 24, 74
LONGEST = 36
"""Characters of a label; the whole text is its tooltip."""
FILLS = {Source: "#dbeafe", Scratch: "#f3f4f6", Exec: "#dcfce7", Copy: "#fef9c3"}


def svg(definition: Definition) -> str:
    """The graph of all targets. Goals have a thick border."""
    nodes = topological(target.root for target in definition.targets)
    if len(nodes) > MOST:
        return _message(f"a graph of {len(nodes)} steps, too many to draw")
    goals = {target.root.digest for target in definition.targets}
    places = _places(nodes)
    wide = max((x for x, _ in places.values()), default=0) + WIDTH + GAP
    high = max((y for _, y in places.values()), default=0) + HEIGHT + GAP
    parts = [_edge(places[below.digest], places[node.digest]) for node in nodes for below in dict.fromkeys(node.inputs)]
    parts += [_box(node, *places[node.digest], node.digest in goals) for node in nodes]
    return _document(wide, high, parts)


def sketch(state: State) -> str:
    """The graph of a State as far as it is known without asking for its bases."""
    from img.errors import ImgError

    try:
        return svg(state.definition(_Unasked(), "linux/amd64"))
    except ImgError as error:
        return _message(f"this can't be drawn: {error.message}")


class _Unasked:
    """Images of which nothing is known but the name."""

    def image(self, ref: str, platform: str) -> Any:
        from types import SimpleNamespace

        from img.ir.values import Notes

        return SimpleNamespace(source=Source("docker-image", ref, notes=Notes(f"FROM {ref}")), config={}, layers=0)


def _places(nodes: Sequence[Node]) -> dict[str, tuple[int, int]]:
    """Left upper corner of each node by digest. `nodes` has inputs before what is made of them."""
    ranks: dict[str, int] = {}
    for node in nodes:
        ranks[node.digest] = 1 + max((ranks[below.digest] for below in node.inputs), default=-1)
    rows: dict[int, list[Node]] = {}
    for node in nodes:
        rows.setdefault(ranks[node.digest], []).append(node)
    places: dict[str, tuple[int, int]] = {}
    for rank in sorted(rows):
        wanted = sorted(rows[rank], key=lambda node: _middle(places[below.digest][0] for below in node.inputs))
        left = GAP
        for node in wanted:
            at = (
                max(left, round(_middle(places[below.digest][0] for below in node.inputs[:1]))) if node.inputs else left
            )
            places[node.digest] = (at, GAP + rank * ROW)
            left = at + WIDTH + GAP
    return places


def _middle(positions: Iterable[int]) -> float:
    found = list(positions)
    return sum(found) / len(found) if found else 0.0


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    x, y = start[0] + WIDTH // 2, start[1] + HEIGHT
    u, v = end[0] + WIDTH // 2, end[1]
    bend = (v - y) // 2
    return f'<path d="M{x},{y} C{x},{y + bend} {u},{v - bend} {u},{v}" fill="none" stroke="#6b7280"/>'


def _box(node: Node, x: int, y: int, goal: bool) -> str:
    whole = plain(title_of(node))
    label = whole if len(whole) <= LONGEST else whole[: LONGEST - 1] + "…"
    fill = FILLS.get(type(node), "#ede9fe")
    line = 'stroke="#111827" stroke-width="2.5"' if goal else 'stroke="#6b7280"'
    return (
        f'<g><title>{escape(whole)}</title><rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5" '
        f'fill="{fill}" {line}/><text x="{x + 10}" y="{y + 22}" fill="#111827">{escape(label)}</text></g>'
    )


def title_of(node: Node) -> str:
    """What to call a node."""
    if isinstance(node, Source):
        return f"{node.scheme} {node.ref}"
    return node.notes.title or node.step


def plain(text: str) -> str:
    """Text that XML may hold: one line, without control characters and lone surrogates."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else "\ufffd" for c in words)


def _message(text: str) -> str:
    body = f'<text x="{GAP}" y="{GAP}" fill="#111827">{escape(plain(text))}</text>'
    return _document(GAP * 2 + 8 * len(text), GAP * 2, [body])


def _document(wide: int, high: int, parts: Sequence[str]) -> str:
    style = 'font-family="ui-monospace, monospace" font-size="11"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" {style}>'
    )
    return head + '<rect width="100%" height="100%" fill="#ffffff"/>' + "".join(parts) + "</svg>"
