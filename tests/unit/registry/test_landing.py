"""The warning that a base is downloaded only to see what is at the destination of a COPY."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.peers import bases
from tests.unit.registry.test_bases import FIRST, as_estargz, push_base
from tests.unit.registry.test_bases import context as context
from tests.unit.registry.test_bases import registry as registry

from img.events import Event, Warning
from img.request import Request
from img.session import Session
from img.testing.registry import MemoryRegistry

COPIES = "FROM {base}\nWORKDIR /w\nCOPY a /srv/a\nCOPY b ./\nCOPY --link a /c\n"


class Heard:
    """An observer that keeps what is said."""

    def __init__(self) -> None:
        self.found: list[Warning] = []

    def handle(self, event: Event) -> None:
        if isinstance(event, Warning):
            self.found.append(event)

    def close(self) -> None: ...


def told(root: Path, context: Path, text: str, *outs: dict[str, str], **options: Any) -> list[Warning]:
    """The warnings of a build."""
    heard = Heard()
    (context / "Dockerfile").write_text(text)
    with Session(root, {}) as session:
        session.build(Request(context=str(context), outputs=outs, **options), [heard])
    return heard.found


def test_what_a_look_costs_is_said_once(registry: MemoryRegistry, context: Path, tmp_path: Path) -> None:
    base = push_base(registry, [bases.tar(FIRST)])
    out = {"type": "registry", "name": f"{registry.host}/app:1"}
    (said,) = told(tmp_path / "s", context, COPIES.format(base=base), out)
    assert said.message.startswith("3.1")
    for words in (
        base,
        "WORKDIR /w (",
        "Dockerfile:2)",
        "COPY a /srv/a (",
        "Dockerfile:4)",
        "COPY --link",
        "--cache-from",
    ):
        assert words in said.message, said.message
    assert "COPY --link a" not in said.message
    assert said.place is not None
    assert said.place.line == 2
    assert told(tmp_path / "s", context, COPIES.format(base=base), out) == []
    (context / "a").write_text("changed, but the base is here by now")
    assert told(tmp_path / "s", context, COPIES.format(base=base), out) == []


def test_a_registry_that_may_need_it_all_the_same(registry: MemoryRegistry, context: Path, tmp_path: Path) -> None:
    base = push_base(registry, [bases.tar(FIRST)])
    _, _, port = registry.host.rpartition(":")
    out = {"type": "registry", "name": f"localhost:{port}/app:1"}
    (said,) = told(tmp_path / "s", context, f"FROM {base}\nCOPY a /a\n", out)
    assert f"(localhost:{port} will be sent what it lacks" in said.message


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("FROM {base}\nCOPY --link a /a\n", {}),
        ("FROM {star}\nCOPY a /a\n", {}),
        ("FROM scratch\nCOPY a /a\n", {}),
        ("FROM {base}\nCOPY a /a\nRUN x\n", {}),
        ("FROM {base} AS one\nFROM scratch\nCOPY --from=one /usr/share/big /a\n", {}),
        ("FROM {base}\nCOPY a /a\n", {"force-compression": "true"}),
        ("FROM {base}\nCOPY a /a\n", {"type": "image", "push": "true"}),
        ("FROM {base}\nCOPY a /a\n", {"type": "tar", "dest": "{folder}/o.tar"}),
    ],
)
def test_nothing_is_said_where_it_is_needed_or_spared(
    registry: MemoryRegistry, context: Path, tmp_path: Path, text: str, out: dict[str, str]
) -> None:
    base = push_base(registry, [bases.tar(FIRST)])
    star = as_estargz(registry, context, base) if "{star}" in text else ""
    out = {"type": "registry", "name": f"{registry.host}/app:1", **out}
    if "dest" in out:
        out = {"type": "tar", "dest": str(tmp_path / "o.tar")}
    text = text.format(base=base, star=star)
    if "RUN" not in text:
        assert told(tmp_path / "s", context, text, out) == []
        return
    heard = Heard()
    (context / "Dockerfile").write_text(text)
    with Session(tmp_path / "s", {}) as session, pytest.raises(Exception, match=r"sh|x"):
        session.build(Request(context=str(context), outputs=(out,)), [heard])
    assert heard.found == []


def test_a_cache_spares_it(registry: MemoryRegistry, context: Path, tmp_path: Path) -> None:
    text = COPIES.format(base=push_base(registry, [bases.tar(FIRST)]))
    out = {"type": "registry", "name": f"{registry.host}/app:1"}
    cache = {"type": "registry", "ref": f"{registry.host}/cache:1"}
    assert len(told(tmp_path / "one", context, text, out, cache_to=(cache,))) == 1
    (context / "a").write_text("changed")
    assert told(tmp_path / "two", context, text, out, cache_from=(cache,)) == []
