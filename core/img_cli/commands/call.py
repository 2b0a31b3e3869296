"""``img build --check`` and ``--call``: a question about the build file instead of a build."""

from __future__ import annotations

import csv
import json
import sys
from typing import Any, NamedTuple

from img.errors import UsageError

BUILD = "build"
"""The call that is none: docker's default."""


class Call(NamedTuple):
    """What to ask, how to print the answer, and whether its status is the exit code."""

    name: str
    format: str = "text"
    ignore_status: bool = False


def parse_call(text: str, check: bool) -> Call | None:
    """``NAME[,format=text|json][,ignorestatus]``; None if a build is what is wanted. Raises `UsageError`."""
    if not text:
        return Call("check") if check else None
    call = Call("")
    for field in next(csv.reader([text]), []):
        name, equals, value = field.strip().partition("=")
        if name == "format" and value in ("text", "json"):
            call = call._replace(format=value)
        elif name == "ignorestatus" and value in ("", "true", "false"):
            call = call._replace(ignore_status=value != "false")
        elif not equals and not call.name:
            call = call._replace(name=name)
        else:
            raise UsageError(f"invalid --call {text!r}: {field!r} is not known", hint="e.g. --call=outline,format=json")
    if not call.name:
        raise UsageError(f"invalid --call {text!r}: it asks for nothing", hint="e.g. --call=outline,format=json")
    if check and call.name not in ("check", "lint"):
        raise UsageError(f"--check and --call={call.name} are two questions", hint="ask one at a time")
    return None if call.name == BUILD else call


def answered(session: Any, request: Any, call: Call) -> int:
    """Ask, print the answer on standard output, and return its status. Raises what the frontend raises."""
    report = session.call(request, call.name)
    if call.format == "json":
        print(json.dumps(report.document, indent=2))
    else:
        sys.stdout.write(report.text)
    return 0 if call.ignore_status else int(report.status)
