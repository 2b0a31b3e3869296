"""What a session makes of a request before and around the solver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from img.errors import FrontendError
from img.events import StepStarted
from img.ir.nodes import Exec
from img.ir.values import Network
from img.ir.walk import topological
from img.session import Request, Session


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "file").write_text("text\n")
    return folder


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(tmp_path / "store") as opened:
        yield opened


def request(context: Path, text: str, **options: object) -> Request:
    (context / "Dockerfile").write_text(text)
    return Request(context=str(context), **options)  # type: ignore[arg-type]


def networks(session: Session, asked: Request) -> list[Network]:
    (target,) = session.definition(asked).targets
    return [node.confinement.network for node in topological([target.root]) if isinstance(node, Exec)]


def test_a_build_without_network_is_another_build(session: Session, context: Path) -> None:
    asked = request(context, "FROM scratch\nRUN a\nRUN --network=none b\n")
    assert networks(session, asked) == [Network.DEFAULT, Network.NONE]
    session.engine.settings["network"] = "none"
    assert networks(session, asked) == [Network.NONE, Network.NONE]
    session.engine.settings["network"] = "host"
    assert networks(session, asked) == [Network.DEFAULT, Network.NONE]


def test_a_step_gets_no_network_back_that_the_build_was_denied(session: Session, context: Path) -> None:
    session.engine.settings["network"] = "none"
    with pytest.raises(FrontendError, match="RUN --network=host is not allowed"):
        session.definition(request(context, "FROM scratch\nRUN --network=host a\n"))


def test_stages_to_make_anew_are_named_in_any_case_of_letters(session: Session, context: Path) -> None:
    text = "FROM scratch AS one\nCOPY file /\nFROM scratch\nCOPY --from=one file /again\n"

    def ran(*names: str) -> list[str]:
        seen: list[str] = []

        class Watch:
            def handle(self, event: object) -> None:
                if isinstance(event, StepStarted):
                    seen.append(event.title)

            def close(self) -> None: ...

        session.build(request(context, text, no_cache_filter=names), observers=[Watch()])
        return seen

    assert len(ran()) == 2
    assert ran() == []
    assert ran("oNe") == ["[one 1/1] COPY file /"]


def test_credentials_of_a_proxy_are_not_written_down(session: Session, context: Path) -> None:
    args = {"http_proxy": "http://user:hidden@proxy.test/"}
    session.definition(request(context, "FROM scratch\nRUN a\n", args=args))
    session.definition(request(context, "FROM scratch\nRUN b\n", args={"http_proxy": "http://plain.test/"}))
    session.close()
    written = b"".join(path.read_bytes() for path in session.root.rglob("*") if path.is_file())
    assert b"plain.test" in written
    assert b"hidden" not in written
