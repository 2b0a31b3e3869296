"""The words of ``--cache-from`` and ``--cache-to``, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from img.errors import UsageError
from img.request import Request
from img.session import Session
from img_cli.caches import parse_caches


def test_words() -> None:
    words = ["host/name:tag", "type=registry,ref=host/name,mode=max", 'type=local,"dest=a,b"', "TYPE=inline"]
    assert parse_caches(words, "--cache-to") == (
        {"type": "registry", "ref": "host/name:tag"},
        {"type": "registry", "ref": "host/name", "mode": "max"},
        {"type": "local", "dest": "a,b"},
        {"type": "inline"},
    )


@pytest.mark.parametrize("word", ["", "ref=x", "type=registry,ref", "type=,ref=x", "=x"])
def test_words_that_are_none(word: str) -> None:
    with pytest.raises(UsageError, match="--cache-from"):
        parse_caches([word], "--cache-from")


WRONG: list[tuple[str, dict[str, str], str]] = [
    ("to", {"type": "nope"}, "there is no cache type 'nope'"),
    ("to", {"type": "gha"}, "caches of type=gha are not there yet"),
    ("to", {"type": "s3"}, "needs bucket="),
    ("to", {"type": "registry"}, "needs ref="),
    ("to", {"type": "registry", "ref": "h/UPPER"}, "UPPER"),
    ("to", {"type": "registry", "ref": "h/x", "mode": "most"}, "can't be mode=most"),
    ("to", {"type": "registry", "ref": "h/x", "ignore-error": "maybe"}, "neither true nor false"),
    ("to", {"type": "registry", "ref": "h/x", "nope": "1"}, "has no attribute 'nope'"),
    ("to", {"type": "registry", "ref": "h/x", "image-manifest": "false"}, "can't do image-manifest=false"),
    ("to", {"type": "registry", "ref": "h/x", "registry.insecure": "maybe"}, "neither true nor false"),
    ("to", {"type": "registry", "ref": "h/x", "compression": "lzma"}, "no compression 'lzma'"),
    ("to", {"type": "local"}, "needs dest="),
    ("to", {"type": "local", "src": "x"}, "has no attribute 'src'"),
    ("to", {"type": "inline", "mode": "max"}, "mode=min only"),
    ("from", {"type": "inline"}, "can't be type=inline"),
    ("from", {"type": "local"}, "needs src="),
    ("from", {"type": "registry", "ref": "h/x", "mode": "max"}, "has no attribute 'mode'"),
]


@pytest.mark.parametrize(("way", "attrs", "message"), WRONG)
def test_what_is_wrong_is_said_before_anything_runs(
    tmp_path: Path, way: str, attrs: dict[str, str], message: str
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    options: dict[str, Any] = {f"cache_{way}": (attrs,)}
    with Session(tmp_path / "s") as session, pytest.raises(UsageError) as raised:
        session.build(Request(context=str(tmp_path), **options))
    assert message in f"{raised.value.message} {raised.value.hint}"
