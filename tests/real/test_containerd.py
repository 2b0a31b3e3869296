"""containerd as a backend and as a place for images, with Debian's own: the images that chroot gives, nothing left behind
whatever happens, and images that ctr starts."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peers import bases, builders, servers

pytestmark = [pytest.mark.real, pytest.mark.root]

LINES = """
FROM @BASE@ AS base
ADD files.tar /added/
RUN mkdir -p /a/b && echo hi > /a/f && ln /a/f /a/g && chown 33:44 /a/f && chmod 4755 /a/g && ln -s f /a/link
FROM base
RUN rm -r /var && mkdir /var && touch -d '2001-01-01 00:00:00' /var && mkfifo /a/fifo && rm /a/g
RUN --mount=type=cache,target=/c --mount=type=secret,id=word,uid=33 wc -c /run/secrets/word > /size; echo x > /c/x
RUN --mount=type=cache,target=/c cat /c/x > /cached
RUN --mount=type=secret,id=word,env=WORD echo "${#WORD}" > /length; echo "$WORD" | md5sum > /sum
RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && stat -c '%a %u' $SSH_AUTH_SOCK > /agent
RUN --mount=type=bind,from=base,source=/a,target=/mnt/a,rw --mount=type=tmpfs,target=/t rm /mnt/a/f; ls /mnt/a /t > /listed
USER www
WORKDIR /var
RUN --mount=type=secret,id=word,target=/w,mode=0404 cat /w | wc -c; id; ! touch /etc/refused
USER root
WORKDIR /made/here
ENV NAME=value
RUN --network=none ls /sys/class/net > /net; ping -c1 -W1 127.0.0.1 > /dev/null && echo $NAME $HOME > name; pwd >> name
RUN grep -E '^(CapBnd|CapEff|NoNewPrivs|Seccomp):' /proc/self/status > /status; umask > /umask; cat /etc/hosts > /hosts
RUN ls /dev | grep -vx core > /devices; echo q > /dev/null; echo o > /dev/stdout; cat > /stdin; hostname > /name
RUN ls /proc/kcore; mount -t tmpfs x /mnt && exit 1; touch /sys/x && exit 1; true
RUN ["/bin/sh", "-c", "ulimit -n > /limit; (trap 'echo caught > /signal' TERM; kill -TERM $$; true)"]
"""


@pytest.fixture
def address(containerd: str) -> str:
    return containerd


@pytest.fixture
def left(address: str) -> Iterator[Callable[[], list[str]]]:
    """What there is of builds: containers, tasks, shims, mounts. At the end of a test there must be nothing."""

    def found() -> list[str]:
        lines = [f"container {id}" for id in _ctr(address, "img", "container", "ls", "-q").split()]
        lines += [f"task {id}" for id in _ctr(address, "img", "task", "ls", "-q").split()]
        argv = ["pgrep", "-f", f"shim-runc-v2 -namespace img .*{address}"]
        shims = subprocess.run(argv, capture_output=True, text=True, check=False)
        lines += [f"shim {pid}" for pid in shims.stdout.split()]
        folder = os.path.dirname(address)
        places = f" {folder}/", f" {os.path.dirname(folder)}/t-"  # other servers of the suite mount beside these
        mounts = Path("/proc/mounts").read_text().splitlines()
        return lines + [line for line in mounts if any(place in line for place in places)]

    yield found
    _until(lambda: not found(), found)


def _ctr(address: str, namespace: str, *words: str) -> str:
    argv = ["ctr", "--address", address, "--namespace", namespace, *words]
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _collect(address: str, namespace: str) -> None:
    """Let containerd collect what nothing holds."""
    _ctr(address, namespace, "leases", "create", "--id", "collect")
    _ctr(address, namespace, "leases", "delete", "--sync", "collect")


def _until(reached: Callable[[], object], told: Callable[[], object] = lambda: "") -> None:
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end, told()
        time.sleep(0.1)


def _img(address: str, work: Path, *words: str, root: str = "s", **variables: str) -> subprocess.CompletedProcess[str]:
    return builders.img(*words, root=work / root, env={"CONTAINERD_ADDRESS": address, **variables})


def _context(work: Path, base: str, lines: str) -> Path:
    context = work / "c"
    context.mkdir(mode=0o755, exist_ok=True)
    (context / "Dockerfile").write_text(lines.replace("@BASE@", base))
    return context


# --- the backend ---------------------------------------------------------------------------------------------------


def test_the_same_image_as_with_chroot(address: str, busybox: str, work: Path, left: object) -> None:
    context = _context(work, busybox, LINES)
    (context / "files.tar").write_bytes(bases.tar([("d", None), ("d/f", b"x"), ("top", b"yy")]))
    (context / "word").write_text('it\'s a "$HOME" of\n\nshibboleths\n')
    made = {}
    with _agent(work) as agent:
        for backend in ("chroot", "containerd"):
            words = ["build", "-b", backend, "--secret", f"id=word,src={context}/word", "--ssh", f"default={agent}"]
            words += ["-o", f"type=oci,rewrite-timestamp=true,dest={work}/{backend}.tar", str(context)]
            done = _img(address, work, *words, root=backend, SOURCE_DATE_EPOCH="1700000000")
            assert done.returncode == 0, done.stderr
            made[backend] = (work / f"{backend}.tar").read_bytes()
    assert made["containerd"] == made["chroot"]
    database = Path(address).parent / "root/io.containerd.metadata.v1.bolt/meta.db"
    assert b"shibboleths" not in database.read_bytes()


@contextlib.contextmanager
def _agent(work: Path) -> Iterator[Path]:
    """The socket of an ssh agent without keys."""
    place = work / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.DEVNULL)
    try:
        _until(place.exists)
        yield place
    finally:
        process.terminate()
        process.wait()


def test_limits_and_a_network_of_its_own(address: str, busybox: str, work: Path, left: object) -> None:
    for line, flags, words in (
        ("dd if=/dev/zero of=/dev/null bs=200M count=1", ["--memory", "48m"], "ran out of memory: its limit is 48 MiB"),
        ("for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait", ["--pids-limit", "6"], "at its limit of 6 processes"),
        ("sleep 60", ["--step-timeout", "1s"], "was stopped after 1 s"),
        ("ls /sys/class/net; exit 1", ["--network", "sandbox", "--progress", "plain"], " eth0\n"),
    ):
        context = str(_context(work, busybox, f"FROM @BASE@\nRUN {line}\n"))
        done = _img(address, work, "build", "-b", "containerd", *flags, context)
        assert done.returncode == 1
        assert words in done.stderr
    found = subprocess.run(["find", "/sys/fs/cgroup", "-name", "step-*"], capture_output=True, text=True, check=True)
    assert not found.stdout


def test_output_is_whole_and_steps_run_side_by_side(address: str, busybox: str, work: Path, left: object) -> None:
    stages = [f"FROM @BASE@ AS s{n}\nRUN seq {n}000001 {n}005000; sleep 3; echo {n} > /f{n}\n" for n in range(10, 30)]
    copies = [f"COPY --from=s{n} /f{n} /\n" for n in range(10, 30)]
    context = _context(work, busybox, "".join([*stages, "FROM @BASE@\n", *copies, "RUN cat /f* | wc -l\n"]))
    begun = time.monotonic()
    done = _img(address, work, "build", "-b", "containerd", "--progress", "plain", str(context))
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun < 50  # one after the other they take more than 60
    for number in range(10, 30):
        lines = re.findall(rf"^#[0-9]+ [0-9.]+ ({number}0[0-9]{{5}})$", done.stderr, re.MULTILINE)
        assert lines == [f"{number}{count:06}" for count in range(1, 5001)]
    assert re.search(r"^#[0-9]+ [0-9.]+ 20$", done.stderr, re.MULTILINE)


def test_more_layers_than_a_page_of_options_holds(address: str, work: Path, left: object) -> None:
    layers = [bases.busybox_tar(), *(bases.tar([(f"l{number}", b"x")]) for number in range(140))]
    bases.layout(work / "many", layers, {"Env": ["PATH=/bin"]})
    context = _context(work, "", "FROM many\nRUN ls / | grep -c '^l[0-9]'\n")
    words = ["--build-context", f"many=oci-layout://{work}/many", "--progress", "plain"]
    done = _img(address, work, "build", "-b", "containerd", *words, str(context))
    assert done.returncode == 0, done.stderr
    assert re.search(r"^#[0-9]+ [0-9.]+ 140$", done.stderr, re.MULTILINE)


@pytest.mark.parametrize("how", ["interrupted", "killed", "killed with all it had"])
def test_nothing_is_left(address: str, busybox: str, work: Path, left: Callable[[], list[str]], how: str) -> None:
    mark = f"78{len(how)}"
    lines = "FROM @BASE@ AS b\nRUN echo x > /x\nFROM @BASE@\nRUN --mount=type=bind,from=b,target=/m "
    lines += f"--mount=type=secret,id=w (setsid sleep {mark} &) ; sleep {mark}\n"
    context = _context(work, busybox, lines)
    (work / "w").write_text("word")
    env = {"IMG_ROOT": str(work / "s"), "CONTAINERD_ADDRESS": address, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    argv = [str(builders.TOOL), "build", "-b", "containerd", "--secret", f"id=w,src={work}/w", str(context)]
    process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: _sleeping(mark) == 2)
        assert len(left()) > 4  # container, task, shim, and the mounts of the root, the stage and the secret
        family = _descendants(process.pid) if how.endswith("had") else []
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        for pid in [process.pid, *family]:
            os.kill(pid, signal.SIGINT if how == "interrupted" else signal.SIGKILL)
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    if family:
        done = _img(address, work, "build", "-b", "containerd", str(_context(work, busybox, "FROM @BASE@\nRUN true\n")))
        assert done.returncode == 0, done.stderr
    _until(lambda: _sleeping(mark) == 0 and not left(), left)
    if how == "interrupted":
        assert not list((work / "s" / "tmp").iterdir())


def _sleeping(mark: str) -> int:
    found = subprocess.run(["pgrep", "-fxc", f"sleep {mark}"], capture_output=True, text=True, check=False)
    return int(found.stdout)


def _descendants(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    children = [int(word) for word in found.stdout.split()]
    return [*children, *(below for child in children for below in _descendants(child))]


def test_a_step_outlives_its_containerd(busybox: str, ground: Path, work: Path) -> None:
    """And a collection in it."""
    folder = work / "containerd"
    folder.mkdir()
    lines = "FROM @BASE@\nRUN touch /go/begun; while [ ! -e /go/on ]; do sleep 0.1; done; seq 5; exit 7\n"
    lines = lines.replace("RUN ", "RUN --mount=type=cache,target=/go,id=go ")
    context = _context(work, busybox, lines)
    env = {"IMG_ROOT": str(work / "s"), "CONTAINERD_ADDRESS": f"{folder}/containerd.sock"}
    env["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    argv = [str(builders.TOOL), "build", "-b", "containerd", "--progress", "plain", str(context)]
    with contextlib.ExitStack() as stack:
        with servers.containerd(folder) as sock:
            process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            _until(lambda: list((work / "s").glob("cache-mounts/*/begun")))
            _collect(sock, "img")
        stack.enter_context(servers.containerd(folder))
        (place,) = (work / "s/cache-mounts").iterdir()
        (place / "on").touch()
        _, told = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "failed with exit code 7" in told, told
        assert re.findall(r"^#[0-9]+ [0-9.]+ ([0-9])$", told, re.MULTILINE) == list("12345")
        assert not _ctr(sock, "img", "container", "ls", "-q")
    assert str(folder) not in Path("/proc/mounts").read_text()


def test_why_it_does_not_work_here(address: str, busybox: str, work: Path) -> None:
    context = str(_context(work, busybox, "FROM @BASE@\nRUN true\n"))
    (work / "file").touch()
    for at, words in ((f"{work}/none", "there is no socket"), (f"{work}/file", "is no socket")):
        done = _img(at, work, "build", "-b", "containerd", context)
        assert done.returncode == 1
        assert words in done.stderr
        assert "IMG_CONTAINERD_ADDRESS" in done.stderr
    done = builders.img("build", "-b", "containerd", context, root=work / "u", user=True)
    assert done.returncode == 1
    assert "takes orders from root only" in done.stderr
    doctor = _img(address, work, "doctor").stdout
    assert re.search(r"containerd: works: containerd 1\.[0-9.]+.*namespace img", doctor)


# --- the exporter --------------------------------------------------------------------------------------------------


def test_ctr_runs_what_was_exported(address: str, busybox: str, work: Path) -> None:
    context = str(_context(work, busybox, 'FROM @BASE@\nRUN echo works > /hello\nCMD ["cat", "/hello"]\n'))
    done = _img(address, work, "build", "-t", "app", "-o", "type=containerd", context)
    assert done.returncode == 0, done.stderr
    names = 'type=containerd,namespace=k8s.io,unpack=true,"name=app:one,example.org/app:two"'
    done = _img(address, work, "build", "-o", names, context)
    assert done.returncode == 0, done.stderr
    for namespace, name in (
        ("default", "docker.io/library/app:latest"),
        ("k8s.io", "docker.io/library/app:one"),
        ("k8s.io", "example.org/app:two"),
    ):
        _collect(address, namespace)
        assert "complete (3/3)" in _ctr(address, namespace, "image", "check", f"name=={name}")
        assert _ctr(address, namespace, "run", "--rm", name, f"c-{namespace}") == "works\n"
        assert not _ctr(address, namespace, "leases", "ls", "-q")
    assert len(_ctr(address, "k8s.io", "snapshot", "ls").splitlines()) == 1 + 2
    changed = str(_context(work, busybox, 'FROM @BASE@\nRUN echo again > /hello\nCMD ["cat", "/hello"]\n'))
    done = _img(address, work, "build", "-o", "type=containerd,namespace=k8s.io,unpack=true,name=app:one", changed)
    assert done.returncode == 0, done.stderr
    assert _ctr(address, "k8s.io", "run", "--rm", "docker.io/library/app:one", "c") == "again\n"
    assert _ctr(address, "k8s.io", "run", "--rm", "example.org/app:two", "c") == "works\n"
    _ctr(address, "k8s.io", "image", "rm", "--sync", "docker.io/library/app:one", "example.org/app:two")
    assert not _ctr(address, "k8s.io", "content", "ls", "-q")
    assert len(_ctr(address, "k8s.io", "snapshot", "ls").splitlines()) == 1


def test_an_index_of_several_platforms(address: str, work: Path) -> None:
    context = str(_context(work, "", "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n"))
    output = "type=containerd,namespace=many,unpack=true,name=many"
    done = _img(address, work, "build", "--platform", "linux/amd64,linux/arm64", "-o", output, context)
    assert done.returncode == 0, done.stderr
    _collect(address, "many")
    (line,) = _ctr(address, "many", "image", "ls").splitlines()[1:]
    assert "linux/amd64,linux/arm64" in line
    assert len(_ctr(address, "many", "content", "ls", "-q").split()) == 1 + 2 * 3
    assert len(_ctr(address, "many", "snapshot", "ls").splitlines()) == 2
    _ctr(address, "many", "image", "export", "--all-platforms", str(work / "out.tar"), "docker.io/library/many:latest")


def test_a_write_is_taken_up_where_it_was_left(address: str, busybox: str, work: Path) -> None:
    """And what was left there is not believed."""
    from img_plugins.backends.containerd.api.content_pb2 import STAT, WRITE, WriteContentRequest
    from img_plugins.backends.containerd.client import Containerd

    for namespace, left in (("resumed", 2000000), ("spoilt", 1000)):
        lines = f"FROM @BASE@\nRUN head -c 3000000 /dev/urandom > /{namespace}\n"
        context = str(_context(work, busybox, lines))
        assert _img(address, work, "build", "-t", "app", context, root=namespace).returncode == 0
        blobs = {path.name: path for path in (work / namespace / "blobs/sha256").iterdir()}
        layer = max(blobs, key=lambda name: blobs[name].stat().st_size)
        data = blobs[layer].read_bytes()
        client = Containerd(address, namespace)
        of = {"ref": f"img-sha256:{layer}", "total": len(data), "expected": f"sha256:{layer}"}
        begun = data[:left] if namespace == "resumed" else bytes(left)
        asks = [WriteContentRequest(action=STAT, **of), WriteContentRequest(action=WRITE, data=begun, **of)]
        with client.lease("x") as lease:
            assert list(client.stream("Content.Write", asks, lease=lease))
            assert len(_ctr(address, namespace, "content", "active").splitlines()) == 2
            output = f"type=containerd,namespace={namespace},name=app"
            done = _img(address, work, "build", "-o", output, "--progress", "json", context, root=namespace)
            assert done.returncode == 0, done.stderr
        client.close()
        assert len(_ctr(address, namespace, "content", "active").splitlines()) == 1
        assert "complete" in _ctr(address, namespace, "image", "check")


def test_several_exports_of_one_image_at_once(address: str, busybox: str, work: Path) -> None:
    context = str(_context(work, busybox, "FROM @BASE@\nRUN head -c 20000000 /dev/urandom > /f\n"))
    assert _img(address, work, "build", "-t", "app", context).returncode == 0
    env = {"IMG_ROOT": str(work / "s"), "CONTAINERD_ADDRESS": address, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    argv = [str(builders.TOOL), "build", context, "-o"]
    running = [
        subprocess.Popen(
            [*argv, f"type=containerd,namespace=race,unpack=true,name=r{n}"], env=env, stderr=subprocess.PIPE
        )
        for n in range(3)
    ]
    for process in running:
        _, told = process.communicate(timeout=100)
        assert process.returncode == 0, told.decode()
    _collect(address, "race")
    checked = _ctr(address, "race", "image", "check")
    assert checked.count("complete (3/3)") == 3
    assert len(_ctr(address, "race", "content", "active").splitlines()) == 1


def test_what_can_not_be_exported(address: str, work: Path) -> None:
    context = str(_context(work, "", "FROM scratch\nCOPY Dockerfile /\n"))
    for output, words in (
        ("type=containerd", "type=containerd needs a name"),
        ("type=containerd,name=a,snapshotter=native", "for unpack=true only"),
        ("type=containerd,name=a,namespace=a/b", "does not take the image: namespace"),
        ("type=containerd,name=a,unpack=true,snapshotter=nope", "nope"),
        ("type=containerd,name=a,address=/nope", "there is no socket /nope"),
        ("type=containerd,name=a,push=true", "has no attribute 'push'"),
    ):
        done = _img(address, work, "build", "-o", output, context)
        assert done.returncode in (1, 2), output
        assert words in done.stderr, done.stderr
        assert "Traceback" not in done.stderr


def test_an_export_that_was_killed_holds_nothing_for_long(address: str, busybox: str, work: Path) -> None:
    """Its lease is ended by the next one, and with it what had been brought."""
    context = str(_context(work, busybox, "FROM @BASE@\nRUN head -c 90000000 /dev/urandom > /f\n"))
    assert _img(address, work, "build", "-t", "big", context).returncode == 0
    env = {"IMG_ROOT": str(work / "s"), "CONTAINERD_ADDRESS": address, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    argv = [str(builders.TOOL), "build", context, "-o", "type=containerd,namespace=killed,name=big"]
    process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: len(_ctr(address, "killed", "content", "active").splitlines()) > 1)
    finally:
        process.kill()
        process.wait()
    assert _ctr(address, "killed", "leases", "ls", "-q").startswith("img-")
    small = str(_context(work, "", "FROM scratch\nCOPY Dockerfile /\n"))
    assert _img(address, work, "build", "-o", "type=containerd,namespace=killed,name=small", small).returncode == 0
    assert not _ctr(address, "killed", "leases", "ls", "-q")
    _collect(address, "killed")
    assert len(_ctr(address, "killed", "content", "ls", "-q").split()) == 3
