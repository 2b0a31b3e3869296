"""``img lint``, ``img build --check`` and ``--call``, and the warnings at the end of a build."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from img.errors import Place, UsageError
from img.events import Warning
from img_cli.commands.call import Call, parse_call
from img_cli.commands.lint import replace
from img_cli.commands.warned import Warned
from img_plugins.reporters.plain import PlainReporter
from img_plugins.reporters.quiet import QuietReporter
from img_plugins.reporters.tty import TtyReporter

BAD = "FROM scratch As b\nENV A b c\n"
GOOD = 'FROM scratch AS b\nENV A="b c"\n'


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "Dockerfile").write_text(BAD)
    return folder


def img(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "img_cli", *arguments]
    env = {**os.environ, "IMG_ROOT": str(cwd.parent / "root")}
    return subprocess.run(argv, capture_output=True, text=True, env=env, cwd=cwd, stdin=subprocess.DEVNULL, check=False)


@pytest.mark.parametrize(
    ("text", "check", "call"),
    [
        ("", False, None),
        ("build", False, None),
        ("", True, Call("check")),
        ("check", True, Call("check")),
        ("outline", False, Call("outline")),
        ("outline,format=json", False, Call("outline", "json")),
        ("format=json,ignorestatus,check", False, Call("check", "json", True)),
        ("check,ignorestatus=false", False, Call("check")),
    ],
)
def test_what_is_asked(text: str, check: bool, call: Call | None) -> None:
    assert parse_call(text, check) == call


@pytest.mark.parametrize(
    ("text", "check", "message"),
    [
        ("outline,format=xml", False, "invalid --call 'outline,format=xml': 'format=xml' is not known"),
        ("outline,targets", False, "invalid --call 'outline,targets': 'targets' is not known"),
        ("format=json", False, "invalid --call 'format=json': it asks for nothing"),
        ("outline", True, "--check and --call=outline are two questions"),
    ],
)
def test_what_can_not_be_asked(text: str, check: bool, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_call(text, check)
    assert caught.value.message == message


# --- build ------------------------------------------------------------------------------------------------------------


def test_check(context: Path) -> None:
    done = img("build", "--check", ".", cwd=context)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("Check complete, 2 warnings have been found!\n\nWARNING: FromAsCasing - https://")
    (context / "Dockerfile").write_text(GOOD)
    done = img("build", "--check", ".", cwd=context)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Check complete, no warnings found.\n", "")


def test_calls(context: Path) -> None:
    done = img("build", "--call=check,format=json,ignorestatus", ".", cwd=context)
    assert done.returncode == 0
    assert [one["ruleName"] for one in json.loads(done.stdout)["warnings"]] == ["FromAsCasing", "LegacyKeyValueFormat"]
    done = img("build", "--call", "targets", ".", cwd=context)
    assert done.stdout == "TARGET      DESCRIPTION\nb (default)\n"
    done = img("build", "--call=describe", ".", cwd=context)
    assert "outline" in done.stdout
    done = img("build", "--call=nope", ".", cwd=context)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: a Dockerfile can't be asked for 'nope'\nhint: one of check, ")


def test_warnings_come_once_and_last(context: Path) -> None:
    for _ in range(2):  # the second time from what is remembered of the first
        done = img("build", "-t", "x", "--progress", "plain", ".", cwd=context)
        assert done.returncode == 0
        expected = (
            "warning: FromAsCasing: 'As' is not in the case of 'FROM'\n"
            "Dockerfile:1:14\n"
            " 1 | FROM scratch As b\n"
            "   |              ^\n"
            "warning: LegacyKeyValueFormat: ENV name value is the old form: write ENV name=value\n"
            "Dockerfile:2:1\n"
            " 2 | ENV A b c\n"
            "   | ^\n"
            "2 warnings found (--check shows them without a build, img lint --fix repairs what it can)\n"
            "Successfully built"
        )
        assert expected in done.stderr
        assert done.stderr.count("FromAsCasing") == 1


def test_quiet_is_quiet(context: Path) -> None:
    done = img("build", "-q", "-t", "x", ".", cwd=context)
    assert (done.returncode, done.stderr) == (0, "")


def test_warnings_are_events(context: Path) -> None:
    done = img("build", "-t", "x", "--progress=json", ".", cwd=context)
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    warnings = [event for event in events if event.get("event") == "Warning"]
    assert [(one["rule"], one["place"]["line"]) for one in warnings] == [
        ("FromAsCasing", 1),
        ("LegacyKeyValueFormat", 2),
    ]
    assert done.stderr.count("FromAsCasing") == 1


def test_warnings_of_a_build_that_fails(context: Path) -> None:
    (context / "Dockerfile").write_text(f"{BAD}COPY missing /\n")
    done = img("build", "--progress", "plain", ".", cwd=context)
    assert done.returncode == 1
    assert done.stderr.index("2 warnings found") < done.stderr.index("error: ")


def test_warnings_that_are_errors(context: Path) -> None:
    (context / "Dockerfile").write_text(f"# check=error=true\n{BAD}")
    done = img("build", "-t", "x", "--progress", "plain", ".", cwd=context)
    assert done.returncode == 1
    assert "error: lint violation found for rules: FromAsCasing, LegacyKeyValueFormat\nhint: " in done.stderr
    assert "Dockerfile:2:14\n 2 | FROM scratch As b\n" in done.stderr
    done = img("build", "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=error=true", "--progress", "plain", ".", cwd=context)
    assert done.returncode == 1


def test_reporters_for_people_leave_out_the_checks() -> None:
    for kind in (PlainReporter, QuietReporter, TtyReporter):
        out = io.StringIO()
        reporter = kind(None, out)  # type: ignore[arg-type]
        reporter.handle(Warning("of a rule", None, 0.0, "Rule"))
        reporter.handle(Warning("of the engine", None, 0.0))
        reporter.close()
        assert "of the engine" in out.getvalue()
        assert "of a rule" not in out.getvalue()


def test_what_was_warned_can_not_move_a_terminal() -> None:
    warned = Warned()
    warned.handle(Warning("a\x1b[2Jb", Place("f", 1, 1, 1, "x\x1b[2Jy"), 0.0, "Rule"))
    out = io.StringIO()
    warned.show(out)
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().endswith(
        "1 warning found (--check shows them without a build, img lint --fix repairs what it can)\n"
    )


# --- lint -------------------------------------------------------------------------------------------------------------


def test_lint(context: Path) -> None:
    done = img("lint", cwd=context)
    assert (done.returncode, done.stderr) == (1, "")
    assert "WARNING: LegacyKeyValueFormat" in done.stdout
    done = img("lint", "--json", "-f", str(context / "Dockerfile"), str(context), cwd=context.parent)
    assert done.returncode == 1
    assert [one["ruleName"] for one in json.loads(done.stdout)["warnings"]] == ["FromAsCasing", "LegacyKeyValueFormat"]
    assert (context / "Dockerfile").read_text() == BAD


def test_lint_asks_no_registry(context: Path) -> None:
    (context / "Dockerfile").write_text('FROM localhost:1/nothing\nENV A=$B\nCMD ["a"]\n')
    done = img("lint", ".", cwd=context)
    assert (done.returncode, done.stdout) == (0, "Check complete, no warnings found.\n")


def test_fix(context: Path) -> None:
    file = context / "Dockerfile"
    file.chmod(0o640)
    (context / "link").symlink_to("Dockerfile")
    done = img("lint", "--fix", "-f", "link", ".", cwd=context)
    assert (done.returncode, done.stdout) == (0, "Check complete, no warnings found.\n")
    assert done.stderr.splitlines() == [
        "link:1: repaired FromAsCasing: 'As' is not in the case of 'FROM'",
        "link:2: repaired LegacyKeyValueFormat: ENV name value is the old form: write ENV name=value",
    ]
    assert file.read_text() == GOOD
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert (context / "link").is_symlink()
    assert sorted(os.listdir(context)) == ["Dockerfile", "link"]
    before = file.stat()
    done = img("lint", "--fix", "--json", ".", cwd=context)
    assert json.loads(done.stdout)["repairs"] == []
    assert file.stat().st_ino == before.st_ino


def test_diff(context: Path) -> None:
    done = img("lint", "--diff", ".", cwd=context)
    assert done.returncode == 1
    assert done.stdout == (
        "--- Dockerfile\n"
        "+++ Dockerfile (repaired)\n"
        "@@ -1,2 +1,2 @@\n"
        "-FROM scratch As b\n"
        "-ENV A b c\n"
        "+FROM scratch AS b\n"
        '+ENV A="b c"\n'
    )
    assert (context / "Dockerfile").read_text() == BAD
    (context / "Dockerfile").write_text("FROM scratch")
    done = img("lint", "--diff", ".", cwd=context)
    assert (done.returncode, done.stdout) == (0, "")


def test_lint_of_what_can_not_be_read(context: Path) -> None:
    (context / "Dockerfile").write_text("NOPE\n")
    done = img("lint", ".", cwd=context)
    assert done.returncode == 1
    assert "ERROR: unknown instruction: NOPE\n" in done.stdout
    done = img("lint", "--fix", ".", cwd=context)
    assert done.returncode == 1
    assert done.stderr.startswith("Dockerfile:1:1\n")
    assert img("lint", "/nowhere", cwd=context).returncode == 2


def test_a_file_that_can_not_be_replaced() -> None:
    with pytest.raises(UsageError, match="can't write /proc/version: ") as caught:
        replace(Path("/proc/version"), b"")
    assert caught.value.hint
