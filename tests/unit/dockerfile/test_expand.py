"""Word expansion by table (spec 2.2), with the quirks of BuildKit's shell lexer."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.dockerfile.expansions import ERRORS, ROWS, VARIABLES

from img_frontends.dockerfile import glob
from img_frontends.dockerfile.expand import DEPTH, SIZE, ExpandError, expand, expand_words, expansion


@pytest.mark.parametrize(("word", "text"), ROWS)
def test_expand(word: str, text: str) -> None:
    assert expand(word, VARIABLES) == text


@pytest.mark.parametrize(("word", "message", "offset"), ERRORS)
def test_errors(word: str, message: str, offset: int) -> None:
    with pytest.raises(ExpandError) as caught:
        expand(word, VARIABLES)
    assert (str(caught.value), caught.value.offset) == (message, offset)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("`$a \\", "$a \\"),
        ("``", "`"),
        ("C:\\x\\$a", "C:\\x\\1"),
        ('"`$a`"`n"', '$a"`n'),
        ("${none:-`}}", "}"),
        ("a`", "a"),
    ],
)
def test_another_escape_character(word: str, text: str) -> None:
    assert expand(word, VARIABLES, "`") == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("'$a' \"x\" \\$a\n", "'1' \"x\" $a\n"),
        ("it's $a", "it's 1"),
        ("\\\\ \\\n", "\\ \n"),
        ("a\\nb", "anb"),
        ("`$a`", "`1`"),
        ("${none:-'x'}", "'x'"),
        ("${name%'.gz'}", "a.tar.gz"),
        ("$$", ""),
        ("<<x $a", "<<x 1"),
    ],
)
def test_heredoc_bodies(body: str, text: str) -> None:
    """Quotes mean nothing; the escape character is the backslash in every file."""
    assert expand(body, VARIABLES, "`", raw=True) == text


@pytest.mark.parametrize(
    "word",
    [
        "$none",
        "${none}",
        "x${none:-y}",
        "${none#a}",
        "${none%%a}",
        "${none/a/b}",
        "${none//a/b}",
        "${none:?x}",
        "${none:=x}",
    ],
)
def test_unset_variables_are_kept(word: str) -> None:
    assert expand(word, VARIABLES, keep_unset=True) == word


def test_set_variables_are_not_kept() -> None:
    assert expand("$a ${none:-$a} ${empty:-x}", VARIABLES, keep_unset=True) == "1 ${none:-1} x"


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("", []),
        ("  ", []),
        ("80", ["80"]),
        ("80 81", ["80", "81"]),
        ("$two", ["x", "y"]),
        ("$two$two", ["x", "yx", "y"]),
        ('"$two"', ["x y"]),
        ("'x y' z", ["x y", "z"]),
        ("a\\ b c", ["a b", "c"]),
        ("$none", []),
        ("${none:-x y}", ["x", "y"]),
        ("${none:-'x y'}", ["x", "y"]),
        ('"" x', ["x"]),
        ("a<<b c", ["a<<b", "c"]),
        ("<< b", ["<< b"]),
        ("< b", ["<", "b"]),
        ("x\u00a0y\tz", ["x", "y", "z"]),
    ],
)
def test_words(word: str, words: list[str]) -> None:
    assert expand_words(word, VARIABLES) == words


def test_what_was_looked_up() -> None:
    found = expansion("$a ${none:-$other} '$quoted' ${path#$p} $none", VARIABLES)
    assert (found.used, found.unset) == (("a", "path"), ("other", "none", "p"))


def test_deep_and_large_words_end() -> None:
    deep = "${x:-" * (DEPTH - 1) + "y" + "}" * (DEPTH - 1)
    assert expand(deep, {}) == "y"
    with pytest.raises(ExpandError, match="nested more than"):
        expand("${x:-" * 20000, {})
    with pytest.raises(ExpandError, match="becomes longer than"):
        expand("$x$x", {"x": "x" * (SIZE // 2 + 1)})
    with pytest.raises(ExpandError, match="becomes longer than"):
        expand("${x//?/$x}", {"x": "x" * 60000})


@given(st.text("${}:-+?#%/'\"\\ab* <\n", max_size=30))
def test_only_its_own_error(word: str) -> None:
    for raw in (False, True):
        try:
            expand(word, VARIABLES, raw=raw)
        except ExpandError:
            pass


def regular(pattern: str, longest: bool) -> str:
    """The pattern as one regular expression: what `glob` must agree with, and what would take too long."""
    out = []
    for token in re.findall(r"\\.|.", pattern, re.S):
        star = ".*" if longest else ".*?"
        out.append(star if token == "*" else "." if token == "?" else re.escape(token[-1]))
    return "".join(out)


patterns = st.lists(st.sampled_from(["a", "b", "*", "?", "\n", "\\*", "\\?"]), max_size=7).map("".join)


@given(patterns, st.text("ab\n*", max_size=12), st.booleans())
def test_patterns_are_regular_expressions(pattern: str, value: str, longest: bool) -> None:
    match = re.match(regular(pattern, longest), value)
    assert glob.strip_prefix(value, pattern, longest) == (value[match.end() :] if match else value)
    assert glob.replace_first(value, pattern, "-") == re.sub(regular(pattern, True), "-", value, count=1)
