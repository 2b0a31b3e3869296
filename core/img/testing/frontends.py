"""The conformance suite for frontends.

from img.testing.frontends import FrontendConformance

class TestMine(FrontendConformance):
    frontend, file, good, bad = "mine", "Minefile", "copy a /a\\n", ["copy\\n"]
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from img.errors import FrontendError, ImgError, UsageError
from img.ir import wire
from img.ir.definition import Definition
from img.ir.walk import topological
from img.ports import FrontendRequest, Report
from img.request import Request
from img.session import Session
from img.testing.builders import FILES, context
from img.testing.ports import FakeResolver
from img.testing.suite import Conformance, Watcher

MUTATIONS = 200
SECONDS = 5
"""What one text may take at most, on a slow machine."""


class FrontendConformance(Conformance):
    """A build file in, a `Definition` out: pure, with a place for every mistake, whatever the file holds."""

    kind = "frontend"
    frontend: ClassVar[str] = ""
    file: ClassVar[str] = ""
    """The name of a build file."""
    good: ClassVar[str] = ""
    """A build file that can be built with `files` and without a network."""
    bad: ClassVar[Sequence[str]] = ()
    """Build files with a mistake."""
    files: ClassVar[Mapping[str, str | bytes]] = FILES
    """The context of `good`."""
    args: ClassVar[Mapping[str, str]] = {}
    target: ClassVar[str] = ""
    labels: ClassVar[bool] = True
    """Whether `FrontendRequest.labels` reach the image, as ``--label`` wants."""
    detected: ClassVar[bool] = True
    """Whether `file` is known by its name or its content."""

    def load(self, plugin: Any, text: str | bytes, **how: Any) -> Definition:
        """What the frontend makes of a text."""
        data = text.encode() if isinstance(text, str) else text
        asked = {"args": self.args, "target": self.target, "options": {"path": self.file}, **how}
        made = plugin.load(FrontendRequest(self.file, data, **asked), FakeResolver(self.files))
        assert isinstance(made, Definition), f"load returned {type(made).__name__}, not a Definition"
        return made

    def test_a_good_file_is_a_definition_by_the_rules(self, plugin: Any) -> None:
        """`img.ir.definition.Target` has them."""
        made = self.load(plugin, self.good)
        assert made.targets
        for target in made.targets:
            check_target(target)
        assert wire.load(wire.dump(made)) == made

    def test_the_same_file_is_the_same_graph(self, plugin: Any, session: Session) -> None:
        other = session.registry.load("frontend", self.offered())(session.engine)
        assert wire.dump(self.load(plugin, self.good)) == wire.dump(self.load(other, self.good))

    def test_a_target_for_each_platform_in_order(self, plugin: Any) -> None:
        wanted = ("linux/arm64", "linux/amd64")
        made = self.load(plugin, self.good, platforms=wanted)
        assert tuple(target.platform for target in made.targets) == wanted

    def test_labels_of_the_request_reach_the_image(self, plugin: Any) -> None:
        made = self.load(plugin, self.good, labels={"org.example.label": "a b"})
        for target in made.targets if self.labels else ():
            assert target.config["config"]["Labels"]["org.example.label"] == "a b"

    def test_it_builds_and_then_is_cached(self, session: Session, tmp_path: Path) -> None:
        folder = context(tmp_path / "context", {**self.files, self.file: self.good})
        asked = Request(
            context=str(folder),
            file=str(folder / self.file),
            frontend="" if self.detected else self.offered(),
            args=self.args,
            target=self.target,
            tags=("conformance:1",),
        )
        first = session.build(asked)
        watcher = Watcher()
        assert session.build(asked, [watcher]).images == first.images
        assert not [e for e in watcher.events if type(e).__name__ == "StepStarted"], "the second build ran a step"

    def test_mistakes_have_a_place_in_the_file(self, plugin: Any) -> None:
        assert self.bad, "give the suite some files with a mistake: set `bad`"
        for text in self.bad:
            with pytest.raises(FrontendError) as caught:
                self.load(plugin, text)
            for error in (caught.value, *caught.value.others):
                assert error.place is not None, f"no place for: {error}"
                assert 1 <= error.place.line <= len(text.split("\n")), error.place
                assert error.place.column >= 1

    def test_an_unknown_target_is_an_error_that_names_it(self, plugin: Any) -> None:
        with pytest.raises((FrontendError, UsageError), match="no-such-target"):
            self.load(plugin, self.good, target="no-such-target")

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"\n\n",
            b"\0",
            b"\xff\xfe\x00",
            b"\xef\xbb\xbf",
            b"x" * 100_000,
            b"\n" * 50_000,
            b"{[(" * 5_000,
            b"\r\r\n\r",
        ],
        ids=["empty", "lines", "nul", "utf-16", "mark", "long line", "many lines", "brackets", "returns"],
    )
    def test_any_bytes_are_a_definition_or_an_error(self, plugin: Any, text: bytes) -> None:
        self._endured(plugin, text)

    def test_spoiled_files_are_a_definition_or_an_error(self, plugin: Any) -> None:
        """The good file with bytes taken away, doubled, or put in, from a seed."""
        chance = random.Random(4711)
        for _ in range(MUTATIONS):
            data = bytearray(self.good.encode())
            for _ in range(chance.randint(1, 4)):
                at = chance.randint(0, len(data))
                size = chance.randint(0, 8)
                data[at : at + size] = chance.choice(
                    [
                        b"",
                        bytes(data[at : at + size]) * 2,
                        chance.randbytes(2),
                        b"\n",
                        b" ",
                        b'"',
                        b"$",
                        b"\\",
                        b"${",
                        b"#",
                    ]
                )
            self._endured(plugin, bytes(data))

    def _endured(self, plugin: Any, text: bytes) -> None:
        began = time.monotonic()
        try:
            self.load(plugin, text)
        except ImgError:
            pass
        assert time.monotonic() - began < SECONDS, f"{len(text)} bytes took long: {text[:60]!r}"

    def test_questions_are_answered(self, plugin: Any) -> None:
        assert all(isinstance(name, str) for name in plugin.calls)
        request = FrontendRequest(self.file, self.good.encode(), args=self.args, target=self.target)
        for name in plugin.calls:
            try:
                report = plugin.call(name, request, FakeResolver(self.files))
            except (FrontendError, UsageError):
                continue  # it may want an option, or say that this file has no answer
            assert isinstance(report, Report) and isinstance(report.status, int)
            assert json.dumps(report.document)
        with pytest.raises(UsageError, match="no-such-question"):
            plugin.call("no-such-question", request, FakeResolver(self.files))


def check_target(target: Any) -> None:
    """Raises AssertionError for a target that is not as `img.ir.definition.Target` has it."""
    config = target.config
    os_name, architecture = target.platform.split("/")[:2]
    assert (config.get("os"), config.get("architecture")) == (os_name, architecture), "of another platform"
    assert "rootfs" not in config, "rootfs is the exporter's to fill in"
    assert json.loads(json.dumps(config)) == dict(config), "the configuration is not JSON"
    fresh = [entry for entry in config.get("history") or [] if "created" not in entry]
    layers = [entry for entry in fresh if not entry.get("empty_layer")]
    assert len(layers) == len(target.layers), "each new entry that is no empty_layer stands for one layer"
    there = {node.digest for node in topological([target.root])}
    assert set(target.layers) <= there, "a layer of nodes that are not in the graph"
