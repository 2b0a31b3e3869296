"""``img plugin new`` and ``img plugin test``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from img.errors import UsageError

KINDS: Mapping[str, tuple[str, str]] = {
    "frontend": ("a language for build files", "img build -f @Name@file ."),
    "backend": ("steps by way of another backend", "img build --backend @name@ ."),
    "source": ("files of the addresses @name@://…", "img plugins"),
    "exporter": ("a JSON file that says what is in the image", "img build -o type=@name@,dest=image.json ."),
    "cache": ("results of steps in a folder", "img build --cache-to type=@name@,dir=/mnt/cache ."),
    "reporter": ("a line for each step", "img build --progress @name@ ."),
}
"""Each kind with its line of help, and a command that uses it."""


def new(kind: str, name: str, folder: str) -> int:
    """Write a whole package. Raises `UsageError` for a kind there is not, a name that is none, a folder that is there."""
    if kind not in KINDS:
        raise UsageError(f"there is no kit for {kind!r}", hint=f"kinds: {', '.join(KINDS)}")
    name = name.removeprefix("img-")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(
            f"{name!r} can't name a plugin", hint="small letters, digits and single dashes, e.g. my-plugin"
        )
    place = Path(folder or f"img-{name}")
    try:
        place.mkdir(parents=True)
    except FileExistsError:
        if not place.is_dir() or any(place.iterdir()):
            raise UsageError(f"{place} is there already", hint="name another folder with --dir") from None
    except OSError as error:
        raise UsageError(f"can't make {place}: {error.strerror}") from error
    for path, text in files(kind, name).items():
        (place / path).parent.mkdir(exist_ok=True)
        (place / path).write_text(text, encoding="utf-8")
    print(f"Wrote {place}: try it with 'img plugin test {place}'")
    return 0


def files(kind: str, name: str) -> dict[str, str]:
    """The files of a new package, by path."""
    from img.plugin import CONTRACT

    package = f"img_{name.replace('-', '_')}"
    title = "".join(word.capitalize() for word in name.split("-"))
    help, use = KINDS[kind]
    words = {
        "kind": kind,
        "name": name,
        "Name": title,
        "package": package,
        "dist": f"img-{name}",
        "Class": f"{title}{kind.capitalize()}",
        "contract": str(CONTRACT),
        "help": help,
        "use": use,
        "what": f"{help[0].upper()}{help[1:]}.",
        "hooks": _read("hooks-frontend") if kind == "frontend" else "",
    }
    names = {
        "pyproject.toml": "pyproject",
        "README.md": "readme",
        f"{package}/hooks.py": "hooks",
        f"{package}/{kind}.py": kind,
        f"{package}/conformance.py": f"conformance-{kind}",
        "tests/test_conformance.py": "tests",
    }
    made = {path: _filled(_filled(_read(template), words), words) for path, template in names.items()}
    return {
        **made,
        f"{package}/__init__.py": f'"""{_filled(words["what"], words).strip()}"""\n',
        f"{package}/py.typed": "",
    }


def _read(template: str) -> str:
    from importlib.resources import files as resources

    return (resources("img_cli.kit") / f"{template}.txt").read_text(encoding="utf-8")


def _filled(text: str, words: Mapping[str, str]) -> str:
    filled = re.sub(r"@(\w+)@", lambda match: words.get(match[1], match[0]), text)
    return filled.rstrip("\n") + "\n" if filled.strip() else filled


# --- testing -------------------------------------------------------------------------------------------------------

SUITE = """\
from img.testing.plugins import PluginConformance


class TestPackage(PluginConformance):
    distribution = {distribution!r}
"""


def test(name: str, words: list[str]) -> int:
    """Run the conformance suite over an installed plugin, or over the package in a folder. Raises `UsageError`."""
    from importlib.util import find_spec

    if find_spec("pytest") is None:
        raise UsageError("img plugin test needs pytest", hint=f"{sys.executable} -m pip install pytest")
    if os.path.isdir(name) or os.sep in name:
        return _of_folder(Path(name).resolve(), words)
    from img.plugin.registry import Registry

    registry = Registry.discover()
    for entry in registry.entries:
        if name in (entry.name, entry.distribution):
            with _suite(entry.distribution, entry.module.rpartition(".")[0]) as file:
                return _pytest([str(file), *words], file.parent, [])
    for broken, reason in registry.broken.items():
        if name in re.split(r"[ ()]", broken):
            raise UsageError(f"the plugin {broken} is left out: {reason}")
    known = ", ".join(sorted({entry.distribution for entry in registry.entries}))
    raise UsageError(f"there is no plugin {name!r}", hint=f"a folder, or one of {known}")


@contextmanager
def _suite(distribution: str, package: str) -> Iterator[Path]:
    """A test file for a distribution: the suite of packages, and what its module ``conformance`` has."""
    from importlib.util import find_spec

    text = SUITE.format(distribution=distribution)
    if package and find_spec(f"{package}.conformance") is not None:
        text = f"from {package}.conformance import *  # noqa: F403\n{text}"
    with tempfile.TemporaryDirectory(prefix="img-plugin-") as folder:
        file = Path(folder, "test_plugin.py")
        file.write_text(text)
        yield file


def _of_folder(folder: Path, words: list[str]) -> int:
    """The tests of a package that need not be installed: beside it stands what an installer would leave of it."""
    import tomllib

    try:
        project: Any = tomllib.loads((folder / "pyproject.toml").read_text("utf-8")).get("project", {})
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{folder} has no pyproject.toml that can be read: {reason}") from error
    points = project.get("entry-points", {}).get("img", {})
    name, version = project.get("name", ""), str(project.get("version", "0"))
    if not points or not name:
        hint = '[project.entry-points.img]\nmine = "img_mine.hooks"'
        raise UsageError(f"{folder}/pyproject.toml names no plugin of img", hint=hint)
    with tempfile.TemporaryDirectory(prefix="img-plugin-") as site:
        info = Path(site, f"{re.sub(r'[-_.]+', '_', name)}-{version}.dist-info")
        info.mkdir()
        needs = "".join(f"Requires-Dist: {one}\n" for one in project.get("dependencies", []))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        lines = "".join(f"{key} = {value}\n" for key, value in points.items())
        (info / "entry_points.txt").write_text(f"[img]\n{lines}")
        roots = [str(root) for root in (folder / "src", folder) if root.is_dir()]
        tests = folder / "tests"
        if tests.is_dir():
            return _pytest([str(tests), *words], folder, [*roots, site])
        file = Path(site, "test_plugin.py")
        file.write_text(SUITE.format(distribution=name))
        return _pytest([str(file), *words], Path(site), [*roots, site])


def _pytest(words: list[str], root: Path, paths: list[str]) -> int:
    """Run pytest in a process of its own; returns 0 or 1."""
    places = [*paths, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(root), *words]
    return 1 if subprocess.run(argv, env=environ, cwd=root, check=False).returncode else 0
