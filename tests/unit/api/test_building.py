"""Builds from a program, with real steps: results, events, cancellation, and what the program around it keeps."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

import img
from img import State, events
from img.errors import BackendError, Cancelled, FileError, FrontendError, PluginError, StepFailed, UsageError


@pytest.fixture(scope="module")
def shell() -> State:
    """A filesystem with a shell and its programs in one file."""
    return img.scratch().copy(img.local("/bin", ignore=[]), "busybox", to="/bin/sh")


def test_a_result_has_types(tmp_path: Path, shell: State) -> None:
    app = shell.run("echo hi > /hi").env(A="1").cmd(["/bin/sh"])
    first = img.build(app, root=tmp_path / "s", tag=["app:1", "app:2"], outputs=[
        img.output("image"), img.output("oci", tmp_path / "out.tar", compression="zstd"),
    ])  # fmt: skip
    assert [name for name, _ in first.images] == ["docker.io/library/app:1", "docker.io/library/app:2"]
    assert first.images[0][1] == next(one.digest for one in img.stored(root=tmp_path / "s"))
    assert (tmp_path / "out.tar").stat().st_size > 1000
    assert [(step.title, step.cached) for step in first.steps] == [
        ("COPY busybox /bin/sh", False),
        ("RUN echo hi > /hi", False),
    ]
    again = img.build(app, root=tmp_path / "s", tag="app:1")
    assert [step.cached for step in again.steps] == [True, True]
    assert again.image_id == img.inspect("app:1", root=tmp_path / "s").image_id
    assert "<td" in again._repr_html_() and "RUN echo hi &gt; /hi" in again._repr_html_()


def test_events_in_order_and_output_whole(tmp_path: Path, shell: State) -> None:
    with img.start(shell.run("for i in 1 2 3; do echo line $i; done"), root=tmp_path / "s") as running:
        seen = list(running)
        result = running.result()
    assert isinstance(seen[0], events.BuildStarted) and isinstance(seen[-1], events.BuildDone)
    assert b"".join(e.data for e in seen if isinstance(e, events.StepLog)) == b"line 1\nline 2\nline 3\n"
    assert len(result.steps) == 2 and running.done


def test_a_reader_that_leaves_holds_nobody_up(tmp_path: Path, shell: State) -> None:
    noisy = shell.run(
        "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; dd if=/dev/zero bs=1048576 count=40 2>&-"
    )
    with img.start(noisy, root=tmp_path / "s") as running:
        for _ in running:
            break
        running.result(60)
    unread = img.start(noisy.run("true"), root=tmp_path / "s")
    unread.result(60)
    assert sum(len(e.data) for e in unread if isinstance(e, events.StepLog)) <= 4 << 20


def test_a_failed_step_is_an_error_with_its_output(tmp_path: Path, shell: State) -> None:
    with pytest.raises(StepFailed) as caught:
        img.build(shell.run("echo why; exit 3"), root=tmp_path / "s")
    assert caught.value.status == 3 and "why" in caught.value.tail


def test_cancelling_ends_the_step(tmp_path: Path, shell: State) -> None:
    with img.start(shell.run("sleep 600"), root=tmp_path / "s") as running:
        started = next(e for e in running if isinstance(e, events.StepStarted) and "sleep" in e.title)
        assert started.why == ""
        began = time.monotonic()
        running.cancel()
        with pytest.raises(Cancelled):
            running.result()
    assert time.monotonic() - began < 20
    with img.start(shell.run("sleep 600"), root=tmp_path / "s") as running:
        running.cancel()  # before it has begun
        with pytest.raises(Cancelled):
            running.result(20)


def test_the_end_of_the_block_cancels(tmp_path: Path, shell: State) -> None:
    with img.start(shell.run("sleep 600"), root=tmp_path / "s") as running, pytest.raises(TimeoutError):
        running.result(0.3)
    assert running.done


def test_an_event_loop_goes_on_and_cancels(tmp_path: Path, shell: State) -> None:
    async def all_of_it() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        made = await asyncio.gather(
            *(
                img.build_async(shell.run(f"sleep 0.3; echo {n} > /n"), root=tmp_path / "s", tag=f"n{n}")
                for n in range(3)
            )
        )
        assert len({result.digest for result in made}) == 3 and ticks > 5
        seen: list[Any] = []
        running = img.start(shell.run("echo x"), root=tmp_path / "s")
        async for event in running:
            seen.append(event)
        assert isinstance(seen[-1], events.BuildDone) and (await running).steps
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await img.build_async(shell.run("sleep 600"), root=tmp_path / "s")
        assert time.monotonic() - began < 20
        ticking.cancel()

    asyncio.run(all_of_it())


def test_a_blocking_build_inside_a_loop_as_in_a_notebook(tmp_path: Path, shell: State) -> None:
    async def cell() -> str:
        return img.build(shell.run("echo x > /x"), root=tmp_path / "s", tag="x").digest

    assert asyncio.run(cell()).startswith("sha256:")


def test_several_threads_on_one_store_run_a_step_once(tmp_path: Path, shell: State) -> None:
    slow = shell.run("sleep 0.3; echo x > /x")
    results: list[img.BuildResult] = []
    threads = [threading.Thread(target=lambda: results.append(img.build(slow, root=tmp_path / "s"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert sum(step.title.startswith("RUN") and not step.cached for result in results for step in result.steps) == 1


def test_secrets_reach_the_step_and_nothing_else(tmp_path: Path, shell: State) -> None:
    (tmp_path / "token").write_text("from-a-file-4711")
    mounts = [img.mount.secret("a", env="A"), img.mount.secret("b"), img.mount.secret("c", env="C")]
    app = shell.run("test ${#A} = 14 && test ${#C} = 10 && test $(wc -c < /run/secrets/b) = 16", mounts=mounts)
    secrets = {"a": "in-memory-4711", "b": tmp_path / "token", "c": b"bytes-4711"}
    shown = repr(img.build(app, root=tmp_path / "s", secrets=secrets))
    assert "4711" not in shown
    kept = b"".join(path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file())
    assert b"in-memory-4711" not in kept and b"bytes-4711" not in kept


def test_a_build_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "Dockerfile").write_text("FROM scratch AS one\nARG A\nLABEL a=$A\nCOPY f /\n")
    request = img.Request(context=str(tmp_path), args={"A": "b"}, tags=("mine:1",))
    result = img.build(request, root=tmp_path / "s", epoch=0)
    assert result.images[0][0] == "docker.io/library/mine:1"
    found = img.inspect("mine:1", root=tmp_path / "s")
    assert found.labels == {"a": "b"} and found.config["created"].startswith("1970-01-01")
    with pytest.raises(FrontendError, match="target stage 'two' could not be found"):
        img.build(img.Request(context=str(tmp_path), target="two"), root=tmp_path / "s")


S: Any = img.scratch().write("/a", "a")
MISTAKES: list[tuple[Any, dict[str, Any], type[img.ImgError], str, str]] = [
    (S, {"tags": "x"}, UsageError, "there is no option 'tags'", "did you mean tag?"),
    (S, {"outputs": "x"}, UsageError, "outputs is a sequence of mappings, not str", ""),
    (S, {"outputs": [{"dest": "x"}]}, UsageError, "each of outputs needs a type", "e.g."),
    (S, {"outputs": {"type": "nope"}}, UsageError, "there is no output type 'nope'", "types: "),
    (S, {"platform": "a/b/c/d"}, UsageError, "'a/b/c/d' is not a platform", "linux/amd64"),
    (S, {"tag": "UP"}, UsageError, "invalid image name 'UP'", "lower case"),
    (S, {"tag": 5}, UsageError, "tag is a sequence of texts, not int", ""),
    (S, {"root": __file__}, UsageError, "is no folder", "root names the folder"),
    (S, {"settings": {"steps": 5}}, UsageError, r"settings\['steps'\] is text, not int", ""),
    (S, {"secrets": {"a": 5}}, UsageError, "the secret 'a' can't be int", "pathlib.Path"),
    (S, {"credentials": {"h": "x"}}, UsageError, "the credentials for 'h' are not", ""),
    (S, {"epoch": "x"}, UsageError, "epoch is a Unix time in whole seconds, not 'x'", ""),
    (S, {"pull": "x"}, UsageError, "pull can't be 'x'", "missing, always or never"),
    (S.run("x"), {"backend": "zz"}, PluginError, "there is no backend named 'zz'", "installed: "),
    (S.copy(S, "/no", to="/"), {}, FileError, "there is no '/no' to copy", ""),
    (S.copy(img.local("/bin"), "../x", to="/"), {}, FileError, "there is no '../x' to copy", "outside its context"),
    ("Dockerfile", {}, UsageError, "str can't be built", "img.Request"),
    (img.Request(context="/nowhere"), {}, UsageError, "/nowhere", ""),
]


@pytest.mark.parametrize(("what", "given", "kind", "message", "hint"), MISTAKES)
def test_mistakes(
    what: Any, given: dict[str, Any], kind: type[img.ImgError], message: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=message) as caught:
        img.build(what, **{"root": tmp_path / "s", **given})
    assert hint in caught.value.hint


def test_the_program_around_it_keeps_what_is_its_own(tmp_path: Path, shell: State) -> None:
    import logging

    def state() -> list[Any]:
        handlers = [signal.getsignal(number) for number in sorted(signal.valid_signals())]
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        umask = os.umask(0o022)
        os.umask(umask)
        loggers = [logging.root.handlers[:], logging.root.level]
        hooks = [sys.excepthook, threading.excepthook, sys.stdout, sys.stderr]
        return [handlers, mask, umask, *loggers, *hooks, warnings.filters[:], dict(os.environ), os.getcwd()]

    def children() -> set[str]:
        return set(Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split())

    before, threads, others = state(), threading.active_count(), children()
    img.build(shell.run("true"), root=tmp_path / "s", tag="x")
    with pytest.raises(StepFailed):
        img.build(shell.run("false"), root=tmp_path / "s")
    assert state() == before
    assert threading.active_count() == threads
    assert children() <= others


HOSTILE = """
import os, signal, sys, threading, json
import img
signal.signal(signal.SIGCHLD, signal.SIG_IGN)          # children leave no exit codes
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
reader, writer = os.pipe()
os.set_inheritable(writer, True)                       # would leak into every child
stop = threading.Event()
threads = [threading.Thread(target=lambda: [stop.wait(0.001) for _ in range(10**9) if not stop.is_set()], daemon=True)]
[thread.start() for thread in threads]
sys.executable = sys.argv[3]                           # another program has Python built in
shell = img.scratch().copy(img.local("/bin", ignore=[]), "busybox", to="/bin/sh")
command = "grep -E 'Sig(Blk|Ign)' /proc/self/status > /signals; ls /proc/self/fd > /fds"
with img.start(shell.run(command), root=sys.argv[1], outputs=img.output("local", sys.argv[2])) as running:
    running.result()
    os.close(writer)
    assert os.read(reader, 1) == b""                   # nobody else has it, the helper is still there
