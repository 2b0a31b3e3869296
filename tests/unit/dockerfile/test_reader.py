"""Lines, comments and heredocs, by table (spec 2.1)."""

from __future__ import annotations

import pytest

from img.errors import FrontendError
from img_frontends.dockerfile.checks.forms import empty_rows
from img_frontends.dockerfile.reader import Line, Script, read


def script(text: str) -> Script:
    return read(text.encode("utf-8", "surrogateescape"), "Dockerfile")


LINES = [
    ("FROM a", [("FROM", "a")]),
    ("from a", [("FROM", "a")]),
    ("FrOm a", [("FROM", "a")]),
    ("  FROM a  ", [("FROM", "a")]),
    ("\tFROM\ta", [("FROM", "a")]),
    ("\u00a0FROM a\u2003", [("FROM", "a")]),
    ("FROM\v\f a", [("FROM", "a")]),
    ("FROM", [("FROM", "")]),
    ("\ufeffFROM a", [("FROM", "a")]),
    ("#!/usr/bin/x\n# syntax=y\nFROM a", [("FROM", "a")]),
    ("# c\n\nFROM a\n# d", [("FROM", "a")]),
    ("FROM a\n", [("FROM", "a")]),
    ("FROM a\n\n\n", [("FROM", "a")]),
    ("FROM a\r\nRUN b\r\n", [("FROM", "a"), ("RUN", "b")]),
    ("FROM a\r\r\nRUN b", [("FROM", "a"), ("RUN", "b")]),
    ("RUN a\rb", [("RUN", "a\rb")]),
    ("RUN a \\\n  b", [("RUN", "a   b")]),
    ("RUN a\\\nb", [("RUN", "ab")]),
    ("RUN a\\\n\tb", [("RUN", "a\tb")]),
    ("RUN a \\  \n b", [("RUN", "a  b")]),
    ("RUN a \\\t\n b", [("RUN", "a  b")]),
    ("RUN a \\\r\n b\r\n", [("RUN", "a  b")]),
    ("RUN a \\\n# comment\n b", [("RUN", "a  b")]),
    ("RUN a \\\n   # comment\n b", [("RUN", "a  b")]),
    ("RUN a \\\n# comment \\\n b", [("RUN", "a  b")]),
    ("RUN a \\\n#\n b", [("RUN", "a  b")]),
    ("RUN a \\\n\n b", [("RUN", "a  b")]),
    ("RUN a \\\n   \n\t\n b", [("RUN", "a  b")]),
    ("RUN a \\\nb # no comment", [("RUN", "a b # no comment")]),
    ("RUN a \\\n\\\nb", [("RUN", "a b")]),
    ("RUN a \\\n \\\nb", [("RUN", "a  b")]),
    ("RUN \\\na", [("RUN", "a")]),
    ("\\\nRUN a", [("RUN", "a")]),
    ("RU\\\nN a", [("RUN", "a")]),
    ("RUN a \\\\\nRUN b", [("RUN", "a \\\\"), ("RUN", "b")]),
    ("RUN a \\\\\\\nRUN b", [("RUN", "a \\\\\\"), ("RUN", "b")]),
    ("RUN a \\\u00a0\nRUN b", [("RUN", "a \\"), ("RUN", "b")]),
    ("RUN a \\ b\nRUN c", [("RUN", "a \\ b"), ("RUN", "c")]),
    ("# c \\\nRUN a", [("RUN", "a")]),
    ("# escape=`\nRUN a `\n b\\", [("RUN", "a  b\\")]),
    ("# escape=`\nRUN a ``\nRUN b", [("RUN", "a ``"), ("RUN", "b")]),
    ("# escape=`\nRUN a \\\nRUN b", [("RUN", "a \\"), ("RUN", "b")]),
    ("RUN a `\nRUN b", [("RUN", "a `"), ("RUN", "b")]),
    ("RUN a \\", [("RUN", "a")]),
    ("RUN a \\\n", [("RUN", "a")]),
    ("RUN a \\\n\n", [("RUN", "a")]),
    ("RUN a \\\n# c", [("RUN", "a")]),
    ("RUN a\n\\", [("RUN", "a")]),
    ("RUN echo '# not a comment'", [("RUN", "echo '# not a comment'")]),
    ("RUN #x", [("RUN", "#x")]),
    ("# notadirective=x\n# escape=`\nRUN a \\\n b", [("RUN", "a  b")]),
    ("RUN \udcff", [("RUN", "\udcff")]),
    ("RUN ü\n  RUN 漢字", [("RUN", "ü"), ("RUN", "漢字")]),
    ("nope x", [("NOPE", "x")]),
    ("RUN\u00a0x", [("RUN\u00a0X", "")]),
]


