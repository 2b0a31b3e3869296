"""Commands on images that are somewhere already: ``tag``, ``rm``, ``inspect``, ``history``, ``copy``, ``merge``, ``diff``,
``verify``."""

from __future__ import annotations

import json as encoder
import sys
from collections.abc import Sequence
from typing import Any

from img.images.compare import Difference
from img.settings import human
from img_cli.commands.ls import table
from img_cli.context import open_session
from img_cli.outcome import printable

SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def tag(source: str, name: str) -> int:
    from img.images.names import tag as act
    from img.oci.reference import Reference

    with open_session() as session:
        whole = act(session.engine, source, name)
    print(f"Successfully tagged {source} as {Reference.parse(whole).familiar}")
    return 0


def remove(names: Sequence[str]) -> int:
    from img.images.names import remove as act
    from img.oci.reference import Reference

    with open_session() as session:
        for name in act(session.engine, names):
            print(f"Removed {Reference.parse(name).familiar}")
    return 0


def inspect(name: str, form: str, platform: str) -> int:
    """The OCI configuration indented, docker's view as the list that docker prints, or a template over that view."""
    from img.images.inspect import docker_view, render
    from img.images.inspect import inspect as act

    with open_session() as session:
        if form == "oci":
            print(encoder.dumps(act(session.engine, name, platform), indent=2, ensure_ascii=False))
            return 0
        view = docker_view(session.engine, name, platform)
    if form == "docker":
        print(encoder.dumps([view], indent=4, ensure_ascii=False))
    elif form == "json":
        print(encoder.dumps(view, ensure_ascii=False, separators=(",", ":")))
    else:
        if "{{" not in form:
            from img.errors import UsageError

            raise UsageError(f"there is no format {form!r}", hint="oci, docker, json, or a template: '{{.Config.Env}}'")
        print(render(form, view))
    return 0


def history(name: str, json: bool, whole: bool, platform: str) -> int:
    from img.images.inspect import history as act

    with open_session() as session:
        steps = act(session.engine, name, platform)
    if json:
        print(encoder.dumps([step._asdict() for step in steps], indent=2, ensure_ascii=False))
        return 0
    rows = [("CREATED", "CREATED BY", "SIZE", "LAYER", "COMMENT")]
    for step in steps:
        words = printable(" ".join(step.created_by.split()))
        if not whole and len(words) > 60:
            words = words[:59] + "…"
        layer = step.digest if whole else step.digest[7:19]
        rows.append((step.created[:19].replace("T", " "), words, human(step.size), layer, printable(step.comment)))
    table(rows)
    return 0


def copy(source: str, dest: str, every: bool, platform: str) -> int:
    from img.errors import UsageError
    from img.images.copy import copy as act

    if every and platform:
        raise UsageError("--platform and --all exclude each other")
    with open_session() as session, session.observed([_reporter(session)]):
        descriptor = act(session.engine, source, dest, platform, every)
    print(descriptor.digest)
    return 0


def merge(name: str, images: Sequence[str], push: bool) -> int:
    from img.images.merge import merge as act

    with open_session() as session:
        with session.observed([_reporter(session)]):
            descriptor = act(session.engine, name, images)
        if push:
            session.push(name, [_reporter(session)])
    print(descriptor.digest)
    return 0


def _reporter(session: Any) -> Any:
    from img_cli.commands.build import chosen, stop_on_signals

    stop_on_signals(session)
    return session.engine.registry.load("reporter", chosen("auto"))(session.engine)


def diff(first: str, second: str, json: bool, exit_code: bool, platform: str) -> int:
    from img.images.compare import compare

    with open_session() as session:
        differences = compare(session.engine, first, second, platform)
    if json:
        rows = [
            {**d._asdict(), "what": [dict(zip(("field", "a", "b"), w, strict=True)) for w in d.what]}
            for d in differences
        ]
        print(encoder.dumps(rows, indent=2, ensure_ascii=False))
    else:
        for line in told(differences):
            print(line)
    return 1 if exit_code and differences else 0


def told(differences: Sequence[Difference]) -> list[str]:
    """A line for each difference, under a heading for the configuration and each layer."""
    lines: list[str] = []
    heading = ""
    for one in differences:
        title = "configuration" if one.layer < 0 else f"layer {one.layer}"
        if title != heading:
            heading = title
            lines.append(f"{title}:")
        if not one.path and one.layer >= 0 and one.change in ("order", "form"):
            words = "in another order" if one.change == "order" else "written as another tar"
            lines.append(f"  = the same files, {words}")
            continue
        path = one.path if one.layer < 0 else f"/{one.path}"
        what = _what(one)
        lines.append(printable(f"  {SIGNS[one.change]} {path}{f'  ({what})' if what else ''}"))
    return lines


def _what(one: Difference) -> str:
    """What became of one thing. In the configuration the value that came or went; elsewhere only what changed."""
    if one.layer < 0 and one.change != "changed":
        return ", ".join(b if one.change == "added" else a for _, a, b in one.what)
    if one.layer < 0 and len(one.what) == 1 and one.what[0][0] == one.path:
        return f"{one.what[0][1]} → {one.what[0][2]}"
    shown = [f"{name} {a} → {b}" if a != b else a for name, a, b in one.what]
    return ", ".join(shown) if one.change == "changed" else ""


def verify(name: str, json: bool) -> int:
    from img.images.verify import verify as act

    with open_session() as session:
        results = act(session.engine, name)
    if json:
        print(encoder.dumps([one._asdict() for one in results], indent=2))
    else:
        for one in results:
            print(f"{one.digest}  {one.platform or '-'}  {one.problem or 'ok'}")
    bad = sum(1 for one in results if one.problem)
    if bad and not json:
        print(f"error: {bad} of {len(results)} are not what they promise", file=sys.stderr)
    return 1 if bad else 0
