"""COPY and ADD as nodes."""

from __future__ import annotations

import pytest
from tests.unit.dockerfile.lowering import BASE, CONTEXT, DIGEST, Resolver, copied, image, problems, root, target

from img.errors import FrontendError
from img.ir.nodes import Copy, Exec, Merge, Scratch, Source, Write
from img.ir.walk import chain, width
from img.ports import BaseImage

DESTS = [
    ("COPY a /x", "/x"),
    ("COPY a /x/", "/x/"),
    ("COPY a /x/.", "/x/"),
    ("COPY a x", "/w/x"),
    ("COPY a .", "/w/"),
    ("COPY a ./", "/w/"),
    ("COPY a ..", "/"),
    ("COPY a ../x", "/x"),
    ("COPY a /x//y/../z", "/x/z"),
    ("COPY a b /x", "/x"),
    ("COPY a /", "/"),
    ("COPY a /$B", "/base"),
    ('COPY ["a", "/s p/"]', "/s p/"),
]


@pytest.mark.parametrize(("text", "dest"), DESTS)
def test_destinations(text: str, dest: str) -> None:
    assert copied(f"WORKDIR /w\n{text}").dest == dest


def test_what_a_copy_says() -> None:
    node = copied("ARG O=1:2 M=u=rwX,go=rX\nCOPY --chown=$O --chmod=$M --exclude=*.o --exclude=$B a* $B '[[]x' /d/")
    assert node.source == CONTEXT
    assert node.paths == ("a*", "base", "[[]x")
    assert (node.owner, node.mode) == ("1:2", "u=rwX,go=rX")
    assert node.excludes == ("*.o", "$B")
    assert not (node.parents or node.unpack or node.literal or node.keep_owner)
    assert copied("COPY --parents a/./b /d/").parents
    assert not copied("COPY --parents=false a/./b /d/").parents


def test_a_flag_without_a_value_after_expansion_says_nothing() -> None:
    node = copied("COPY --chown=$NONE --chmod=$NONE a /d")
    assert (node.owner, node.mode) == ("", "")


def test_add_unpacks_files_of_the_context_unless_told() -> None:
    assert copied("ADD a /x").unpack
    assert copied("ADD --unpack a /x").unpack
    assert not copied("ADD --unpack=false a /x").unpack
    assert not copied("COPY a /x").unpack


# --- from -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "A", "0"])
def test_stages_by_name_and_number(name: str) -> None:
    made = target(f"FROM base AS a\nRUN a\nFROM scratch\nCOPY --from={name} /x /x")
    assert isinstance(made.root, Copy)
    assert isinstance(made.root.source, Exec)
    assert made.root.keep_owner


def test_a_name_used_twice_is_the_last_stage_before() -> None:
    text = "FROM base AS a\nRUN one\nFROM base AS a\nRUN two\nFROM scratch\n"
    for name, argument in (("a", "two"), ("0", "one"), ("1", "two")):
        node = target(f"{text}COPY --from={name} /x /x").root
        assert node.source.argv[-1] == argument  # type: ignore[attr-defined]
    made = target("FROM base AS a\nRUN one\nFROM scratch AS b\nCOPY --from=a / /\nFROM base AS a\nRUN x\nFROM b")
    assert made.root.source.argv[-1] == "one"  # type: ignore[attr-defined]


def test_images_and_contexts() -> None:
    assert copied("COPY --from=base:2 /x /x").source == BASE
    folder, git = Source("local", "other"), Source("git", "https://x/r.git")
    other = Source("docker-image", "docker.io/library/other@" + DIGEST)
    resolver = Resolver(
        named={"files": folder, "repo": git, "base": BaseImage(other, image({}), 3)},
        files={("other", ".dockerignore"): b"*.o\n"},
    )
    how = {"contexts": {"files": "dir", "repo": "https://x/r.git", "base": "docker-image://other"}}
    ignoring = Source("local", "other", (("ignore", "*.o"),))
    for name, source in (("files", ignoring), ("repo", git), ("base", other), ("docker.io/library/base:latest", other)):
        assert target(f"FROM scratch\nCOPY --from={name} x /x", resolver, **how).root.source == source  # type: ignore[attr-defined]


def test_a_copy_from_scratch_takes_nothing() -> None:
    assert isinstance(copied("COPY --from=scratch x* /x").source, Scratch)


# --- heredocs -------------------------------------------------------------------------------------------------------