"""


def test_a_host_with_threads_and_odd_signals(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", HOSTILE, str(tmp_path / "s"), str(tmp_path / "out"), "/usr/sbin/apache2"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    signals = dict(line.split(":\t") for line in (tmp_path / "out" / "signals").read_text().splitlines())
    assert int(signals["SigBlk"], 16) == 0
    assert int(signals["SigIgn"], 16) & (1 << signal.SIGUSR1 - 1 | 1 << signal.SIGPIPE - 1) == 0
    assert (tmp_path / "out" / "fds").read_text().split() == ["0", "1", "2", "3"]


def test_a_program_without_a_python_says_so(tmp_path: Path, shell: State, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("executable", "_base_executable"):
        monkeypatch.setattr(sys, name, "/opt/app/frozen")
    for name in ("exec_prefix", "base_exec_prefix"):
        monkeypatch.setattr(sys, name, "/opt/app")
    with pytest.raises(BackendError, match="the sandbox process can't be started: there is no python3.* to run"):
        img.build(shell.run("true"), root=tmp_path / "s")


FORKS = """
import os, signal, sys, time
import img
shell = img.scratch().copy(img.local("/bin", ignore=[]), "busybox", to="/bin/sh")
with img.start(shell.run("sleep 0.5; echo x > /x"), root=sys.argv[1]) as running:
    next(event for event in running if isinstance(event, img.events.StepStarted) and "sleep" in event.title)
    child = os.fork()  # as multiprocessing does by default; it has copies of every socket and lock
    if child == 0:
        time.sleep(60)
        os._exit(0)
    running.result(30)
