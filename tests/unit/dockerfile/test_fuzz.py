"""200,000 inputs, the same in every run: whatever a file holds, only the frontend's own errors come of it.

Half are pieces of real files with random changes, half are put together from the language's own tokens. Each is read,
parsed, every word of it expanded in every way, and printed; what was printed must read back.
"""

from __future__ import annotations

import random
import time

import pytest
from tests.unit.dockerfile.corpus import files

from img.errors import FrontendError
from img_frontends.dockerfile.directives import syntax_of
from img_frontends.dockerfile.expand import ExpandError, expand, expansion
from img_frontends.dockerfile.parse import parse
from img_frontends.dockerfile.printer import printed
from img_frontends.dockerfile.reader import read
from img_frontends.dockerfile.tree import Instruction

ROUNDS, PER_ROUND = 8, 25_000
VARIABLES = {"a": "x y", "V": "1.2.3", "empty": "", "star": "*?\\", "PATH": "/bin"}

TOKENS = [
    *("FROM RUN COPY ADD ENV ARG LABEL CMD ENTRYPOINT USER WORKDIR VOLUME EXPOSE SHELL ONBUILD HEALTHCHECK".split()),
    *("MAINTAINER STOPSIGNAL from Run NOPE AS NONE".split()),
    *(
        "a b=c k= =v x.y /d/ 80/tcp \\ \\\\ ` ' \" $ $a ${a} ${a:- ${a:+x} ${V%%.*} ${V/./-} ${V// } ${a#* ${a:? {".split()
    ),
    *(
        '[ ] , [] "a" ["a", \\" \\u00e9 \\ud800 1 null << <<E <<-E <<\'E\' E 3<<E <<< --from=a --link --mount=x --'.split()
    ),
    *("--chown='a --x # # #! =".split()),
    *(
        "\n",
        "\n",
        "\n",
        "\\\n",
        "\\\n",
        "`\n",
        "\r\n",
        " ",
        " ",
        " ",
        "\t",
        "\xa0",
        "\x00",
        "\x1c",
        "\f",
        "é",
        "😀",
        "\udcff",
    ),
    *("# c\n", "# escape=`\n", "# syntax=x\n", "# check=skip=all\n", "\nE\n", "\ufeff"),
]
STARTS = ("FROM a\n", "FROM a\n", "", "# escape=`\n", "ARG a=b\nFROM $a\n", "\ufeff#!x\n")


def assembled(chance: random.Random) -> str:
    """A file of random tokens, some with blanks between."""
    out = [chance.choice(STARTS)]
    for _ in range(chance.randrange(1, 12)):
        out.append(chance.choice(TOKENS))
        if chance.random() < 0.5:
            out.append(" ")
    return "".join(out)


def mutated(chance: random.Random, rows: list[str]) -> str:
    """A few rows of the corpus, with some of its characters lost, doubled, swapped or replaced."""
    at = chance.randrange(len(rows))
    text = chance.choice(STARTS) + "".join(rows[at : at + chance.randrange(1, 7)])
    for _ in range(chance.randrange(4)):
        at, end = sorted((chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)))
        end = min(end, at + 8)
        change = chance.randrange(4)
        piece = ("", chance.choice(TOKENS), text[at:end] * 2, text[at:end][::-1])[change]
        text = text[:at] + piece + text[end:]
    return text


def words(instructions: tuple[Instruction, ...]) -> list[str]:
    """Everything of a file that may be expanded."""
    found: list[str] = []
    for one in instructions:
        found += one.values
        found += [flag.value for flag in one.flags if flag.value]
        found += [heredoc.body for heredoc in one.heredocs]
        found += [value for _, value in one.pairs if value]
    return found


