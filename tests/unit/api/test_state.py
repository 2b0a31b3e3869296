"""The builder: what it makes, and what it says of mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.documents.apps import APPS
from tests.documents.lowering import definition
from tests.documents.programs import PROGRAMS
from tests.unit.dockerfile.lowering import Resolver

import img
from img.errors import FileError, UsageError
from img.ir.nodes import Copy, Exec
from img.ir.values import CacheDir, Secret
from img.ir.walk import topological


@pytest.mark.parametrize("name", APPS)
def test_a_program_makes_the_configuration_that_the_dockerfile_makes(name: str, tmp_path: Path) -> None:
    app = APPS[name]
    (wanted,) = definition(app.dockerfile.replace("BASE", "base:1"), "dockerfile", args=dict(app.args)).targets
    made = PROGRAMS[name]("base:1", tmp_path).lower(Resolver(), "linux/amd64")
    assert made.config == wanted.config
    assert (len(made.layers), made.base_layers) == (len(wanted.layers), wanted.base_layers)


def test_a_state_is_a_value(tmp_path: Path) -> None:
    base = img.image("base:1")
    one, two = base.env(A="1"), base.env(A="2")
    assert one.lower(Resolver(), "linux/amd64").config["config"]["Env"][-1] == "A=1"
    assert two.lower(Resolver(), "linux/amd64").config["config"]["Env"][-1] == "A=2"
    assert base.operations == ()
    assert repr(one) == "<State image('base:1') and 1 instructions>"


def test_a_state_that_many_copy_from_is_lowered_once() -> None:
    state = img.image("base:1").run("true")
    for _ in range(40):  # 2 to the 40 if each were lowered for itself
        state = img.image("base:1").copy(state, "/a", to="/a").copy(state, "/b", to="/b")
    target = state.lower(Resolver(), "linux/amd64")
    assert len(topological([target.root])) == 1 + 1 + 80


def test_platforms_and_epoch(tmp_path: Path) -> None:
    made = (
        img.scratch().copy(img.local(tmp_path), to="/").definition(Resolver(), "linux/amd64", "linux/arm/v7", epoch=5)
    )
    assert [t.platform for t in made.targets] == ["linux/amd64", "linux/arm/v7"]
    assert made.targets[1].config["variant"] == "v7"
    (copied,) = (n for n in topological([made.targets[0].root]) if isinstance(n, Copy))
    assert (copied.mtime, made.targets[0].epoch) == (5, 5)


def test_mounts_stand_where_the_working_folder_is() -> None:
    state = img.image("base:1").workdir("/srv").run("x", mounts=[img.mount.cache("c"), img.mount.secret("s", env="S")])
    node = state.lower(Resolver(), "linux/amd64").root
    assert isinstance(node, Exec)
    assert node.mounts == (CacheDir("c", "/srv/c"), Secret("s", "", "S", required=True))


def test_the_ignore_file_of_a_folder_counts_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("*.o\n")
    assert dict(img.local(tmp_path).source().attrs) == {"ignore": "*.o"}
    assert dict(img.local(tmp_path, ignore=["a", "!b"]).source().attrs) == {"ignore": "a\n!b"}
    assert dict(img.local(tmp_path, ignore=[]).source().attrs) == {}
    (tmp_path / ".dockerignore").write_text("[\n")
    with pytest.raises(FileError, match="is not a pattern"):
        img.local(tmp_path).source()


def test_one_name_for_two_folders_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    here = img.local(".")
    monkeypatch.chdir(tmp_path / "a")
    with pytest.raises(UsageError, match=r"img.local\('.'\) stands for"):
        img.scratch().copy(here, to="/").copy(img.local("."), to="/")


X: Any = img
MISTAKES = [
    (lambda s: s.run(5), "the command of run is text for the shell or a sequence of texts, not int"),
    (lambda s: s.run([]), "the command of run is empty"),
    (lambda s: s.run(["a", 1]), "each of the command of run is text, not int"),
    (lambda s: s.run("a", env={"A": 1}), r"the env of run\['A'\] is text, not int"),
    (lambda s: s.run("a", env={"A=B": "c"}), "a name in the env of run has = in it"),
    (lambda s: s.run("a", mounts="x"), "a mount can't be str"),
    (lambda s: s.run("a", mounts=img.mount.cache("/c")), "mounts is a sequence, not CacheDir"),
    (lambda s: s.run("a", network="bridge"), "network can't be 'bridge'"),
    (lambda s: s.run("a\0b"), "has a NUL in it"),
    (lambda s: s.copy(".", "a", to="/"), "copy takes a State or files, not str"),
    (lambda s: s.copy(img.scratch(), 5, to="/"), "a path of copy is text, not int"),
    (lambda s: s.copy(img.scratch(), "a", to=""), "the destination of copy is empty"),
    (lambda s: s.copy(img.scratch(), "a", to="/", mode=0o77777), "the mode of copy is a mode up to 0o7777"),
    (lambda s: s.copy(img.scratch(), "a", to="/", mode="rwx"), "the mode of copy: "),
    (lambda s: s.copy(img.scratch(), "a", to="/", exclude="x"), "exclude is a sequence of texts, not str"),
    (lambda s: s.write("/a", 5), "write takes text or bytes, not int"),
    (lambda s: s.expose(0), "0 is no port"),
    (lambda s: s.expose("80/icmp"), "the protocol of a port is tcp, udp or sctp"),
    (lambda s: s.healthcheck("a", interval=-1), "are numbers from 0 on"),
    (lambda s: s.label({"a": None}), r"label\['a'\] is text, not None"),
    (lambda s: s.cmd(None), "cmd is text for the shell"),
    (lambda s: img.image("Upper"), "invalid image name 'Upper'"),
    (lambda s: X.image(None), "the name of an image is text, not None"),
    (lambda s: img.local("/nowhere/at/all"), "is no folder: /nowhere/at/all is not there"),
    (lambda s: img.local(__file__), "is a file"),
    (lambda s: img.http("ftp://x/y"), "is no http or https URL"),
    (lambda s: img.http("http://x/"), "has no name"),
    (lambda s: img.http("http://x/a", checksum="md5:1"), "is no digest"),
    (lambda s: img.git("nothing"), "names no git repository"),
    (lambda s: img.mount.cache("/"), "a mount can't take the place of /"),
    (lambda s: img.mount.cache("/a", sharing="all"), "sharing can't be 'all'"),
    (lambda s: X.mount.bind("/a", "/b"), "bind mounts a State or files, not str"),
]


@pytest.mark.parametrize(("act", "message"), MISTAKES)
def test_mistakes_are_told_where_they_are_made(act: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        act(img.image("base:1"))
