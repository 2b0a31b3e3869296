"""Word expansion by table (spec 2.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from img_frontends.dockerfile.expand import ExpandError, expand

VARIABLES = {"a": "1", "empty": "", "path": "/usr/local/bin", "name": "a.tar.gz", "é": "accent"}

ROWS = [
    ("plain", "plain"),
    ("$a", "1"),
    ("${a}", "1"),
    ("x${a}y", "x1y"),
    ("$ab", ""),
    ("$none", ""),
    ("$", "$"),
    ("a$", "a$"),
    ("$/x", "$/x"),
    ("$1x", "x"),
    ("${é}", "accent"),
    ("'$a'", "$a"),
    ('"$a"', "1"),
    ('"a b"', "a b"),
    ("'a b'c", "a bc"),
    (r"\$a", "$a"),
    (r"\a", "a"),
    (r'"\$a"', "$a"),
    (r'"\n"', r"\n"),
    (r'"\""', '"'),
    (r"'\n'", r"\n"),
    ("${none:-x}", "x"),
    ("${none-x}", "x"),
    ("${empty:-x}", "x"),
    ("${empty-x}", ""),
    ("${a:-x}", "1"),
    ("${a:+x}", "x"),
    ("${a+x}", "x"),
    ("${empty:+x}", ""),
    ("${empty+x}", "x"),
    ("${none:+x}", ""),
    ("${none+x}", ""),
    ("${none:-$a}", "1"),
    ("${none:-${none:-deep}}", "deep"),
    ("${none:-'a b'}", "a b"),
    ("${a:?no}", "1"),
    ("${a?no}", "1"),
    ("${empty?no}", ""),
    ("${path#*/}", "usr/local/bin"),
    ("${path##*/}", "bin"),
    ("${path%/*}", "/usr/local"),
    ("${path%%/*}", ""),
    ("${name%.*}", "a.tar"),
    ("${name%%.*}", "a"),
    ("${name#*.}", "tar.gz"),
    ("${name##*.}", "gz"),
    ("${name%.gz}", "a.tar"),
    ("${name#x}", "a.tar.gz"),
    ("${path/usr/opt}", "/opt/local/bin"),
    ("${name/./-}", "a-tar.gz"),
    ("${name//./-}", "a-tar-gz"),
    ("${name/none/x}", "a.tar.gz"),
    ("${name//?/x}", "xxxxxxxx"),
    ("${none/a/b}", ""),
]


@pytest.mark.parametrize(("word", "text"), ROWS)
def test_expand(word: str, text: str) -> None:
    assert expand(word, VARIABLES) == text


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("'a", "unterminated quote"),
        ('"a', "unterminated quote"),
        ("${a", "unsupported modifier"),
        ("${", "a name is missing"),
        ("${}", "a name is missing"),
        ("${none:?say so}", "none: say so"),
        ("${none?}", "none: it must be set"),
        ("${empty:?}", "empty: it must be set"),
        ("${a:#x}", "unsupported modifier"),
        ("${a:=x}", "unsupported modifier"),
        ("${a^}", "unsupported modifier"),
        ("${none:-x", "is missing"),
    ],
)
def test_errors(word: str, message: str) -> None:
    with pytest.raises(ExpandError, match=message):
        expand(word, VARIABLES)


def test_another_escape_character() -> None:
    assert expand("`$a \\", VARIABLES, "`") == "$a \\"


def test_raw_keeps_quotes() -> None:
    assert expand("'$a' \"x\" \\$a \\n", VARIABLES, raw=True) == "'1' \"x\" $a \\n"


@given(st.text("${}:-+?#%/'\"\\ab*", max_size=30))
def test_only_its_own_error(word: str) -> None:
    try:
        expand(word, VARIABLES)
    except ExpandError:
        pass
