"""``img plugin new`` and ``test``: every kind's package is whole, and passes its suite as soon as it is written."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from img.errors import UsageError
from img.plugin.offers import KINDS
from img_cli.commands import plugin

NAMES = {kind: f"my-{kind}" for kind in plugin.KINDS}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of each kind, just written."""
    folder = tmp_path_factory.mktemp("new")
    for kind, name in NAMES.items():
        assert plugin.new(kind, name, str(folder / f"img-{name}")) == 0
    return folder


@pytest.fixture(scope="module")
def python(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The interpreter of a new environment with img as it is installed here, and all the packages installed by pip."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = next(venv.glob("lib/python*/site-packages"))
    (site / "here.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    made = str(venv / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "-q", "--python", made, "install", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, *(str(folder) for folder in sorted(packages.glob("img-*")))], check=True)
    yield made


def img(python: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    argv = [python, "-m", "img_cli", *words]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False, timeout=280)


def test_there_is_a_kit_for_every_kind_that_can_stand_beside_img_s() -> None:
    assert set(plugin.KINDS) == set(KINDS) - {"registry"}


@pytest.mark.parametrize("kind", plugin.KINDS)
def test_a_package_is_whole(kind: str, packages: Path) -> None:
    folder = packages / f"img-{NAMES[kind]}"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"img-my-{kind}" and project["entry-points"]["img"] == {
        f"my-{kind}": f"img_my_{kind}.hooks"
    }
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "@" not in text.replace("@img.hookimpl", "").replace("@property", ""), path
            if path.suffix == ".py":
                compile(text, str(path), "exec")


def test_packages_are_linted_and_typed(packages: Path, tmp_path: Path) -> None:
    bin = Path(sys.executable).parent
    for folder in packages.glob("img-*"):
        rules = ("--config", str(folder / "pyproject.toml"), "--extend-select", "E,F,W,B,UP,RUF")
        subprocess.run([str(bin / "ruff"), "check", "-q", *rules, "."], check=True, cwd=folder)
        subprocess.run([str(bin / "ruff"), "format", "-q", "--check", "."], check=True, cwd=folder)
    code = [str(path) for path in packages.glob("img-*/img_*") if path.is_dir()]
    mypy = [
        str(bin / "mypy"),
        "--strict",
        "--no-error-summary",
        "--cache-dir",
        str(tmp_path),
        "--exclude",
        "conformance",
        *code,
    ]
    done = subprocess.run(mypy, capture_output=True, text=True, check=False, cwd=packages)
    assert done.stdout == "" and done.returncode == 0, done.stdout


def test_every_package_passes_its_suite_at_once(python: str, packages: Path) -> None:
    tests = [str(folder / "tests") for folder in sorted(packages.glob("img-*")) if folder.name != "img-my-backend"]
    argv = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *tests]
    done = subprocess.run(argv, cwd=packages, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def test_an_installed_plugin_is_tried_by_name(python: str, packages: Path) -> None:
    """Of the backend the cases that take little time: all of them run over chroot, which stands behind it, elsewhere."""
    few = "TestPackage or test_bytes or owner or exit"
    done = img(python, "plugin", "test", "img-my-backend", "-q", "-k", few, cwd=Path("/"))
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-4000:] + done.stderr


def test_a_folder_is_tried_without_an_installation(packages: Path) -> None:
    folder = packages / "img-my-reporter"
    done = img(sys.executable, "plugin", "test", str(folder), "-q", cwd=packages)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    broken = packages / "img-my-reporter" / "img_my_reporter" / "reporter.py"
    text = broken.read_text()
    broken.write_text(text.replace("def close", "def closed"))
    try:
        done = img(sys.executable, "plugin", "test", str(folder), "-q", cwd=packages)
    finally:
        broken.write_text(text)
    assert done.returncode == 1 and "has no method close" in done.stdout, done.stdout[-2000:]


def test_mistakes_have_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no kit for 'pass'"):
        plugin.new("pass", "x", str(tmp_path / "x"))
    with pytest.raises(UsageError, match="'My Plugin' can't name a plugin"):
        plugin.new("source", "My Plugin", "")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("")
    with pytest.raises(UsageError, match="is there already"):
        plugin.new("source", "x", str(tmp_path / "there"))
    with pytest.raises(UsageError, match="there is no plugin 'img-none'"):
        plugin.test("img-none", [])
    with pytest.raises(UsageError, match="has no pyproject.toml that can be read"):
        plugin.test(str(tmp_path), [])
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    with pytest.raises(UsageError, match="names no plugin of img"):
        plugin.test(str(tmp_path), [])
