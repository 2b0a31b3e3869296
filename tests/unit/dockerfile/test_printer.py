"""What is printed reads back as the same, and prints the same again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.dockerfile.corpus import files

from img.errors import FrontendError
from img_frontends.dockerfile.parse import parse
from img_frontends.dockerfile.printer import instruction, printed
from img_frontends.dockerfile.reader import Script, read
from img_frontends.dockerfile.tree import Flag, Instruction, Word

FILES = files()


def parsed(text: str) -> tuple[Script, tuple[Instruction, ...]]:
    script = read(text.encode("utf-8", "surrogateescape"), "Dockerfile")
    return script, parse(script)


def meaning(script: Script, instructions: tuple[Instruction, ...]) -> Any:
    """All that a file says, without where it says it."""
    return (
        script.directives,
        script.escape,
        script.tail,
        [
            (i.keyword, [(flag.name, flag.value) for flag in i.flags], i.values, i.exec, i.pairs, i.legacy, i.heredocs)
            for i in instructions
        ],
        [(i.line.comments, i.line.above, [text for _, text in i.line.inner]) for i in instructions],
    )


def check(text: str) -> str:
    before = parsed(text)
    once = printed(*before)
    after = parsed(once)
    assert meaning(*after) == meaning(*before)
    assert printed(*after) == once
    return once


@pytest.mark.parametrize("name", FILES)
def test_corpus(name: str) -> None:
    check(FILES[name])


@pytest.mark.parametrize("name", ["go-static", "node-app", "heredoc-python", "comments-everywhere", "windows"])
def test_tidy_files_stay_as_they_are(name: str) -> None:
    assert check(FILES[name]) == FILES[name]


def test_crlf_becomes_lf() -> None:
    assert check(FILES["apt"].replace("\n", "\r\n")) == check(FILES["apt"])


ROWS = [
    ("from  a   as b", "FROM a as b"),
    ('CMD ["a","b" ]', 'CMD ["a", "b"]'),
    ('CMD ["\\u0041\\/"]', 'CMD ["A/"]'),
    ("copy  a\tb", "COPY a b"),
    ("ENV  a=b   c=d", "ENV a=b c=d"),
    ("ENV a   b  c", "ENV a b  c"),
    ("RUN   a  b  ", "RUN a  b"),
    ("RUN -- --a", "RUN -- --a"),
    ("RUN -- a", "RUN a"),
    ("COPY --chown='1' --link a b", "COPY --chown='1' --link a b"),
    ("RUN a \\\n\n  b   ", "RUN a \\\n  b"),
    ("RUN a \\\n  # c  \n  b", "RUN a \\\n  # c\n  b"),
    ("RUN \\\n# c\nb", "RUN \\\n# c\nb"),
    ("RU\\\n# c\nN #b", "R\\\n# c\nUN #b"),
    ("RUN a \\\u00a0", "RUN a \\\f"),
    ("RUN a \\\n# c", "RUN a \\\n# c"),
    ("# escape=`\nRUN a `\n b\\", "# escape=`\nRUN a `\n b\\"),
    ("FROM a\n\n\n# x  \nRUN b\n\n", "FROM a\n\n\n# x\nRUN b\n"),
    ("RUN <<-E\n\ta\n\tE", "RUN <<-E\n\ta\nE"),
    ("\ufeffFROM a", "FROM a"),
]


@pytest.mark.parametrize(("text", "shown"), ROWS)
def test_rows(text: str, shown: str) -> None:
    assert check(text).removesuffix("\n") == shown


def test_a_changed_instruction_is_written_anew() -> None:
    script, (first, second) = parsed("COPY --from=x \\\n # why\n a b\nENV a b")
    first = replace(first, flags=(Flag("from", "y z", 0), Flag("link", None, 0)), words=(Word("c"), Word("d")))
    second = replace(second, legacy=False)
    assert instruction(first, "\\") == 'COPY \\\n # why\n--from="y z" --link c d'
    assert printed(script, (first, second)) == 'COPY \\\n # why\n--from="y z" --link c d\nENV a=b\n'


PIECES = (
    "FROM a|RUN x|ENV a=b|ENV a b|COPY a b|ARG a|LABEL |ONBUILD |CMD |HEALTHCHECK CMD |HEALTHCHECK NONE|RU|N|x|--from=x|--"
    '|--mount=type=a |--link |COPY ["a", "b"]|["a",  "b"]|\\|\\\\|`|"|\'|$|[|=|#|# c\n|# escape=`\n|#!x\n|# check=skip=a\n'
    "|<<E|<<-'E'|\nE\n|\n|\\\n| |\t|\f|\v|\r|\r\n|\xa0|\x1c|é|\udcff"
).split("|")


@settings(max_examples=2000, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.booleans())
def test_any_file(text: str, begins: bool) -> None:
    text = f"FROM a\n{text}" if begins else text
    try:
        parsed(text)
    except FrontendError:
        return
    check(text)


words = st.text("abc$/.-_=:", min_size=1, max_size=8).filter(lambda word: not word.startswith("-"))
quoted = words | st.text("ab $'\\é", max_size=6).map(lambda text: '"' + text.replace("\\", "\\\\") + '"')
lists = st.lists(st.text(st.characters(codec="utf-8"), max_size=6), max_size=4)
comments = st.lists(st.text("abc #=\\", max_size=6).map("#{}\n".format), max_size=2).map("".join)
names = st.sampled_from(["EOF", "'E F'", "-END", '"x"'])


@st.composite
def heredocs(draw: st.DrawFn) -> str:
    name = draw(names)
    body = "".join(f"{row}\n" for row in draw(st.lists(st.text("ab\t$\\'\"# ", max_size=8), max_size=3)))
    return f"{draw(st.sampled_from(['RUN cat ', 'COPY --chmod=1 ', 'ONBUILD RUN ']))}<<{name} /x\n{body}" + name.strip(
        "-'\""
    )


@st.composite
def instructions(draw: st.DrawFn) -> str:
    import json

    form = draw(st.integers(0, 6))
    gap = draw(st.sampled_from([" ", "  ", " \\\n  ", " \\\n# in\n", "\t"]))
    if form == 0:
        return draw(st.sampled_from(["ENV", "LABEL"])) + "".join(
            f"{gap}k{n}={draw(quoted)}" for n in range(draw(st.integers(1, 3)))
        )
    if form == 1:
        return (
            draw(st.sampled_from(["CMD", "ENTRYPOINT", "RUN"]))
            + gap
            + json.dumps(draw(lists), ensure_ascii=draw(st.booleans()))
        )
    if form == 2:
        return gap.join(["COPY", "--link", f"--chown={draw(words)}", draw(words), draw(words)])
    if form == 3:
        return gap.join([draw(st.sampled_from(["RUN", "CMD", "USER", "onbuild run"])), draw(words), draw(words)])
    if form == 4:
        return f"{draw(st.sampled_from(['ENV', 'LABEL']))} name{gap}{draw(words)}"
    if form == 5:
        return draw(heredocs())
    return gap.join(["ARG", *draw(st.lists(words, min_size=1, max_size=3))])


scripts = st.lists(st.tuples(comments, instructions(), st.sampled_from(["\n", "\n\n", "\n# end\n"])), max_size=6)


@settings(max_examples=500, deadline=None)
@given(scripts)
def test_good_files(parts: list[tuple[str, str, str]]) -> None:
    text = "FROM a\n" + "".join("".join(part) for part in parts)
    try:
        parsed(text)
    except FrontendError as error:
        assert "names can't be empty" in error.message or "unterminated quote" in error.message
        return
    check(text)
