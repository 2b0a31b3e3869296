"""The rest of the kit: fakes, builders, strategies, the pytest plugin."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img.errors import Cancelled, NotFound, PluginError, Unauthorized, UsageError
from img.events import Note
from img.ir import wire
from img.ir.definition import Definition
from img.ir.nodes import Source
from img.oci.spec import Manifest
from img.session import Session
from img.testing import builders, strategies
from img.testing.caches import CacheConformance
from img.testing.exporters import ExporterConformance
from img.testing.frontends import FrontendConformance, check_target
from img.testing.host import FakeHost
from img.testing.ports import (
    FakeCache,
    FakeExporter,
    FakeFrontend,
    FakeRegistries,
    FakeReporter,
    FakeResolver,
    FakeSource,
)


def test_the_fake_host_is_one(tmp_path: Path) -> None:
    host = FakeHost(tmp_path / "h", {"a": "b"}, {("exporter", "x"): FakeExporter, ("cache", "y"): FakeCache()})
    assert host.load("exporter", "x") is host.load("exporter", "x")
    with pytest.raises(PluginError):
        host.load("exporter", "z")
    stopped: list[int] = []
    forget = host.on_cancel(lambda: stopped.append(1))
    forget()
    host.on_cancel(lambda: stopped.append(2))
    host.cancel()
    assert host.cancelled and stopped == [2]
    host.emit(Note("x", 0.0))
    assert host.events == [Note("x", 0.0)]
    assert host.sandbox.call("os.path:join", "a", "b") == "a/b"
    with pytest.raises(UsageError):
        host.context("none")
    digest = host.store.blobs.put(b"bytes")
    assert host.store.blobs.read(digest) == b"bytes"
    host.close()


def test_fakes_do_what_their_ports_say() -> None:
    with pytest.raises(NotFound):
        FakeResolver({}, images={}).image("a", "linux/amd64")
    assert FakeResolver({"a": "b"}).context_file("a") == b"b"
    registries = FakeRegistries({"a": b"{}"}, {"h": ("u", "p")})
    assert registries.pull("a").size == 2
    with pytest.raises(Unauthorized):
        registries.login("h", "u", "x")
    assert registries.login("h", "u", "p") == "memory" and registries.logout("h") and not registries.logout("h")
    with pytest.raises(NotFound):
        FakeSource().fetch(Source("local", "nowhere"))
    reporter = FakeReporter()
    reporter.trouble = Cancelled()
    with pytest.raises(Cancelled):
        reporter.handle(Note("x", 0.0))


class Faked:
    """Suites over fakes: the object is the fake, whoever is installed."""

    def test_it_is_offered_with_words(self) -> None:
        """A fake is not offered."""


class TestFakeFrontend(Faked, FrontendConformance):
    frontend, file, good, bad = "dockerfile", "Fakefile", "/a text\n/b more text\n", ("a b\n", "/a text\n/b\n")
    detected = False

    @pytest.fixture
    def plugin(self) -> FakeFrontend:
        return FakeFrontend()

    def test_it_builds_and_then_is_cached(self) -> None:  # type: ignore[override]
        """The one that is installed would build."""

    def test_the_same_file_is_the_same_graph(self, plugin: FakeFrontend) -> None:  # type: ignore[override]
        assert wire.dump(self.load(plugin, self.good)) == wire.dump(self.load(FakeFrontend(), self.good))


class TestFakeExporter(Faked, ExporterConformance):
    exporter, needs = "image", ()

    @pytest.fixture
    def plugin(self) -> FakeExporter:
        return FakeExporter()

    def attrs(self, folder: Path, session: Session) -> dict[str, str]:
        return {"name": "x"}

    def test_nothing_is_left_of_what_failed(self) -> None:  # type: ignore[override]
        """It never touches a layer."""


class TestFakeCache(Faked, CacheConformance):
    cache = "local"

    @pytest.fixture
    def plugin(self, session: Session) -> FakeCache:
        return FakeCache(session.engine)

    def attrs(self, folder: Path, writes: bool) -> dict[str, str]:
        return {"name": str(folder)}

    def test_what_one_machine_built_another_does_not(self) -> None:  # type: ignore[override]
        """It is in one process."""


def test_builders_are_the_same_every_time(tmp_path: Path) -> None:
    assert builders.tar() == builders.tar()
    with tarfile.open(fileobj=io.BytesIO(builders.tar())) as archive:
        assert archive.getnames() == sorted(builders.FILES)
    with Session(tmp_path / "s") as session:
        first = builders.stored(session, "a:1")
        assert builders.stored(session, "b:1") == first
        assert len(Manifest.parse(session.store.blobs.read(first.digest)).layers) == 1
        one, other = builders.exports(session, builders.state(tmp_path / "c"), ("linux/amd64", "linux/arm64"))
        assert one.snapshot == other.snapshot and len(one.created) == 1


@settings(max_examples=30)
@given(strategies.definitions())
def test_definitions_are_right_and_travel(made: Definition) -> None:
    for target in made.targets:
        check_target(target)
    assert wire.load(wire.dump(made)) == made


@settings(max_examples=25)
@given(strategies.trees())
def test_trees_are_closed(tree: dict[str, strategies.Item]) -> None:
    for path in tree:
        above = path.rpartition("/")[0]
        assert not above or tree[above].kind == "dir"


@settings(max_examples=25)
@given(st.data())
def test_documents_are_build_files(data: st.DataObject) -> None:
    import json

    from img.ports import FrontendRequest
    from img_frontends.yaml.frontend import YamlFrontend

    text = json.dumps(data.draw(strategies.documents()), ensure_ascii=False)
    made = YamlFrontend(FakeHost(Path("/nowhere"))).load(FrontendRequest("img.yaml", text.encode()), FakeResolver())
    check_target(made.targets[0])


def test_the_pytest_plugin_is_asked_for_and_costs_others_nothing(tmp_path: Path) -> None:
    from importlib.metadata import entry_points

    assert not [point for point in entry_points(group="pytest11") if point.value.startswith("img")]
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["img.testing.pytest_plugin"]\n')
    (tmp_path / "test_it.py").write_text(
        "def test_it(img_session, img_host, img_context, img_registry):\n"
        "    assert img_session.store.root != img_host.store.root\n"
        "    assert (img_context / 'hello.txt').read_text() == 'hello\\n'\n"
        "    assert img_registry.host.startswith('127.0.0.1:')\n"
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
