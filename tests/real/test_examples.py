"""Every example of the documentation is run, or says why not. One store, one registry, one context for all of them."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
import yaml

from img_cli.commands.app import app
from img_plugins.registry.hosts import own
from tests.documents.lowering import document
from tests.peers import bases, builders, examples
from tests.peers.servers import Registry

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

BLOCKS = examples.blocks()
STARTED = "docs/tutorial/example/run.sh"
CONTEXT = {
    "Dockerfile": "FROM debian:bookworm-slim\nARG WHO=world\nCOPY src /src\nRUN make && echo $WHO > /who\n",
    ".dockerignore": ".git\n*.tar\n**/*.md\n*.digest\n",
    "docs/a.md": "# a\n",
    "src/a": "a\n",
    "greet.sh": "echo hello NAME\n",
}
DOCUMENT = ("from", "steps", "stages", "args")


class World:
    """Where the examples run. The registry stands for Docker Hub, and for HOST."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self.folder = folder
        self.context = folder / "context"
        self.host = registry.host
        for name, text in CONTEXT.items():
            path = self.context / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        settings = folder / "registries.toml"
        settings.write_text(f'[registry."docker.io"]\nlocation = "{self.host}/hub"\n')
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "IMG_ROOT": str(folder / "store"),
            "IMG_REGISTRIES": str(settings),
        }
        self._bases()

    def _bases(self) -> None:
        config = {"Env": ["PATH=/bin"], "Cmd": ["sh"]}
        make = bases.tar([("bin/make", b"#!/bin/sh\n")])
        layout = bases.layout(self.folder / "base", [bases.busybox_tar(), make], config)
        for name in ("library/debian:bookworm-slim", "library/busybox:1.36"):
            bases.push(layout, f"{self.host}/hub/{name}")

    def run(self, argv: list[str], cwd: Path | None = None, more: dict[str, str] | None = None) -> str:
        """Run a program in the context; what it prints. Fails with what it says."""
        done = subprocess.run(
            argv,
            cwd=cwd or self.context,
            env={**self.environment, **(more or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{argv[-1]}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
        return done.stdout

    def put_in(self, text: str) -> str:
        """An example with what stands for the reader's own things in it put in."""
        text = re.sub(r"\bHOST/NAME\b", f"{self.host}/app:1", text)
        text = re.sub(r"\bHOST\b", self.host, text).replace("dir:///workspace", f"dir://{self.context}")
        return re.sub(r"\bNAME\b", "app:1", text).replace("docker://example.org/app:1", f"docker://{self.host}/app:1")


@pytest.fixture(scope="module")
def world(registry: Registry, ground: Path) -> World:
    folder = ground / "examples"
    folder.mkdir()
    return World(folder, registry)


# --- what runs a block ----------------------------------------------------------------------------------------------


def console(world: World, block: examples.Block) -> None:
    """Each line is run. Behind ``$`` comes a command, and the lines after it are what it prints."""
    lines = world.put_in(block.text).splitlines()
    for at, line in enumerate(lines):
        if "$ " not in block.text:
            world.run(["sh", "-ec", line])
        elif line.startswith("$ "):
            rest = lines[at + 1 :]
            wanted = rest[: next((i for i, other in enumerate(rest) if other.startswith("$ ")), len(rest))]
            assert world.run(["sh", "-ec", line[2:]]).splitlines() == wanted, block.name


def python(world: World, block: examples.Block) -> None:
    """A program, in a process of its own. ``root`` is the store's folder."""
    pages = world.folder / "pages"
    pages.mkdir(exist_ok=True)
    (pages / "index.txt").write_text("title\ntext\n")
    name = world.folder / f"{Path(block.page).stem}.py"
    name.write_text(f"import img, os\nroot = os.environ['IMG_ROOT']\n{world.put_in(block.text)}")
    world.run([sys.executable, str(name)])


def dockerfile(world: World, block: examples.Block) -> None:
    """A Dockerfile, or the beginning or the end of one."""
    for text in (f"{block.text}FROM scratch\n", f"FROM scratch\n{block.text}"):
        path = world.folder / "fragment"
        path.write_text(text)
        done = builders.img("lint", "-f", str(path), str(world.context), root=world.folder / "store")
        if done.returncode == 0 and "error" not in done.stderr:
            return
    pytest.fail(f"{block.name}: {done.stdout}{done.stderr}")


def as_yaml(world: World, block: examples.Block) -> None:
    """A document of img's, or some other tool's YAML."""
    read = yaml.safe_load(block.text)
    assert isinstance(read, dict)
    if any(key in read for key in DOCUMENT):
        assert document(block.text if {"from", "stages"} & set(read) else f"from: scratch\n{block.text}").stages


def toml(world: World, block: examples.Block) -> None:
    """registries.toml, or settings."""
    for name in ("corp.pem", "me.pem", "me.key"):
        (world.folder / name).write_text("")
    path = world.folder / "example.toml"
    path.write_text(block.text)
    found = own.load([path])
    assert found.rules or found.hosts


RUNNERS: dict[str, Callable[[World, examples.Block], None]] = {
    "console": console,
    "python": python,
    "dockerfile": dockerfile,
    "yaml": as_yaml,
    "toml": toml,
}


# --- tests ----------------------------------------------------------------------------------------------------------


def test_every_example_is_run_or_says_why_not() -> None:
    unmarked = [f"{b.name} ({b.language})" for b in BLOCKS if not b.reason and b.language not in RUNNERS]
    assert not unmarked, f"run these, or say why not with <!-- not run: … -->: {unmarked}"
    assert len(BLOCKS) > 25


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if not b.reason and STARTED not in b.text], ids=lambda block: str(block.name)
)
def test_an_example(world: World, block: examples.Block) -> None:
    RUNNERS[block.language](world, block)


def test_the_first_command_of_the_readme(world: World, work: Path) -> None:
    """In a copy of what a fresh clone has: it makes .venv, a base, an image with a real RUN, and runs what came of it."""
    root, clone = examples.ROOT, work / "clone"
    for name in ("core", "frontends", "plugins", "docs/tutorial/example"):
        shutil.copytree(root / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(root / name, clone / name)
    (command,) = (b.text.strip() for b in BLOCKS if STARTED in b.text and b.page == "README.md")
    said = world.run(["sh", "-ec", command], cwd=clone)
    assert said.rstrip().endswith("hello, reader, from an image that img built"), said


# --- the commands of the CI templates -------------------------------------------------------------------------------


def scripts(name: str) -> list[str]:
    """The shell scripts of a template, as its system runs them."""
    read = yaml.safe_load((examples.ROOT / "contrib" / "ci" / name).read_text())
    if name == "github.yml":
        lines = [step["run"] for step in read["jobs"]["image"]["steps"] if "run" in step]
    elif name == "gitlab-ci.yml":
        lines = [*read["image-build"]["before_script"], *read["image-build"]["script"]]
    elif name == "tekton-task.yaml":
        lines = [step["script"] for step in read["spec"]["steps"]]
    else:
        lines = read["spec"]["template"]["spec"]["containers"][0]["args"]
    return [re.sub(r"^.*\b(?:pip install|python3 -m venv) .*$", "", line, flags=re.M) for line in lines]


@pytest.mark.parametrize("name", ["github.yml", "gitlab-ci.yml", "tekton-task.yaml", "kubernetes-overlay.yaml"])
def test_a_template_builds_and_pushes(world: World, work: Path, name: str) -> None:
    """What a job's script does, but for installing img; who logs in is tests/real/test_registry.py's. The registry then has
    the image, and where there is one the cache."""
    image = f"{world.host}/ci-{name.partition('.')[0]}"
    digest = work / "digest"
    given = {
        "IMAGE": image if name == "github.yml" else f"{image}:abc",
        "GITHUB_SHA": "abc",
        "CI_REGISTRY_IMAGE": image,
        "CI_COMMIT_SHORT_SHA": "abc",
        "DOCKERFILE": "Dockerfile",
        "CONTEXT": ".",
        "DIGEST": str(digest),
    }
    for script in scripts(name):
        if "img login" not in script:
            world.run(["sh", "-ec", script], more=given)
    shown = world.run(["img", "registry", "check", f"{image}:abc"])
    assert image.partition("/")[2] in shown
    argv = ["skopeo", "inspect", "--tls-verify=false", "--format={{.Digest}}", f"docker://{image}:abc"]
    found = world.run(argv).strip()
    assert found.startswith("sha256:")
    if name == "tekton-task.yaml":
        assert digest.read_text() == found
    if name in ("github.yml", "gitlab-ci.yml"):
        world.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{image}:cache"])


# --- every command in the text --------------------------------------------------------------------------------------


@functools.cache
def _root() -> object:
    return typer.main.get_command(app)


@pytest.mark.parametrize("command", examples.commands(), ids=lambda command: f"{command.place} {command.words}"[:90])
def test_a_command_of_the_text_has_what_it_names(command: examples.Command) -> None:
    assert not examples.unknown(command, _root())


def test_that_what_is_not_there_is_noticed() -> None:
    for words in ("img biuld .", "img build --tga x .", "img registry chekc x", "img ls --jsno"):
        assert examples.unknown(examples.Command("", words), _root()), words
