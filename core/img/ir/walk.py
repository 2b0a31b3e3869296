"""Walks over the graph. None of them recurses."""

from __future__ import annotations

from collections.abc import Iterable

from img.ir.nodes import Copy, Exec, Link, Merge, Mkdir, Node, Remove, Scratch, Write


def topological(roots: Iterable[Node]) -> list[Node]:
    """Every node below and among `roots`, once, inputs before what reads them; the order is stable."""
    order: list[Node] = []
    seen: set[str] = set()
    for root in roots:
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            node, expanded = stack.pop()
            if expanded:
                order.append(node)
                continue
            if node.digest in seen:
                continue
            seen.add(node.digest)
            stack.append((node, True))
            stack.extend((below, False) for below in reversed(node.inputs) if below.digest not in seen)
    return order


def base_of(node: Node) -> Node | None:
    """The node whose filesystem `node` adds `width` layers to; None if it does not stand on another."""
    if isinstance(node, Exec):
        return node.root
    if isinstance(node, Copy | Mkdir | Write | Remove | Link):
        return node.base
    if isinstance(node, Merge) and _is_link(node):
        return node.layers[0]
    return None


def width(node: Node) -> int:
    """How many layers `node` adds to its `base_of`: one, or as many as a linked chain of file steps has."""
    if not isinstance(node, Merge):
        return 1
    return sum(width(step) for upper in node.layers[1:] for step in chain(upper)[1:])


def _is_link(node: Merge) -> bool:
    """Whether everything that is merged onto the first input was made from nothing."""
    return all(isinstance(chain(upper)[0], Scratch) for upper in node.layers[1:])


def chain(root: Node) -> list[Node]:
    """`root` and what it stands on, bottom up: the first does not stand on another, each later adds `width` layers."""
    nodes = [root]
    while (below := base_of(nodes[-1])) is not None:
        nodes.append(below)
    nodes.reverse()
    return nodes
