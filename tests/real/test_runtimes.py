"""OCI runtimes as backends: the images that chroot gives, as root and as an ordinary user, and the same errors."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.peers import bases, builders

pytestmark = pytest.mark.real

RUNTIMES = ("runc", "crun")

LINES = """
FROM @BASE@ AS base
ADD files.tar /added/
FROM base
RUN --mount=type=cache,target=/c --mount=type=secret,id=word,uid=33 wc -c /run/secrets/word > /size; echo x > /c/x
RUN mkdir -p /a/b && echo hi > /a/f && ln /a/f /a/g && chown 33:44 /a/f
RUN chmod 4755 /a/g && rm -r /var && mkdir /var
USER www
RUN --mount=type=secret,id=word,env=WORD echo "${#WORD}" > /tmp/word; id > /tmp/id; ! touch /etc/refused
USER root
WORKDIR /made/here
ENV NAME=value
RUN --mount=type=bind,from=base,source=/added,target=/mnt/a --mount=type=tmpfs,target=/t ls /mnt/a /t > listed
RUN pwd >> listed
RUN --network=none ls /sys/class/net > /net; grep -c . /proc/self/mountinfo > /dev/null; echo $NAME > /name
RUN grep -E '^(CapBnd|CapEff|NoNewPrivs|Seccomp):' /proc/self/status > /status; umask > /umask; cat /etc/hosts > /hosts
RUN ls /dev | grep -vx core > /devices; echo q > /dev/null; echo o > /dev/stdout;
RUN ls /proc/kcore; mount -t tmpfs x /mnt && exit 1; true
"""


def _context(work: Path, base: str, lines: str = LINES) -> Path:
    context = work / "c"
    context.mkdir(mode=0o755)
    (context / "Dockerfile").write_text(lines.replace("@BASE@", base))
    (context / "files.tar").write_bytes(bases.tar([("d", None), ("d/f", b"x"), ("top", b"yy")]))
    (context / "word").write_text("shibboleth")
    return context


def _build(context: Path, work: Path, backend: str, user: bool) -> bytes:
    """The bytes of the image; the store is the backend's and the user's own."""
    folder = work / f"{backend}-{user}"
    folder.mkdir()
    folder.chmod(0o777)
    out = folder / "out.tar"
    env = {"SOURCE_DATE_EPOCH": "1700000000"}
    if backend != "chroot":
        env["IMG_RUNTIME"] = backend
    name = "chroot" if backend == "chroot" else "runc"
    arguments = ["build", "-b", name, "--secret", f"id=word,src={context}/word", str(context)]
    arguments += ["-o", f"type=oci,rewrite-timestamp=true,dest={out}"]
    done = builders.img(*arguments, root=folder / "s", env=env, user=user)
    assert done.returncode == 0, done.stderr
    return out.read_bytes()


def test_the_same_image_with_every_runtime(busybox: str, work: Path) -> None:
    context = _context(work, busybox)
    wanted = _build(context, work, "chroot", user=False)
    for backend in RUNTIMES:
        assert _build(context, work, backend, user=False) == wanted, backend


def test_the_same_image_without_root(busybox: str, work: Path) -> None:
    context = _context(work, busybox)
    wanted = _build(context, work, "chroot", user=True)
    for backend in RUNTIMES:
        assert _build(context, work, backend, user=True) == wanted, backend


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("RUN exit 3", "failed with exit code 3"),
        ("RUN sh -c 'kill -9 $$'; exit $?", "failed with exit code 137 (signal 9)"),
        ('RUN ["/nothing", "here"]', "/nothing: not found in the image"),
        ('RUN ["nothing"]', "nothing: not found in the image"),
        ('RUN ["/etc"]', "/etc: Permission denied"),
    ],
)
def test_failures_are_told_as_with_chroot(busybox: str, work: Path, runtime: str, line: str, words: str) -> None:
    context = _context(work, busybox, f"FROM @BASE@\n{line}\n")
    done = builders.img("build", "-b", "runc", str(context), root=work / "s", env={"IMG_RUNTIME": runtime})
    assert done.returncode == 1
    assert words in done.stderr


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_killed_it_leaves_nothing(busybox: str, work: Path, runtime: str, how: signal.Signals) -> None:
    mark = f"77{RUNTIMES.index(runtime)}{int(how)}"
    context = _context(work, busybox, f"FROM @BASE@\nRUN (setsid sleep {mark} &) ; sleep {mark}\n")
    env = {"IMG_ROOT": str(work / "s"), "IMG_RUNTIME": runtime, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    argv = [str(builders.TOOL), "build", "-b", "runc", str(context)]
    process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: _sleeping(mark) == 2)
        groups = _groups(mark)
        assert groups or runtime == "crun"  # which does without where v1 and v2 share a tree
        process.send_signal(how)
        process.wait(20)
        _until(lambda: _sleeping(mark) == 0)
    finally:
        process.kill()
        process.wait()
    _until(lambda: not any(list(Path("/sys/fs/cgroup").rglob(name)) for name in groups))


def _groups(mark: str) -> set[str]:
    """The names of the cgroups that img made for the processes that sleep."""
    found = subprocess.run(["pgrep", "-fx", f"sleep {mark}"], capture_output=True, text=True, check=True)
    lines = [line for pid in found.stdout.split() for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    return {name for line in lines for name in line.split("/") if name.startswith("img-")}


def _sleeping(mark: str) -> int:
    found = subprocess.run(["pgrep", "-fxc", f"sleep {mark}"], capture_output=True, text=True, check=False)
    return int(found.stdout)


def _until(reached: object) -> None:
    assert callable(reached)
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_runtime_that_is_not_there(busybox: str, work: Path) -> None:
    context = _context(work, busybox, "FROM @BASE@\nRUN true\n")
    done = builders.img("build", "-b", "runc", str(context), root=work / "s", env={"IMG_RUNTIME": "nowhere"})
    assert done.returncode == 1
    assert "there is no program nowhere" in done.stderr
