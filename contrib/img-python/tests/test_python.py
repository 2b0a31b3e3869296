"""pyproject.toml to a graph. A real build is in tests/real/test_contrib.py of img."""

from __future__ import annotations

from typing import Any

import pytest

from img.errors import FrontendError
from img.ir.definition import Target
from img.ir.nodes import Copy, Exec, Source, Write
from img.ir.walk import topological
from img.plugin.registry import Registry
from img.ports import BaseImage, FrontendRequest
from img_python.document import Document
from img_python.frontend import PythonFrontend
from img_python.hooks import img_detect_frontend

BASIC = """\
[project]
name = "hello"
requires-python = ">=3.11,<3.13"
dependencies = ["itsdangerous>=2"]

[project.scripts]
hello = "hello:main"
"""


class Resolver:
    """Files of a context by name; every image is there."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def image(self, ref: str, platform: str) -> BaseImage:
        return BaseImage(Source("docker-image", ref, (("platform", platform),)), {"config": {}}, 1)

    def context_file(self, path: str, context: str = "context") -> bytes | None:
        text = self._files.get(path)
        return None if text is None else text.encode()

    def named(self, name: str, platform: str) -> BaseImage | Source | None:
        return None

    def modified(self, context: str) -> int | None:
        return None


def target(text: str, files: dict[str, str] | None = None, **request: Any) -> Target:
    host: Any = None
    asked = FrontendRequest("pyproject.toml", text.encode(), **request)
    return PythonFrontend(host).load(asked, Resolver(files or {})).targets[0]


def requirements(text: str, files: dict[str, str]) -> list[str]:
    """What pip is told to install, without the digests."""
    for node in topological([target(text, files).root]):
        if isinstance(node, Write):
            return [line.split(" --hash")[0] for line in node.data.decode().splitlines()]
    return []


def runs(made: Target) -> dict[str, str]:
    """Digest of each step by its command."""
    return {node.argv[-1]: node.digest for node in topological([made.root]) if isinstance(node, Exec)}


def test_two_layers_and_no_root() -> None:
    made = target(BASIC)
    words = [
        entry["created_by"].removesuffix(" # buildkit")
        for entry in made.config["history"]
        if not entry.get("empty_layer")
    ][-2:]
    assert words == ["COPY /opt/venv /opt/venv", "COPY /opt/project /opt/venv"]
    assert made.config["config"]["Entrypoint"] == ["/opt/venv/bin/hello"]
    assert made.config["config"]["User"] == "app"
    bases = {node.ref for node in topological([made.root]) if isinstance(node, Source) and node.is_image}
    assert bases == {"docker.io/library/python:3.12", "docker.io/library/python:3.12-slim"}


def test_dependencies_hang_on_themselves_alone() -> None:
    first = runs(target(BASIC))
    other = runs(target(BASIC.replace('"hello"', '"hello"\nversion = "2"')))
    install = next(line for line in first if "-r " in line)
    assert first[install] == other[install]
    assert runs(target(BASIC.replace(">=2", ">=3")))[install] != first[install]


def test_bytecode_has_no_times_and_secrets_are_mounts() -> None:
    made = target(BASIC)
    for node in topological([made.root]):
        if isinstance(node, Exec) and " install " in node.argv[-1]:
            assert "--invalidation-mode unchecked-hash" in node.argv[-1]
            assert {getattr(mount, "id", "") for mount in node.mounts} >= {"pip.conf", "img-python/pip"}


def test_a_project_that_is_not_installed() -> None:
    made = target('[project]\nname = "x"\n[tool.img-python]\nfiles = ["a.py"]\ncommand = ["python", "a.py"]\n')
    assert [e["created_by"] for e in made.config["history"] if "COPY" in e["created_by"]][-1].startswith(
        "COPY a.py /app/"
    )
    assert made.config["config"]["Entrypoint"] == ["python", "a.py"]


def test_time_and_labels_come_from_the_request() -> None:
    made = target(BASIC, args={"SOURCE_DATE_EPOCH": "7"}, labels={"a": "b"})
    assert made.epoch == 7 and made.config["config"]["Labels"] == {"a": "b"}


# --- lock files -----------------------------------------------------------------------------------------------------

UV = """\
version = 1
[[package]]
name = "hello"
source = { editable = "." }
dependencies = [{ name = "a" }, { name = "b", extra = ["fast"] }, { name = "w", marker = "os_name == 'nt'" }]
[[package]]
name = "a"
version = "1"
source = { registry = "https://index.test/simple" }
dependencies = [{ name = "c", marker = "x < '1'" }, { name = "w" , marker = "y < '2'"}]
sdist = { url = "u", hash = "sha256:aa" }
[[package]]
name = "b"
version = "2"
source = { registry = "https://index.test/simple" }
wheels = [{ url = "u", hash = "sha256:cc" }, { url = "v", hash = "sha256:bb" }]
[package.optional-dependencies]
fast = [{ name = "c" }, { name = "d" , version = "2" }]
slow = [{ name = "e" }]
[[package]]
name = "c"
version = "3"
source = { registry = "https://index.test/simple" }
dependencies = [{ name = "a" }]
[[package]]
name = "d"
version = "1"
source = { registry = "https://index.test/simple" }
[[package]]
name = "d"
version = "2"
source = { registry = "https://index.test/simple" }
[[package]]
name = "w"
version = "4"
source = { registry = "https://index.test/simple" }
"""

POETRY = """\
[[package]]
name = "a"
version = "1"
groups = ["main"]
markers = "os_name == \\"nt\\""
files = [{file = "a.whl", hash = "sha256:aa"}]
[[package]]
name = "t"
version = "1"
groups = ["dev"]
files = []
[metadata]
lock-version = "2.1"
"""

PYLOCK = """\
lock-version = "1.0"
[[packages]]
name = "a"
version = "1"
marker = "os_name == 'nt'"
wheels = [{ url = "u", hashes = { sha256 = "aa" } }]
[[packages]]
name = "hello"
directory = { path = ".", editable = true }
"""


def test_uv_lock_is_a_graph() -> None:
    assert requirements(BASIC, {"uv.lock": UV}) == [
        "a==1",
        "b==2",
        "c==3",
        "d==2",
        "w==4 ; ((os_name == 'nt')) or ((y < '2'))",
    ]


def test_poetry_lock_and_pylock() -> None:
    assert requirements(BASIC, {"poetry.lock": POETRY}) == ['a==1 ; os_name == "nt"']
    assert requirements(BASIC, {"pylock.toml": PYLOCK}) == ["a==1 ; os_name == 'nt'"]


def test_locked_packages_are_held_to_digests_and_nothing_is_resolved() -> None:
    assert any("--no-deps --require-hashes -r " in line for line in runs(target(BASIC, {"uv.lock": UV})))
    assert not any("--require-hashes" in line for line in runs(target(BASIC)))


def test_requirements_with_what_they_include() -> None:
    files = {"requirements.txt": "-r more/a.txt\nx\n", "more/a.txt": "-c b.txt\n", "more/b.txt": "y<2\n"}
    paths = {
        n.dest for n in topological([target(BASIC, files).root]) if isinstance(n, Copy) and n.dest.endswith(".txt")
    }
    below = "/tmp/img-python"
    assert paths == {f"{below}/requirements.txt", f"{below}/more/a.txt", f"{below}/more/b.txt"}


def test_the_order_of_lock_files() -> None:
    files = {"uv.lock": UV, "poetry.lock": POETRY, "requirements.txt": "z"}
    assert len(requirements(BASIC, files)) == 5
    chosen = BASIC + '[tool.img-python]\nlock = "requirements.txt"\n'
    assert requirements(chosen, files) == ["z"]
    assert requirements(BASIC + '[tool.img-python]\nlock = "none"\n', files) == ["itsdangerous>=2"]


# --- mistakes -------------------------------------------------------------------------------------------------------

TABLE = "[tool.img-python]\n"


@pytest.mark.parametrize(
    "text, files, message, place",
    [
        ("[project\n", {}, "pyproject.toml is not TOML: Expected ']'", "pyproject.toml:1:9"),
        (BASIC + TABLE + 'bas = "x"\n', {}, "tool.img-python has no key 'bas'", "pyproject.toml:9:1"),
        (BASIC + TABLE + 'expose = "x"\n', {}, "tool.img-python.expose must be a list of texts", "pyproject.toml:9:1"),
        (BASIC + TABLE + "package = 1\n", {}, "tool.img-python.package must be true or false", "pyproject.toml:9:1"),
        (BASIC + TABLE + 'script = "x"\n', {}, "project.scripts has no 'x'", "pyproject.toml:9:1"),
        (BASIC + TABLE + 'extras = ["x"]\n', {}, "the project has no extra 'x'", "pyproject.toml:9:1"),
        (BASIC + TABLE + 'lock = "a.lock"\n', {}, "there is no lock file a.lock in the context", "pyproject.toml:9:1"),
        (BASIC.replace(">=3.11,<3.13", ">=4"), {}, "no Python that is known fits '>=4'", "pyproject.toml:3:1"),
        (BASIC.replace(">=3.11,<3.13", "new"), {}, "'new' says no versions of Python", "pyproject.toml:3:1"),
        (BASIC.replace(">=2", ">>2"), {}, "is no requirement", "pyproject.toml:4:1"),
        (BASIC + 'other = "x:y"\n', {}, "", ""),
        (BASIC.replace("hello =", "a =") + 'b = "x:y"\n', {}, "the project has several scripts", "pyproject.toml:6:1"),
        (BASIC.partition("[project.s")[0], {}, "nothing says what the image runs", "pyproject.toml:1:1"),
        (BASIC, {"uv.lock": "version = 2\n"}, "uv.lock has another format", "uv.lock:1:1"),
        (BASIC, {"uv.lock": UV.replace('"a" }, {', '"q" }, {')}, "uv.lock has no package 'q'", "uv.lock:2:1"),
        (
            BASIC,
            {"uv.lock": UV.replace('version = "3"\nsource = { registry', 'version = "3"\nsource = { git')},
            "c comes from git",
            "uv.lock:20:1",
        ),
        (BASIC, {"poetry.lock": POETRY.replace("2.1", "2.0")}, "poetry.lock has the format 2.0", "poetry.lock:13:1"),
        (BASIC, {"pylock.toml": PYLOCK.replace("os_name", "extras")}, "a depends on a choice", "pylock.toml:2:1"),
        (BASIC, {"requirements.txt": "a\n-e .\n"}, "-e . is a folder", "requirements.txt:2:1"),
        (BASIC, {"requirements.txt": "-r b.txt\n"}, "there is no b.txt in the context", "requirements.txt:1:1"),
        (BASIC, {"requirements.txt": "-r ../b.txt\n"}, "../b.txt is outside of the context", "requirements.txt:1:1"),
    ],
)
def test_mistakes_have_a_place(text: str, files: dict[str, str], message: str, place: str) -> None:
    if not message:
        target(text, files)
        return
    with pytest.raises(FrontendError) as caught:
        target(text, files)
    assert message in caught.value.message
    assert str(caught.value.place) == place


def test_places_of_dotted_and_quoted_keys() -> None:
    document = Document("f", b'[a]\nb.c = 1\n["d e"]\n"f" = 2\n')
    assert document.place("a", "b", "c").line == 2
    assert document.place("d e", "f").line == 4
    assert document.place("d e", "missing").line == 3


def test_detection() -> None:
    assert img_detect_frontend("a/pyproject.toml", b"[project]\n[tool.img-python]\n") == "python"
    assert img_detect_frontend("pyproject.toml", b"[tool.img-python.env]\n") == "python"
    assert img_detect_frontend("pyproject.toml", b"# [tool.img-python]\n[tool.img]\n") is None
    assert img_detect_frontend("x.toml", b"[tool.img-python]\n") is None


def test_the_offer_names_its_file() -> None:
    offers = {offer.name: offer for offer, _ in Registry.discover().offers("frontend")}
    assert offers["python"].files == ("pyproject.toml",)
