from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from img.digest import digest_of, encode, is_digest, sha256

scalars = st.none() | st.booleans() | st.integers() | st.text() | st.binary()
values = st.recursive(scalars, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=12)


def normal(value: object) -> object:
    """The value with its types spelt out, so that == tells 1 from True and a tuple from nothing."""
    if isinstance(value, list | tuple):
        return ["list", [normal(item) for item in value]]
    if isinstance(value, dict):
        return ["dict", [[key, normal(value[key])] for key in sorted(value)]]
    return [type(value).__name__, value]


@given(values, values)
def test_different_values_never_share_an_encoding(left: object, right: object) -> None:
    assert (encode(left) == encode(right)) == (normal(left) == normal(right))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (["ab", "c"], ["a", "bc"]),
        ([], ""),
        ([[]], [[], []]),
        ({"a": 1}, ["a", 1]),
        (1, "1"),
        (True, 1),
        (b"a", "a"),
        (None, ""),
    ],
)
def test_look_alikes_differ(left: object, right: object) -> None:
    assert digest_of(left) != digest_of(right)


def test_names_that_are_not_utf8_have_an_identity() -> None:
    assert digest_of("\udcff") != digest_of("\udcfe")


def test_order_of_a_mapping_does_not_matter() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})


def test_no_encoding_for_a_float() -> None:
    with pytest.raises(TypeError):
        encode(1.5)  # type: ignore[arg-type]


def test_is_digest() -> None:
    assert is_digest(sha256(b""))
    assert not is_digest("sha256:" + "A" * 64)
    assert not is_digest("sha256:" + "a" * 63)
    assert not is_digest("md5:" + "a" * 64)
