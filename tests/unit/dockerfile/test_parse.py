"""Flags, forms and pairs of instructions, and what is said of wrong ones, by table (spec 2.1, 2.3)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img.errors import FrontendError
from img_frontends.dockerfile.parse import parse
from img_frontends.dockerfile.reader import read
from img_frontends.dockerfile.tree import Instruction


def parsed(text: str) -> list[Instruction]:
    return list(parse(read(text.encode("utf-8", "surrogateescape"), "Dockerfile")))


FORMS = [
    ('RUN ["a", "b c"]', True, ("a", "b c")),
    ('RUN ["a" , "b"] ', True, ("a", "b")),
    ('RUN [ "a","b" ]', True, ("a", "b")),
    ('RUN ["a", \\\n  "b"]', True, ("a", "b")),
    ("RUN []", True, ()),
    ("CMD [ ]", True, ()),
    ("ENTRYPOINT []", True, ()),
    ('RUN [""]', True, ("",)),
    ("RUN ['a']", False, ("['a']",)),
    ('RUN ["a",]', False, ('["a",]',)),
    ('RUN ["a"', False, ('["a"',)),
    ('RUN ["a\\x"]', False, ('["a\\x"]',)),
    ('RUN ["a\tb"]', False, ('["a\tb"]',)),
    ('RUN ["a",\u00a0"b"]', False, ('["a",\u00a0"b"]',)),
    ("RUN [NaN]", False, ("[NaN]",)),
    ('RUN ["a\\n\\u0041"]', True, ("a\nA",)),
    ('RUN ["\\ud83d\\ude00"]', True, ("\U0001f600",)),
    ('RUN ["\\ud800x"]', True, ("\ufffdx",)),
    ('RUN ["\udcff"]', True, ("\ufffd",)),
    ('RUN ["a\\\\b\\"c\\/"]', True, ('a\\b"c/',)),
    ('RUN ["a"] && b', False, ('["a"] && b',)),
    ("RUN [ -f x ]", False, ("[ -f x ]",)),
    ('RUN [[ "a" == "b" ]]', False, ('[[ "a" == "b" ]]',)),
    ('RUN --network=none ["a"]', True, ("a",)),
    ('RUN -- ["a"]', True, ("a",)),
    ('COPY ["a b", "/c d/"]', True, ("a b", "/c d/")),
    ('COPY --chown=1 ["a b", "/c d/"]', True, ("a b", "/c d/")),
    ('ADD ["a", "b"]', True, ("a", "b")),
    ('VOLUME ["/a"]', True, ("/a",)),
    ('SHELL ["a", "-c"]', True, ("a", "-c")),
    ('EXPOSE ["80"]', False, ('["80"]',)),
    ('USER ["a"]', False, ('["a"]',)),
    ("COPY a  b\tc", False, ("a", "b", "c")),
    ("COPY a\u00a0b c", False, ("a\u00a0b", "c")),
    ("COPY 'a b' c", False, ("'a", "b'", "c")),
    ("COPY a\\ b c", False, ("a\\", "b", "c")),
    ("COPY [a b", False, ("[a", "b")),
    ("COPY -- --a b", False, ("--a", "b")),
    ("COPY --link -- a b", False, ("a", "b")),
    ("COPY a --b c", False, ("a", "--b", "c")),
    ("VOLUME /a /b", False, ("/a", "/b")),
    ("EXPOSE 80 81/udp", False, ("80", "81/udp")),
    ("FROM --platform=linux/arm64 a AS b", False, ("a", "AS", "b")),
    ("RUN --network=none -- --x", False, ("--x",)),
    ("RUN echo --not-a-flag", False, ("echo --not-a-flag",)),
    ("RUN -x", False, ("-x",)),
    ("RUN a   b  'c", False, ("a   b  'c",)),
    ("RUN --", False, ()),
    ("RUN", False, ()),
    ("CMD", False, ()),
    ("ENTRYPOINT", False, ()),
    ("USER a b", False, ("a b",)),
    ("WORKDIR /a b", False, ("/a b",)),
    ("MAINTAINER A <b@c>, 'd", False, ("A <b@c>, 'd",)),
    ("STOPSIGNAL 9", False, ("9",)),
    ("HEALTHCHECK NONE", False, ("NONE",)),
    ("HEALTHCHECK --interval=1s CMD a  b", False, ("CMD a  b",)),
    ('HEALTHCHECK CMD ["a"]', False, ('CMD ["a"]',)),
    ("HEALTHCHECK --bogus NONE", False, ("NONE",)),
    ("ONBUILD RUN a", False, ("RUN a",)),
    ("ONBUILD COPY --from=x a b", False, ("COPY --from=x a b",)),
    ("ONBUILD RUN --bogus a", False, ("RUN --bogus a",)),
]


@pytest.mark.parametrize(("text", "as_json", "words"), FORMS)
def test_forms(text: str, as_json: bool, words: tuple[str, ...]) -> None:
    (instruction,) = parsed(text)
    assert (instruction.exec, instruction.values) == (as_json, words)


FLAGS = [
    ("COPY --from=a b c", [("from", "a")]),
    ("COPY --link b c", [("link", None)]),
    ("COPY --link=true --parents=FALSE b c", [("link", "true"), ("parents", "FALSE")]),
    ("COPY --exclude=a --exclude=b b c", [("exclude", "a"), ("exclude", "b")]),
    ("COPY --chown= b c", [("chown", "")]),
    ("COPY --chown=a=b b c", [("chown", "a=b")]),
    ('COPY --exclude="a b" b c', [("exclude", "a b")]),
    ("COPY --exclude='a b' b c", [("exclude", "a b")]),
    ('COPY "--x" c', []),
    ("COPY --exclude=a\\ b b c", [("exclude", "a b")]),
    ('COPY --exclude="a\\"b" b c', [("exclude", 'a"b')]),
    ("COPY --exclude='a\\'b' b c", [("exclude", "a'b")]),
    ('COPY --ex"clude=a b" b c', [("exclude", "a b")]),
    ("COPY --exclude=é\u00a0--link b c", [("exclude", "é"), ("link", None)]),
    ("# escape=`\nCOPY --exclude=a`b b c", [("exclude", "a`b")]),
    ("# escape=`\nCOPY --exclude=a\\ b b c", [("exclude", "a b")]),
    (
        "RUN --mount=type=cache,target=/x --mount=type=tmpfs,target=/y x",
        [("mount", "type=cache,target=/x"), ("mount", "type=tmpfs,target=/y")],
    ),
    ('RUN --mount=type=bind,"source=a b",target=/c x', [("mount", "type=bind,source=a b,target=/c")]),
    ("RUN --device=a --device=b --security=sandbox x", [("device", "a"), ("device", "b"), ("security", "sandbox")]),
    ("RUN --network=host \\\n  --security=insecure \\\n  x", [("network", "host"), ("security", "insecure")]),
    (
        "ADD --keep-git-dir --checksum=sha256:0 --unpack=false a b",
        [("keep-git-dir", None), ("checksum", "sha256:0"), ("unpack", "false")],
    ),
    ("FROM --platform=$P a", [("platform", "$P")]),
    ("HEALTHCHECK --retries=3 --start-interval=1s CMD x", [("retries", "3"), ("start-interval", "1s")]),
]


@pytest.mark.parametrize(("text", "flags"), FLAGS)
def test_flags(text: str, flags: list[tuple[str, str | None]]) -> None:
    (instruction,) = parsed(text)
    assert [(flag.name, flag.value) for flag in instruction.flags] == flags


def test_an_empty_flag_is_as_good_as_none() -> None:
    (instruction,) = parsed("COPY --from= --link a b")
    assert (instruction.flag("from"), instruction.flag("link"), instruction.flag("chown")) == (None, "", None)


PAIRS = [
    ("ENV a=b", (("a", "b"),)),
    ("ENV a=b c=d", (("a", "b"), ("c", "d"))),
    ("ENV a=b \\\n    c=d", (("a", "b"), ("c", "d"))),
    ("ENV a=b\u00a0c=d", (("a", "b"), ("c", "d"))),
    ('ENV a="b c" d=e\\ f', (("a", '"b c"'), ("d", "e\\ f"))),
    ("ENV a='b c' d=''", (("a", "'b c'"), ("d", "''"))),
    ("ENV a='b\\' c=d", (("a", "'b\\'"), ("c", "d"))),
    ('ENV a="b\\" c"', (("a", '"b\\" c"'),)),
    ('ENV a=b"c d"e', (("a", 'b"c d"e'),)),
    ("ENV a=", (("a", ""),)),
    ("ENV a= b=", (("a", ""), ("b", ""))),
    ("ENV a=b=c", (("a", "b=c"),)),
    ("ENV a==b", (("a", "=b"),)),
    ("ENV ä=ö", (("ä", "ö"),)),
    ("ENV a=$b/${c:-d e}", None),
    ("ENV a=${c:-d}", (("a", "${c:-d}"),)),
    ("ENV a=b\\\\", (("a", "b\\\\"),)),
    ('# escape=`\nENV a=C:\\x` y b=`"', (("a", "C:\\x` y"), ("b", '`"'))),
    ("ENV a b", (("a", "b"),)),
    ("ENV a b  c", (("a", "b  c"),)),
    ("ENV a   b", (("a", "b"),)),
    ("ENV a\tb", (("a", "b"),)),
    ("ENV a b=c", (("a", "b=c"),)),
    ('ENV a "b" c', (("a", '"b" c'),)),
    ("ENV a \\\n b", (("a", "b"),)),
    ("ENV a =b", (("a", "=b"),)),
    ("ENV -- a=b", (("a", "b"),)),
    ("ENV -- --a=b", (("--a", "b"),)),
    ("LABEL 'x y'=z", (("'x y'", "z"),)),
    ('LABEL "x y"="z"', (('"x y"', '"z"'),)),
    ("LABEL a.b-c=d", (("a.b-c", "d"),)),
    ("LABEL a b c", (("a", "b c"),)),
    ("ARG a", (("a", None),)),
    ("ARG a=", (("a", ""),)),
    ("ARG a=1 b", (("a", "1"), ("b", None))),
    ('ARG a="1 2" b=c', (("a", '"1 2"'), ("b", "c"))),
    ("ARG a b c", (("a", None), ("b", None), ("c", None))),
]


@pytest.mark.parametrize(("text", "pairs"), PAIRS)
def test_pairs(text: str, pairs: tuple[tuple[str, str | None], ...] | None) -> None:
    if pairs is None:
        with pytest.raises(FrontendError, match="has no ="):
            parsed(text)
        return
    (instruction,) = parsed(text)
    assert instruction.pairs == pairs


@pytest.mark.parametrize("keyword", ["ENV", "LABEL"])
@pytest.mark.parametrize(
    ("text", "legacy"),
    [("a b", True), ("a b=c", True), ("a =b", True), ("a=b", False), ("a= b=", False), ("'a b'=c", False)],
)
def test_the_old_form_is_known(keyword: str, text: str, legacy: bool) -> None:
    (instruction,) = parsed(f"{keyword} {text}")
    assert instruction.legacy == legacy


ERRORS = [
    ("FROM a\n  COPPY a b", "unknown instruction: COPPY", "2:3", "did you mean COPY?"),
    ("FROM a\nEXPO 80", "unknown instruction: EXPO", "2:1", "did you mean EXPOSE?"),
    ("FROM a\nxyzzy", "unknown instruction: xyzzy", "2:1", "instructions are ADD, ARG"),
    (
        "FROM a\nRUN \\\n  --bad=x y",
        "unknown flag --bad of RUN",
        "3:3",
        "RUN has --mount, --network, --security, --device",
    ),
    (
        "FROM a\nRUN --mout=x y",
        "unknown flag --mout of RUN",
        "2:5",
        "did you mean --mount (RUN has it since syntax 1.2)?",
    ),
    ("FROM a\nCOPY --parent a b", "unknown flag --parent of COPY", "2:6", "--parents (COPY has it since syntax 1.20)?"),
    (
        "FROM a\nCOPY --excludes=a a b",
        "unknown flag --excludes of COPY",
        "2:6",
        "--exclude (COPY has it since syntax 1.19)?",
    ),
    ("FROM a\nRUN --securty=x y", "unknown flag --securty of RUN", "2:5", "--security (RUN has it since syntax 1.20)?"),
    (
        "FROM a\nADD --parents a b",
        "unknown flag --parents of ADD",
        "2:5",
        "COPY has --parents since syntax 1.20; ADD has",
    ),
    ("FROM a\nADD --from=x a b", "unknown flag --from of ADD", "2:5", "COPY has --from; ADD has --chown"),
    ("FROM a\nCOPY --From=x a b", "unknown flag --From of COPY", "2:6", "did you mean --from?"),
    ("FROM a\nCMD --x y", "unknown flag --x of CMD", "2:5", "CMD has no flags"),
    ("FROM a\nENV --x=y", "unknown flag --x of ENV", "2:5", "ENV has no flags"),
    ("FROM a\nUSER --platform=x b", "unknown flag --platform of USER", "2:6", "FROM has --platform; USER has no flags"),
    ("FROM a\nHEALTHCHECK --intervall=1s CMD x", "unknown flag --intervall of HEALTHCHECK", "2:13", "--interval?"),
    ("FROM a\nCOPY --chown=a --chown=b c d", "the flag --chown is given twice", "2:16", ""),
    ("FROM a\nCOPY --link --link c d", "the flag --link is given twice", "2:13", ""),
    ("FROM a\nCOPY --link=maybe c d", "--link is true or false, not 'maybe'", "2:6", "--link=false"),
    ("FROM a\nCOPY --link= c d", "--link is true or false, not ''", "2:6", "--link, --link=true"),
    ("FROM a\nCOPY --from c d", "the flag --from needs a value", "2:6", "--from=…"),
    ("FROM a\nRUN --mount x", "the flag --mount needs a value", "2:5", "--mount=…"),
    ('FROM a\nCOPY --from="b c d', "COPY: unterminated quote", "2:13", 'close it with "'),
    ("FROM a\nENV x", "ENV must have two arguments", "2:5", "name=value"),
    ("FROM a\nLABEL x", "LABEL must have two arguments", "2:7", "name=value"),
    ("FROM a\nENV a=b c", "'c' has no =", "2:9", "quote a value that has blanks"),
    ("FROM a\nENV a=b \\\n  c", "'c' has no =", "3:3", "quote a value that has blanks"),
    ("FROM a\nENV =b", "ENV names can't be empty", "2:5", ""),
    ("FROM a\nLABEL =b", "LABEL names can't be empty", "2:7", ""),
    ("FROM a\nARG =b", "ARG names can't be empty", "2:5", ""),
    ("FROM a\nENV a='b", "ENV: unterminated quote", "2:7", "close it with '"),
    ('FROM a\nENV a=b c="d e', "ENV: unterminated quote", "2:11", 'close it with "'),
    ("FROM a\nENV a=b \\\n  c='d e", "ENV: unterminated quote", "3:5", "close it with '"),
    ('FROM a\nARG a="b', "ARG: unterminated quote", "2:7", 'close it with "'),
    ("FROM a\nCOPY", "COPY requires at least one argument", "2:1", ""),
    ("FROM a\nCOPY --link", "COPY requires at least one argument", "2:1", ""),
    ("FROM a\nUSER", "USER requires at least one argument", "2:1", ""),
    ("FROM a\nENV --", "ENV requires at least one argument", "2:1", ""),
    ("FROM", "FROM requires at least one argument", "1:1", ""),
    ("FROM a\nENV a it's", "ENV: unterminated quote", "2:9", "close it with '"),
    ("FROM a\nVOLUME []", "VOLUME requires at least one argument", "2:1", ""),
    ("FROM a\nSHELL []", "SHELL requires at least one argument", "2:1", ""),
    ("FROM a\nCOPY []", "COPY requires at least one argument", "2:1", ""),
    ('FROM a\nRUN ["a", 1]', "RUN: a JSON array may hold strings only", "2:5", "in double quotes"),
    ('FROM a\nCMD ["a", ["b"]]', "CMD: a JSON array may hold strings only", "2:5", "in double quotes"),
    ("FROM a\nCOPY --link [1, 2]", "COPY: a JSON array may hold strings only", "2:13", "in double quotes"),
    ("FROM a\nENTRYPOINT [null]", "ENTRYPOINT: a JSON array may hold strings only", "2:12", "in double quotes"),
    ("FROM a\nHEALTHCHECK CMD [1]", "HEALTHCHECK: a JSON array may hold strings only", "2:17", "in double quotes"),
    ("FROM a\nONBUILD CMD [1]", "CMD: a JSON array may hold strings only", "2:13", "in double quotes"),
    ("FROM a\nONBUILD ENV a=b c", "'c' has no =", "2:17", "quote a value that has blanks"),
    ("FROM a\nONBUILD \\\n  ENV a=b \\\n  c", "'c' has no =", "4:3", "quote a value that has blanks"),
    ("FROM a\nRUN <<E\nx", "unterminated heredoc E", "2:5", "end it with a line that holds only E"),
    ("FROM a\nRUN " + "x" * 70000, "the line is longer than 65535 bytes", "2:1", ""),
    ("# escape=`\n# escape=`\nFROM a", "only one escape parser directive can be used", "2:3", ""),
]


@pytest.mark.parametrize(("text", "message", "place", "hint"), ERRORS)
def test_errors(text: str, message: str, place: str, hint: str) -> None:
    with pytest.raises(FrontendError) as caught:
        parsed(text)
    assert caught.value.message == message
    assert str(caught.value.place) == f"Dockerfile:{place}"
    assert hint in caught.value.hint
    assert caught.value.others == ()


def test_all_problems_of_a_file_are_told_together() -> None:
    text = (
        "# check=skip=A\n# check=skip=B\nFRM a\n\nFROM b\nCOPY --bad --worse x y\n\nENV a=b c d\n\nRUN x\n"
        "CMD [1]\nRUN <<E\nnever ended\n"
    )
    with pytest.raises(FrontendError) as caught:
        parsed(text)
    problems = [caught.value, *caught.value.others]
    assert [(problem.place.line if problem.place else 0, problem.message) for problem in problems] == [
        (2, "only one check parser directive can be used"),
        (3, "unknown instruction: FRM"),
        (6, "unknown flag --bad of COPY"),
        (6, "unknown flag --worse of COPY"),
        (8, "'c' has no ="),
        (8, "'d' has no ="),
        (11, "CMD: a JSON array may hold strings only"),
        (12, "unterminated heredoc E"),
    ]


def test_words_know_where_they_stand() -> None:
    (instruction,) = parsed('COPY --link \\\n  ["a b", \\\n   "c"]')
    assert [str(instruction.line.place(word.offset)) for word in instruction.words] == [
        "Dockerfile:2:4",
        "Dockerfile:3:4",
    ]
    (instruction,) = parsed("ENV  a   b")
    assert str(instruction.line.place(instruction.words[0].offset + len("a="))) == "Dockerfile:1:10"


pieces = st.sampled_from(
    [
        "FROM a",
        "RUN x",
        "ENV a=b",
        'COPY ["a"',
        "\\",
        "\n",
        " ",
        "# c",
        "<<E",
        "E",
        "--from=x",
        '"',
        "'",
        "$",
        "[",
        "=",
        "`",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(pieces, max_size=20).map("".join) | st.text(max_size=200))
def test_only_the_frontends_own_error(text: str) -> None:
    try:
        parsed(text)
    except FrontendError as error:
        assert error.place is not None
