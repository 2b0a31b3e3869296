"""YAML to values, by PyYAML's safe loader: plain data only, no tags of its own, no keys twice, aliases within bounds."""

from __future__ import annotations

import re
from typing import Any

import yaml

from img.errors import FrontendError, Place
from img_frontends.document.values import DEPTH, NODES, Entry, Text, Tree, Value, decoded

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PREFIX = "tag:yaml.org,2002:"
_SCALARS = ("str", "int", "float", "bool", "null")


def read_yaml(data: bytes, file: str) -> Tree:
    """The only document of a YAML file. Raises `FrontendError`."""
    text = Text(file, decoded(data, file))
    source = "\n".join(text.rows)
    try:
        _check(source, text)
        loader = Loader(source)
        try:
            node = loader.get_single_node()
            if node is None:
                hint = "a document says at least from: IMAGE"
                raise FrontendError(f"{file} says nothing", hint=hint, place=Place(file, 1))
            return Tree(text, _Reader(text, loader).value(node))
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _not_yaml(error, text) from None


def _check(source: str, text: Text) -> None:
    """What would cost too much to read is refused before a tree is made of it. Raises `FrontendError`."""
    depth = count = 0
    for event in yaml.parse(source, Loader=Loader):
        opens = isinstance(event, yaml.CollectionStartEvent)
        depth += opens - isinstance(event, yaml.CollectionEndEvent)
        count += opens or isinstance(event, yaml.ScalarEvent)
        if depth > DEPTH or count > NODES:
            raise _too_large(text, event.start_mark)


def _too_large(text: Text, mark: Any) -> FrontendError:
    what = f"the document is too large: more than {NODES} values, or nested more than {DEPTH} deep"
    return FrontendError(what, hint="aliases count each time", place=text.place(mark.line + 1, mark.column + 1))


def _not_yaml(error: yaml.YAMLError, text: Text) -> FrontendError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = text.place(mark.line + 1, mark.column + 1) if mark else _at(text, getattr(error, "position", 0))
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it can't be read"
    context = getattr(error, "context", None)
    return FrontendError(f"no YAML: {f'{context}, ' if context else ''}{problem}", place=place)


def _at(text: Text, position: int) -> Place:
    before = "\n".join(text.rows)[:position]
    return text.place(before.count("\n") + 1, len(before) - before.rfind("\n"))


class _Reader:
    """Goes down the nodes, and counts: an alias is the node it stands for, again."""

    def __init__(self, text: Text, loader: Any) -> None:
        self._text = text
        self._loader = loader
        self._count = 0
        self._open: list[int] = []

    def value(self, node: Any) -> Value:
        """Raises `FrontendError`."""
        self._count += 1
        if self._count > NODES or len(self._open) > DEPTH:
            raise _too_large(self._text, node.start_mark)
        if id(node) in self._open:
            raise self._wrong(node, "an alias stands inside of what it stands for")
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if isinstance(node, yaml.ScalarNode):
            return Value("scalar", self._scalar(node), line, column, "" if node.style else node.value)
        if node.tag.removeprefix(_PREFIX) not in ("seq", "map"):
            raise self._tag(node)
        self._open.append(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return Value("list", tuple(self.value(item) for item in node.value), line, column)
            return Value("table", self._entries(node), line, column)
        finally:
            self._open.pop()

    def _entries(self, node: Any) -> tuple[Entry, ...]:
        found: dict[str, Entry] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == f"{_PREFIX}null":
                raise self._wrong(key, "a key must be a text")
            if key.tag == f"{_PREFIX}merge":
                raise self._wrong(key, "merge keys are not taken", "write extends: STAGE, or give the key itself")
            if key.tag.removeprefix(_PREFIX) not in _SCALARS:
                raise self._tag(key)
            if key.value in found:
                first = found[key.value].line
                raise self._wrong(key, f"the key {key.value[:80]!r} is given twice", f"it stands on line {first} too")
            mark = key.start_mark
            found[key.value] = Entry(key.value, mark.line + 1, mark.column + 1, self.value(value))
        return tuple(found.values())

    def _scalar(self, node: Any) -> Any:
        kind = node.tag.removeprefix(_PREFIX)
        if kind == "timestamp":
            return node.value
        if kind not in _SCALARS:
            raise self._tag(node)
        if kind == "str":
            return node.value
        if kind == "int" and not re.fullmatch(r"[-+]?[0-9]{1,30}", node.value):
            if re.fullmatch(r"[-+]?[0-9][0-9:_a-fA-FxXoO]{0,30}", node.value) and ":" in node.value:
                return node.value  # 22:22 is no number to the base of 60
            raise self._wrong(node, f"{node.value[:80]} is a number in a form that would be lost", "quote it")
        try:
            return self._loader.construct_object(node)
        except (ValueError, yaml.YAMLError):
            raise self._wrong(node, f"{node.value[:80]!r} is no {kind}", "quote it") from None

    def _wrong(self, node: Any, message: str, hint: str = "") -> FrontendError:
        place = self._text.place(node.start_mark.line + 1, node.start_mark.column + 1)
        return FrontendError(message, hint=hint, place=place)

    def _tag(self, node: Any) -> FrontendError:
        shown = node.tag.replace(_PREFIX, "!!")[:80]
        return self._wrong(node, f"the tag {shown} is not taken", "only texts, numbers, booleans, lists and tables are")