@pytest.mark.parametrize(("text", "lines"), LINES)
def test_lines(text: str, lines: list[tuple[str, str]]) -> None:
    assert [(line.keyword, line.text) for line in script(text).lines] == lines


PLACES = [
    ("RUN abc", "a", "1:5"),
    ("  RUN   abc", "a", "1:9"),
    ("\n\nRUN abc", "c", "3:7"),
    ("RUN a\\\n  b\\\n c", "b", "2:3"),
    ("RUN a\\\n  b\\\n c", "c", "3:2"),
    ("RUN a \\\n# x\n\n  b", "b", "4:3"),
    ("RUN \\\n\\\n  b", "b", "3:3"),
    ("RU\\\nN b", "b", "2:3"),
    ("RUN é b", "b", "1:7"),
    ("\ufeffRUN b", "b", "1:5"),
    ("# escape=`\nRUN a`\nb", "b", "3:1"),
]


@pytest.mark.parametrize(("text", "mark", "place"), PLACES)
def test_places(text: str, mark: str, place: str) -> None:
    line = script(text).lines[-1]
    found = line.place(line.text.index(mark))
    assert str(found) == f"Dockerfile:{place}"
    assert found.text[found.column - 1 :].startswith(mark)


def test_a_line_knows_its_rows() -> None:
    first, second = script("FROM a\nRUN b \\\n c <<E\nx\nE\n").lines
    assert (first.first, first.last, second.first, second.last) == (1, 1, 2, 5)
    assert second.source == "RUN b \\\n c <<E\nx\nE"
    assert str(second.whole) == "Dockerfile:2:1"


COMMENTS = [
    ("# a\nFROM x", ("a",)),
    ("# a\n#b  \nFROM x", ("a", "b")),
    ("#   a\n\nFROM x", ("a",)),
    ("# a\n#\n# b\nFROM x", ("b",)),
    ("# a\n#\nFROM x", ()),
    ("# syntax=x\n# a\nFROM x", ("a",)),
    ("# a\nFROM x\n", ("a",)),
    ("ARG a\n  # check=skip=X\nFROM x", ("check=skip=X",)),
    ("ARG a\n# b\nFROM x", ("b",)),
    ("# a\nARG a\nFROM x", ()),
    ("ARG a \\\n# in\n b\nFROM x", ()),
    ("RUN <<E\n# in\nE\n# b\nFROM x", ("b",)),
]


@pytest.mark.parametrize(("text", "comments"), COMMENTS)
def test_comments_above(text: str, comments: tuple[str, ...]) -> None:
    assert script(text).lines[-1].comments == comments


def test_everything_between_instructions_is_kept() -> None:
    read = script("# syntax=x\n\n# a\nFROM a\n\n  # b\nRUN x \\\n # in\n y\n# end\n\n")
    assert read.head == ("# syntax=x",)
    assert [line.above for line in read.lines] == [("", "# a"), ("", "  # b")]
    assert read.lines[1].inner == ((2, " # in"),)
    assert read.tail == ("# end", "")


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("RUN a \\\n\n b", ["2:1"]),
        ("RUN a \\\n b\n\nRUN c \\\n  \n\n d", ["5:1"]),
        ("RUN a \\\n# c\n b", []),
        ("RUN a \\\n\n", ["2:1"]),
        ("RUN a \\\n", []),
        ("RUN a \\", []),
        ("RUN <<E\n\nE", []),
        ("RUN a\n\nRUN b", []),
    ],
)
def test_blank_rows_in_instructions_are_advised_against(text: str, places: list[str]) -> None:
    found = [row for line in script(text).lines for row in empty_rows(line)[:1]]
    assert [f"{row}:1" for row in found] == places


