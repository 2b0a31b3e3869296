"""``--cache-from`` and ``--cache-to``: words to attributes of caches."""

from __future__ import annotations

from collections.abc import Sequence

from img.errors import UsageError


def parse_caches(words: Sequence[str], flag: str) -> tuple[dict[str, str], ...]:
    """``type=…,name=value…`` (comma-separated, quoted as CSV); a bare word is ``type=registry,ref=WORD``. Raises
    `UsageError`."""
    return tuple(_parse(word, flag) for word in words)


def _parse(text: str, flag: str) -> dict[str, str]:
    import csv

    if "=" not in text and text.strip():
        return {"type": "registry", "ref": text.strip()}
    attrs: dict[str, str] = {}
    for field in next(csv.reader([text]), []):
        name, equals, value = field.partition("=")
        if not equals or not name.strip():
            raise UsageError(
                f"invalid {flag} {text!r}: {field!r} is not name=value", hint=f"{flag} type=registry,ref=…"
            )
        attrs[name.strip().lower()] = value
    if not attrs.get("type"):
        raise UsageError(f"{flag} {text!r} has no type", hint=f"{flag} type=registry,ref=…")
    return attrs
