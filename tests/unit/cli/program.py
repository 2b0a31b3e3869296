"""The command line as a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def img(*arguments: str, root: Path, **env: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "img_cli", *arguments]
    variables = {**os.environ, "IMG_ROOT": str(root), **env}
    return subprocess.run(argv, capture_output=True, text=True, env=variables, stdin=subprocess.DEVNULL, check=False)