def test_heredocs() -> None:
    node = copied("ENV A=1\nCOPY --chmod=u+x --chown=5 <<one <<'two' /d/\n$A \"$B\"\none\n$A\ntwo")
    two = node.source
    assert isinstance(two, Write)
    assert isinstance(two.base, Write)
    assert isinstance(two.base.base, Scratch)
    assert (two.base.path, two.base.data) == ("/one", b'1 "base"\n')
    assert (two.path, two.data) == ("/two", b"$A\n")
    assert (node.paths, node.dest, node.literal) == (("one", "two"), "/d/", True)
    assert (node.mode, node.owner) == ("u+x", "5")


def test_heredocs_beside_files_come_last() -> None:
    made = target("FROM base\nADD <<-one a <<two /d/\n\tx\n\tone\ny\ntwo")
    last = made.root
    assert isinstance(last, Copy)
    assert last.paths == ("one", "two")
    assert isinstance(last.base, Copy)
    assert last.base.paths == ("a",)
    assert made.layers == (last.digest,)
    assert last.source.base.data == b"x\n"  # type: ignore[attr-defined]


def test_a_heredoc_is_no_destination() -> None:
    assert problems("FROM base\nCOPY a <<x\nx")[0].message == "COPY needs a destination, not a heredoc"


# --- the network ----------------------------------------------------------------------------------------------------

NAMES = [
    ("https://x/a/b.tgz", "b.tgz"),
    ("https://x/a/b%20c", "b c"),
    ("https://x/a/b?q=1", "b"),
    ("https://x/a/", "a"),
    ("https://x", "__unnamed__"),
    ("https://x/", "__unnamed__"),
]


@pytest.mark.parametrize(("url", "name"), NAMES)
def test_files_of_urls(url: str, name: str) -> None:
    node = copied(f"ADD {url} /d")
    assert node.source == Source("http", url, (("filename", name),))
    assert (node.paths, node.dest, node.literal) == ((name,), "/d", True)


def test_what_an_add_of_a_url_says() -> None:
    node = copied(f"ARG S={DIGEST}\nADD --checksum=$S --chown=1 --chmod=755 https://x/$B /d/")
    assert node.source == Source("http", "https://x/base", (("checksum", DIGEST), ("filename", "base")))
    assert (node.owner, node.mode, node.unpack) == ("1", "755", False)
    assert copied("ADD --unpack=true https://x/a /d/").unpack


GIT = [
    ("https://x/r.git", "https://x/r.git", ()),
    ("https://x/r.git#v1:d", "https://x/r.git", (("ref", "v1"), ("subdir", "d"))),
    ("https://x/r.git?tag=v1", "https://x/r.git", (("ref", "refs/tags/v1"),)),
    ("https://x/r.git?submodules=false", "https://x/r.git", (("submodules", "false"),)),
    ("https://x/r.git?keep-git-dir=1", "https://x/r.git", (("keepgitdir", "true"),)),
    ("--keep-git-dir https://x/r.git", "https://x/r.git", (("keepgitdir", "true"),)),
    ("--keep-git-dir=true https://x/r", "https://x/r", (("keepgitdir", "true"),)),
    ("--keep-git-dir=false https://x/r.git", "https://x/r.git", ()),
    ("--checksum=abcdef1 https://x/r.git#v1", "https://x/r.git", (("checksum", "abcdef1"), ("ref", "v1"))),
    ("git@x:o/r#v1", "git@x:o/r", (("ref", "v1"),)),
    ("git://x/r", "git://x/r", ()),
    ("ssh://git@x/r", "ssh://git@x/r", ()),
]


@pytest.mark.parametrize(("words", "url", "attrs"), GIT)
def test_git_repositories(words: str, url: str, attrs: tuple[tuple[str, str], ...]) -> None:
    node = copied(f"ADD {words} /src")
    assert node.source == Source("git", url, attrs)
    assert (node.paths, node.dest, node.literal, node.unpack) == (("",), "/src", True, False)


def test_what_looks_like_a_path_is_one() -> None:
    assert copied("ADD github.com/o/r /d").source == CONTEXT
    assert copied("COPY r.git /d").source == CONTEXT


def test_one_add_of_several_kinds_is_one_layer() -> None:
    made = target("FROM base\nADD a b https://x/f git@x:r c /d/")
    nodes = chain(made.root)[1:]
    assert [node.paths for node in nodes] == [("a", "b"), ("f",), ("",), ("c",)]  # type: ignore[attr-defined]
    assert made.layers == (made.root.digest,)
    assert len(made.config["history"]) == 2


