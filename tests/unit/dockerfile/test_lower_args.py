"""Build arguments: scopes, platforms, proxies, and the time an image says it was made."""

from __future__ import annotations

import pytest
from tests.unit.dockerfile.lowering import Resolver, copied, environment, problems, step, target, targets

from img.errors import FrontendError
from img.ir.definition import Advice
from img.ir.nodes import Source
from img.ports import FrontendRequest
from img_frontends.dockerfile.lower import lower


def test_global_arguments_hold_for_from_only() -> None:
    text = "ARG V=1\nARG W=${V}2\nFROM base:$W AS s\nRUN x"
    resolver = Resolver()
    assert "V" not in environment(text, resolver)
    assert resolver.asked == [("base:12", "linux/amd64")]


def test_stage_arguments_hold_for_their_stage_only() -> None:
    assert "A" not in environment("FROM base\nARG A=1\nRUN x\nFROM base\nRUN y")
    (error,) = problems("FROM base\nARG A=base\nFROM $A")
    assert error.message == "base name ($A) should not be blank"


def test_a_stage_picks_the_global_value() -> None:
    text = "ARG V=1 U=2\nFROM base\nARG V U=3 N D=d\nRUN x"
    env = environment(text, args={"N": "n"})
    assert (env["V"], env["U"], env["N"], env["D"]) == ("1", "3", "n", "d")
    assert environment(text, args={"V": "9", "D": "8"})["D"] == "8"
    assert environment(text, args={"V": "9", "D": "8"})["V"] == "9"
    assert "N" not in environment(text)


def test_arguments_of_one_instruction_see_each_other() -> None:
    assert environment("FROM base\nARG A=1 C=$A\nRUN x")["C"] == "1"


def test_a_default_that_is_not_needed_is_not_expanded() -> None:
    text = "FROM base\nARG A=${B:?no}${N:?no}\nRUN x"
    assert environment(text, args={"A": "1"})["A"] == "1"
    assert problems(text)[0].message == "ARG: N: no"


def test_one_instruction_sees_one_environment() -> None:
    env = environment("FROM base\nENV A=1\nENV A=2 C=$A\nRUN x")
    assert (env["A"], env["C"]) == ("2", "1")


def test_of_env_and_arg_the_later_wins_in_the_build_and_env_in_the_image() -> None:
    assert environment("FROM base\nARG A=arg\nENV A=env\nRUN x")["A"] == "env"
    text = "FROM base\nENV A=env\nARG A=arg\n"
    assert environment(f"{text}RUN x")["A"] == "arg"
    assert target(f"{text}RUN x").config["config"]["Env"][-1] == "A=env"
    assert copied("ENV A=env\nARG A=arg\nCOPY $A /").paths == ("arg",)
    assert copied("ENV A=env\nARG A\nCOPY $A /").paths == ("env",)


def test_a_stage_from_a_stage_inherits_its_arguments() -> None:
    text = "FROM base AS a\nARG X=1 B=arg\nENV E=$X\nWORKDIR /w\nFROM a\nRUN pwd $X"
    made = target(text)
    env = environment(text)
    assert (env["E"], env["X"], env["B"]) == ("1", "1", "base")
    assert made.root.cwd == "/w"  # type: ignore[attr-defined]
    assert made.config["history"][-1]["created_by"] == "RUN |2 X=1 B=base /bin/sh -c pwd $X # buildkit"
    assert len(made.layers) == 2


def test_proxies_reach_the_process_but_not_the_key() -> None:
    plain, proxied = step("RUN x"), step("RUN x", args={"http_proxy": "p", "NO_PROXY": "n"})
    assert plain == proxied
    assert dict(proxied.proxies) == {"HTTP_PROXY": "p", "http_proxy": "p", "NO_PROXY": "n", "no_proxy": "n"}
    assert "http_proxy" not in dict(proxied.env)


