"""Broken plugins, really installed: each costs a sentence that names its distribution, and never the build."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.peers import builders
from tests.peers.dists import hooks, install

import img
from img.errors import PluginError
from img.events import Event, StepLog, Warning
from img.observe import Feed
from img.plugin import CONTRACT
from img.plugin.registry import Registry
from img.session import Request, Session
from img.testing.ports import FakeReporter

HOOK = "import img\n\n@img.hookimpl\ndef "


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield lambda name, version="1.0", **files: install(
        folder, name, {f"{file}.py": text for file, text in files.items()}, version
    )
    for name in set(sys.modules) - before:
        if name.startswith("img_odd"):
            del sys.modules[name]


BROKEN = {
    "it can't be imported": ("import nowhere\n", "img_odd.hooks of img-odd can't be imported: ModuleNotFoundError"),
    "no Python": ("def (:\n", "img_odd.hooks of img-odd can't be imported: SyntaxError"),
    "it exits": ("raise SystemExit(3)\n", "img_odd.hooks of img-odd can't be imported: SystemExit: 3"),
    "no hook of img's": (
        HOOK + "img_offrs(): return []\n",
        "the hooks of img-odd are not img's: unknown hook 'img_offrs'",
    ),
    "other arguments": (HOOK + "img_credentials(url): return None\n", "the hooks of img-odd are not img's: "),
    "a wrapper": (
        "import pluggy\n\n@pluggy.HookimplMarker('img')(wrapper=True)\ndef img_offers():\n    return (yield)\n",
        "img_offers of img-odd is a wrapper",
    ),
    "it raises": (HOOK + "img_offers(): return 1 / 0\n", "img_offers of img-odd failed: ZeroDivisionError"),
    "it raises later": (HOOK + "img_offers():\n    yield 1 / 0\n", "img_offers of img-odd failed: ZeroDivisionError"),
    "no list": (HOOK + "img_offers(): return 5\n", "img_offers of img-odd failed: TypeError"),
    "no offers": (HOOK + "img_offers(): return ['exporter']\n", "img_offers of img-odd gives Offer records of texts"),
    "no text": (
        HOOK + "img_offers(): return [img.Offer('exporter', 'x', None, 'a:b')]\n",
        "gives Offer records of texts",
    ),
    "no kind": (
        HOOK + "img_offers(): return [img.Offer('thing', 'x', '', 'a:b')]\n",
        "img-odd offers a 'thing', which is no kind of offer (kinds: frontend, backend",
    ),
    "a kind that img once thought of": (
        HOOK + "img_offers(): return [img.Offer('snapshotter', 'x', '', 'a:b')]\n",
        "img-odd offers a 'snapshotter', which is no kind of offer",
    ),
    "no target": (HOOK + "img_offers(): return [img.Offer('exporter', 'x', '', 'a b')]\n", "not package.module:name"),
    "no name": (HOOK + "img_offers(): return [img.Offer('exporter', '', '', 'a:b')]\n", "which is no name"),
    "a name of img's": (
        HOOK + "img_offers(): return [img.Offer('exporter', 'oci', '', 'a:b')]\n",
        "both img-build and img-odd offer an exporter named 'oci' (disable one: IMG_DISABLE_PLUGINS=img-odd)",
    ),
    "one name twice": (
        HOOK + "img_offers(): return [img.Offer('exporter', 'x', '', 'a:b')] * 2\n",
        "both img-odd and img-odd offer an exporter named 'x'",
    ),
    "no settings": (HOOK + "img_settings(): return [('a', 'b')]\n", "img_settings of img-odd gives Setting records"),
    "a setting of img's": (
        HOOK + "img_settings(): return [img.Setting('steps', 'x', 'IMG_ODD')]\n",
        "img-odd declares the setting 'steps' (IMG_ODD), which there is already",
    ),
    "a variable of img's": (
        HOOK + "img_settings(): return [img.Setting('odd', 'x', 'IMG_STEPS')]\n",
        "img-odd declares the setting 'odd' (IMG_STEPS), which there is already",
    ),
    "another version": (
        "img_contract = 7\n",
        "img-odd 1.0 is written for version 7 of the plugin contract, img 0.1.0 has version 1: install a release",
    ),
    "another version that can't even be imported": (
        "from img import NewThing\nimg_contract: int = 7\n",
        "img-odd 1.0 is written for version 7 of the plugin contract, img 0.1.0 has version 1: install a release",
    ),
    "no version": ("img_contract = 'new'\n", "img_contract of img-odd 1.0 is a whole number, not 'new'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_package_that_breaks_the_contract_is_left_out(case: str, installed: Any, tmp_path: Path) -> None:
    text, words = BROKEN[case]
    installed("img-odd", hooks=text)
    installed("img-odder", hooks=hooks("img_odder", name="good"), thing="class Thing: ...\n")
    registry = Registry.discover(cache=tmp_path / "index")
    ((name, reason),) = registry.broken.items()
    assert (name == "img_odd (img-odd)" and reason.startswith(words.partition("…")[0])) or words in reason, reason
    assert "\n" not in reason
    assert "good" in registry.names("exporter") and "dockerfile" in registry.names("frontend")
    again = Registry.discover(cache=tmp_path / "index")
    assert again.broken == registry.broken, "it is told each time"


def test_a_package_for_this_version_is_taken(installed: Any) -> None:
    installed("img-odd", hooks=hooks("img_odd", contract=CONTRACT), thing="class Thing: ...\n")
    registry = Registry.discover()
    assert registry.broken == {} and registry.title("exporter", "strange") == "the exporter 'strange' of img-odd 1.0"


def test_a_program_and_the_command_line_say_so_and_go_on(installed: Any, tmp_path: Path) -> None:
    installed("img-odd", hooks="import nowhere\n")
    watch = FakeReporter()
    state = img.scratch().write("/a", "a")
    assert img.build(state, root=tmp_path / "s", tag="a", observers=[watch]).digest
    warned = [event.message for event in watch.events if isinstance(event, Warning)]
    quiet = FakeReporter()
    img.build(state, root=tmp_path / "s", observers=[quiet], disable_plugins=["img-odd"])
    assert not [event for event in quiet.events if isinstance(event, Warning)]
    assert len(warned) == 1 and warned[0].startswith(
        "the plugin img_odd (img-odd) is left out: img_odd.hooks of img-odd"
    )
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    env = {"PYTHONPATH": f"{tmp_path}/site"}
    done = builders.img("build", "-t", "a", str(tmp_path), root=tmp_path / "s", env=env)
    assert done.returncode == 0, done.stderr
    assert "warning: the plugin img_odd (img-odd) is left out: img_odd.hooks of img-odd can't be" in done.stderr


HOOKS = {
    "it raises": ("return 1 / 0", "failed, and is passed over: ZeroDivisionError: division by zero"),
    "it exits": ("raise SystemExit(5)", "failed, and is passed over: SystemExit: 5"),
    "garbage": ("return 5", "answered 5, and is passed over"),
}


@pytest.mark.parametrize("case", HOOKS)
@pytest.mark.parametrize(
    ("hook", "arguments"),
    [("img_detect_frontend", {"file": "Dockerfile", "head": b""}), ("img_credentials", {"host": "h", "scope": ""})],
)
def test_a_hook_that_fails_is_passed_over(hook: str, arguments: Any, case: str, installed: Any) -> None:
    body, words = HOOKS[case]
    installed("img-odd", "2.1", hooks=f"{HOOK}{hook}({', '.join(arguments)}): {body}\n")
    registry = Registry.discover()
    heard: list[str] = []
    registry.tell = heard.append
    for _ in range(2):
        assert registry.first(hook, **arguments) == ("dockerfile" if "file" in arguments else None)
    assert heard == [f"{hook} of img-odd 2.1 {words}"]


def test_a_hook_may_take_fewer_arguments_and_ask_to_be_first(installed: Any) -> None:
    installed("img-odd", hooks=f"{HOOK}img_detect_frontend(file): return 'one'\n")
    text = (
        "import pluggy\n\n@pluggy.HookimplMarker('img')(tryfirst=True)\ndef img_detect_frontend(head): return 'two'\n"
    )
    installed("img-aodder", hooks=text)
    assert Registry.discover().first("img_detect_frontend", file="x", head=b"") == "two"


OBJECTS = {
    "there is no module": (None, "can't be loaded: ModuleNotFoundError"),
    "there is no class": ("", "can't be loaded: AttributeError"),
    "it can't be made": ("class Thing:\n    def __init__(self): ...\n", "can't be made: TypeError"),
    "no method": ("class Thing:\n    def __init__(self, host): ...\n", "has no method export"),
    "it raises": (
        "class Thing:\n    def __init__(self, host): ...\n    def export(self, exports, attrs): return [][0]\n",
        "failed in export: IndexError: list index out of range",
    ),
    "it exits when it is imported": ("raise SystemExit(3)\n", "can't be loaded: SystemExit: 3"),
    "it exits when it is made": ("class Thing:\n    def __init__(self, host): raise SystemExit(4)\n", "SystemExit: 4"),
    "it exits": (
        "class Thing:\n    def __init__(self, host): ...\n    def export(self, exports, attrs): raise SystemExit(5)\n",
        "failed in export: SystemExit: 5",
    ),
    "it returns garbage": (
        "class Thing:\n    def __init__(self, host): ...\n    def export(self, exports, attrs): return 'done'\n",
        "returned str from export, not Exported",
    ),
}


@pytest.mark.parametrize("case", OBJECTS)
def test_an_exporter_that_fails_names_its_distribution(case: str, installed: Any, tmp_path: Path) -> None:
    text, words = OBJECTS[case]
    installed("img-odd", hooks=hooks("img_odd"), **({} if text is None else {"thing": text}))
    with pytest.raises(PluginError, match="the exporter 'strange' of img-odd.* " + words):
        img.build(img.scratch().write("/a", "a"), root=tmp_path / "s", outputs=img.output("strange"))
    assert img.build(img.scratch().write("/a", "a"), root=tmp_path / "s", tag="a").digest, "the store is as it was"


def test_errors_of_img_from_a_plugin_are_what_they_are(installed: Any, tmp_path: Path) -> None:
    text = (
        "from img.errors import UsageError\nclass Thing:\n    def __init__(self, host): ...\n"
        "    def export(self, exports, attrs): raise UsageError('say dest')\n"
    )
    installed("img-odd", hooks=hooks("img_odd"), thing=text)
    with pytest.raises(img.errors.UsageError, match="say dest"):
        img.build(img.scratch().write("/a", "a"), root=tmp_path / "s", outputs=img.output("strange"))


REPORTER = """
class Thing:
    def __init__(self, host): {make}
    def handle(self, event): {handle}
    def close(self): {close}
