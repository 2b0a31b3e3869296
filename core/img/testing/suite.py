"""What the conformance suites have in common: a session with the installed plugins, over a store of its own.

A suite is a class of pytest. Derive from it, name the plugin, say the little that the suite can't know, and let pytest find the
class. Cases look only at what the contract in `img.ports` promises.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from img.events import Event
from img.session import Session


class Watcher:
    """A reporter that keeps events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def handle(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        """Nothing to do."""

    def of(self, kind: type[Event]) -> list[Any]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


class Conformance:
    """The root of the suites."""

    kind: ClassVar[str] = ""
    settings: ClassVar[Mapping[str, str]] = {}
    """Settings of img for it."""

    @classmethod
    def offered(cls) -> str:
        """The name that the plugin is offered by: the class attribute that is named like its kind."""
        name = str(getattr(cls, cls.kind))
        assert name, f"say which {cls.kind}: set `{cls.kind}` in the class"
        return name

    @pytest.fixture(scope="class")
    @classmethod
    def session(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
        """A session with every installed plugin, and a store for the class."""
        with Session(tmp_path_factory.mktemp("store"), cls.settings) as opened:
            yield opened

    @pytest.fixture
    def plugin(self, session: Session) -> Any:
        """A new object of the plugin for each case."""
        return session.registry.load(self.kind, self.offered())(session.engine)

    def test_it_is_offered_with_words(self, session: Session) -> None:
        """Its offer has a line of help, and its distribution is not left out."""
        found = [o for o, _ in session.registry.offers(self.kind) if o.name == self.offered()]
        assert found, f"no {self.kind} {self.offered()!r} is offered; left out: {session.registry.broken or 'nothing'}"
        assert found[0].help.strip() and "\n" not in found[0].help


def plain_json(value: Any) -> bool:
    """Whether a value is what JSON can say."""
    return bool(json.loads(json.dumps(value)) == value)