HEREDOCS = [
    ("RUN <<EOF\na\nEOF", [("EOF", "a\n", True, False, 0)]),
    ("RUN <<EOF\nEOF", [("EOF", "", True, False, 0)]),
    ("RUN <<'EOF'\n$a\nEOF", [("EOF", "$a\n", False, False, 0)]),
    ('RUN <<"EOF"\n$a\nEOF', [("EOF", "$a\n", False, False, 0)]),
    ("RUN <<E'O'F\nEOF", [("EOF", "", False, False, 0)]),
    ("RUN <<'a b'\nx\na b", [("a b", "x\n", False, False, 0)]),
    ("RUN <<E\\OF\nEOF", [("EOF", "", True, False, 0)]),
    ("RUN <<-EOF\n\ta\n\t\tb\n\tEOF", [("EOF", "a\nb\n", True, True, 0)]),
    ("RUN <<-'EOF'\n\ta\nEOF", [("EOF", "a\n", False, True, 0)]),
    ("RUN <<EOF\n\ta\n\tEOF\nEOF", [("EOF", "\ta\n\tEOF\n", True, False, 0)]),
    ("RUN <<-EOF\n  a\n  EOF\nEOF", [("EOF", "  a\n  EOF\n", True, True, 0)]),
    ("RUN << EOF\na\nEOF", [("EOF", "a\n", True, False, 0)]),
    ("RUN 3<<E\nE", [("E", "", True, False, 3)]),
    ("RUN cat 0<<E 12<<-F\nE\n\tF", [("E", "", True, False, 0), ("F", "", True, True, 12)]),
    ("RUN cat <<A <<B\n1\nA\n2\nB", [("A", "1\n", True, False, 0), ("B", "2\n", True, False, 0)]),
    ("RUN cat <<A <<B\nB\nA\nA\nB", [("A", "B\n", True, False, 0), ("B", "A\n", True, False, 0)]),
    ("COPY <<f /x\nFROM a\n# kept\n\n x \\\nf", [("f", "FROM a\n# kept\n\n x \\\n", True, False, 0)]),
    ("ADD <<a.txt <<b.txt /x/\na.txt\nb.txt", [("a.txt", "", True, False, 0), ("b.txt", "", True, False, 0)]),
    ("COPY --chmod=755 <<a /x\na", [("a", "", True, False, 0)]),
    ("ONBUILD RUN <<E\na\nE", [("E", "a\n", True, False, 0)]),
    ("onbuild copy <<E /x\na\nE", [("E", "a\n", True, False, 0)]),
    ("RUN <<E cat \\\n && x\na\nE", [("E", "a\n", True, False, 0)]),
    ("RUN cat \\\n <<E\na\nE", [("E", "a\n", True, False, 0)]),
    ("RUN cat <<E | sh\na\nE", [("E", "a\n", True, False, 0)]),
    ("RUN cat <<E|sh\na\nE|sh", [("E|sh", "a\n", True, False, 0)]),
    ("RUN cat <<E > /x\na\nE", [("E", "a\n", True, False, 0)]),
    ("RUN cat <<E>/x\na\nE>/x", [("E>/x", "a\n", True, False, 0)]),
    ("RUN <<$X\na\n$X", [("$X", "a\n", True, False, 0)]),
    ("RUN <<E\r\na\r\nE\r\n", [("E", "a\r\n", True, False, 0)]),
    ("RUN --network=none <<E\nE", [("E", "", True, False, 0)]),
    ("RUN <<1\n1", [("1", "", True, False, 0)]),
    ("RUN echo $(( 1 << 2 ))\n2", [("2", "", True, False, 0)]),
    # none of these begins one
    ("RUN echo $((1<<2))", []),
    ("RUN cat <<<EOF", []),
    ("RUN cat <<< EOF", []),
    ("RUN cat<<EOF", []),
    ("RUN (cat;<<EOF)", []),
    ("RUN echo '<<EOF'", []),
    ('RUN echo "<<EOF"', []),
    ('RUN echo "a <<EOF b"', []),
    ("RUN echo \\<<EOF", []),
    ("RUN echo <<", []),
    ("RUN cat <<- EOF", []),
    ("RUN echo a<<b<<c", []),
    ("RUN <<a<b", []),
    ("RUN echo it's <<EOF", []),
    ("RUN x <<''", []),
    ('RUN ["<<EOF"]', []),
    ('COPY ["<<a", "b"]', []),
    ('ONBUILD RUN ["<<EOF"]', []),
    ('RUN --network=none ["<<EOF"]', []),
    ("CMD cat <<EOF", []),
    ("ENV a=<<EOF", []),
    ("ONBUILD ENV a=<<EOF", []),
    ("LABEL x <<EOF", []),
]


