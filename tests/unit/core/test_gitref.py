"""What names a git repository, and what of it."""

from __future__ import annotations

import pytest

from img.errors import UsageError
from img.gitref import GitRef, parse_git

URL = "https://example.com/foo/bar.git"

REFERENCES = [
    (URL, GitRef(URL)),
    (f"{URL}#v1", GitRef(URL, "v1")),
    (f"{URL}#v1:a/b", GitRef(URL, "v1", "a/b")),
    (f"{URL}#:a/b", GitRef(URL, "", "a/b")),
    (f"{URL}#baz/qux:quux/quuz", GitRef(URL, "baz/qux", "quux/quuz")),
    (f"{URL}?ref=v1", GitRef(URL, "v1")),
    (f"{URL}?ref=v1#v1:d", GitRef(URL, "v1", "d")),
    (f"{URL}?tag=v1", GitRef(URL, "refs/tags/v1")),
    (f"{URL}?tag=refs/tags/v1", GitRef(URL, "refs/tags/v1")),
    (f"{URL}?branch=main&subdir=d", GitRef(URL, "refs/heads/main", "d")),
    (f"{URL}?branch=refs/heads/main", GitRef(URL, "refs/heads/main")),
    (f"{URL}?checksum=abc", GitRef(URL, "abc", checksum="abc")),
    (f"{URL}?commit=abc", GitRef(URL, "abc", checksum="abc")),
    (f"{URL}?tag=v1&commit=abc", GitRef(URL, "refs/tags/v1", checksum="abc")),
    (f"{URL}?keep-git-dir", GitRef(URL, keep_git_dir=True)),
    (f"{URL}?keep-git-dir=false", GitRef(URL, keep_git_dir=False)),
    (f"{URL}?submodules=0", GitRef(URL, submodules=False)),
    (f"{URL}?submodules=", GitRef(URL, submodules=True)),
    (f"{URL}?mtime=commit", GitRef(URL, mtime="commit")),
    (f"{URL}?fetch-by-commit=true&commit=abc", GitRef(URL, "abc", checksum="abc", fetch_by_commit=True)),
    ("http://example.com/r.git", GitRef("http://example.com/r.git")),
    ("https://user:pw@example.com:8443/r.git#x", GitRef("https://user:pw@example.com:8443/r.git", "x")),
    ("git://example.com/r", GitRef("git://example.com/r")),
    ("ssh://git@example.com/r#x", GitRef("ssh://git@example.com/r", "x")),
    ("ssh://git@example.com:22/~/r.git", GitRef("ssh://git@example.com:22/~/r.git")),
    ("git@example.com:foo/bar", GitRef("git@example.com:foo/bar")),
    ("git@example.com:foo/bar.git#v1:d", GitRef("git@example.com:foo/bar.git", "v1", "d")),
    ("git@example.com:foo/bar.git?ref=v1", GitRef("git@example.com:foo/bar.git", "v1")),
    ("github.com/foo/bar", GitRef("https://github.com/foo/bar", bare=True)),
    ("github.com/foo/bar.git#x", GitRef("https://github.com/foo/bar.git", "x", bare=True)),
    ("https://example.com/r", None),
    ("https://example.com/r.git/x", None),
    ("https://example.com/r.tar.gz?x=y.git", None),
    ("./r.git", None),
    ("../r.git", None),
    ("r.git", None),
    ("/srv/r.git", None),
    ("ftp://example.com/r.git", None),
    ("a:b", None),
    ("https://example.com:port/r.git", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "expected"), REFERENCES)
def test_references(text: str, expected: GitRef | None) -> None:
    assert parse_git(text) == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?nope=1", "unexpected query 'nope'"),
        ("?ref=", "query 'ref' has no value"),
        ("?ref=a&ref=b", "query 'ref' has multiple values"),
        ("?ref=a#b", "ref conflicts"),
        ("?tag=a#b", "ref conflicts"),
        ("?tag=a&branch=b", "branch conflicts with tag"),
        ("?subdir=a#x:b", "subdir conflicts"),
        ("?commit=a&checksum=b", "checksum conflicts"),
        ("?keep-git-dir=maybe", "invalid keep-git-dir value 'maybe'"),
        ("?submodules=maybe", "invalid submodules value 'maybe'"),
        ("?mtime=never", "invalid mtime value 'never'"),
    ],
)
def test_errors(query: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_git(URL + query)


def test_known_repositories_need_no_suffix() -> None:
    assert parse_git("https://example.com/r", known=True) == GitRef("https://example.com/r")


def test_attributes_of_the_source() -> None:
    git = parse_git(f"{URL}?tag=v1&subdir=d&commit=abc&keep-git-dir&submodules=false&mtime=commit&fetch-by-commit")
    assert git is not None
    assert git.attrs() == (
        ("checksum", "abc"),
        ("fetchbycommit", "true"),
        ("keepgitdir", "true"),
        ("mtime", "commit"),
        ("ref", "refs/tags/v1"),
        ("subdir", "d"),
        ("submodules", "false"),
    )
    assert GitRef(URL, mtime="checkout", submodules=True, keep_git_dir=False).attrs() == ()


@pytest.mark.parametrize("url", [URL, "git@example.com:bar.git", "git@example.com:foo/bar", "git://example.com/bar/"])
def test_short_names(url: str) -> None:
    git = parse_git(url)
    assert git is not None
    assert git.name == "bar"


def test_what_travels_unencrypted() -> None:
    assert [GitRef(u).plain for u in (URL, "git://x/y", "http://x/y.git", "git@x:y")] == [False, True, True, False]