def test_a_declared_proxy_is_an_argument_like_others() -> None:
    made = target("FROM base\nARG http_proxy\nRUN x", args={"http_proxy": "p"})
    assert dict(made.root.env)["http_proxy"] == "p"  # type: ignore[attr-defined]
    assert made.config["history"][-1]["created_by"] == "RUN |1 http_proxy=p /bin/sh -c x # buildkit"


def test_unused_arguments_are_told() -> None:
    args = {"NOPE": "1", "USED": "1", "HTTPS_PROXY": "p", "BUILDKIT_X": "1", "SOURCE_DATE_EPOCH": "1", "TARGETOS": "x"}
    request = FrontendRequest("Dockerfile", b"ARG USED\nFROM base\nRUN x", args=args)
    assert lower(request, Resolver()).warnings == (Advice("one or more build-args [NOPE] were not consumed"),)


def test_arguments_for_the_builder_are_no_environment() -> None:
    env = environment("FROM base\nARG BUILDKIT_SBOM_SCAN_STAGE=true BUILDKIT_X=1\nRUN x")
    assert "BUILDKIT_SBOM_SCAN_STAGE" not in env
    assert env["BUILDKIT_X"] == "1"


# --- platforms ------------------------------------------------------------------------------------------------------


def test_platform_arguments() -> None:
    names = [
        f"{side}{part}" for side in ("BUILD", "TARGET") for part in ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")
    ]
    text = f"FROM base\nARG {' '.join(names)}\nRUN x"
    env = environment(text, platforms=("linux/arm/v7",))
    assert [env[name] for name in names] == [
        *("linux/amd64", "linux", "", "amd64", ""),
        *("linux/arm/v7", "linux", "", "arm", "v7"),
    ]
    assert "TARGETARCH" not in environment("FROM base\nRUN x")


def test_platform_arguments_can_be_given() -> None:
    text = "FROM base:$TARGETARCH\nARG TARGETARCH\nRUN x"
    resolver = Resolver()
    assert environment(text, resolver, args={"TARGETARCH": "mine"})["TARGETARCH"] == "mine"
    assert resolver.asked[0][0] == "base:mine"


@pytest.mark.parametrize(
    ("text", "asked", "stage"),
    [("FROM base", "", "default"), ("FROM base AS a", "", "a"), ("FROM base AS a\nFROM base AS b", "a", "a")],
)
def test_the_name_of_the_target(text: str, asked: str, stage: str) -> None:
    lines = text.split("\n")
    lines.insert(1, "ARG TARGETSTAGE\nRUN x")
    assert environment("\n".join(lines), target=asked)["TARGETSTAGE"] == stage


def test_the_platform_of_a_base() -> None:
    resolver = Resolver()
    text = "FROM --platform=$BUILDPLATFORM base AS a\nRUN x\nFROM a\nRUN y\nFROM base\nCOPY --from=1 / /"
    target(text, resolver, platforms=("linux/arm64",))
    assert resolver.asked == [("base", "linux/arm64"), ("base", "linux/amd64")]


@pytest.mark.parametrize(
    ("flag", "message"),
    [("$NONE", "empty platform value from $NONE"), ("linux/", "'linux/' is not a platform")],
)
def test_wrong_platforms(flag: str, message: str) -> None:
    (error,) = problems(f"FROM --platform={flag} base")
    assert error.message == message
    assert error.place is not None


def test_the_image_says_the_platform_that_was_asked_for() -> None:
    text = "FROM --platform=linux/amd64 base\nRUN x"
    asked = target(text, platforms=("linux/arm/v7",))
    assert [asked.config.get(key) for key in ("os", "architecture", "variant")] == ["linux", "arm", "v7"]
    assert target(text).config["architecture"] == "amd64"


def test_titles_of_several_platforms_name_them() -> None:
    text = "FROM --platform=$BUILDPLATFORM base AS a\nRUN x\nFROM base\nCOPY --from=a / /"
    first, second = targets(text, platforms=("linux/amd64", "linux/arm64"))
    assert first.root.notes.title.startswith("[linux/amd64 stage-1 2/2]")
    assert second.root.notes.title.startswith("[linux/arm64 stage-1 2/2]")
    assert second.root.source.notes.title == "[linux/amd64->arm64 a 2/2] RUN x"  # type: ignore[attr-defined]


