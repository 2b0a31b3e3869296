"""What a command must not import: a cached build is quick because it loads next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def imported(*arguments: str, root: Path) -> set[str]:
    """Modules that a command line imports, with img's own plugins only: a stranger's hook brings pluggy."""
    program = (
        "import atexit, sys\nsys.argv[1:] = " + repr(list(arguments)) + "\nfrom img_cli.main import main\n"
        "atexit.register(lambda: print('\\n'.join(sys.modules)))\nmain()\n"
    )
    env = {**os.environ, "IMG_ROOT": str(root), "IMG_DISABLE_PLUGINS": "img-example-plugin"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env, check=True)
    return set(done.stdout.split())


HEAVY = {
    "typer",
    "rich",
    "lark",
    "yaml",
    "pluggy",
    "importlib_metadata",
    "asyncio",
    "logging",
    "urllib3",
    "ssl",
    "subprocess",
    "isal",
}


def test_version_imports_nothing(tmp_path: Path) -> None:
    modules = imported("version", root=tmp_path)
    assert not modules & HEAVY
    assert {name for name in modules if name.partition(".")[0] in ("img", "img_cli", "img_plugins")} == {
        "img",
        "img._version",
        "img_cli",
        "img_cli.main",
    }


def test_a_cached_build_imports_next_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n" + "ENV A='b'\n" * 40)
    arguments = ("build", "-t", "x", "--progress", "plain", str(tmp_path / "c"))
    assert "lark" in imported(*arguments, root=tmp_path / "s")
    assert not imported(*arguments, root=tmp_path / "s") & HEAVY
    modules = imported(*arguments, "--cache-from", "127.0.0.1:1/nobody", root=tmp_path / "s")
    assert not modules & {*HEAVY, "img.solver.remote", "img.solver.index", "img_plugins.caches"}


def test_a_cached_build_of_a_document_does_so_too(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "img.yaml").write_text("from: scratch\nsteps:\n  - copy: [img.yaml, /]\n")
    arguments = ("build", "-t", "x", "--progress", "plain", str(tmp_path / "c"))
    assert "yaml" in imported(*arguments, root=tmp_path / "s")
    assert not imported(*arguments, root=tmp_path / "s") & HEAVY
