"""The graph as text for `dot`, for people who want to see it."""

from __future__ import annotations

from img.ir.definition import Definition
from img.ir.walk import topological


def dot(definition: Definition) -> str:
    """A Graphviz document: one box a node, one arrow an input, targets in bold."""
    goals = {target.root.digest for target in definition.targets}
    lines = ["digraph img {", "  node [shape=box];"]
    for node in topological(target.root for target in definition.targets):
        label = (node.notes.title or node.step).replace("\\", "\\\\").replace('"', '\\"')
        style = " style=bold" if node.digest in goals else ""
        lines.append(f'  "{node.digest[7:19]}" [label="{label}"{style}];')
        lines.extend(f'  "{below.digest[7:19]}" -> "{node.digest[7:19]}";' for below in node.inputs)
    return "\n".join([*lines, "}", ""])