# --- SOURCE_DATE_EPOCH ----------------------------------------------------------------------------------------------

GIT = "https://x/r.git#v1"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", 0), ("1700000000", 1700000000), ("-1", -1), ("", None), ("context", 5), ("ctx", 6), ("src", 7), ("SRC", 7)],
)
def test_epochs(value: str, expected: int | None) -> None:
    resolver = Resolver(named={"ctx": Source("local", "ctx")}, times={"context": 5, "ctx": 6, GIT: 7})
    text = "FROM scratch AS src\nARG V=v1\nADD https://x/r.git#$V /\nFROM base\nRUN x"
    assert target(text, resolver, args={"SOURCE_DATE_EPOCH": value}, contexts={"ctx": "d"}).epoch == expected
    found = target(f"ARG SOURCE_DATE_EPOCH={value}\n{text}", resolver, contexts={"ctx": "d"}).epoch
    assert found == expected


def test_a_given_epoch_beats_the_files() -> None:
    text = "ARG SOURCE_DATE_EPOCH=1\nFROM base\nRUN x"
    assert target(text, args={"SOURCE_DATE_EPOCH": "2"}).epoch == 2
    assert target("FROM base\nRUN x").epoch is None


def test_steps_see_the_time_if_they_ask() -> None:
    resolver = Resolver(times={"context": 5})
    given = {"SOURCE_DATE_EPOCH": "context"}
    assert environment("FROM base\nARG SOURCE_DATE_EPOCH\nRUN x", resolver, args=given)["SOURCE_DATE_EPOCH"] == "5"
    assert "SOURCE_DATE_EPOCH" not in environment("FROM base\nRUN x", resolver, args=given)
    env = environment("FROM base\nARG SOURCE_DATE_EPOCH\nRUN x", Resolver(), args=given)
    assert "SOURCE_DATE_EPOCH" not in env
    text = "ARG SOURCE_DATE_EPOCH=context\nFROM base\nARG SOURCE_DATE_EPOCH\nRUN x"
    assert environment(text, resolver)["SOURCE_DATE_EPOCH"] == "5"


def test_copied_files_and_made_folders_have_that_time() -> None:
    made = target("FROM base\nWORKDIR /w\nCOPY a b", args={"SOURCE_DATE_EPOCH": "9"})
    assert made.root.mtime == made.root.base.mtime == 9  # type: ignore[attr-defined]
    assert copied("COPY a b").mtime is None


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("FROM base AS s\nADD https://x/a /", "it must be FROM scratch"),
        ("FROM scratch AS s\nARG A", "it must add exactly one thing"),
        ("FROM scratch AS s\nADD https://x/a https://x/b /", "it must add exactly one thing"),
        ("FROM scratch AS s\nADD https://x/a /\nADD https://x/b /", "it must add exactly one thing"),
        ("FROM scratch AS s\nADD a /", "what it adds must come from http(s) or git"),
        ("FROM scratch AS s\nCOPY a /", "it can't have COPY"),
    ],
)
def test_stages_that_are_no_epoch(stage: str, message: str) -> None:
    (error,) = problems(f"{stage}\nFROM base", args={"SOURCE_DATE_EPOCH": "s"})
    assert error.message == f"the stage s can't be the SOURCE_DATE_EPOCH: {message}"
    assert error.place is not None


def test_an_epoch_that_is_none() -> None:
    (error,) = problems("ARG A=1\nARG SOURCE_DATE_EPOCH=soon\nFROM base")
    assert error.message == "invalid SOURCE_DATE_EPOCH: soon"
    assert error.place is not None
    assert (error.place.line, error.place.column) == (2, 5)
    with pytest.raises(FrontendError, match="invalid SOURCE_DATE_EPOCH: soon"):
        target("FROM base", args={"SOURCE_DATE_EPOCH": "soon"})
