"""Parser directives, and the frontend a file asks for (spec 2.1)."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from img.errors import FrontendError
from img_frontends.dockerfile.directives import syntax_of
from img_frontends.dockerfile.reader import read

SYNTAX = [
    (b"", ""),
    (b"FROM a", ""),
    (b"# syntax=a", "a"),
    (b"#syntax=a\nFROM b", "a"),
    (b"#   syntax   =   a/b:1   \nFROM b", "a/b:1"),
    (b"# SynTax=a", "a"),
    (b"# syntax=a b c", "a"),
    (b"# syntax=a\r\nFROM b\r\n", "a"),
    (b"\xef\xbb\xbf# syntax=a", "a"),
    (b"#!/usr/bin/env x\n# syntax=a", "a"),
    (b"\xef\xbb\xbf#!x\n# syntax=a", "a"),
    (b"#!x", ""),
    (b"# escape=`\n# check=skip=all\n# syntax=a", "a"),
    (b"# comment\n# syntax=a", ""),
    (b"\n# syntax=a", ""),
    (b" # syntax=a", ""),
    (b"FROM x\n# syntax=a", ""),
    (b"# unknown=x\n# syntax=a", ""),
    (b"# escape=`\n# escape=`\n# syntax=a", ""),
    (b"# syntax=a\n# syntax=b", "a"),
    (b"# syntax=", ""),
    (b"# syntax=  ", ""),
    (b"# syntax", ""),
    (b"# 1syntax=a", ""),
    (b"# syn-tax=a", ""),
    (b"## syntax=a", ""),
    (b"// syntax=a\n{}", "a"),
    (b"//syntax=a", "a"),
    (b"#!x\n// syntax=a", "a"),
    (b"/ syntax=a", ""),
    (b"// x\n// syntax=a", ""),
    (b'{"syntax": "a"}', "a"),
    (b'{"syntax": "a b"}', "a b"),
    (b'  {"x": [1], "syntax": "a"}\n', "a"),
    (b'#!x\n{"syntax": "a"}', "a"),
    (b'{"Syntax": "a"}', ""),
    (b'{"syntax": 1}', ""),
    (b'{"syntax": "a"', ""),
    (b'[{"syntax": "a"}]', ""),
    (b"{" * 100000, ""),
    (b'{"a":' * 100000, ""),
    (b"# syntax=\xff", "\udcff"),
    (b"# syntax" + b" " * 60000 + b"x", ""),
]


@pytest.mark.parametrize(("data", "name"), SYNTAX)
def test_syntax(data: bytes, name: str) -> None:
    assert syntax_of(data) == name


@given(
    st.binary(max_size=80) | st.lists(st.sampled_from([b"#", b"//", b"syntax", b"=", b" ", b"\n", b"{"])).map(b"".join)
)
def test_syntax_never_fails(data: bytes) -> None:
    assert isinstance(syntax_of(data), str)


def test_syntax_is_cheap_to_ask_for() -> None:
    program = (
        "import sys; from img_frontends.dockerfile.directives import syntax_of; syntax_of(b'# syntax=a');"
        "print('\\n'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"lark", "json", "img.ir.definition"} & set(done.stdout.split())


DIRECTIVES = [
    ("FROM a", {}),
    ("# syntax=a\n# escape=`\n# check=skip=all\nFROM a", {"syntax": "a", "escape": "`", "check": "skip=all"}),
    ("# check = skip=A,B;error=true \nFROM a", {"check": "skip=A,B;error=true"}),
    ("  # escape=`\nFROM a", {"escape": "`"}),
    ("# ESCAPE=`\nFROM a", {"escape": "`"}),
    ("# escape=\\\nFROM a", {"escape": "\\"}),
    ("\ufeff# escape=`\nFROM a", {"escape": "`"}),
    ("# escape=`\r\nFROM a\r\n", {"escape": "`"}),
    ("# c\n# escape=`\nFROM a", {}),
    ("\n# escape=`\nFROM a", {}),
    ("# other=x\n# escape=`\nFROM a", {}),
    ("FROM a\n# escape=`", {}),
    ("#!x\n# escape=`\n# check=skip=all\nFROM a", {"check": "skip=all"}),
]


@pytest.mark.parametrize(("text", "directives"), DIRECTIVES)
def test_directives(text: str, directives: dict[str, str]) -> None:
    script = read(text.encode(), "Dockerfile")
    assert script.directives == directives
    assert script.escape == directives.get("escape", "\\")


def test_a_second_one_is_told_and_reading_goes_on() -> None:
    script = read(b"# check=skip=A\n# Check=skip=B\nFROM a", "Dockerfile")
    (problem,) = script.problems
    assert problem.message == "only one check parser directive can be used"
    assert str(problem.place) == "Dockerfile:2:3"
    assert [line.keyword for line in script.lines] == ["FROM"]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("# escape=x\nFROM a", "the escape character can't be 'x'", "Dockerfile:1:10"),
        (" # escape = ab\nFROM a", "the escape character can't be 'ab'", "Dockerfile:1:13"),
        ("# syntax=a\n# escape=\\\\\nFROM a", "the escape character can't be '\\\\\\\\'", "Dockerfile:2:10"),
    ],
)
def test_a_wrong_escape_character_ends_it(text: str, message: str, place: str) -> None:
    with pytest.raises(FrontendError) as caught:
        read(text.encode(), "Dockerfile")
    assert (caught.value.message, str(caught.value.place)) == (message, place)
