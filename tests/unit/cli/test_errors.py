"""Errors of the command line, to the letter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.cli.program import img

from img.errors import FrontendError, ImgError, Place, StepFailed
from img_cli.outcome import guarded, render


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "error: 'nope' is not an img command\nhint: see 'img --help'\n"),
        (["build"], "error: missing argument 'CONTEXT'\nhint: see 'img build --help'\n"),
        (
            ["build", "/nowhere"],
            "error: the context /nowhere does not exist\nhint: name a folder, a git or http URL, or - for standard input\n",
        ),
        (
            ["build", "-", "-t", "x"],
            "error: standard input is empty\nhint: send a tar of a folder, or a build file\n",
        ),
        (
            ["build", "--progress=loud", "."],
            "error: there is no progress 'loud'\nhint: one of auto, json, plain, quiet, tty\n",
        ),
        (
            ["build", "--frontend=nope", "-f", "/etc/passwd", "/etc"],
            "error: no frontend named 'nope' is installed\nhint: installed: dockerfile, toml, yaml\n",
        ),
        (["build", "--label", "x", "."], "error: invalid --label value 'x'\nhint: --label NAME=VALUE\n"),
    ],
)
def test_usage_errors(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = img(*arguments, root=tmp_path)
    assert (done.returncode, done.stderr) == (2, message)


def test_an_unknown_plugin_is_named_with_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    done = img("build", "--backend", "nope", "-t", "x", str(tmp_path), root=tmp_path / "s")
    assert done.returncode == 1
    assert "error: there is no backend named 'nope'\nhint: installed: buildkit, chroot" in done.stderr
    done = img("build", "-o", "type=nope", str(tmp_path), root=tmp_path / "s")
    assert done.returncode == 2
    assert "there is no output type 'nope'" in done.stderr
    done = img("build", "-o", "type=oci,dest=x,nope=1", str(tmp_path), root=tmp_path / "s")
    assert "has no attribute 'nope'" in done.stderr


def test_errors_show_the_place() -> None:
    error = FrontendError("it is wrong", hint="do right", place=Place("Dockerfile", 3, 5, 3, "RUN x"))
    assert render(error) == ["Dockerfile:3:5", " 3 | RUN x", "   |     ^", "error: it is wrong", "hint: do right"]


def test_failed_steps_show_their_last_lines() -> None:
    error = StepFailed("RUN x failed", status=2, tail=("one", "\x1b[31mtwo"))
    assert render(error) == [" > the last lines of its output:", " | one", " | \ufffd[31mtwo", "error: RUN x failed"]


def test_an_error_is_one_line() -> None:
    assert render(ImgError("plain")) == ["error: plain"]
    wide = render(FrontendError("far", place=Place("f", 1, 1000, 1, "x" * 999 + "!" + "y" * 999)))
    assert len(wide[1]) < 200 and wide[1][wide[2].index("^")] == "!"


def test_plugins_are_listed(tmp_path: Path) -> None:
    rows = json.loads(img("plugins", "--json", root=tmp_path).stdout)
    found = {(row["kind"], row["name"]) for row in rows}
    assert {("frontend", "dockerfile"), ("backend", "chroot"), ("exporter", "oci"), ("source", "local")} <= found
    (chroot,) = [row for row in rows if row["name"] == "chroot"]
    assert chroot["available"] is True
    assert chroot["reason"]


def test_disabled_plugins_are_gone(tmp_path: Path) -> None:
    done = img("plugins", "--json", root=tmp_path, IMG_DISABLE_PLUGINS="frontends")
    assert "dockerfile" not in {row["name"] for row in json.loads(done.stdout)}


def test_a_folder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert guarded(["build", "/"]) == 2
    assert "the current folder was removed" in capsys.readouterr().err


def test_what_is_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no tar, and long enough for the head of one" * 20)
    done = img("import", str(tmp_path / "notes"), "x", root=tmp_path / "s")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}/notes is not the tar of a root filesystem: ")
    assert "hint: give one" in done.stderr
