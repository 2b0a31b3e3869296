"""``img lint``: the checks without a build and without a registry, and repairs."""

from __future__ import annotations

import base64
import json as encoder
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from img.contexts.remote import need_folder
from img.errors import UsageError
from img.request import Request, build_file, shown
from img_cli.context import open_session

OFFLINE = {"offline": "true"}


def lint(context: str, file: str, fix: bool, diff: bool, json: bool) -> int:
    """Print what the checks find; 1 if they find anything. `diff`: print the repairs instead; 1 if there are any."""
    request = Request(context=context, file=file)
    need_folder(context)
    path = build_file(request)
    with open_session() as session:
        repairs: Any = []
        if fix or diff:
            document = session.call(request, "fix", OFFLINE).document
            new, repairs = base64.b64decode(document["data"]), document["repairs"]
            if diff:
                return show_diff(path, new)
            if repairs:
                replace(path, new)
        report = session.call(request, "check", OFFLINE)
    if json:
        print(encoder.dumps({**report.document, "repairs": repairs} if fix else report.document, indent=2))
        return int(report.status)
    for repair in repairs:
        line = repair["location"]["ranges"][0]["start"]["line"]
        print(f"{shown(path)}:{line}: repaired {repair['ruleName']}: {repair['detail']}", file=sys.stderr)
    sys.stdout.write(report.text)
    return int(report.status)


def show_diff(path: Path, new: bytes) -> int:
    """Print a unified diff from the file to `new`; 1 if they differ."""
    from difflib import unified_diff

    old = path.read_bytes()
    before, after = (data.decode("utf-8", "replace").splitlines(keepends=True) for data in (old, new))
    for row in unified_diff(before, after, shown(path), f"{shown(path)} (repaired)"):
        sys.stdout.write(row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n")
    return int(old != new)


def replace(path: Path, data: bytes) -> None:
    """Put `data` in the place of the file at once, with its mode; a link's target is what is replaced."""
    real = Path(os.path.realpath(path))
    part = ""
    try:
        handle, part = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
        with open(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fchmod(out.fileno(), real.stat().st_mode & 0o7777)
            os.fsync(out.fileno())
        os.replace(part, real)
    except OSError as error:
        if part and os.path.exists(part):
            os.unlink(part)
        raise UsageError(f"can't write {path}: {error.strerror}", hint="check the folder and its mode") from error
