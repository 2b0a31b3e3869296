"""What OCI runtimes say when a container can't be started, told apart: the build file's mistakes, and the machine's."""

from __future__ import annotations

import errno
import os
import re
from typing import Any

ERRORS = (
    (r"argument list too long", "exec", errno.E2BIG),
    (r"exec format error", "exec", errno.ENOEXEC),
    (r"chdir to cwd|cwd", "cwd", errno.EACCES),
    (r"executable file .*not found|no such file or directory.*exec|exec.*no such file", "exec", errno.ENOENT),
    (r"exec.*permission denied|permission denied.*exec|open executable", "exec", errno.EACCES),
)
"""What runtimes say when it is the build file that is wrong."""


def classified(told: str, runtime: str) -> list[Any]:
    """Stage, errno, text, name: as a step that never ran is told of (`img.sandbox.client.Job.wait`)."""
    for pattern, stage, number in ERRORS:
        if re.search(pattern, told, re.DOTALL | re.IGNORECASE):
            return [stage, number, os.strerror(number), ""]
    return ["container", 0, told.strip().replace("\n", "; "), runtime]
