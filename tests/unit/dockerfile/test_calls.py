"""Answers to questions about a file: JSON fields, and the text to the letter."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.dockerfile.checking import World, asked

from img.errors import FrontendError, UsageError
from img.ports import Report
from img_frontends.dockerfile.calls.answer import CALLS
from img_frontends.dockerfile.frontend import DockerfileFrontend

FILE = """\
# VERSION the release
# to build
ARG VERSION=1
ARG UNUSED=2
ARG BASE=base:${VERSION}

# build makes the program
FROM ${BASE} AS build
ARG VERSION
# JOBS how many at once
ARG JOBS=$VERSION OTHER
RUN --mount=type=secret,id=token --mount=type=ssh make
RUN --mount=type=cache,target=/var/cache/$JOBS/ --mount=type=secret,id=token,required make

FROM base AS unused
ARG NOTHING
RUN --mount=type=ssh,id=other x

FROM --platform=$BUILDPLATFORM base AS final
COPY --from=build /x /x
ARG TARGETARCH
RUN --mount=type=cache,id=c,target=/c x
"""


def call(name: str, text: str | bytes, world: World | None = None, **how: object) -> Report:
    frontend = DockerfileFrontend(None)  # type: ignore[arg-type]
    report = frontend.call(name, asked(text, **how), world or World())
    json.dumps(report.document)
    return report


def at(line: int, last: int = 0) -> dict[str, object]:
    """One range for each line."""
    return {"ranges": [{"start": {"line": n}, "end": {"line": n}} for n in range(line, (last or line) + 1)]}


def test_the_calls_are_what_the_frontend_offers() -> None:
    assert DockerfileFrontend.calls == tuple(CALLS)
    for name in (name for name in CALLS if name != "convert"):  # which asks for an option: tests/unit/document
        assert call(name, "FROM base").status == 0


@pytest.mark.parametrize("name", ["lint", "frontend.lint", "subrequests.describe", "frontend.outline"])
def test_other_names(name: str) -> None:
    assert call(name, "FROM base").document


def test_an_unknown_call() -> None:
    with pytest.raises(UsageError, match="can't be asked for 'nope'") as caught:
        call("nope", "FROM base")
    assert caught.value.hint == "one of check, outline, targets, describe, fix, convert"


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_of_a_clean_file() -> None:
    report = call("check", "FROM base\nRUN x\n")
    assert report == Report("Check complete, no warnings found.\n", report.document, 0)
    sources = [
        {"filename": "Dockerfile", "language": "Dockerfile", "data": base64.b64encode(b"FROM base\nRUN x\n").decode()}
    ]
    assert report.document == {"warnings": [], "sources": sources}


def test_check_of_another() -> None:
    report = call("check", "FROM base AS a\n\nRUN a \\\n  b\nENV x y\nMAINTAINER \x1bx\nRUN c\nRUN d")
    assert report.status == 1
    assert [one["ruleName"] for one in report.document["warnings"]] == ["LegacyKeyValueFormat", "MaintainerDeprecated"]
    assert report.document["warnings"][0] == {
        "ruleName": "LegacyKeyValueFormat",
        "description": "ENV and LABEL are written name=value, not name value",
        "url": "https://docs.docker.com/go/dockerfile/rule/legacy-key-value-format/",
        "detail": "ENV name value is the old form: write ENV name=value",
        "location": at(5),
    }
    assert "buildError" not in report.document
    assert report.text == (
        "Check complete, 2 warnings have been found!\n"
        "\n"
        "WARNING: LegacyKeyValueFormat - https://docs.docker.com/go/dockerfile/rule/legacy-key-value-format/\n"
        "ENV name value is the old form: write ENV name=value\n"
        "Dockerfile:5\n"
        "--------------------\n"
        "   3 |     RUN a \\\n"
        "   4 |       b\n"
        "   5 | >>> ENV x y\n"
        "   6 |     MAINTAINER \N{REPLACEMENT CHARACTER}x\n"
        "   7 |     RUN c\n"
        "--------------------\n"
        "\n"
        "WARNING: MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/\n"
        "MAINTAINER is deprecated: use LABEL org.opencontainers.image.authors=…\n"
        "Dockerfile:6\n"
        "--------------------\n"
        "   4 |       b\n"
        "   5 |     ENV x y\n"
        "   6 | >>> MAINTAINER \N{REPLACEMENT CHARACTER}x\n"
        "   7 |     RUN c\n"
        "   8 |     RUN d\n"
        "--------------------\n"
    )


def test_check_says_all_lines_of_an_instruction() -> None:
    found = call("check", "FROM base\nENV a b \\\n  c\nRUN a \\\n\n  b \\\n  c\nCOPY <<E $x\ny\nE").document["warnings"]
    assert {one["ruleName"]: one["location"] for one in found} == {
        "LegacyKeyValueFormat": at(2, 3),
        "NoEmptyContinuation": at(7),
        "UndefinedVar": at(8, 10),
    }


def test_check_of_one_line_alone() -> None:
    assert call("check", "FROM base AS B").text.startswith("Check complete, 1 warning has been found!\n")


def test_check_looks_at_every_stage_or_at_those_of_the_target() -> None:
    text = "FROM base AS a\nENV A=$x\nFROM base AS b\nENV B=$y\nFROM base\n"
    assert [one["location"] for one in call("check", text).document["warnings"]] == [at(2), at(4)]
    assert [one["location"] for one in call("check", text, target="a").document["warnings"]] == [at(2)]


@pytest.mark.parametrize(
    ("text", "message", "location", "warnings"),
    [
        ("NOPE x", "unknown instruction: NOPE", at(1), 0),
        ("FROM base AS B\nCOPY x", "COPY requires at least a source and a destination", at(2), 1),
        ("FROM nowhere AS B\nENV a b $c", "there is no nowhere", at(1), 2),
        ("# check=what\nFROM base", "invalid check option 'what'", at(1), 0),
        ("# check=error=true\nFROM base AS B", "lint violation found for rules: StageNameCasing", None, 1),
    ],
)
def test_check_of_a_file_that_cannot_be_built(
    text: str, message: str, location: dict[str, object] | None, warnings: int
) -> None:
    report = call("check", text)
    assert report.status == 1
    assert report.document["buildError"]["message"] == message
    assert report.document["buildError"].get("location") == location
    assert len(report.document["warnings"]) == warnings
    assert f"ERROR: {message}\n" in report.text
    assert "no warnings" not in report.text


def test_check_says_every_problem() -> None:
    text = call("check", "FROM base\nCOPY --nope x y\nENV a=1 b").text
    assert text.count("ERROR: ") == 2


def test_a_check_without_a_registry_asks_for_no_image() -> None:
    world = World(files={".dockerignore": b"x"})
    report = call("check", "FROM nowhere\nENV A=$B\nCMD a\nCOPY x /\n", world, options={"offline": "true"})
    assert world.asked == []
    assert [one["ruleName"] for one in report.document["warnings"]] == ["CopyIgnoredFile"]
    assert "buildError" not in report.document


# --- outline ----------------------------------------------------------------------------------------------------------


def test_outline() -> None:
    report = call("outline", FILE)
    assert report.document == {
        "name": "final",
        "args": [
            {"name": "VERSION", "description": "the release", "value": "1", "location": at(3)},
            {"name": "BASE", "value": "base:1", "location": at(5)},
            {"name": "JOBS", "description": "how many at once", "value": "1", "location": at(11)},
            {"name": "OTHER", "location": at(11)},
        ],
        "secrets": [{"name": "token", "required": True, "location": at(12)}],
        "ssh": [{"name": "default", "location": at(12)}],
        "cache": [{"ID": "/var/cache/1", "location": at(13)}, {"ID": "c", "location": at(22)}],
        "sources": [base64.b64encode(FILE.encode()).decode()],
    }
    assert report.text == (
        "TARGET: final\n"
        "\n"
        "BUILD ARG   VALUE    DESCRIPTION\n"
        "VERSION     1        the release\n"
        "BASE        base:1\n"
        "JOBS        1        how many at once\n"
        "OTHER\n"
        "\n"
        "SECRET   REQUIRED\n"
        "token    true\n"
        "\n"
        "SSH       REQUIRED\n"
        "default\n"
        "\n"
        "CACHE ID\n"
        "/var/cache/1\n"
        "c\n"
        "\n"
    )


def test_outline_of_a_target_with_arguments() -> None:
    report = call("outline", FILE, target="BUILD", args={"VERSION": "7", "OTHER": "x"})
    assert {one["name"]: one.get("value") for one in report.document["args"]} == {
        "VERSION": "7",
        "BASE": "base:7",
        "JOBS": "7",
        "OTHER": "x",
    }
    assert report.document["description"] == "makes the program"
    assert report.text.startswith("TARGET:      build\nDESCRIPTION: makes the program\n\nBUILD ARG")


def test_outline_of_a_stage_without_a_name() -> None:
    report = call("outline", "FROM base\nARG A\n")
    assert report.text == "BUILD ARG   VALUE   DESCRIPTION\nA\n\n"
    assert "name" not in report.document


def test_outline_of_an_unknown_target() -> None:
    with pytest.raises(FrontendError, match="target stage 'finall' could not be found") as caught:
        call("outline", FILE, target="finall")
    assert caught.value.hint == "did you mean final?"


# --- targets, describe, fix -------------------------------------------------------------------------------------------


def test_targets() -> None:
    report = call("targets", FILE + "\n# no name\nFROM build\n", target="whatever")
    listed = report.document["targets"]
    assert listed[0] == {
        "name": "build",
        "description": "makes the program",
        "base": "${BASE}",
        "location": at(8),
    }
    assert listed[2] == {"name": "final", "base": "base", "platform": "$BUILDPLATFORM", "location": at(19)}
    assert listed[3] == {"default": True, "base": "build", "location": at(25)}
    assert report.document["sources"]
    assert report.text == ("TARGET    DESCRIPTION\nbuild     makes the program\nunused\nfinal\n(default)\n")
    assert call("targets", "FROM base AS a").text == "TARGET      DESCRIPTION\na (default)\n"


def test_describe() -> None:
    report = call("describe", "anything at all")
    assert {one["name"]: one["version"] for one in report.document} == {
        "frontend.lint": "1.0.0",
        "frontend.outline": "1.0.0",
        "frontend.targets": "1.0.0",
        "frontend.subrequests.describe": "1.0.0",
        "frontend.fix": "1.0.0",
        "frontend.convert": "1.0.0",
    }
    for one in report.document:
        assert set(one) == {"name", "version", "type", "description", "opts", "inputs", "metadata", "refs"}
        assert {"name": "result.json", "description": ""} in one["metadata"]
    assert report.text.splitlines()[0].split() == ["NAME", "VERSION", "DESCRIPTION"]
    assert report.text.splitlines()[1].startswith("lint ")


def test_fix() -> None:
    report = call("fix", "FROM base As A\nENV B=1\n")
    assert base64.b64decode(report.document["data"]) == b"FROM base AS a\nENV B=1\n"
    assert [(one["ruleName"], one["location"]) for one in report.document["repairs"]] == [
        ("FromAsCasing", at(1)),
        ("StageNameCasing", at(1)),
    ]


# --- any file at all --------------------------------------------------------------------------------------------------

WORDS = (
    "FROM from ARG ENV RUN COPY EXPOSE CMD WORKDIR LABEL ONBUILD SHELL HEALTHCHECK base scratch AS As a B a=b $a ${a:-b} "
    "${a --platform= --platform=$TARGETPLATFORM --platform=x/y/z/w --from=0 --from=9 --mount=type=secret,id=a "
    "--mount=type=cache --mount=from=a <<E E 80/TCP 1:2:3 ' \\ [ ] # check=skip=all check= x;y \0 é \x85"
)
_PIECE = st.sampled_from([*WORDS.split(" "), '"', '["a"]', " ", "\n", "\\\n", "\n\n", "\r\n", "\t"])


@settings(max_examples=500, deadline=None)
@given(st.lists(_PIECE, max_size=30), st.sampled_from(["check", "outline", "targets", "fix"]), st.booleans())
def test_no_file_breaks_an_answer(pieces: list[str], name: str, offline: bool) -> None:
    text = "FROM base\n" + " ".join(pieces).replace("\n ", "\n")
    try:
        report = call(name, text.encode("utf-8", "surrogateescape"), options={"offline": "1"} if offline else {})
    except FrontendError as error:
        assert name != "check", error
    else:
        assert report.status in (0, 1)