@pytest.mark.parametrize(("text", "heredocs"), HEREDOCS)
def test_heredocs(text: str, heredocs: list[tuple[str, str, bool, bool, int]]) -> None:
    (line,) = script(text).lines
    assert line.problem is None
    assert [(h.name, h.body, h.expand, h.chomp, h.fd) for h in line.heredocs] == heredocs


def test_what_is_written_in_a_heredoc_is_kept() -> None:
    (line,) = script("RUN <<-E\n\ta\r\n\tE\n").lines
    assert (line.heredocs[0].body, line.heredocs[0].written) == ("a\r\n", "\ta\r\n")


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("FROM a\nRUN <<E\nx", "unterminated heredoc E", "2:5"),
        ("FROM a\nRUN cat \\\n  <<E <<F\nE\n F", "unterminated heredoc F", "3:7"),
        ("RUN <<-E\n  E", "unterminated heredoc E", "1:5"),
        ("RUN <<E\nE ", "unterminated heredoc E", "1:5"),
    ],
)
def test_unterminated_heredocs(text: str, message: str, place: str) -> None:
    problem = script(text).lines[-1].problem
    assert problem is not None
    assert (problem.message, str(problem.place)) == (message, f"Dockerfile:{place}")


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\ufeff", "\r\n \t\n"])
def test_empty_files(text: str) -> None:
    with pytest.raises(FrontendError, match="Dockerfile is empty"):
        script(text)


@pytest.mark.parametrize("text", ["# only\n", "\n#\n", "\\\n", "# syntax=x", "\\\n\n# c"])
def test_files_without_instructions(text: str) -> None:
    with pytest.raises(FrontendError, match="Dockerfile has no instructions"):
        script(text)


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        ("RUN " + "x" * 65531, True),
        ("RUN " + "x" * 65532, False),
        ("RUN " + "é" * 32765, True),
        ("RUN " + "é" * 32766, False),
        ("# " + "x" * 65533, True),
        ("# " + "x" * 65534, False),
        ("RUN <<E\n" + "x" * 65535 + "\nE", True),
        ("RUN <<E\n" + "x" * 65536 + "\nE", False),
        ("RUN x \\\n" + ("x" * 60000 + "\\\n") * 3 + "x", True),
    ],
)
def test_long_rows(row: str, fits: bool) -> None:
    problems = script(f"FROM a\n{row}\nRUN y\n").problems
    assert [problem.message for problem in problems] == ([] if fits else ["the line is longer than 65535 bytes"])


def test_lines_compare_without_their_problem() -> None:
    line = Line("RUN", "a", (), "f", 1, 1, "RUN a", ((0, 1, 5),))
    assert line == Line("RUN", "a", (), "f", 1, 1, "RUN a", ((0, 1, 5),), problem=FrontendError("x"))
