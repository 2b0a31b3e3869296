"""The targets of a plan: their keys, what they inherit, and what ``--set`` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from img.errors import UsageError

Json = Any
TEXTS = ("context", "dockerfile", "dockerfile-inline", "target", "network", "shm-size")
LISTS = "tags platforms no-cache-filter output cache-from cache-to secret ssh ulimits annotations entitlements".split()
TABLES = ("args", "labels", "contexts", "extra-hosts")
FLAGS = ("no-cache", "pull")
KEYS = (*TEXTS, *LISTS, *TABLES, *FLAGS)
JOINED = ("annotations", "entitlements")
"""Lists to which a target that inherits adds; its own go before all others."""
ATTRIBUTES = ("output", "cache-from", "cache-to", "secret", "ssh")
"""Lists of options whose items may also be tables."""
SPOKEN = ("description", "attest", "call")
"""What says nothing of an image that img makes."""
OTHERS = {"platform": "platforms", "secrets": "secret", "tag": "tags", "outputs": "output", "ulimit": "ulimits"}
"""Other names that buildx takes in ``--set``."""
DEFAULT = "default"
DEEP = 100
"""How many targets one may inherit through, or stand on."""

Target = dict[str, Json]


class Plan(NamedTuple):
    """Targets and groups by name. A target has known keys of the right types only, and ``inherits``."""

    file: str
    targets: Mapping[str, Target]
    groups: Mapping[str, tuple[str, ...]]


def read_plan(document: Json, file: str) -> Plan:
    """A plan out of its document. Raises `UsageError`."""
    targets = document.get("target") if isinstance(document, dict) else None
    if not isinstance(targets, dict) or not targets:
        raise UsageError(f"{file} has no target", hint='{"target": {"app": {"context": "."}}}')
    groups = document.get("group") or {}
    if not isinstance(groups, dict):
        raise UsageError(f"{file}: group is a table of names")
    made = {name: _group(name, one, file) for name, one in groups.items()}
    return Plan(file, {name: _target(name, one, file) for name, one in targets.items()}, made)


def _group(name: str, one: Json, file: str) -> tuple[str, ...]:
    names = one.get("targets") if isinstance(one, dict) else None
    if not isinstance(names, list) or not all(isinstance(text, str) for text in names):
        raise UsageError(f"{file}: group.{name} has targets, a list of names", hint='{"targets": ["app"]}')
    if odd := set(one) - {"targets", "description"}:
        raise UsageError(f"{file}: group.{name}.{sorted(odd)[0]} is not known", hint="keys: targets, description")
    return tuple(names)


def _target(name: str, one: Json, file: str) -> Target:
    if not isinstance(one, dict):
        raise UsageError(f"{file}: target.{name} is a table of keys")
    made: Target = {}
    for key, value in one.items():
        path = f"{file}: target.{name}.{key}"
        if key == "inherits":
            made[key] = _list(key, value, path)
        elif key in SPOKEN:
            _spoken(key, value, path)
        elif key not in KEYS:
            near = get_close_matches(key, KEYS, 1)
            hint = f"did you mean {near[0]}?" if near else f"keys: {', '.join(KEYS)}"
            raise UsageError(f"{path} is not known", hint=hint)
        elif value is not None:
            made[key] = _value(key, value, path)
    return made


def _spoken(key: str, value: Json, path: str) -> None:
    if key == "attest" and value:
        hint = "leave it out: img makes no attestations; other tools add them to a pushed image"
        raise UsageError(f"{path} can't be kept", hint=hint)
    if key == "call" and value not in ("", "build", None):
        raise UsageError(f"{path} can't be {value!r}: img bake builds", hint="img build --call asks")


def _value(key: str, value: Json, path: str) -> Json:
    if key in FLAGS:
        if not isinstance(value, bool):
            raise UsageError(f"{path} is true or false")
        return value
    if key in LISTS:
        return _list(key, value, path)
    if key in TABLES:
        if not isinstance(value, dict) or any(isinstance(one, list | dict) for one in value.values()):
            raise UsageError(f"{path} is a table of texts")
        return {name: _word(one) for name, one in value.items() if one is not None}
    if not isinstance(value, str):
        raise UsageError(f"{path} is a text")
    return value


def _list(key: str, value: Json, path: str) -> list[str]:
    if not isinstance(value, list):
        raise UsageError(f"{path} is a list of texts")
    texts = [_row(key, one) if isinstance(one, dict) and key in ATTRIBUTES else one for one in value]
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{path} is a list of texts")
    return [text for text in texts if text]


def _row(key: str, table: Mapping[str, Json]) -> str:
    """A table of attributes as the option of the command line has them."""
    import csv
    import io

    if key == "ssh":
        paths = ",".join(map(str, table.get("paths") or ()))
        return f"{table.get('id', 'default')}={paths}" if paths else str(table.get("id", "default"))
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow([f"{name}={_word(value)}" for name, value in table.items()])
    return row.getvalue()


def _word(value: Json) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


# --- what is built ---------------------------------------------------------------------------------------------------


def selected(plan: Plan, names: Sequence[str]) -> list[str]:
    """The targets that `names` (of targets and groups) stand for, each once. Without names the group ``default``, else
    every target. Raises `UsageError`."""
    targets, groups = plan.targets, plan.groups
    found: dict[str, None] = {}
    open_groups: set[str] = set()

    def add(name: str) -> None:
        if name in groups:
            if name not in open_groups:
                open_groups.add(name)
                for inner in groups[name]:
                    if inner == name and inner in targets:
                        found[inner] = None
                    add(inner)
        elif name in targets:
            found[name] = None
        else:
            raise _unknown(name, plan)

    for name in names or ([DEFAULT] if DEFAULT in groups or DEFAULT in targets else list(targets)):
        add(name)
    return list(found)


def _unknown(name: str, plan: Plan, where: str = "") -> UsageError:
    known = [*plan.targets, *plan.groups]
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"targets: {', '.join(known)}"
    return UsageError(f"{where}there is no target {name!r}", hint=hint)


def resolved(plan: Plan, words: Sequence[str]) -> dict[str, Target]:
    """Every target with what it inherits and what the `words` of ``--set`` say. Raises `UsageError`."""
    said = _overrides(plan, words)
    done: dict[str, Target] = {}

    def whole(name: str, open: tuple[str, ...]) -> Target:
        if name in open:
            way = " → ".join([*open[open.index(name) :], name])
            raise UsageError(f"{plan.file}: target.{name} inherits itself: {way}")
        if len(open) > DEEP:
            raise UsageError(f"{plan.file}: target.{name} is inherited through more than {DEEP} others")
        if name not in done:
            made: Target = {}
            for parent in plan.targets[name].get("inherits", ()):
                if parent not in plan.targets:
                    raise _unknown(parent, plan, f"{plan.file}: target.{name}.inherits: ")
                made = _joined(made, whole(parent, (*open, name)))
            own = {key: value for key, value in plan.targets[name].items() if key != "inherits"}
            done[name] = _overridden(_joined(made, own), said.get(name, ()))
        return done[name]

    return {name: whole(name, ()) for name in plan.targets}


def _joined(below: Target, above: Target) -> Target:
    made = dict(below)
    for key, value in above.items():
        if key in TABLES:
            made[key] = {**made.get(key, {}), **value}
        elif key in JOINED:
            made[key] = [*made.get(key, []), *value]
        else:
            made[key] = value
    return made


class _Override(NamedTuple):
    key: str
    inner: str
    value: str
    more: bool


def _overrides(plan: Plan, words: Sequence[str]) -> dict[str, list[_Override]]:
    """By target. ``TARGET.KEY[.NAME]=VALUE``, where TARGET may have wildcards; ``+=`` adds to a list."""
    found: dict[str, list[_Override]] = {}
    for word in words:
        path, equals, value = word.partition("=")
        more = path.endswith("+")
        pattern, _, rest = path.removesuffix("+").partition(".")
        key, _, inner = rest.partition(".")
        key = OTHERS.get(key, key)
        names = [name for name in plan.targets if fnmatchcase(name, pattern)]
        right = equals and names and key in KEYS and bool(inner) == (key in TABLES) and (not more or key in LISTS)
        if not right or (key in FLAGS and value not in ("true", "false", "1", "0")):
            hint = (
                "--set TARGET.KEY=VALUE or TARGET.args.NAME=VALUE; "
                f"targets: {', '.join(plan.targets)}; keys: {', '.join(KEYS)}"
            )
            raise UsageError(f"invalid --set {word!r}", hint=hint)
        for name in names:
            found.setdefault(name, []).append(_Override(key, inner, value, more))
    return found


def _overridden(target: Target, said: Sequence[_Override]) -> Target:
    """A list is given anew by the first word for it, unless that adds."""
    made, begun = dict(target), set()
    for one in said:
        if one.key in TABLES:
            made[one.key] = {**made.get(one.key, {}), one.inner: one.value}
        elif one.key in FLAGS:
            made[one.key] = one.value in ("true", "1")
        elif one.key in LISTS:
            kept = made.get(one.key, []) if one.more or one.key in begun else []
            made[one.key] = [*kept, one.value] if one.value else kept
            begun.add(one.key)
        else:
            made[one.key] = one.value
    return made
