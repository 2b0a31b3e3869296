"""``img convert`` and ``img schema``."""

from __future__ import annotations

import os
import sys

from img.errors import UsageError
from img.ports import FrontendRequest
from img.request import Request
from img_cli.context import open_session, standard_input

FORMS = ("dockerfile", "yaml", "toml", "json")


def convert(file: str, to: str, frontend: str) -> int:
    """Print the build file `file` in another form. Raises what its frontend raises."""
    if to not in FORMS:
        raise UsageError(f"--to can't be {to!r}", hint=f"one of {', '.join(FORMS)}")
    folder = "." if file == "-" else os.path.dirname(file) or "."
    request = Request(context=folder, file=file, frontend=frontend, stdin=standard_input(file))
    with open_session() as session:
        report = session.call(request, "convert", {"to": to})
    sys.stdout.write(report.text)
    return report.status


def schema() -> int:
    """Print the JSON Schema of documents."""
    from img.plan import Answers

    with open_session() as session:
        asked = session.engine.load("frontend", "yaml").call(
            "schema", FrontendRequest("", b""), Answers(session.engine)
        )
    sys.stdout.write(asked.text)
    return 0
