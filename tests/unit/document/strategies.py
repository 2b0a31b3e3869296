"""Documents made by hypothesis from the kinds of the model itself: a new key is generated as soon as it is there."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from img_frontends.document.kinds import (
    Command,
    Flag,
    Kind,
    Lists,
    Many,
    Named,
    OneOf,
    Record,
    Table,
    Tagged,
    Text,
    Whole,
    keys,
)
from img_frontends.document.model import SETTINGS, Document, Health, Setting, Stage, Step

ANY = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
ODD = st.sampled_from(
    [
        "",
        "yes",
        "null",
        "~",
        "1.10",
        "0755",
        "a: b",
        "- a",
        "#x",
        "'",
        '"',
        "a\nb\n",
        "  x\n",
        "x\n\n",
        "'''",
        "\\",
        "\t",
        "é\u2028",
    ]
)
WORDS = st.one_of(st.sampled_from(["a", "/src", "$A", "x y", "1000"]), ANY, ODD)
NAMES = st.from_regex(r"\A[a-z][a-z0-9_]{0,5}\Z")
COMMENTS = st.lists(st.sampled_from(["why", "two words", "a: b", "- c"]), max_size=2).map(tuple)


def of(kind: Kind) -> st.SearchStrategy[Any]:
    """Values of a kind."""
    match kind:
        case Text(pattern=pattern):
            if not pattern:
                return WORDS
            return st.sampled_from(["30s", "1m30s"]) if "ns|us" in pattern else st.sampled_from(["0755", "$A", "0700"])
        case Flag():
            return st.booleans()
        case Whole():
            return st.integers(kind.least, 9)
        case OneOf():
            return st.sampled_from(kind.choices)
        case Command():
            return st.one_of(WORDS, st.lists(WORDS, max_size=3).map(tuple))
        case Many():
            return st.lists(of(kind.item), min_size=max(kind.least, 1), max_size=3).map(tuple)
        case Table():
            texts = st.one_of(WORDS, st.none()) if kind.bare else WORDS
            return st.dictionaries(NAMES, texts, min_size=1, max_size=3).map(lambda found: (*found.items(),))
        case Lists():
            texts = st.lists(WORDS, min_size=1, max_size=3).map(tuple)
            return st.dictionaries(NAMES, texts, min_size=1, max_size=3).map(lambda found: (*found.items(),))
        case Named():
            return st.dictionaries(NAMES, of(kind.item), min_size=1, max_size=3).map(lambda found: (*found.items(),))
        case Record():
            return record(kind.type)
        case Tagged():
            return st.one_of([tagged(kind, name) for name in kind.keys])


def tagged(kind: Tagged, name: str) -> st.SearchStrategy[Any]:
    made = of(kind.kind(name))
    return made.map(lambda value: Setting(name, value)) if name in SETTINGS.keys else made


def record(type: Any) -> st.SearchStrategy[Any]:
    """Records with every key there or not."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for key in keys(type):
        if key.spread and key.default == ():
            fields[key.attribute] = settings(key.kind)
        elif key.required:
            fields[key.attribute] = of(key.kind)
        else:
            fields[key.attribute] = st.one_of(st.just(key.default), of(key.kind))
    if type in (Stage, Step):
        fields["comments"] = COMMENTS
    return st.builds(type, **fields)


def settings(kind: Any) -> st.SearchStrategy[Any]:
    """Some settings, in their order."""
    each = [st.one_of(st.none(), tagged(kind, name)) for name in kind.keys]
    return st.tuples(*each).map(lambda found: tuple(one for one in found if one is not None))


def single(stage: Stage) -> tuple[tuple[str, Stage], ...]:
    from dataclasses import replace

    return (("", replace(stage, comments=())),)


def documents() -> st.SearchStrategy[Document]:
    """Whole documents, of one stage or of several. A lone stage that says nothing would not be there."""
    several = st.dictionaries(NAMES, record(Stage), min_size=1, max_size=3).map(lambda found: (*found.items(),))
    stages = st.one_of(several, record(Stage).filter(lambda stage: bool(stage.base)).map(single))
    fields = {
        key.attribute: st.one_of(st.just(key.default), of(key.kind))
        for key in keys(Document)
        if key.attribute != "stages"
    }
    return st.builds(Document, **fields, stages=stages, comments=COMMENTS)


__all__ = ["Health", "documents"]
