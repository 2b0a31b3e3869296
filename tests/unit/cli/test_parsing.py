"""The two parsers of `img build`, typer's and the quick one for cached builds: the same words, the same meaning."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.program import img

from img_cli import options


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
        (["--no-console", "."], {"context": ".", "no_console": True}),
        (["--pull=never", "--pull=missing", "--offline", "."], {"context": ".", "pull": "missing", "offline": True}),
    ],
)
def test_the_fast_parser(arguments: list[str], found: dict[str, object] | None) -> None:
    parsed = options.parse_build(arguments)
    assert parsed == (None if found is None else {**options.DEFAULTS, **found})


def test_help_everywhere(tmp_path: Path) -> None:
    for arguments in (["--help"], ["build", "--help"], ["ls", "--help"], ["push", "--help"], ["plugins", "-h"]):
        done = img(*arguments, root=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "Usage: img" in done.stdout
