"""Variables and matrices of ``docker-bake.json``: its texts are templates, ``${NAME}`` and ``${NAME.KEY}``.

Of the expression language of HCL only names are read: calls, conditions and arithmetic are errors that say so.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from img.errors import UsageError

Json = Any
MATRIX = 256
"""The most targets that one matrix may make."""
NESTED = 100

_TEMPLATE = re.compile(r"\$\$\{|%%\{|\$\{([^{}]*)\}|(\$\{|%\{)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*")
_PRINT = "docker buildx bake --print writes the file with everything put in"
TOP = ("group", "target", "variable", "function")


def filled(document: Json, environ: Mapping[str, str], file: str) -> dict[str, Json]:
    """The document with its variables put in, those of `environ` before their defaults, and its matrices as targets and
    groups. Raises `UsageError`."""
    if not isinstance(document, dict):
        raise UsageError(f"{file} is not a table of targets", hint='{"target": {"app": {"context": "."}}}')
    for key in document:
        if key not in TOP:
            raise UsageError(f"{file}: {key!r} is not known", hint=f"keys: {', '.join(TOP[:-1])}")
    if document.get("function"):
        raise UsageError(f"{file}: functions are not called", hint=_PRINT)
    variables = _Variables(document.get("variable") or {}, environ, file)
    groups = {name: variables.put(one, f"group.{name}") for name, one in _table(document, "group", file)}
    targets: dict[str, Json] = {}
    for name, one in _table(document, "target", file):
        path = f"target.{name}"
        if not isinstance(one, dict) or "matrix" not in one:
            targets[name] = variables.put(one, path)
            continue
        made = dict(_matrix(one, variables, path))
        if taken := set(made) & set(targets):
            raise UsageError(f"{file}: {path}: the matrix makes {sorted(taken)[0]!r}, which there is already")
        targets.update(made)
        groups[name] = {"targets": list(made)}
    return {"target": targets, "group": groups}


def _table(document: Mapping[str, Json], key: str, file: str) -> list[tuple[str, Json]]:
    found = document.get(key) or {}
    if not isinstance(found, dict):
        raise UsageError(f"{file}: {key} is a table of names")
    return list(found.items())


def _matrix(one: Mapping[str, Json], variables: _Variables, path: str) -> Iterator[tuple[str, Json]]:
    """The targets that a matrix makes, by name."""
    axes = variables.put(one["matrix"], f"{path}.matrix")
    if not isinstance(axes, dict) or not all(isinstance(values, list) and values for values in axes.values()):
        raise variables.wrong(f"{path}.matrix", "is a table of names, each with a list of values")
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MATRIX:
        raise variables.wrong(f"{path}.matrix", f"makes {count} targets; {MATRIX} is the most")
    if not isinstance(one.get("name"), str):
        raise variables.wrong(path, "has a matrix, so it needs a name", 'e.g. "name": "app-${version}"')
    seen: set[str] = set()
    for values in itertools.product(*axes.values()):
        known = dict(zip(axes, values, strict=True))
        rest = {key: value for key, value in one.items() if key != "matrix"}
        made = variables.put(rest, path, known)
        name = made.pop("name")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise variables.wrong(f"{path}.name", f"can't be {name[:80]!r}", "letters, digits, _ and -")
        if name in seen:
            raise variables.wrong(f"{path}.name", f"is {name!r} twice", "put every name of the matrix into it")
        seen.add(name)
        yield name, made


class _Variables:
    """The variables of a file. Each is worked out when it is first asked for, as it may stand on others."""

    def __init__(self, declared: Json, environ: Mapping[str, str], file: str) -> None:
        if not isinstance(declared, dict):
            raise UsageError(f"{file}: variable is a table of names")
        self._declared = declared
        self._environ = environ
        self._file = file
        self._known: dict[str, Json] = {}
        self._open: list[str] = []

    def wrong(self, path: str, message: str, hint: str = "") -> UsageError:
        return UsageError(f"{self._file}: {path} {message}", hint=hint)

    def put(self, value: Json, path: str, known: Mapping[str, Json] | None = None, deep: int = 0) -> Json:
        """`value` with every template in it put in; `known` goes before the variables. Raises `UsageError`."""
        if deep > NESTED:
            raise self.wrong(path, "is nested too deep")
        if isinstance(value, str):
            return self._text(value, path, known or {})
        if isinstance(value, list):
            return [self.put(item, f"{path}[{n}]", known, deep + 1) for n, item in enumerate(value)]
        if isinstance(value, dict):
            names = {key: self._text(key, path, known or {}) for key in value}
            return {str(names[key]): self.put(one, f"{path}.{key}", known, deep + 1) for key, one in value.items()}
        return value

    def _text(self, text: str, path: str, known: Mapping[str, Json]) -> Json:
        whole = _TEMPLATE.fullmatch(text)
        if whole is not None and whole[1] is not None:
            return self._value(whole[1].strip(), path, known)

        def replaced(match: re.Match[str]) -> str:
            if match[2]:
                raise self.wrong(path, f"has a template that is not read: {text[:80]!r}", _PRINT)
            if match[1] is None:
                return match[0][1:]
            return self._written(self._value(match[1].strip(), path, known), path, match[0])

        return _TEMPLATE.sub(replaced, text)

    def _written(self, value: Json, path: str, template: str) -> str:
        if isinstance(value, list | dict):
            raise self.wrong(path, f"puts a list or a table into a text: {template}")
        if isinstance(value, bool):
            return "true" if value else "false"
        return "" if value is None else str(value)

    def _value(self, name: str, path: str, known: Mapping[str, Json]) -> Json:
        if not _NAME.fullmatch(name):
            raise self.wrong(path, f"has an expression that is not evaluated: ${{{name[:80]}}}", _PRINT)
        first, *keys = name.split(".")
        value = known[first] if first in known else self._variable(first, path)
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise self.wrong(path, f"names {name}, which has no {key!r}")
            value = value[key]
        return value

    def _variable(self, name: str, path: str) -> Json:
        if name in self._known:
            return self._known[name]
        if name not in self._declared:
            hint = f"variables: {', '.join(self._declared)}" if self._declared else 'declare it: "variable": {…}'
            raise self.wrong(path, f"names the variable {name!r}, which there is not", hint)
        if name in self._open:
            raise self.wrong(f"variable.{name}", "is made of itself")
        one = self._declared[name]
        where = f"variable.{name}"
        if not isinstance(one, dict):
            raise self.wrong(where, 'is a table, e.g. {"default": "1"}')
        if one.get("validation"):
            raise self.wrong(where, "has a validation, which is not evaluated", _PRINT)
        self._open.append(name)
        try:
            found = self._environ[name] if name in self._environ else self.put(one.get("default"), where)
        finally:
            self._open.pop()
        self._known[name] = found
        return found
