"""Repairs: what they write, and that the image stays what it was: equal graphs, configurations and histories."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.dockerfile.checking import World, asked

from img.errors import FrontendError
from img.ir.definition import Definition
from img_frontends.dockerfile.calls.opened import opened
from img_frontends.dockerfile.checks.repair import REPAIRS, repaired
from img_frontends.dockerfile.lower import lower

RULES = Path(__file__).parents[3] / "docs" / "reference" / "rules"


def fixed(data: bytes, **how: object) -> tuple[bytes, list[str]]:
    """The repaired file, and the rules that were followed."""
    result = repaired(data, lambda version: opened(asked(version, **how), World(), every=True))
    return result.data, [one.rule for one in result.done]


def identity(data: bytes, target: str = "") -> list[object]:
    """All that makes the image what it is."""
    definition: Definition = lower(asked(data, target=target, args={"BUILDKIT_DOCKERFILE_CHECK": "skip=all"}), World())
    return [(t.root.digest, dict(t.config), t.platform, t.layers, t.base_layers) for t in definition.targets]


CASES = [
    ("StageNameCasing", "FROM base AS Build\nFROM Build\n", "FROM base AS build\nFROM Build\n"),
    ("StageNameCasing", "FROM base \\\n  AS  \\\n X1", "FROM base \\\n  AS  \\\n x1"),
    ("FromAsCasing", "FROM base as b\nFROM base  As  c", "FROM base AS b\nFROM base  AS  c"),
    ("ConsistentInstructionCasing", "FROM base\n  run a\nENV A=b  C=d\n", "FROM base\n  RUN a\nENV A=b  C=d\n"),
    ("ConsistentInstructionCasing", "from base\nRUN a\ncmd b\nRun c", "from base\nrun a\ncmd b\nrun c"),
    ("ConsistentInstructionCasing", "FROM base\nrun <<E\nrun x\nE\nCMD c", "FROM base\nRUN <<E\nrun x\nE\nCMD c"),
    (
        "NoEmptyContinuation",
        "FROM base\nRUN a \\\n\n  b \\\n \n\n# c\n  c\n\nRUN d",
        "FROM base\nRUN a \\\n  b \\\n# c\n  c\n\nRUN d",
    ),
    (
        "ExposeProtoCasing",
        "FROM base\nEXPOSE 80/TCP  81/Udp\\\n 82/SCTP",
        "FROM base\nEXPOSE 80/tcp  81/udp\\\n 82/sctp",
    ),
    ("ExposeInvalidFormat", "FROM base\nEXPOSE 1.2.3.4:80:81/tcp 5-6:82-83", "FROM base\nEXPOSE 81/tcp 82-83"),
    ("LegacyKeyValueFormat", "FROM base\nENV A b\n", "FROM base\nENV A=b\n"),
    ("LegacyKeyValueFormat", "FROM base\nENV A   b  c  \n", 'FROM base\nENV A="b  c"  \n'),
    ("LegacyKeyValueFormat", "FROM base\nENV A $HOME/x ${B:-y z}", 'FROM base\nENV A="$HOME/x ${B:-y z}"'),
    ("LegacyKeyValueFormat", 'FROM base\nLABEL a "b c"', 'FROM base\nLABEL a="b c"'),
    ("LegacyKeyValueFormat", "FROM base\nLABEL a 'b $c'", "FROM base\nLABEL a='b $c'"),
    ("LegacyKeyValueFormat", "FROM base\nENV A b \\\n  # c\n  d=e\n", 'FROM base\nENV A="b \\\n  # c\n  d=e"\n'),
    ("LegacyKeyValueFormat", "FROM base\nENV A b\\ c\n", "FROM base\nENV A=b\\ c\n"),
    (
        "LegacyKeyValueFormat",
        "# escape=`\nFROM base\nENV A c:\\d `\n e\n",
        '# escape=`\nFROM base\nENV A="c:\\d `\n e"\n',
    ),
]


@pytest.mark.parametrize(("rule", "before", "after"), CASES)
def test_a_repair(rule: str, before: str, after: str) -> None:
    data, rules = fixed(before.encode())
    assert data.decode() == after
    assert set(rules) == {rule}
    assert identity(data) == identity(before.encode())


def test_every_repair_has_a_case() -> None:
    assert {rule for rule, _, _ in CASES} == set(REPAIRS)


@pytest.mark.parametrize(
    "text",
    [
        "FROM base\nENV A 'b' \"c\" d\n",
        "FROM base\nENV A b\\\\c\\d e\n",
        "FROM base\nENV A \\\n b\n",
        "FROM base\nARG P=1:2/TCP\nEXPOSE $P\n",
        "FROM base\nEXPOSE 80/T\\\nCP\n",
        "FROM base\nMAINTAINER x\nCMD a\nWORKDIR b\n",
        "FROM base AS a\nFROM base AS a\n",
        "FROM --platform=$TARGETPLATFORM base\n",
        "# check=skip=all\nFROM base AS A\n",
        "FROM base\n# check=skip=LegacyKeyValueFormat\nENV a b\n",
    ],
)
def test_what_is_left_to_people(text: str) -> None:
    assert fixed(text.encode()) == (text.encode(), [])


def test_line_ends_marks_and_bytes_stay() -> None:
    before = b"\xef\xbb\xbf# \xff\r\nfrom base As A\r\nenv b  \xc3\xa9 c\r\nrun a \xfe \\\r\n\r\n  b\r\n"
    after = b'\xef\xbb\xbf# \xff\r\nfrom base as a\r\nenv b="\xc3\xa9 c"\r\nrun a \xfe \\\r\n  b\r\n'
    data, _ = fixed(before)
    assert data == after
    assert identity(data) == identity(before)


def test_one_repair_uncovers_another() -> None:
    before = b"From base as a\nRUN b\nEXPOSE 1:80/TCP\nRUN c\n"
    data, rules = fixed(before)
    assert data == b"FROM base AS a\nRUN b\nEXPOSE 80/tcp\nRUN c\n"
    assert rules.index("ConsistentInstructionCasing") < rules.index("FromAsCasing")
    assert identity(data) == identity(before)


@pytest.mark.parametrize("name", sorted(REPAIRS))
def test_the_examples_of_the_pages(name: str) -> None:
    bad = re.search(r"^Bad:\n\n```dockerfile\n(.*?)```", (RULES / f"{name}.md").read_text(), re.S | re.M)
    assert bad is not None
    data, rules = fixed(bad[1].encode())
    assert name in rules
    assert identity(data) == identity(bad[1].encode())


def test_a_file_that_cannot_be_read() -> None:
    with pytest.raises(FrontendError):
        fixed(b"NOPE\n")


_WORD = st.text(st.sampled_from("ab$H{}:-\"'\\ =,/#.`"), min_size=1, max_size=8)
_ROW = st.one_of(
    st.builds("{} {} {}".format, st.sampled_from(["ENV", "env", "LABEL", "Label"]), st.sampled_from("aB"), _WORD),
    st.builds(
        "{} {} \\\n{}{}".format,
        st.sampled_from(["ENV", "label"]),
        st.sampled_from("aB"),
        st.sampled_from(["", "\n", "# x\n"]),
        _WORD,
    ),
    st.builds(
        "{} {}{}/{}".format,
        st.sampled_from(["EXPOSE", "expose"]),
        st.sampled_from(["", "1:", "1.2.3.4:5:"]),
        st.integers(1, 9),
        st.sampled_from(["tcp", "UDP", "Sctp"]),
    ),
    st.builds("{} x \\\n\n {}".format, st.sampled_from(["RUN", "Run", "CMD"]), _WORD),
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(["FROM base AS X", "from base As x", "From base"]), st.lists(_ROW, max_size=6))
def test_no_repair_changes_an_image(first: str, rows: list[str]) -> None:
    before = "\n".join([first, *rows, ""]).encode()
    try:
        known = identity(before)
    except FrontendError:
        return
    data, _ = fixed(before)
    assert identity(data) == known
    assert fixed(data) == (data, [])
