"""Every rule on a file that it is for and on one that it is not, with the exact place; options; the table and its pages."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from tests.unit.dockerfile.checking import World, asked

from img.errors import FrontendError
from img.ir.definition import Advice
from img_frontends.dockerfile.checks.options import Options, read, unknown
from img_frontends.dockerfile.checks.repair import REPAIRS
from img_frontends.dockerfile.checks.rules import RULES
from img_frontends.dockerfile.checks.variables import uses
from img_frontends.dockerfile.lower import lower

DOCS = Path(__file__).parents[3] / "docs" / "reference"


def advice(text: str | bytes, world: World | None = None, **how: object) -> list[Advice]:
    """What a build of the file warns of."""
    found = lower(asked(text, **how), world or World()).warnings
    return [one for one in found if one.rule]


def places(rule: str, text: str | bytes, world: World | None = None, **how: object) -> list[tuple[int, int]]:
    """Line and column of what `rule` finds."""
    found = [one.place for one in advice(text, world, **how) if one.rule == rule]
    assert all(place is not None and place.file == "Dockerfile" for place in found)
    return [(place.line, place.column) for place in found if place is not None]


def message(rule: str, text: str, world: World | None = None, **how: object) -> str:
    return next(one.message for one in advice(text, world, **how) if one.rule == rule)


# --- the table --------------------------------------------------------------------------------------------------------


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def test_every_rule_has_a_test() -> None:
    missing = [name for name in RULES if f"test_rule_{snake(name)}" not in globals()]
    assert not missing


def test_the_rules_are_those_of_the_language() -> None:
    assert len(RULES) == 22
    assert [name for name, rule in RULES.items() if rule.experimental] == ["InvalidDefinitionDescription"]
    assert [name for name, rule in RULES.items() if not rule.url] == ["InvalidBaseImagePlatform"]
    for rule in RULES.values():
        assert [rule.file, rule.each, rule.scene].count(None) == 2, rule.name
        assert bool(rule.keywords) == (rule.file is None), rule.name


def test_every_rule_has_a_page() -> None:
    pages = {page.stem: page.read_text() for page in (DOCS / "rules").glob("*.md")}
    assert set(pages) == set(RULES)
    for name, rule in RULES.items():
        text = pages[name]
        assert text.startswith(f"# {name}\n\n{rule.sentence}.\n"), name
        assert ("Off unless asked for" in text) == rule.experimental, name
        assert ("`img lint --fix` repairs it" in text) == (name in REPAIRS), name


@pytest.mark.parametrize("name", RULES)
def test_the_examples_of_a_page_are_true(name: str) -> None:
    text = (DOCS / "rules" / f"{name}.md").read_text()
    examples = re.findall(r"^(Bad|Good):\n\n```dockerfile\n(.*?)```", text, re.S | re.M)
    assert [kind for kind, _ in examples] == ["Bad", "Good"]
    ignore = re.search(r"^`\.dockerignore`:\n\n```\n(.*?)```", text, re.S | re.M)
    world = World(files={".dockerignore": ignore[1].encode()} if ignore else {})
    for kind, example in examples:
        assert bool(places(name, example, world)) == (kind == "Bad"), f"{kind}:\n{example}"


def test_the_table_of_the_reference() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(rules/(\w+)\.md\) \| (.*?) \| (.*?) \|$", (DOCS / "checks.md").read_text(), re.M)
    assert rows == [
        (name, name, rule.sentence, "yes" if name in REPAIRS else "experimental" if rule.experimental else "")
        for name, rule in RULES.items()
    ]


# --- the rules --------------------------------------------------------------------------------------------------------


def test_rule_stage_name_casing() -> None:
    assert places("StageNameCasing", "FROM base AS Build\nFROM base as b2\nFROM base AS \\\n  X") == [(1, 14), (4, 3)]
    assert not places("StageNameCasing", "FROM base AS build\nFROM base")
    assert "'Build'" in message("StageNameCasing", "FROM base AS Build")


def test_rule_from_as_casing() -> None:
    assert places("FromAsCasing", "FROM base as a\nfrom base AS b\nFROM base As c") == [(1, 11), (2, 11), (3, 11)]
    assert not places("FromAsCasing", "FROM base AS a\nfrom base as b\nFrom base As c\nFROM base")


def test_rule_no_empty_continuation() -> None:
    text = "FROM base\nRUN a \\\n\n  b \\\n \n  c\nRUN <<E\n\n\nE\nRUN a \\\n# comment\n  b\n\nRUN c"
    assert places("NoEmptyContinuation", text) == [(3, 1)]
    assert not places("NoEmptyContinuation", "FROM base\nRUN a \\\n  b\n\n\nRUN c")


def test_rule_consistent_instruction_casing() -> None:
    text = "FROM base\nrun a\n  Env A=b\nRUN c"
    assert places("ConsistentInstructionCasing", text) == [(2, 1), (3, 3)]
    assert places("ConsistentInstructionCasing", "from base\nrun a\nRUN c") == [(3, 1)]
    assert not places("ConsistentInstructionCasing", "arg A\nFROM base\nRUN a")
    assert "(upper case)" in message("ConsistentInstructionCasing", text)


def test_rule_duplicate_stage_name() -> None:
    assert places("DuplicateStageName", "FROM base AS a\nFROM base AS b\nFROM base AS A") == [(3, 14)]
    assert not places("DuplicateStageName", "FROM base AS a\nFROM base\nFROM base")


def test_rule_reserved_stage_name() -> None:
    assert places("ReservedStageName", "FROM base AS scratch\nFROM base AS context") == [(1, 14), (2, 14)]
    assert not places("ReservedStageName", "FROM base AS scratch2\nFROM scratch")


def test_rule_json_args_recommended() -> None:
    assert places("JSONArgsRecommended", "FROM base\nCMD a b\nENTRYPOINT c") == [(2, 1), (3, 1)]
    assert not places("JSONArgsRecommended", 'FROM base\nCMD ["a"]\nENTRYPOINT ["b"]')
    assert not places("JSONArgsRecommended", 'FROM base\nSHELL ["x"]\nCMD a')
    assert not places("JSONArgsRecommended", 'FROM base AS a\nSHELL ["x"]\nFROM a\nCMD a')
    assert not places("JSONArgsRecommended", "FROM base\nCMD a", World({"Shell": ["/bin/bash", "-c"]}))
    assert places("JSONArgsRecommended", "FROM scratch\nCMD a") == [(2, 1)]


def test_rule_maintainer_deprecated() -> None:
    assert places("MaintainerDeprecated", "FROM base\nRUN a\nMAINTAINER me") == [(3, 1)]
    assert not places("MaintainerDeprecated", "FROM base\nLABEL maintainer=me")


def test_rule_undefined_arg_in_from() -> None:
    text = "ARG VERSION=1\nFROM base:$VERSON${VERSION}\nFROM base:${NOPE:-1}"
    assert places("UndefinedArgInFrom", text) == [(2, 11), (3, 11)]
    assert message("UndefinedArgInFrom", text).endswith("(did you mean VERSION?)")
    good = "ARG V\nARG W=1\nFROM base${V}$W\nFROM --platform=$BUILDPLATFORM base:1"
    assert not places("UndefinedArgInFrom", good)
    assert not places("UndefinedArgInFrom", good, args={"V": "1"})


def test_rule_workdir_relative_path() -> None:
    assert places("WorkdirRelativePath", "FROM base\nWORKDIR a\nWORKDIR b") == [(2, 9)]
    assert not places("WorkdirRelativePath", "FROM base\nWORKDIR /a\nWORKDIR b")
    assert not places("WorkdirRelativePath", "FROM base AS a\nWORKDIR /a\nFROM a\nWORKDIR b")
    assert not places("WorkdirRelativePath", "FROM base\nWORKDIR $HOME/a")
    assert not places("WorkdirRelativePath", "FROM base\nARG D=/d\nWORKDIR ${D}")
    assert places("WorkdirRelativePath", "FROM base\nARG D=/d\nWORKDIR ${D}", args={"D": "d"}) == [(3, 9)]
    assert places("WorkdirRelativePath", "FROM base AS unused\nWORKDIR a\nFROM base") == []


def test_rule_undefined_var() -> None:
    text = "FROM base\nENV A=1 B=$HOM\nCOPY --chown=$who $A \\\n  /$D\nRUN $x"
    assert places("UndefinedVar", text) == [(2, 11), (3, 14), (4, 4)]
    assert message("UndefinedVar", text).endswith("(did you mean $HOME?)")
    good = "FROM base AS a\nARG Q\nENV A=$HOME$Q B='$C' D=\\$C \nFROM a\nLABEL a=$A p=$PATH q=$Q"
    assert not places("UndefinedVar", good)
    assert places("UndefinedVar", "ARG G=1\nFROM base\nENV A=$G") == [(3, 7)]
    assert not places("UndefinedVar", "ARG G=1\nFROM base\nARG G\nENV A=$G")
    assert places("UndefinedVar", "FROM base\nENV A=${B:-x} C=${D+x}${E#x}") == [(2, 7), (2, 17), (2, 23)]
    assert places("UndefinedVar", "FROM base\nENV A  x $b") == [(2, 10)]
    assert places("UndefinedVar", "FROM base\nRUN --mount=type=cache,target=/a$x a") == [(2, 33)]
    assert places("UndefinedVar", "FROM base\nCOPY <<E /x\n$nope $HOME\nE") == [(2, 1)]
    assert not places("UndefinedVar", "FROM base\nCOPY <<'E' /x\n$nope\nE")
    assert not places("UndefinedVar", "FROM base\nENV A=$B", World({"OnBuild": ["ENV B=1"]}))
    assert not places("UndefinedVar", "FROM base AS a\nONBUILD ENV B=1\nFROM a\nENV A=$B")


def test_rule_multiple_instructions_disallowed() -> None:
    text = 'FROM base\nCMD ["a"]\nHEALTHCHECK NONE\nCMD ["b"]\nHEALTHCHECK NONE\nCMD ["c"]'
    assert places("MultipleInstructionsDisallowed", text) == [(2, 1), (3, 1), (4, 1)]
    good = 'FROM base AS a\nCMD ["a"]\nENTRYPOINT ["b"]\nFROM a\nCMD ["a"]\nRUN x\nRUN y'
    assert not places("MultipleInstructionsDisallowed", good)


def test_rule_legacy_key_value_format() -> None:
    assert places("LegacyKeyValueFormat", "FROM base\nENV a b c\nLABEL x y") == [(2, 1), (3, 1)]
    assert not places("LegacyKeyValueFormat", "FROM base\nENV a=b c=d\nLABEL x='y z'\nARG q")


def test_rule_invalid_base_image_platform() -> None:
    wrong = World(architecture="arm64")
    assert places("InvalidBaseImagePlatform", "FROM base", wrong) == [(1, 6)]
    assert message("InvalidBaseImagePlatform", "FROM base", wrong).count("linux/a") == 2
    assert not places("InvalidBaseImagePlatform", "FROM base", wrong, platforms=("linux/arm64",))
    assert not places("InvalidBaseImagePlatform", "FROM scratch AS a\nFROM a", wrong)


def test_rule_redundant_target_platform() -> None:
    text = "FROM --platform=$TARGETPLATFORM base\nFROM --platform=${TARGETPLATFORM} base"
    assert places("RedundantTargetPlatform", text) == [(1, 6), (2, 6)]
    assert not places("RedundantTargetPlatform", "FROM --platform=$BUILDPLATFORM base\nFROM base")


def test_rule_secrets_used_in_arg_or_env() -> None:
    text = "FROM base\nENV A=1 db_password=x\nARG AUTH_KEY\nENV github_Token_ID=1"
    assert places("SecretsUsedInArgOrEnv", text) == [(2, 9), (3, 5), (4, 5)]
    good = "ARG TOKEN\nFROM base\nARG PUBLIC_KEY TOKEN_FILE KEY_VERSION monkey keyboard authority\nENV TOKENS=1"
    assert not places("SecretsUsedInArgOrEnv", good)


def test_rule_invalid_default_arg_in_from() -> None:
    text = "ARG V\nARG I\nFROM base:$V\nFROM ${I}\nFROM base:${V:-1}"
    assert places("InvalidDefaultArgInFrom", text, args={"V": "1", "I": "base"}) == [(3, 6), (4, 6)]
    assert not places("InvalidDefaultArgInFrom", "ARG V=1\nFROM base:$V\nFROM base")


def test_rule_from_platform_flag_const_disallowed() -> None:
    text = "FROM --platform=linux/amd64 base\nFROM --platform=linux/amd64 base AS other"
    assert places("FromPlatformFlagConstDisallowed", text) == [(1, 6), (2, 6)]
    good = "ARG P=linux/amd64\nFROM --platform=$P base\nFROM --platform=linux/amd64 base AS for-amd64"
    assert not places("FromPlatformFlagConstDisallowed", good)


def test_rule_copy_ignored_file() -> None:
    world = World(files={".dockerignore": b"*.log\nout\n!out/kept\ntmp/*\n"})
    text = "FROM base\nCOPY a.txt x.log \\\n  ./y.log /\nADD tmp/q /\nCOPY out . /x/"
    assert places("CopyIgnoredFile", text, world) == [(2, 12), (3, 3), (4, 5)]
    good = "FROM base AS a\nCOPY tmp a.txt /x/\nFROM a\nCOPY --from=a x.log /\nCOPY <<x.log /\nx.log\n"
    assert not places("CopyIgnoredFile", good, world)
    own = World(files={".dockerignore": b"a", "sub/D.dockerignore": b"b"})
    assert places("CopyIgnoredFile", "FROM base\nCOPY a b /x/", own, options={"path": "sub/D"}) == [(2, 8)]


def test_rule_invalid_definition_description() -> None:
    on = {"args": {"BUILDKIT_DOCKERFILE_CHECK": "experimental=all"}}
    text = "# V the version\nARG V\n# nothing\nARG W X\n# builds\nFROM base AS build\n# x\nFROM base"
    assert places("InvalidDefinitionDescription", text, **on) == [(4, 1), (6, 1)]
    good = (
        "# syntax=docker/dockerfile:1\nARG V\n# a note\n#\nARG W\n# another\n#\nFROM base AS b\n# check=skip=X\nARG Y"
    )
    assert not places("InvalidDefinitionDescription", good, **on)
    assert not places("InvalidDefinitionDescription", text)


def test_rule_expose_proto_casing() -> None:
    assert places("ExposeProtoCasing", "FROM base\nEXPOSE 80 81/TCP 82/udp \\\n  83/Udp") == [(2, 14), (3, 6)]
    assert not places("ExposeProtoCasing", "FROM base\nEXPOSE 80 81/tcp")


def test_rule_expose_invalid_format() -> None:
    text = "FROM base\nARG P=1:2\nEXPOSE 80 81:82 127.0.0.1:83:84/tcp\nEXPOSE $P"
    assert places("ExposeInvalidFormat", text) == [(3, 11), (3, 17), (4, 8)]
    assert not places("ExposeInvalidFormat", "FROM base\nARG P=1\nEXPOSE 80-90/udp $P")


# --- options ----------------------------------------------------------------------------------------------------------

CASES = "FROM base AS A\nMAINTAINER x"


@pytest.mark.parametrize(
    ("text", "args", "rules"),
    [
        (CASES, {}, ["StageNameCasing", "MaintainerDeprecated"]),
        (f"# check=skip=StageNameCasing\n{CASES}", {}, ["MaintainerDeprecated"]),
        (f"# check=skip=StageNameCasing, MaintainerDeprecated\n{CASES}", {}, []),
        (f"#Check = skip=all\n{CASES}", {}, []),
        (f"# check=error=false;skip=all\n{CASES}", {}, []),
        (
            f"# check=skip=all\n{CASES}",
            {"BUILDKIT_DOCKERFILE_CHECK": "error=false"},
            ["StageNameCasing", "MaintainerDeprecated"],
        ),
        (CASES, {"BUILDKIT_DOCKERFILE_CHECK": "skip=StageNameCasing"}, ["MaintainerDeprecated"]),
        ("FROM base AS A\n# check=skip=MaintainerDeprecated\nMAINTAINER x", {}, ["StageNameCasing"]),
        ("FROM base AS A\n# why\n# check=skip=all\n# so\nMAINTAINER x", {}, ["StageNameCasing"]),
        ("FROM base AS A\n# check=skip=all\n#\nMAINTAINER x", {}, ["StageNameCasing", "MaintainerDeprecated"]),
        ("FROM base AS A\n# check=nonsense\nMAINTAINER x", {}, ["StageNameCasing", "MaintainerDeprecated"]),
        ("\n# check=skip=all\nFROM base AS A\nMAINTAINER x", {}, ["MaintainerDeprecated"]),
        (
            "FROM base\n# check=experimental=InvalidDefinitionDescription\n# no\nARG Q",
            {},
            ["InvalidDefinitionDescription"],
        ),
        ("FROM base\n# no\nARG Q", {}, []),
    ],
)
def test_which_rules_apply(text: str, args: dict[str, str], rules: list[str]) -> None:
    assert [one.rule for one in advice(text, args=args)] == rules


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", Options()),
        ("skip=A,B", Options(frozenset("AB"))),
        ("skip=A;skip=B", Options(frozenset("AB"))),
        (" skip = A ; error = TRUE ; experimental = all ", Options(frozenset("A"), frozenset({"all"}), True)),
        ("error=1", Options(error=True)),
        ("error=f", Options()),
    ],
)
def test_options(text: str, options: Options) -> None:
    assert read(text, None) == options


@pytest.mark.parametrize("text", ["skip", "fix=A", "error=maybe", "skip=A,error=true;x"])
def test_options_that_are_none(text: str) -> None:
    with pytest.raises(FrontendError, match="invalid check option") as caught:
        lower(asked(f"# syntax=docker/dockerfile:1\n# check={text}\nFROM base"), World())
    assert (caught.value.place and caught.value.place.line) == 2
    assert caught.value.hint


def test_unknown_names_are_known() -> None:
    assert unknown(read("skip=StageNameCasing,Nope;experimental=all", None)) == ["Nope"]


def test_warnings_as_errors() -> None:
    with pytest.raises(FrontendError) as caught:
        lower(asked(f"# check=error=true\n{CASES}"), World())
    error = caught.value
    assert error.message == "lint violation found for rules: MaintainerDeprecated, StageNameCasing"
    assert [(other.message.partition(":")[0], other.place and other.place.line) for other in error.others] == [
        ("StageNameCasing", 2),
        ("MaintainerDeprecated", 3),
    ]
    assert lower(asked("# check=error=true\nFROM base"), World()).warnings == ()
    assert lower(asked(f"# check=error=true;skip=all\n{CASES}"), World()).warnings == ()


# --- the whole --------------------------------------------------------------------------------------------------------


def test_advice_is_in_the_order_of_the_file_and_says_where() -> None:
    found = advice("from base As A\nMAINTAINER x\nRUN a")
    assert [one.place.line for one in found if one.place] == sorted(one.place.line for one in found if one.place)
    assert all(one.url.startswith("https://") and one.place and one.place.text for one in found)


def test_only_stages_that_are_needed_are_walked() -> None:
    text = (
        "FROM base AS a\nENV A=$a\nFROM base AS b\nENV B=$b\nFROM base AS c\nENV C=$c\nFROM base\nCOPY --from=a x y\n"
    )
    text += "RUN --mount=from=b,target=/x ls\n"
    assert places("UndefinedVar", text) == [(2, 7), (4, 7)]
    assert places("UndefinedVar", text, target="c") == [(6, 7)]


def test_checks_ask_nothing_that_lowering_did_not() -> None:
    world = World()
    lower(asked("FROM base AS a\nENV A=$x\nFROM base2"), world)
    assert world.asked == ["base2"]


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("$a${b}", ["a", "b"]),
        ("'$a'\"$b'$c'\"", ["b", "c"]),
        ("\\$a\\\\$b", ["b"]),
        ("${a:-$b}${c?x}", ["a", "b", "c"]),
        ("$1$$a", ["a"]),
        ("$ ${", []),
        ("'unclosed $a", []),
    ],
)
def test_uses(word: str, names: list[str]) -> None:
    assert [use.name for use in uses(word, "\\")] == names


def test_a_long_file_is_checked_in_no_time() -> None:
    """The best of several runs, on a file of 1,000 lines and one of 10,000: linear, and below 40 ms for the first."""
    best = {}
    for lines in (1000, 10000):
        body = [
            line
            for n in range(lines // 4)
            for line in (f"ENV V{n}=$PATH", f"RUN x{n}", f"COPY $V{n} /", f"ARG A{n}=$b")
        ]
        request = asked("FROM base\n" + "\n".join(body))
        best[lines] = min(_seconds(request) for _ in range(5))
    assert best[1000] < 0.040
    assert best[10000] < 25 * best[1000]


def _seconds(request: object) -> float:
    from img_frontends.dockerfile.calls.opened import opened
    from img_frontends.dockerfile.checks.run import advice as run

    subject = opened(request, World(), lowered=True)  # type: ignore[arg-type]
    subject.witness.image("base", "linux/amd64")
    started = time.process_time()
    run(subject)
    return time.process_time() - started
