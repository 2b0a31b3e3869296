"""Bad input, broken peers, and sudden ends: one clear error each, and nothing lost."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from tests.peers import bases, builders
from tests.peers.servers import Registry, free_port

pytestmark = pytest.mark.real


def fails(work: Path, dockerfile: str, *extra: str, store: Path | None = None) -> str:
    """Build a Dockerfile that can't work; returns what is printed on stderr."""
    context = work / "context"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(dockerfile)
    done = builders.img("build", "-t", "bad", "--progress", "quiet", *extra, str(context), root=store or work / "store")
    assert done.returncode in (1, 2), (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") >= 1
    return done.stderr


@pytest.mark.parametrize(
    ("dockerfile", "words", "place"),
    [
        ("FROM scratch\nCOPPY a b\n", ("unknown instruction: COPPY", "did you mean COPY?"), "Dockerfile:2:1"),
        ("FROM scratch\nRUN <<EOF\nx\n", ("unterminated heredoc EOF",), "Dockerfile:2:5"),
        ('FROM scratch\nENV A="b\n', ("unterminated quote",), "Dockerfile:2:"),
        ("FROM scratch\nCOPY nothing /\n", ("there is no 'nothing' to copy",), "Dockerfile:2:1"),
        ("FROM scratch\nCOPY ../../etc/passwd /\n", ("nothing outside its context",), "Dockerfile:2:1"),
        ("FROM scratch AS build\nFROM scratch\nCOPY --from=biuld /a /\n", ("did you mean build?",), "Dockerfile:3:6"),
        ("", ("is empty",), "Dockerfile:1:1"),
        ("RUN true\n", ("begins with FROM",), "Dockerfile:1:1"),
        ("FROM scratch\nRUN --mounnt=type=cache x\n", ("did you mean --mount",), "Dockerfile:2:5"),
    ],
)
def test_a_wrong_dockerfile(work: Path, dockerfile: str, words: tuple[str, ...], place: str) -> None:
    text = fails(work, dockerfile)
    for word in words:
        assert word in text
    assert place in text


def test_unknown_target(work: Path) -> None:
    text = fails(work, "FROM scratch AS build\nCOPY Dockerfile /\n", "--target", "biuld")
    assert "target stage 'biuld' could not be found" in text
    assert "did you mean build?" in text


def test_several_problems_are_told_together(work: Path) -> None:
    text = fails(work, "FROM scratch\nENV a\nRUN --nope x\n")
    assert "Dockerfile:2:" in text
    assert "Dockerfile:3:" in text


def test_no_dockerfile(work: Path) -> None:
    done = builders.img("build", "-t", "x", str(work), root=work / "s")
    assert done.returncode == 2
    assert "there is no Dockerfile in" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("build",), ("build", "--nope", "."), ("nope",), ("build", "-t", "UPPER", "."), ("build", "/nowhere")]
)
def test_a_wrong_command_line(work: Path, arguments: tuple[str, ...]) -> None:
    done = builders.img(*arguments, root=work / "s")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_an_unreachable_registry(work: Path) -> None:
    text = fails(work, f"FROM 127.0.0.1:{free_port()}/x\nRUN true\n")
    assert "can't reach the registry 127.0.0.1:" in text
    assert "Dockerfile:1:6" in text


def test_a_base_that_is_not_there(work: Path, registry: Registry, busybox: str) -> None:
    assert "is not there" in fails(work, f"FROM {registry.host}/nothing:1\nRUN true\n")


def test_a_base_for_another_architecture(work: Path, registry: Registry) -> None:
    folder = bases.layout(work / "arm", [bases.tar([("a", b"x")])], {}, architecture="arm64")
    bases.push(folder, f"{registry.host}/arm:1")
    text = fails(work, f"FROM {registry.host}/arm:1\nCOPY --from={registry.host}/arm:1 /a /b\nRUN true\n")
    assert "Dockerfile:3:1" in text
    assert "/bin/sh: not found in the image" in text


def test_a_run_that_fails(work: Path, busybox: str) -> None:
    text = fails(work, f"FROM {busybox}\nRUN echo before; echo the reason >&2; exit 7\n")
    assert "failed with exit code 7" in text
    assert "the reason" in text
    assert "Dockerfile:2:1" in text
    assert "RUN echo before" in text


def test_a_command_that_is_not_there(work: Path, busybox: str) -> None:
    assert "nope: not found in the image" in fails(work, f'FROM {busybox}\nRUN ["nope"]\n')


