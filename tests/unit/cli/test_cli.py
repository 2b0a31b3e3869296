"""The command line: parsing, errors to the letter, and what must not be imported."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from img.errors import FrontendError, ImgError, Place, StepFailed, UsageError
from img.events import (
    BuildDone,
    BuildStarted,
    StepCached,
    StepDone,
    StepLog,
    StepStarted,
    Warning,
)
from img.events import (
    StepFailed as Failed,
)
from img.ir.values import Limit
from img_cli import options
from img_cli.commands.request import confinement, hidden, pairs, size
from img_cli.outcome import guarded, render
from img_cli.outputs import outputs, parse_annotations, parse_output


def img(*arguments: str, root: Path, **env: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "img_cli", *arguments]
    variables = {**os.environ, "IMG_ROOT": str(root), **env}
    return subprocess.run(argv, capture_output=True, text=True, env=variables, stdin=subprocess.DEVNULL, check=False)


@pytest.mark.parametrize(
    ("words", "pull"),
    [
        (["--pull"], "always"),
        (["--pull=TRUE"], "always"),
        (["--pull=false"], ""),
        (["--pull=never"], "never"),
        ([], ""),
    ],
)
def test_typer_and_the_table_read_pull_alike(words: list[str], pull: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from img_cli.commands import build, run

    seen: list[object] = []
    monkeypatch.setattr(build, "build", lambda given: seen.append((given["pull"], given["context"])) or 0)
    for arguments in (["build", *words, "."], ["--no-plugins", "build", *words, "."], ["build", *words, "-f", "", "."]):
        assert run.run(arguments) == 0
    assert seen == [(pull, ".")] * 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pull=sometimes"], "--pull can't be 'sometimes'"),
        (["--pull", "--offline"], "--pull asks the registry, and --offline forbids it"),
    ],
)
def test_wrong_policies(words: list[str], message: str, tmp_path: Path) -> None:
    done = img("build", *words, str(tmp_path), root=tmp_path / "s")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"error: {message}")


def test_the_table_is_what_typer_says() -> None:
    import typer

    from img_cli.commands.app import app

    command = typer.main.get_command(app).commands["build"]  # type: ignore[attr-defined]
    table = {}
    for parameter in command.params:
        if parameter.param_type_name != "option" or parameter.name == "help":
            continue
        kind = options.SWITCH if parameter.is_flag else options.MANY if parameter.multiple else options.ONE
        for name in parameter.opts:
            # that a policy needs no value is told to typer by `plain_switches`
            policy = options.BUILD.get(name, ("", ""))[1] == options.POLICY and kind == options.ONE
            table[name] = (parameter.name, options.POLICY if policy else kind)
            default = parameter.default
            assert options.DEFAULTS[parameter.name] == ([] if default is None and kind == options.MANY else default)
    assert table == options.BUILD


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["."], {"context": "."}),
        ([".", "-t", "a", "--tag=b"], {"context": ".", "tag": ["a", "b"]}),
        (["--no-cache", ".", "-f", "F"], {"context": ".", "no_cache": True, "file": "F"}),
        (["--build-arg", "A=b=c", "."], {"context": ".", "build_arg": ["A=b=c"]}),
        (["-"], {"context": "-"}),
        (["--help"], None),
        (["--nope", "."], None),
        (["-t"], None),
        (["-ta", "."], None),
        ([], None),
        (["a", "b"], None),
        (["--no-cache=x", "."], None),
        (["--no-cache=true", "--pull=false", "."], {"context": ".", "no_cache": True}),
        (["--pull", "."], {"context": ".", "pull": "always"}),
        (["--pull=never", "--pull=missing", "--offline", "."], {"context": ".", "pull": "missing", "offline": True}),
    ],
)
def test_the_fast_parser(arguments: list[str], found: dict[str, object] | None) -> None:
    parsed = options.parse_build(arguments)
    assert parsed == (None if found is None else {**options.DEFAULTS, **found})


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


def test_help_everywhere(tmp_path: Path) -> None:
    for arguments in (["--help"], ["build", "--help"], ["ls", "--help"], ["push", "--help"], ["plugins", "-h"]):
        done = img(*arguments, root=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "Usage: img" in done.stdout


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


def test_outputs() -> None:
    assert parse_output("type=oci,dest=a.tar") == {"type": "oci", "dest": "a.tar"}
    assert parse_output('type=image,"name=a,b"') == {"type": "image", "name": "a,b"}
    assert parse_output("folder") == {"type": "local", "dest": "folder"}


def given(**options_: object) -> dict[str, object]:
    return {**options.DEFAULTS, "context": ".", **options_}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ()),
        ({"push": True, "tag": ["h/a"]}, ({"type": "registry"},)),
        ({"push": True, "load": True, "tag": ["h/a"]}, ({"type": "registry"}, {"type": "image"})),
        ({"load": True, "tag": ["a"]}, ({"type": "image"},)),
        ({"iidfile": "f"}, ({"type": "image"},)),
        ({"iidfile": "f", "tag": ["a"]}, ()),
        ({"output": ["type=oci", "out"]}, ({"type": "oci", "dest": "-"}, {"type": "local", "dest": "out"})),
    ],
)
def test_short_words_for_outputs(asked: dict[str, object], found: tuple[dict[str, str], ...]) -> None:
    assert outputs(given(**asked)) == found


def test_annotations_of_every_level() -> None:
    words = ["a=b", "index:c=d=e", "manifest,manifest-descriptor:f=", "manifest[linux/arm64]:org.x=y", "http://k=v"]
    assert parse_annotations(words) == {
        "annotation-manifest.a": "b",
        "annotation-index.c": "d=e",
        "annotation-manifest.f": "",
        "annotation-manifest-descriptor.f": "",
        "annotation-manifest[linux/arm64].org.x": "y",
        "annotation-manifest.http://k": "v",
    }


def test_what_every_step_gets() -> None:
    found = confinement(given(add_host=["a:1.2.3.4", "b=::1"], ulimit=["nofile=10:20", "core=-1"], shm_size="1.5g"))
    assert found.hosts == (("a", "1.2.3.4"), ("b", "::1"))
    assert found.limits == (Limit("nofile", 10, 20), Limit("core", -1, -1))
    assert found.shm_size == 3 << 29


@pytest.mark.parametrize(
    "asked",
    [
        {"add_host": ["a"]},
        {"add_host": ["a:b"]},
        {"add_host": ["a:host-gateway"]},
        {"ulimit": ["x=1"]},
        {"ulimit": ["nofile=2:1"]},
        {"ulimit": ["nofile"]},
        {"shm_size": "many"},
    ],
)
def test_what_no_step_can_get(asked: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        confinement(given(**asked))


def test_sizes_are_powers_of_1024() -> None:
    assert [size(text, "--x") for text in ("", "5", "5b", "2k", "2KB", "1m", "1gib")] == [
        0,
        5,
        5,
        2048,
        2048,
        1 << 20,
        1 << 30,
    ]


def test_pairs_are_text() -> None:
    with pytest.raises(UsageError, match="the value of --label a is not UTF-8"):
        pairs(["a=\udcff"], "--label")


def test_pairs_take_values_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMG_TEST_SET", "1")
    monkeypatch.delenv("IMG_TEST_UNSET", raising=False)
    assert pairs(["A=b", "IMG_TEST_SET", "IMG_TEST_UNSET"], "--build-arg", True) == {"A": "b", "IMG_TEST_SET": "1"}


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


EVENTS = [
    BuildStarted((("a", "[s 1/2] RUN a"), ("b", "[s 2/2] RUN b")), 0.0),
    StepCached("a", "[s 1/2] RUN a", "by its definition", 0.1),
    StepStarted("b", "[s 2/2] RUN b", None, 1.0),
    StepLog("b", "stdout", b"one\ntw", 1.5),
    StepLog("b", "stderr", b"o\nno newline", 2.0),
    StepDone("b", "[s 2/2] RUN b", 1.5, 2.5),
    Warning("careful", None, 2.6),
    Failed("c", "RUN c", "it broke", 2.7),
    BuildDone(True, 3.0, 3.0),
]


def test_plain_progress() -> None:
    from img_plugins.reporters.plain import PlainReporter

    out = io.StringIO()
    reporter = PlainReporter(None, out)  # type: ignore[arg-type]
    for event in EVENTS:
        reporter.handle(event)
    reporter.close()
    assert out.getvalue().splitlines() == [
        "#1 [s 1/2] RUN a",
        "#1 CACHED",
        "#2 [s 2/2] RUN b",
        "#2 0.500 one",
        "#2 1.000 two",
        "#2 1.500 no newline",
        "#2 DONE 1.5s",
        "warning: careful",
        "#3 ERROR: it broke",
    ]


def test_json_progress() -> None:
    from img_plugins.reporters.json import JsonReporter

    out = io.StringIO()
    reporter = JsonReporter(None, out)  # type: ignore[arg-type]
    for event in EVENTS:
        reporter.handle(event)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines[0] == {"schema": 1}
    assert [line["event"] for line in lines[1:4]] == ["BuildStarted", "StepCached", "StepStarted"]
    assert lines[4] == {"event": "StepLog", "step": "b", "stream": "stdout", "data": "one\ntw", "time": 1.5}


def test_the_live_display_draws_and_cleans_up() -> None:
    from img_plugins.reporters.tty import TtyReporter

    out = io.StringIO()
    reporter = TtyReporter(None, out)  # type: ignore[arg-type]
    for event in EVENTS:
        reporter.handle(event)
        if isinstance(event, StepLog):
            reporter._draw()
    reporter.close()
    text = out.getvalue()
    assert "[s 2/2] RUN b" in text
    assert "careful" in text
    assert "built: 2/2 steps, 1 cached" in text


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


@pytest.mark.parametrize(("secret", "ssh"), [(["id=a,src=nope"], []), ([], ["a=nope"])])
def test_hidden_files_must_be_there(tmp_path: Path, secret: list[str], ssh: list[str]) -> None:
    with pytest.raises(UsageError, match="nope: No such file or directory"):
        hidden({"secret": secret, "ssh": ssh})


def test_what_is_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no tar, and long enough for the head of one" * 20)
    done = img("import", str(tmp_path / "notes"), "x", root=tmp_path / "s")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}/notes is not the tar of a root filesystem: ")
    assert "hint: give one" in done.stderr