"""


@pytest.mark.parametrize(
    ("make", "handle", "close", "words"),
    [
        ("pass", "raise ValueError('odd')", "pass", "the reporter of img-odd 1.0 is switched off: ValueError: odd"),
        ("pass", "pass", "raise ValueError('late')", "the reporter of img-odd 1.0 is switched off: ValueError: late"),
        ("1 / 0", "pass", "pass", "the reporter 'strange' of img-odd 1.0 can't be made, plain stands in for it: Zero"),
        ("raise SystemExit(3)", "pass", "pass", "can't be made, plain stands in for it: SystemExit: 3"),
        ("pass", "raise SystemExit(3)", "pass", "the reporter of img-odd 1.0 is switched off: SystemExit: 3"),
        ("pass", "raise KeyboardInterrupt", "pass", "the reporter of img-odd 1.0 is switched off: KeyboardInterrupt"),
        ("pass", "raise ValueError('\\x1b[31m')", "pass", "is switched off: ValueError: \N{REPLACEMENT CHARACTER}[31m"),
        ("pass", "pass", "pass\n\nimport nowhere", "can't be loaded, plain stands in for it: ModuleNotFoundError"),
    ],
)
def test_a_reporter_that_fails_is_replaced(
    make: str, handle: str, close: str, words: str, installed: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    installed(
        "img-odd",
        hooks=hooks("img_odd", "reporter"),
        thing=REPORTER.format(make=make, handle=handle, close=close),
    )
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    with Session(tmp_path / "s") as session:
        reporter = session.registry.load("reporter", "strange")(session.engine)
        assert session.build(Request(context=str(tmp_path), tags=("a",)), [reporter]).images
    shown = capfd.readouterr().err
    assert words in shown
    if close != "raise ValueError('late')":
        assert "COPY Dockerfile /" in shown, "the build goes on being shown"


def test_a_slow_reporter_is_waited_for_only_so_long() -> None:
    class Slow(FakeReporter):
        def handle(self, event: Event) -> None:
            stop.wait(30)

    stop, other, stands_in = threading.Event(), FakeReporter(), FakeReporter()
    slow = Slow()
    began = time.monotonic()
    feed = Feed([slow, other], lambda one: "img-odd 1.0" if one is slow else "", lambda: stands_in, patience=0.5)
    for _ in range(40):
        feed.emit(StepLog("a", "stdout", b"x" * (1 << 20), 0.0))
    feed.close()
    stop.set()
    assert time.monotonic() - began < 10
    words = "the reporter of img-odd 1.0 is switched off: it cost 0.5 seconds"
    assert sum(isinstance(event, StepLog) for event in other.events) == 40 and other.closed == 1
    assert [e.message for e in other.events if isinstance(e, Warning)] == [words]
    assert stands_in.events and isinstance(stands_in.events[0], Warning) and stands_in.closed == 1


def test_an_observer_of_a_program_that_fails_is_told_to_the_others(tmp_path: Path) -> None:
    broken, good = FakeReporter(), FakeReporter()
    broken.trouble = ValueError("mine")
    img.build(img.scratch().write("/a", "a"), root=tmp_path / "s", observers=[broken, good])
    assert "an observer is switched off: ValueError: mine" in [e.message for e in good.events if isinstance(e, Warning)]


def test_listing_plugins_imports_no_plugin(installed: Any, tmp_path: Path) -> None:
    installed("img-odd", hooks=hooks("img_odd"), thing="raise SystemExit('imported')\n")
    code = "import sys; from img.plugin.registry import Registry as R; R.discover(); assert 'img_odd.thing' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(filter(None, sys.path))})
