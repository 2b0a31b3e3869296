"""Word expansion by table (spec 2.2), with the quirks of BuildKit's shell lexer."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from img_frontends.dockerfile import glob
from img_frontends.dockerfile.expand import DEPTH, SIZE, ExpandError, expand, expand_words, expansion

VARIABLES = {
    "a": "1",
    "empty": "",
    "path": "/usr/local/bin",
    "name": "a.tar.gz",
    "é": "accent",
    "_u": "under",
    "two": "x y",
    "star": "*",
    "lines": "one\ntwo",
    "q": "a'b\"c",
    "rep": "aXbXc",
    "dollar": "$a",
    "N1": "n1",
}

PLAIN = [
    ("plain", "plain"),
    ("", ""),
    ("a b", "a b"),
    ("$a", "1"),
    ("${a}", "1"),
    ("x${a}y", "x1y"),
    ("$a$a", "11"),
    ("$a/$empty/$a", "1//1"),
    ("$ab", ""),
    ("$a-b", "1-b"),
    ("$a.b", "1.b"),
    ("$none", ""),
    ("${none}", ""),
    ("${empty}", ""),
    ("$N1", "n1"),
    ("$_u", "under"),
    ("${é}", "accent"),
    ("$é", "accent"),
    ("$éx", ""),
    ("$dollar", "$a"),
    ("${dollar}", "$a"),
    ("$two", "x y"),
    ("$q", "a'b\"c"),
    ("{a}", "{a}"),
    ("a}b", "a}b"),
    ("a:b", "a:b"),
]

LONE = [
    ("$", "$"),
    ("a$", "a$"),
    ("$/x", "$/x"),
    ("$ a", "$ a"),
    ("$.", "$."),
    ("$=", "$="),
    ("$%", "$%"),
    ("$'a'", "$a"),
    ('$"a"', "$a"),
    ("$(a)", "$(a)"),
    ("$\\a", "$a"),
]

SPECIAL = [
    ("$1", ""),
    ("$1x", "x"),
    ("$10x", "x"),
    ("${1}", ""),
    ("${12}", ""),
    ("$0", ""),
    ("$@", ""),
    ("$*", ""),
    ("$#", ""),
    ("$?", ""),
    ("$-", ""),
    ("$!", ""),
    ("$$", ""),
    ("$$a", "a"),
    ("$$$a", "1"),
    ("$*a", "a"),
    ("${@}", ""),
    ("${#}", ""),
    ("${1:-d}", "d"),
    ("${@:-d}", "d"),
    ("${?-d}", "d"),
]

QUOTES = [
    ("'$a'", "$a"),
    ("'${a'", "${a"),
    ('"$a"', "1"),
    ('"${a}"', "1"),
    ('"a b"', "a b"),
    ("'a b'c", "a bc"),
    ("''", ""),
    ('""', ""),
    ("a''b", "ab"),
    ('"\'"', "'"),
    ("'\"'", '"'),
    ("\"'$a'\"", "'1'"),
    ("'a'\"b\"c", "abc"),
    (r"\$a", "$a"),
    (r"\\$a", r"\1"),
    (r"\a", "a"),
    (r"\'", "'"),
    (r"\"", '"'),
    (r"a\ b", "a b"),
    ("a\\", "a"),
    (r"\\", "\\"),
    (r'"\$a"', "$a"),
    (r'"\n"', r"\n"),
    (r'"\""', '"'),
    (r'"\\"', "\\"),
    (r'"\'"', "\\'"),
    (r'"a\ b"', r"a\ b"),
    (r"'\n'", r"\n"),
    (r"'\'", "\\"),
    ("'a\nb'", "a\nb"),
]

DEFAULTS = [
    ("${none:-x}", "x"),
    ("${none-x}", "x"),
    ("${empty:-x}", "x"),
    ("${empty-x}", ""),
    ("${a:-x}", "1"),
    ("${a-x}", "1"),
    ("${none:-}", ""),
    ("${none-}", ""),
    ("${a:+x}", "x"),
    ("${a+x}", "x"),
    ("${empty:+x}", ""),
    ("${empty+x}", "x"),
    ("${none:+x}", ""),
    ("${none+x}", ""),
    ("${a:+}", ""),
    ("${none:-$a}", "1"),
    ("${none:-${a}}", "1"),
    ("${none:-${none:-deep}}", "deep"),
    ("${none:-a${a}b$a}", "a1b1"),
    ("${a:+${none:-${path}}}", "/usr/local/bin"),
    ("${none:-'a b'}", "a b"),
    ('${none:-"a b"}', "a b"),
    ("${none:-'}'}", "}"),
    (r"${none:-\}}", "}"),
    (r"${none:-a\b}", "ab"),
    ("${none:-a:b}", "a:b"),
    ("${none:--x}", "-x"),
    ("${none:-{}", "{"),
    ('"${none:-x y}"', "x y"),
    ('"${none:-"x"}"', "x"),
    ("${a:?no}", "1"),
    ("${a?no}", "1"),
    ("${empty?no}", ""),
    ("${+x}", ""),
]

STRIP = [
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
    ("${name%x}", "a.tar.gz"),
    ("${name#a.tar.gz}", ""),
    ("${name#}", "a.tar.gz"),
    ("${name%}", "a.tar.gz"),
    ("${name#?}", ".tar.gz"),
    ("${name##?}", ".tar.gz"),
    ("${name%??}", "a.tar."),
    ("${name#*}", "a.tar.gz"),
    ("${name##*}", ""),
    ("${name%*}", "a.tar.gz"),
    ("${name%%*}", ""),
    ("${name#[a]}", "a.tar.gz"),
    ("${name%.$none}", "a.tar.gz"),
    ("${name%.${none:-gz}}", "a.tar"),
    ("${name#'a.'}", "tar.gz"),
    (r"${star#\*}", ""),
    (r"${star#\?}", "*"),
    (r"${name#\*}", "a.tar.gz"),
    (r"${path#\/usr}", "/local/bin"),
    ("${name#$star}", "a.tar.gz"),
    ("${lines#*e}", "\ntwo"),
    ("${lines##*}", "\ntwo"),
    ("${lines%%*}", "one\n"),
    ("${lines#*t}", "one\ntwo"),
    ("${none#x}", ""),
    ("${empty##*}", ""),
    ("${%x}", ""),
]

REPLACE = [
    ("${path/usr/opt}", "/opt/local/bin"),
    ("${name/./-}", "a-tar.gz"),
    ("${name//./-}", "a-tar-gz"),
    ("${name/none/x}", "a.tar.gz"),
    ("${name//?/x}", "xxxxxxxx"),
    ("${name/?/x}", "x.tar.gz"),
    ("${name/*/x}", "x"),
    ("${name//*/x}", "x"),
    ("${name/.*/}", "a"),
    ("${name//a/}", ".tr.gz"),
    ("${none/a/b}", ""),
    ("${none//a/b}", ""),
    ("${rep//X/$a}", "a1b1c"),
    ("${rep/X/${none:-y}}", "aybXc"),
    ("${rep//X/'-'}", "a-b-c"),
    ("${path//\\//:}", ":usr:local:bin"),
    ("${path/\\/usr/}", "/local/bin"),
    ("${name///-}", "-a-.-t-a-r-.-g-z-"),
    ("${rep//X/$dollar}", "abc"),
    ("${rep/X/$dollar}", "a$abXc"),
    ("${rep//?b?/<$0>}", "a<>c"),
    ("${rep//?b?/<\\$0>}", "a<\\XbX>c"),
    (r"${rep//X/\/}", r"a\/b\/c"),
    ("${empty//x/y}", ""),
    ("${lines//?/x}", "xxx\nxxx"),
    ("${lines//*/x}", "x\nx"),
    ("${rep//[X]/y}", "aXbXc"),
    ("${name/.t*r/!}", "a!.gz"),
]

ROWS = [*PLAIN, *LONE, *SPECIAL, *QUOTES, *DEFAULTS, *STRIP, *REPLACE]


@pytest.mark.parametrize(("word", "text"), ROWS)
def test_expand(word: str, text: str) -> None:
    assert expand(word, VARIABLES) == text


ERRORS = [
    ("'a", "unterminated quote: a ' is missing", 0),
    ('"a', 'unterminated quote: a " is missing', 0),
    ('x"a', 'unterminated quote: a " is missing', 1),
    ('"a\\"', 'unterminated quote: a " is missing', 0),
    ("${a", "a } is missing", 0),
    ("${", "a } is missing", 0),
    ("x${", "a } is missing", 1),
    ("${}", "bad substitution: a name is missing after ${", 0),
    ("${{a}}", "bad substitution: a name is missing after ${", 0),
    ("${:-a}", "bad substitution: a name is missing after ${", 0),
    ("${none:?say so}", "none: say so", 0),
    ("${none:?$a}", "none: 1", 0),
    ("${none?}", "none: it must be set", 0),
    ("${none:?}", "none: it must be set", 0),
    ("${empty:?}", "empty: it must not be empty", 0),
    ("${empty:?no}", "empty: no", 0),
    ("${a:#x}", "unsupported modifier ':#' in a substitution", 0),
    ("${a:%x}", "unsupported modifier ':%' in a substitution", 0),
    ("${a:=x}", "unsupported modifier ':=' in a substitution", 0),
    ("${a:1}", "unsupported modifier ':1' in a substitution", 0),
    ("${a^}", "unsupported modifier '^' in a substitution", 0),
    ("${a,}", "unsupported modifier ',' in a substitution", 0),
    ("${a=x}", "unsupported modifier '=' in a substitution", 0),
    ("${a b}", "unsupported modifier ' ' in a substitution", 0),
    ("${none:-x", "a } is missing", 0),
    ("ab${none:-x", "a } is missing", 2),
    ("${a:-'x}", "unterminated quote: a ' is missing", 5),
    ("${a/x}", "a / is missing", 0),
    ("${a/x/y", "a } is missing", 0),
    (r"${a#\x}", "invalid escape '\\x' in the pattern", 0),
    (r"${a//\x/y}", "invalid escape '\\x' in the pattern", 0),
    ("'$a' ${b:?gone}", "b: gone", 5),
]


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
