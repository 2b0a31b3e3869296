"""Ignore files and wildcards, by table (moby/patternmatcher, Go's filepath.Match)."""

from __future__ import annotations

import pytest

from img.errors import FileError
from img.files.patterns import Ignore, match, read_ignore

EXCLUDED = [
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
]


@pytest.mark.parametrize(("text", "path", "excluded"), EXCLUDED)
def test_ignore(text: str, path: str, excluded: bool) -> None:
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