def hostile(entries: list[tarfile.TarInfo]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info in entries:
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return out.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, size, 0o755
    return info


@pytest.mark.parametrize(
    ("name", "entries", "refused"),
    [
        ("dotdot", [member("../../../../var/tmp/img-escape", size=1)], True),
        ("link", [member("out", tarfile.SYMTYPE, "/var/tmp"), member("out/img-escape", size=1)], False),
        (
            "updots",
            [member("out", tarfile.SYMTYPE, "../../../../../../var/tmp"), member("out/img-escape", size=1)],
            False,
        ),
        ("hard", [member("out", tarfile.LNKTYPE, "../../../../../../etc/passwd")], True),
        ("missing", [member("out", tarfile.LNKTYPE, "etc/nothing")], True),
        ("whiteout", [member(".wh...", size=0)], True),
        ("overlay", [member("dev0", tarfile.CHRTYPE)], True),
    ],
)
def test_a_hostile_layer(
    work: Path, registry: Registry, name: str, entries: list[tarfile.TarInfo], refused: bool
) -> None:
    escape = Path("/var/tmp/img-escape")
    layer = hostile([*entries])
    bases.push(
        bases.layout(work / "h", [bases.busybox_tar(), layer], {"Env": ["PATH=/bin"]}), f"{registry.host}/h:{name}"
    )
    context = work / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {registry.host}/h:{name}\nRUN true\n")
    done = builders.img("build", "-t", "h", str(context), root=work / "store")
    assert not escape.exists()
    assert "Traceback" not in done.stderr
    assert (done.returncode == 1) == refused, done.stderr


def test_a_damaged_blob_is_found_and_mended(work: Path, busybox: str, registry: Registry) -> None:
    context = work / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo x > /x\n")
    store = work / "store"
    tag = f"{registry.host}/damaged:1"
    assert builders.img("build", "-t", tag, str(context), root=store).returncode == 0
    big = max((store / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(big.read_bytes())
    data[len(data) // 2] ^= 1
    big.write_bytes(bytes(data))
    out = f"type=oci,dest={work}/x.tar"
    broken = builders.img("build", "-o", out, str(context), root=store)
    assert broken.returncode == 1
    assert "was damaged and has been removed" in broken.stderr
    assert not (work / "x.tar").exists()
    again = builders.img("build", "-o", out, str(context), root=store)
    assert again.returncode == 0, again.stderr


def test_a_truncated_blob_and_a_wrong_digest(work: Path, registry: Registry, ground: Path) -> None:
    folder = bases.layout(
        work / "t", [bases.busybox_tar(), bases.tar([("n", os.urandom(5000))])], {"Env": ["PATH=/bin"]}
    )
    for number, spoil in enumerate((lambda data: data[:-100], lambda data: bytes(len(data)))):
        name = f"{registry.host}/spoilt{number}:1"
        bases.push(folder, name)
        blobs = sorted(
            (ground / "registry" / "data").rglob("blobs/sha256/*/*/data"), key=lambda path: path.stat().st_mtime
        )
        layer = next(path for path in reversed(blobs) if 4000 < path.stat().st_size < 20000)
        whole = layer.read_bytes()
        layer.write_bytes(spoil(whole))
        try:
            text = fails(work, f"FROM {name}\nRUN true\n", store=work / f"s{number}")
        finally:
            layer.write_bytes(whole)
        assert "error: " in text
        assert not list((work / f"s{number}" / "tmp").iterdir())


def test_a_full_disk(work: Path, busybox: str) -> None:
    store = work / "small"
    store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(store)], check=True)
    try:
        text = fails(work, f"FROM {busybox}\nRUN cat /dev/zero > /big\n", store=store)
        assert "No space left" in text or "no space left" in text
        (work / "context" / "Dockerfile").write_text(f"FROM {busybox}\nRUN true\n")
        assert builders.img("build", "-t", "x", str(work / "context"), root=store).returncode == 0
    finally:
        subprocess.run(["umount", str(store)], check=True)


# --- sudden ends -------------------------------------------------------------------------------------------------


def leftovers(store: Path, mark: str) -> list[str]:
    """Processes and mounts that speak of the store or of the step."""
    found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(store) in line]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if mark in command and "pytest" not in command:
                found.append(command)
    return found


def start_slow(work: Path, busybox: str, mark: str) -> tuple[subprocess.Popen[bytes], Path]:
    context = work / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN touch /first\nRUN sleep {mark}\n")
    store = work / "store"
    argv = [str(builders.TOOL), "build", "-t", "slow", "--progress", "plain", str(context)]
    process = subprocess.Popen(
        argv,
        env={**os.environ, "IMG_ROOT": str(store)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while not any(f"sleep {mark}" in line for line in leftovers(store, f"sleep {mark}")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process, store


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_sudden_end_leaves_nothing(work: Path, busybox: str, number: signal.Signals) -> None:
    mark = f"98765.{int(number)}"
    process, store = start_slow(work, busybox, mark)
    process.send_signal(number)
    status = process.wait(30)
    if number is not signal.SIGKILL:
        assert status == 130
        assert not list((store / "tmp").iterdir())
        assert not list((store / "locks").iterdir())
    deadline = time.monotonic() + 10
    while leftovers(store, f"sleep {mark}") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert leftovers(store, f"sleep {mark}") == []
    (work / "context" / "Dockerfile").write_text(f"FROM {busybox}\nRUN touch /first\nRUN touch /second\n")
    done = builders.img("build", "-t", "slow", "--progress", "json", str(work / "context"), root=store)
    assert done.returncode == 0, done.stderr
    assert builders.ran(done) == ["RUN touch /second"]
    assert not list((store / "tmp").iterdir())


def test_two_builds_at_once_on_one_store(work: Path, busybox: str) -> None:
    context = work / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN sleep 1; date +%s%N > /when\n")
    store = work / "store"
    argv = [str(builders.TOOL), "build", "-q", "-t", "both", str(context)]
    env = {**os.environ, "IMG_ROOT": str(store)}
    running = [subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    answers = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    assert answers[0][0].startswith(b"sha256:")


def test_memory_does_not_grow_with_a_layer(work: Path, busybox: str) -> None:
    context = work / "context"
    context.mkdir()
    size = 2 << 30
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN head -c {size} /dev/zero > /big\n")
    program = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:])\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "sys.exit(done.returncode)"
    )
    argv = [builders.TOOL, "build", "-t", "big", "--progress", "quiet", context]
    done = subprocess.run(
        ["/usr/bin/python3", "-c", program, *map(str, argv)],
        capture_output=True,
        text=True,
        env={**os.environ, "IMG_ROOT": str(work / "store")},
        check=True,
    )
    assert int(done.stdout.split()[-1]) < 200 * 1024
    shutil.rmtree(work / "store")