# --- link -----------------------------------------------------------------------------------------------------------


def test_a_link_is_a_layer_of_its_own() -> None:
    made = target("FROM base\nRUN x\nCOPY --link --chown=1:2 a /d/\nRUN y")
    linked = made.root.root  # type: ignore[attr-defined]
    assert isinstance(linked, Merge)
    below, layer = linked.layers
    assert isinstance(below, Exec)
    assert isinstance(layer, Copy)
    assert isinstance(layer.base, Scratch)
    assert made.layers == (below.digest, linked.digest, made.root.digest)
    assert [type(node) for node in chain(made.root)] == [Source, Exec, Merge, Exec]
    assert linked.notes.title == "[stage-0 3/4] LINK COPY --link --chown=1:2 a /d/"
    assert layer.notes.title == "[stage-0 3/4] COPY --link --chown=1:2 a /d/"


def test_a_link_does_not_know_what_is_below() -> None:
    first, second = (root(f"RUN {text}\nCOPY --link a /d/") for text in "xy")
    assert first != second
    assert first.layers[1] == second.layers[1]


def test_a_link_of_several_kinds_has_several_layers_in_the_store() -> None:
    made = target("FROM base\nADD --link a https://x/f /d/")
    assert isinstance(made.root, Merge)
    assert width(made.root) == 2
    assert made.layers == (made.root.digest,)


def test_links_that_are_none() -> None:
    assert isinstance(root("COPY --link --chmod=755 a /d"), Copy)
    assert isinstance(root("COPY --link=false a /d"), Copy)
    plain, linked = (target(f"FROM scratch\nCOPY {flag} a /d").root for flag in ("", "--link"))
    assert plain == linked


def test_a_link_looks_up_no_names() -> None:
    (error,) = problems("FROM base\nCOPY --link --chown=node:1 a /d")
    assert error.message == "--link can't look up 'node'"
    assert copied("COPY --link=false --chown=node a /d").owner == "node"


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("COPY a", "COPY requires at least a source and a destination"),
        ('ADD ["a"]', "ADD requires at least a source and a destination"),
        ("COPY --from=$x a b", "variable expansion is not supported for --from"),
        ("COPY --from=5 a b", "there is no stage 5"),
        ("COPY --from=nowhere a b", "there is no nowhere"),
        ("COPY --chmod=999 a b", "--chmod: '999' is not a mode"),
        ("COPY --chmod=u=q a b", "--chmod: 'u=q' is not a mode"),
        ("COPY http://x/y b", "the source of a COPY can't be a URL"),
        ("COPY git@x:y b", "the source of a COPY can't be a git repository"),
        ("ADD https://x/r.git?nope=1 b", "unexpected query 'nope'"),
        (f"ADD --checksum={DIGEST} a b", "--checksum is for http(s) and git sources"),
        (f"ADD --checksum={DIGEST} https://x/a https://x/b /d/", "--checksum can't be used with several sources"),
        ("ADD --checksum=md5:1 https://x/a b", "--checksum=md5:1 is no digest"),
        ("ADD --checksum=xyz https://x/r.git b", "--checksum=xyz is no commit"),
        ("ADD --checksum=abcd https://x/r.git?commit=abce b", "--checksum=abcd is not abce"),
        ("ADD --keep-git-dir=false https://x/r.git?keep-git-dir=true b", "inconsistent keep-git-dir"),
        ("ADD --from=base a b", "unknown flag --from of ADD"),
        ("COPY --checksum=x a b", "unknown flag --checksum of COPY"),
    ],
)
def test_errors(text: str, message: str) -> None:
    try:
        (error,) = problems(f"FROM base\n{text}")
    except Exception as other:
        error = other  # type: ignore[assignment]
    assert error.message.startswith(message)
    assert error.place is not None
    assert error.place.line == 2


def test_a_stage_that_comes_later() -> None:
    with pytest.raises(FrontendError, match="stage b comes later in the file"):
        target("FROM base AS a\nCOPY --from=b x /\nFROM base AS b\nFROM a")


def test_a_near_name_is_a_hint() -> None:
    with pytest.raises(Exception, match="there is no biuld") as caught:
        target("FROM base AS build\nFROM scratch\nCOPY --from=biuld /x /")
    assert caught.value.hint == "no stage has that name; did you mean build?"  # type: ignore[attr-defined]
