"""Ignore files and wildcards, by table (moby/patternmatcher, Go's filepath.Match)."""

from __future__ import annotations

import pytest

from img.errors import FileError
from img.files.patterns import Ignore, match, read_ignore, read_rules

EXCLUDED: list[tuple[str, str, bool | None]] = [
    ("*.pyc", "a.pyc", True),
    ("*.pyc", "d/a.pyc", False),
    ("**/*.pyc", "a.pyc", True),
    ("**/*.pyc", "d/e/a.pyc", True),
    ("d", "d/e/f", True),
    ("d/", "d/e", True),
    ("/d", "d", True),
    ("./d", "d", True),
    ("d/*", "d/e", True),
    ("d/*", "d/e/f", True),
    ("d/*", "d", False),
    ("d/**", "d/e/f", True),
    ("d/**", "d", False),
    ("**", "anything/at/all", True),
    ("*", "a", True),
    ("*", "a/b", True),
    ("**/d", "x/y/d", True),
    ("**/d", "d", True),
    ("a/**/b", "a/b", True),
    ("a/**/b", "a/x/y/b", True),
    ("a?c", "abc", True),
    ("a?c", "a/c", False),
    ("[a-c]x", "bx", True),
    ("[^a-c]x", "bx", False),
    ("[^a-c]x", "dx", True),
    (r"\*", "*", True),
    (r"\*", "a", False),
    ("a.b", "aXb", False),
    ("*\n!a", "a", False),
    ("*\n!a", "b", True),
    ("!a\n*", "a", True),
    ("d\n!d/keep", "d/keep", False),
    ("d\n!d/keep", "d/other", True),
    ("d\n!d/keep\nd/keep", "d/keep", True),
    ("# d", "d", False),
    (" # d", "d", False),
    ("", "d", False),
    ("  d  ", "d", True),
    ("a/../d", "d", True),
    ("! d\n", "d", False),
    ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
    ("*.md\n!README*.md\nREADME-secret.md", "README.md", False),
    ("*/temp*", "somedir/temporary.txt", True),
    ("*/*/temp*", "somedir/subdir/temporary.txt", True),
    ("temp?", "tempa", True),
    ("temp?", "temp", False),
    # comments, blanks, line ends, byte order mark
    ("\ufeffd", "d", True),
    ("\ufeff# d\nd", "d", True),
    ("d\r\ne\r\n", "d", True),
    ("d\r\ne\r\n", "e", True),
    ("#d\nd", "#d", False),
    (" #d", "#d", True),
    ("\\#d", "#d", True),
    ("\t d \t", "d", True),
    ("\n\n\nd\n\n", "d", True),
    ("a b", "a b", True),
    # cleaning and slashes
    ("//d", "d", True),
    ("/d/", "d/e", True),
    ("d//e", "d/e", True),
    ("./d/./e", "d/e", True),
    ("/../d", "d", True),
    ("../d", "d", False),
    (".", "d", False),
    ("/", "d", False),
    ("./", "d", False),
    ("/*", "d/e", True),
    ("/**/e", "d/e", True),
    ("d/**/", "d/e", True),
    # bringing back
    ("d\n! d/e", "d/e", False),
    ("d\n!/d/e", "d/e", False),
    ("d\n!./d/e/", "d/e/f", False),
    ("d\n!d/e", "d/e/f", False),
    ("d\n!d/e\nd/e/f", "d/e/f", True),
    ("d\n!d/e\nd/e/f", "d/e/g", False),
    ("*\n!*.md", "a.md", False),
    ("*\n!*.md", "d/a.md", True),
    ("*\n!**/*.md", "d/a.md", False),
    ("*\n!d", "d/e/f", False),
    ("**\n!d/e", "d/e", False),
    ("**\n!d/e", "d", True),
    ("!d", "d", False),
    ("!d\nd", "d", True),
    ("d\n!d", "d/e", False),
    ("d\n!d\nd/e", "d/e", True),
    ("d/*\n!d/e", "d/e", False),
    ("d/**\n!d/e", "d/e/f", False),
    # a pattern that changes nothing for a folder does not count for what is in it
    ("d\n!d/keep\nd", "d/keep", False),
    ("d\n!d/keep\nd", "d/other", True),
    # stars
    ("**/*", "a/b/c", True),
    ("**/a/**", "a/b", True),
    ("**/a/**", "x/a/b", True),
    ("**/a/**", "a", False),
    ("a/**/b/**/c", "a/b/c", True),
    ("a/**/b/**/c", "a/x/b/y/z/c", True),
    ("a**", "abc", True),
    ("a**", "a/b", True),
    ("a**", "ab/c", True),
    ("a**", "ba", False),
    ("**.txt", "a.txt", True),
    ("**.txt", "d/a.txt", True),
    ("**foo", "xfoo", True),
    ("**foo", "d/xfoo", True),
    ("**foo", "foox", False),
    ("**/foo", "xfoo", False),
    ("**/foo", "d/foo/e", True),
    ("**foo*", "xfoo", False),
    ("**foo*", "d/foox", True),
    ("a/*/c", "a/b/c", True),
    ("a/*/c", "a/b/x/c", False),
    ("*.go", ".go", True),
    ("*", ".hidden", True),
    ("a*", "A", False),
    # classes, escapes, text that regular expressions know
    ("a[^b]c", "a/c", True),
    ("[[]a", "[a", True),
    ("a]", "a]", True),
    ("[a-]", "d", None),
    ("a.c", "abc", False),
    ("a+", "aa", False),
    ("a+", "a+", True),
    ("(a|b)", "a", False),
    ("a$", "a$", True),
    ("{a,b}", "a", False),
    ("a\\?c", "a?c", True),
    ("a\\?c", "abc", False),
    ("\u00e4?", "\u00e4\u00f6", True),
]


