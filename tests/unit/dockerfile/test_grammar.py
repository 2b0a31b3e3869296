"""The grammar: its quick stand-in says the same, and so does its saved form."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img_frontends.dockerfile import grammar, plain
from img_frontends.dockerfile.flags import skip
from img_frontends.dockerfile.parse import by_grammar
from img_frontends.dockerfile.space import BLANK_CLASS, BLANKS, GAP_CLASS

ESCAPES = sorted(grammar.ESCAPES)
PIECES = 'a b=c --x --from=y -- - \x1c " \' \\ ` = [ ] , "a" [] <<E $x é \udcff 1 \\" \\u0041'.split(" ")
pieces = st.lists(
    st.sampled_from([*PIECES, " ", "  ", "\t", "\v", "\xa0", "\r", '["a", "b"]', "# c"]), max_size=12
).map("".join)


def reduced(found: object) -> object:
    """Tokens without what kind of argument they are: the forms have different names for the same."""
    if not isinstance(found, list):
        return None
    return [(kind if kind == "FLAG" else "", text, offset) for kind, text, offset in found]


@settings(max_examples=3000, deadline=None)
@given(st.sampled_from(grammar.STARTS), pieces | st.text(max_size=20), st.sampled_from(ESCAPES))
def test_the_quick_way_says_what_the_grammar_says(start: str, text: str, escape: str) -> None:
    text = text.replace("\n", "")
    quick = plain.tokens(start, text, escape)
    if quick is not None:
        assert reduced(quick) == reduced(by_grammar(start, text, escape))


@settings(max_examples=500, deadline=None)
@given(pieces)
def test_flags_end_where_the_grammar_says(text: str) -> None:
    text = text.strip(BLANKS)
    found = by_grammar("text", text, "\\")
    if isinstance(found, list):
        rest = [token for token in found if token.kind != "FLAG"]
        assert skip(text) == (rest[0].offset if rest else len(text))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grammar")
    for escape in ESCAPES:
        grammar.save(escape, folder)
    return folder


@settings(max_examples=500, deadline=None)
@given(start=st.sampled_from(grammar.STARTS), text=pieces, escape=st.sampled_from(ESCAPES))
def test_the_saved_parser_is_the_compiled_one(folder: Path, start: str, text: str, escape: str) -> None:
    from lark.exceptions import UnexpectedInput

    results = []
    for parser in both(folder, escape):
        try:
            results.append(parser.parse(text, start=start))
        except UnexpectedInput as error:
            results.append((type(error), error.pos_in_stream))
    assert results[0] == results[1]


parsers: dict[str, tuple[object, object]] = {}


def both(folder: Path, escape: str) -> tuple[object, object]:
    if escape not in parsers:
        saved = grammar.saved(escape, folder)
        assert saved is not None
        parsers[escape] = (saved, grammar.compiled(escape))
    return parsers[escape]


def test_a_saved_parser_of_another_lark_or_grammar_is_left_alone(folder: Path, tmp_path: Path) -> None:
    path = grammar.save("`", tmp_path)
    data = path.read_bytes()
    for wrong in (data.replace(b"lark 1", b"lark 0", 1), b"lark 1.2.3\nnot a pickle", b"", b"\x80\x04."):
        path.write_bytes(wrong)
        assert grammar.saved("`", tmp_path) is None
    path.unlink()
    assert grammar.saved("`", tmp_path) is None


def test_the_installed_package_has_the_saved_parsers() -> None:
    """Only a source tree has none; the tests of CI run on the wheel."""
    package = Path(grammar.__file__).parent
    if "site-packages" in package.parts:
        assert all(grammar.saved(escape) is not None for escape in ESCAPES)
    assert grammar.grammar("\\") is grammar.grammar("\\")


def test_white_space_is_the_same_everywhere() -> None:
    """grammar.py runs without the rest when the wheel is built, so it repeats the two classes."""
    assert (grammar._BLANK, grammar._GAP) == (BLANK_CLASS, GAP_CLASS)