img.build(shell.run("echo again > /x"), root=sys.argv[1])
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
"""


def test_a_program_that_forks_in_the_middle_of_a_build(tmp_path: Path) -> None:
    began = time.monotonic()
    argv = [sys.executable, "-c", FORKS, str(tmp_path / "s")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 40


def test_ctrl_c_ends_the_build_and_then_the_program(tmp_path: Path) -> None:
    program = """
import signal, sys, img
signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored where the tests run in the background
shell = img.scratch().copy(img.local("/bin", ignore=[]), "busybox", to="/bin/sh")
class Watch:
    def handle(self, event):
        if type(event).__name__ == "StepStarted" and "sleep" in event.title: print("now", flush=True)
    def close(self): print("closed", flush=True)
try:
    img.build(shell.run("sleep 600"), root=sys.argv[1], observers=[Watch()])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    argv = [sys.executable, "-c", program, str(tmp_path / "s")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "now\n"
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=30)[0] == "closed\ninterrupted\n"
    assert child.returncode == 0


def test_importing_it_costs_nothing() -> None:
    code = (
        "import sys, json; before = set(sys.modules); import img; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    found = json.loads(subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True).stdout)
    assert set(found) <= {"img", "img._version", "typing", "__future__"} | set(_of_typing())


def _of_typing() -> list[str]:
    code = "import sys, json; before = set(sys.modules); import typing; print(json.dumps(sorted(set(sys.modules) - before)))"
    found: list[str] = json.loads(
        subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True).stdout
    )
    return found
