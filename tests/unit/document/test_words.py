"""Texts of documents against words of instructions: what is meant literally comes out literally, and both say the same."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.documents.lowering import definition, document, images

from img.errors import FrontendError
from img_frontends.dockerfile.expand import ExpandError, expand
from img_frontends.document.convert import written
from img_frontends.document.from_dockerfile import from_dockerfile
from img_frontends.document.words import said, word

TEXTS = st.text(st.sampled_from("ab $\\\"'{}<#:-=`\té"), max_size=10)
GIVEN = {"a": "x y", "b": ""}


def plain(text: str) -> str:
    """A text of a document that stands for exactly `text`."""
    out: list[str] = []
    for at, one in enumerate(text):
        follower = text[at + 1 : at + 2]
        out.append("\\" + one if one == "$" or (one == "\\" and follower in ("$", "\\", "")) else one)
    return "".join(out)


@given(TEXTS)
def test_a_literal_text(text: str) -> None:
    assert expand(word(plain(text)), GIVEN) == text


@given(TEXTS, st.sampled_from("\\`"))
def test_a_word_and_what_a_document_says_for_it(written: str, escape: str) -> None:
    found = said(written, escape)
    if found is None:
        return
    try:
        wanted = expand(written, GIVEN, escape)
    except ExpandError:
        return
    assert expand(word(found), GIVEN) == wanted


@settings(deadline=None)
@given(TEXTS)
def test_an_environment_there_and_back(text: str) -> None:
    made = f'from = "base"\nenv = {{ A = {_quoted(text)} }}\n'
    try:
        wanted = images(definition(made, "toml"))
        there = written(document(made, "toml"), "dockerfile")
    except FrontendError:
        return
    assert images(definition(there, "dockerfile")) == wanted
    back = written(from_dockerfile(there.encode(), "Dockerfile"), "toml")
    assert images(definition(back, "toml")) == wanted


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