def exercise(text: str) -> bool:
    """Take one input through everything; returns whether it was a good file."""
    data = text.encode("utf-8", "surrogateescape")
    syntax_of(data)
    try:
        script = read(data, "Dockerfile")
        instructions = parse(script)
    except FrontendError as error:
        for problem in (error, *error.others):
            assert isinstance(problem, FrontendError)
            assert problem.place is not None
            assert problem.place.line >= 1
            assert problem.place.column >= 1
        return False
    for word in words(instructions):
        for raw, keep in ((False, False), (True, False), (False, True)):
            try:
                assert expand(word, VARIABLES, script.escape, raw=raw, keep_unset=keep) is not None
            except ExpandError as error:
                assert 0 <= error.offset <= len(word)
    once = printed(script, instructions)
    again = read(once.encode("utf-8", "surrogateescape"), "Dockerfile")
    assert printed(again, parse(again)) == once
    return True


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_only_the_frontends_own_errors(seed: int) -> None:
    chance = random.Random(seed)
    rows = [row + "\n" for text in files().values() for row in text.split("\n")]
    good = 0
    for number in range(PER_ROUND):
        text = assembled(chance) if number % 2 else mutated(chance, rows)
        try:
            good += exercise(text)
        except Exception as error:
            raise AssertionError(f"input {number} of seed {seed}: {text!r}") from error
    assert good > PER_ROUND // 10, "the inputs are too wild to say anything"


# --- time --------------------------------------------------------------------------------------------------------

SIZE = 60_000
UNITS = [
    '"',
    "'",
    "\\",
    "$",
    "${",
    "<<",
    "<<a ",
    "${a:-",
    "${a/",
    "${a#*",
    "a=",
    "--a ",
    '--a="',
    "[",
    '["a",',
    '\\"',
    "`",
]
UNITS += ["{", "}", "*", "  ", "\t\\", "\"'", '="', "a\\ ", "''", "--", "#", "\xa0", "é"]
BEFORE = [
    "FROM ",
    "RUN ",
    "ENV a=",
    "ENV ",
    "COPY ",
    "COPY --from=",
    "ONBUILD RUN ",
    'LABEL "',
    "HEALTHCHECK CMD ",
    "CMD [",
]
BEFORE += ["ARG ", 'ADD --chown="', "EXPOSE ", "#", "# syntax", "# syntax=", "RUN <<", "RUN <<E\n", ""]


@pytest.mark.parametrize("unit", UNITS)
def test_no_input_takes_long(unit: str) -> None:
    """60 kB of one thing, in every place: within seconds even on a slow machine; linear is some 0.2 seconds."""
    for number, before in enumerate(BEFORE):
        first = "" if before.startswith("#") else "FROM a\n"
        text = f"{first}{before}{unit * (SIZE // len(unit.encode()))}" + (' x"' if number % 2 else "")
        started = time.process_time()
        exercise(text)
        assert time.process_time() - started < 10, before


PATTERNS = [
    "*a" * 2000 + "*b",
    "?" * 2000 + "b",
    "*?" * 2000 + "b",
    "a" * 20000 + "b",
    "*b",
    "?*c*",
    "*" * 20000,
    "\\*" * 999,
]


@pytest.mark.parametrize("value", ["a" * 20000, "ab" * 10000, "a\n" * 10000, "\n" * 20000])
def test_no_pattern_takes_long(value: str) -> None:
    for pattern in PATTERNS:
        for form in ("${v#%s}", "${v##%s}", "${v%%%s}", "${v%%%%%s}", "${v/%s/x}", "${v//%s/x}"):
            started = time.process_time()
            expansion(form % pattern, {"v": value})
            assert time.process_time() - started < 10, (pattern[:8], form)


def seconds(blocks: int) -> float:
    block = (
        "RUN apt-get update && \\\n  apt-get install -y x\nENV A=b\nCOPY --from=x a b /c/\nENV Q=\"a b\" R='c'\n"
        'RUN --mount=type=cache,target=/x make\nCMD ["a", "b"]\nLABEL a=b c=d\nWORKDIR /x\n# comment\n'
    )
    data = ("FROM a\n" + block * blocks).encode()
    started = time.process_time()
    parse(read(data, "Dockerfile"))
    return time.process_time() - started


def test_long_files_are_linear() -> None:
    """1,000 rows take some 15 ms, 10,000 about ten times that."""
    seconds(10)
    short = min(seconds(100) for _ in range(5))
    assert short < 0.1
    assert min(seconds(1000) for _ in range(3)) < 20 * short
