"""Digests, and the one injective encoding that everything with an identity goes through.

A digest is written ``sha256:<64 lower-case hex digits>`` (OCI image specification, descriptor.md, "Digests").
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

Encodable = None | bool | int | str | bytes | tuple["Encodable", ...] | list["Encodable"] | Mapping[str, "Encodable"]

PREFIX = "sha256:"
_HEX = frozenset("0123456789abcdef")


def sha256(data: bytes) -> str:
    """The digest of `data`."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    """Whether `text` is a well-formed sha256 digest."""
    return len(text) == 71 and text.startswith(PREFIX) and _HEX.issuperset(text[7:])


def encode(value: Encodable) -> bytes:
    """Encode `value` so that different values never share bytes: every item is type-tagged and length-prefixed.

    Text is UTF-8 with ``surrogatepass``, so that names which are not UTF-8 keep an identity. Mappings are sorted by
    key, and lists and tuples are one type. Raises `TypeError` for any other type.
    """
    out: list[bytes] = []
    _encode(value, out)
    return b"".join(out)


def digest_of(value: Encodable) -> str:
    """The digest of the encoding of `value`."""
    return sha256(encode(value))


def _encode(value: Encodable, out: list[bytes]) -> None:
    if isinstance(value, str):  # first, since it is nearly always that
        data = value.encode("utf-8", "surrogatepass")
        out.append(b"s%d:%b" % (len(data), data))
    elif isinstance(value, list | tuple):
        out.append(b"l%d:" % len(value))
        for item in value:
            if type(item) is str:
                data = item.encode("utf-8", "surrogatepass")
                out.append(b"s%d:%b" % (len(data), data))
            else:
                _encode(item, out)
    elif value is None:
        out.append(b"n;")
    elif isinstance(value, bool):
        out.append(b"t;" if value else b"f;")
    elif isinstance(value, int):
        out.append(b"i%d;" % value)
    elif isinstance(value, bytes):
        out.append(b"b%d:" % len(value))
        out.append(value)
    elif isinstance(value, Mapping):
        out.append(b"m%d:" % len(value))
        for key in sorted(value):
            _encode(key, out)
            _encode(value[key], out)
    else:
        raise TypeError(f"a {type(value).__name__} has no encoding")
