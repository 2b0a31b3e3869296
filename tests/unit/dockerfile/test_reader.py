"""Lines, directives, heredocs and the grammar, by table."""

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


LINES = [
    ("FROM a", [("FROM", "a")]),
    ("from a", [("FROM", "a")]),
    ("  FROM a  ", [("FROM", "a")]),
    ("\ufeffFROM a", [("FROM", "a")]),
    ("#!/usr/bin/x\n# syntax=y\nFROM a", [("FROM", "a")]),
    ("# c\n\nFROM a\n# d", [("FROM", "a")]),
    ("FROM a\r\nRUN b\r\n", [("FROM", "a"), ("RUN", "b")]),
    ("RUN a \\\n  b", [("RUN", "a   b")]),
    ("RUN a \\  \n b", [("RUN", "a  b")]),
    ("RUN a \\\n# comment\n b", [("RUN", "a  b")]),
    ("RUN a \\\n\n b", [("RUN", "a  b")]),
    ("RUN a \\\\\nRUN b", [("RUN", "a \\\\"), ("RUN", "b")]),
    ("# escape=`\nRUN a `\n b\\", [("RUN", "a  b\\")]),
    ("RUN a \\", [("RUN", "a")]),
    ("RUN echo '# not a comment'", [("RUN", "echo '# not a comment'")]),
    ("# notadirective=x\n# escape=`\nRUN a \\\n b", [("RUN", "a  b")]),
]


@pytest.mark.parametrize(("text", "lines"), LINES)
def test_lines(text: str, lines: list[tuple[str, str]]) -> None:
    script = read(text.encode(), "Dockerfile")
    assert [(line.keyword, line.text) for line in script.lines] == lines


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("", "Dockerfile is empty", "Dockerfile:1:1"),
        ("# only\n", "Dockerfile has no instructions", "Dockerfile:1:1"),
        ("FROM a\n  COPPY a b", "unknown instruction: COPPY", "Dockerfile:2:3"),
        ("# escape=x\nFROM a", "the escape character can't be 'x'", "Dockerfile:1:1"),
        ("# escape=`\n# escape=`\nFROM a", "only one escape parser directive can be used", "Dockerfile:2:1"),
        ("FROM a\nRUN <<E\nx", "unterminated heredoc E", "Dockerfile:2:5"),
        ("FROM a\nRUN \\\n  --bad=x y", "unknown flag --bad of RUN", "Dockerfile:3:3"),
        ("FROM a\nENV x", "ENV must have two arguments", "Dockerfile:2:5"),
        ("FROM a\nENV a=b c", "'c' has no =", "Dockerfile:2:9"),
        ("FROM a\nENV a='b", "ENV: unterminated quote", "Dockerfile:2:7"),
        ("FROM a\nCOPY", "COPY requires at least one argument", "Dockerfile:2:1"),
        ("FROM a\nCOPY --chown=a --chown=b c d", "the flag --chown is given twice", "Dockerfile:2:16"),
        ("FROM a\nCOPY --link=maybe c d", "--link is true or false, not 'maybe'", "Dockerfile:2:6"),
        ("FROM a\nCOPY --from= c d", "the flag --from needs a value", "Dockerfile:2:6"),
        ("FROM a\nRUN " + "x" * 70000, "the line is longer than 65535 characters", "Dockerfile:2:1"),
    ],
)
def test_errors_have_a_place(text: str, message: str, place: str) -> None:
    with pytest.raises(FrontendError) as caught:
        parsed(text)
    assert caught.value.message == message
    assert str(caught.value.place) == place


FORMS = [
    ('RUN ["a", "b c"]', True, ("a", "b c")),
    ('RUN ["a" , "b"] ', True, ("a", "b")),
    ("RUN []", True, ()),
    ('RUN ["a", 1]', False, ('["a", 1]',)),
    ("RUN ['a']", False, ("['a']",)),
    ('RUN ["a\\n\\u0041"]', True, ("a\nA",)),
    ('RUN ["a"] && b', False, ('["a"] && b',)),
    ('COPY ["a b", "/c d/"]', True, ("a b", "/c d/")),
    ("COPY a  b\tc", False, ("a", "b", "c")),
    ("VOLUME /a /b", False, ("/a", "/b")),
    ('VOLUME ["/a"]', True, ("/a",)),
    ("RUN --network=none -- --x", False, ("--x",)),
    ("RUN echo --not-a-flag", False, ("echo --not-a-flag",)),
    ("CMD", False, ()),
]


@pytest.mark.parametrize(("text", "as_json", "words"), FORMS)
def test_forms(text: str, as_json: bool, words: tuple[str, ...]) -> None:
    (instruction,) = parsed(text)
    assert (instruction.exec, instruction.values) == (as_json, words)


PAIRS = [
    ("ENV a=b", (("a", "b"),)),
    ("ENV a=b c=d", (("a", "b"), ("c", "d"))),
    ("ENV a b  c", (("a", "b  c"),)),
    ('ENV a="b c" d=e\\ f', (("a", '"b c"'), ("d", "e\\ f"))),
    ("ENV a=", (("a", ""),)),
    ("ENV a=b=c", (("a", "b=c"),)),
    ("LABEL 'x y'=z", (("'x y'", "z"),)),
    ("ARG a", (("a", None),)),
    ("ARG a=1 b", (("a", "1"), ("b", None))),
]


@pytest.mark.parametrize(("text", "pairs"), PAIRS)
def test_pairs(text: str, pairs: tuple[tuple[str, str | None], ...]) -> None:
    (instruction,) = parsed(text)
    assert instruction.pairs == pairs


HEREDOCS = [
    ("RUN <<EOF\na\nEOF", [("EOF", "a\n", True)]),
    ("RUN <<'EOF'\n$a\nEOF", [("EOF", "$a\n", False)]),
    ('RUN <<"EOF"\n$a\nEOF', [("EOF", "$a\n", False)]),
    ("RUN <<-EOF\n\ta\n\tEOF", [("EOF", "a\n", True)]),
    ("RUN cat <<A <<B\n1\nA\n2\nB", [("A", "1\n", True), ("B", "2\n", True)]),
    ("COPY <<f /x\nFROM a\n# kept\nf", [("f", "FROM a\n# kept\n", True)]),
    ("RUN 3<<E\nE", [("E", "", True)]),
    ("RUN echo $((1<<2))", []),
    ('RUN ["<<EOF"]', []),
]


@pytest.mark.parametrize(("text", "heredocs"), HEREDOCS)
def test_heredocs(text: str, heredocs: list[tuple[str, str, bool]]) -> None:
    (instruction,) = parsed(text)
    assert [(h.name, h.body, h.expand) for h in instruction.heredocs] == heredocs


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