@pytest.mark.parametrize(("text", "path", "excluded"), EXCLUDED)
def test_ignore(text: str, path: str, excluded: bool | None) -> None:
    """None: the pattern is an error."""
    if excluded is None:
        with pytest.raises(FileError, match="is not a pattern"):
            read_ignore(text.encode(), ".dockerignore")
        return
    assert Ignore(read_ignore(text.encode(), ".dockerignore")).excludes(path) is excluded


MATCHES = [
    ("abc", "abc", True),
    ("*", "abc", True),
    ("*c", "abc", True),
    ("a*", "a", True),
    ("a*", "ab/c", False),
    ("a*/b", "abc/b", True),
    ("a*/b", "a/c/b", False),
    ("a*b*c*d*e*", "axbxcxdxe", True),
    ("ab[c]", "abc", True),
    ("ab[b-d]", "abc", True),
    ("ab[e-g]", "abc", False),
    ("ab[^c]", "abc", False),
    ("ab[^e-g]", "abc", True),
    (r"a\*b", "a*b", True),
    (r"a\*b", "ab", False),
    ("a?b", "a☺b", True),
    ("a[^a]b", "a☺b", True),
    ("a???b", "a☺b", False),
    ("[a-ζ]*", "α", True),
    ("*[a-ζ]", "A", False),
    ("a?b", "a/b", False),
    ("a*b", "a/b", False),
    (r"[\]a]", "]", True),
    (r"[\-]", "-", True),
    (r"[x\-]", "x", True),
    ("*x", "xxx", True),
    ("[[]x", "[x", True),
]


@pytest.mark.parametrize(("pattern", "name", "matches"), MATCHES)
def test_match(pattern: str, name: str, matches: bool) -> None:
    assert match(pattern, name) is matches


@pytest.mark.parametrize("pattern", ["[", "[a", "[]a]", "[-]", "[x-]", "a\\", "[^", "[a-"])
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(FileError, match="is not a pattern"):
        match(pattern, "a")


def test_a_lone_bang_has_a_place() -> None:
    with pytest.raises(FileError, match=r"\.dockerignore:2: a lone !") as caught:
        read_ignore(b"a\n!\n", ".dockerignore")
    assert caught.value.place is not None
    assert caught.value.place.line == 2


def test_a_byte_order_mark_is_no_pattern() -> None:
    assert read_ignore(b"\xef\xbb\xbfa\n", "x") == ("a",)


def test_rules_know_their_lines() -> None:
    rules = read_rules(b"\xef\xbb\xbf# c\n\n /a/ \r\n!a/b\n", "x")
    assert [tuple(rule) for rule in rules] == [("a", 3, " /a/ "), ("!a/b", 4, "!a/b")]
    assert Ignore([rule.pattern for rule in rules]).decides("a/b/c") == 1
    assert Ignore([rule.pattern for rule in rules]).decides("a/c") == 0
    assert Ignore([rule.pattern for rule in rules]).decides("c") is None
