"""A hostile build: what docs/explanation/security-boundary.md says is held, tried for real on each rung and backend."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.peers import bases, builders, jails
from tests.peers.neighbours import ABSTRACT, neighbours

pytestmark = pytest.mark.real


class Way(NamedTuple):
    """A backend and rung: by what ``--backend``, environment and user; `alone` is what runs img where there is a single id."""

    backend: str = "chroot"
    env: Mapping[str, str] = {}
    user: bool = False
    alone: tuple[str, ...] = ()


SCRIPT = Path(__file__).parent / "hostile" / "escape.pl"
WORD = "word-of-the-machine-4711"
WAYS = {
    "root": Way(),
    "user": Way(user=True),
    "one id": Way(
        alone=("setpriv", "--reuid=23456", "--regid=23456", "--clear-groups", "--inh-caps=-all", "--no-new-privs")
    ),
    "one id in a namespace": Way(
        alone=("setpriv", "--reuid=23457", "--regid=23457", "--clear-groups", "unshare", "-Ur")
    ),
    "runc": Way("runc", {"IMG_RUNTIME": "runc"}),
    "crun": Way("runc", {"IMG_RUNTIME": "crun"}),
    "rootless runc": Way("runc", {"IMG_RUNTIME": "runc"}, user=True),
    "rootless crun": Way("runc", {"IMG_RUNTIME": "crun"}, user=True),
    "containerd": Way("containerd"),
}
LINES = f"""
FROM @BASE@
ENV HOST_FILE=@FILE@ HOST_WORD={WORD} ABSTRACT={ABSTRACT}-@PID@ OWN_PROCESS_1=@OWN@
RUN --mount=type=bind,source=escape.pl,target=/escape.pl --mount=type=cache,target=/cache perl /escape.pl
"""


@pytest.fixture(scope="module")
def stores(ground: Path) -> Path:
    """A folder for the store of root and that of the user, so that bases are unpacked once."""
    folder = ground / "escapes"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture
def secret(work: Path) -> Iterator[Path]:
    """A file of this machine that whoever builds could read."""
    file = work / "of-the-machine"
    file.write_text(f"{WORD}\n")
    yield file


def _context(work: Path, base: str, secret: Path, lines: str = LINES) -> Path:
    context = work / "c"
    context.mkdir(mode=0o755)
    text = lines.replace("@BASE@", base).replace("@FILE@", str(secret)).replace("@PID@", str(os.getpid()))
    (context / "Dockerfile").write_text(text)
    shutil.copy(SCRIPT, context)
    return context


@pytest.mark.parametrize("name", [name for name in WAYS if name != "one id in a namespace"])
def test_a_hostile_run(
    request: pytest.FixtureRequest, debian: str, stores: Path, work: Path, secret: Path, name: str
) -> None:
    way = WAYS[name]
    own = "" if way.backend == "chroot" else "yes"
    context = _context(work, debian, secret, LINES.replace("@OWN@", own))
    nodes = _nodes()
    with neighbours():
        done = _img(
            request, stores, way, "build", "--no-cache", "--progress", "plain", "--network", "none", str(context)
        )
    assert done.returncode == 0, done.stderr
    assert "ESCAPED" not in done.stderr, "\n".join(row for row in done.stderr.splitlines() if "ESCAPED" in row)
    assert "tried everything" in done.stderr
    assert done.stderr.count(" held ") > 45, done.stderr
    assert _nodes() == nodes, "the machine's own device nodes"


def _img(request: pytest.FixtureRequest, stores: Path, way: Way, *words: str) -> subprocess.CompletedProcess[str]:
    """Run img in one of the ways."""
    env = dict(way.env)
    if way.backend == "containerd":
        env["CONTAINERD_ADDRESS"] = request.getfixturevalue("containerd")
    arguments = [words[0], "--backend", way.backend, *words[1:]]
    if not way.alone:
        return builders.img(*arguments, root=stores / f"{way.user}", env=env, user=way.user)
    uid = int(way.alone[1].partition("=")[2])
    store = stores / f"{uid}"
    store.mkdir(exist_ok=True)
    os.chown(store, uid, uid)
    env |= {"IMG_ROOT": f"{store}/store", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    argv = [*way.alone, str(builders.TOOL), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, env=env, cwd="/", check=False, timeout=300)


def _nodes() -> list[tuple[int, int, int]]:
    found = (os.stat(f"/dev/{name}") for name in ("null", "zero", "full", "random", "urandom", "tty"))
    return [(status.st_mode, status.st_uid, status.st_gid) for status in found]


COPIED = {
    "an abstract socket",  # the container's network
    "open the device c 10:200",  # dockerd gives it to every container
    "io_uring",  # dockerd 20.10's own filter lets it through
}
"""What the container, and not img, keeps from a step or not."""


def test_a_hostile_run_in_a_confined_container(docker_host: str, debian: str, work: Path, secret: Path) -> None:
    """Of the container's own files a step sees none."""
    context = _context(work, debian, secret, LINES.replace("@OWN@", ""))
    done = jails.mounted(docker_host, debian, f"img build --progress plain {context}", {work: "rw"}, work / "s")
    assert done.returncode == 0 and "each RUN gets a plain copy" in done.stderr, done.stderr
    rows = done.stderr.splitlines()
    assert {row.partition("ESCAPED ")[2].partition(": ")[0] for row in rows if "ESCAPED" in row} <= COPIED
    assert "tried everything" in done.stderr and done.stderr.count(" held ") > 40


RECORDER = """
FROM @BASE@
COPY recorder /bin/
RUN HOST_DIR=@DIR@ recorder
"""


@pytest.mark.parametrize("name", ["one id", "one id in a namespace"])
def test_a_recorder_is_not_deceived(
    request: pytest.FixtureRequest, busybox: str, stores: Path, work: Path, secret: Path, name: str
) -> None:
    way = WAYS[name]
    outside = work / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    (outside / "there").write_text(WORD)
    context = _context(work, busybox, secret, RECORDER.replace("@DIR@", str(outside)))
    source = SCRIPT.parent / "recorder.c"
    subprocess.run(
        ["gcc", "-static", "-O1", "-pthread", "-w", "-o", str(context / "recorder"), str(source)], check=True
    )
    done = _img(request, stores, way, "build", "--no-cache", "--progress", "plain", str(context))
    assert done.returncode == 0, done.stderr
    assert "ESCAPED" not in done.stderr, done.stderr
    assert "tried everything" in done.stderr
    assert os.listdir(outside) == ["there"] and (outside / "there").read_text() == WORD
    if os.uname().machine == "x86_64":
        assert "a program for another kind of processor (32 bits?) can't run" in done.stderr


# --- the builder and its other builds --------------------------------------------------------------------------------------

INTERPRETER = """
FROM @BASE@
RUN mkdir -p /x /lib64 && ln -s /proc/self/exe /x/sh && cp /bin/busybox /lib64/ld-linux-x86-64.so.2
RUN ["/x/sh", "-c", "ls -l /proc/self/exe; exec 3</proc/self/exe; exec /bin/busybox sh -c ': 1<>/proc/self/fd/3 && echo OPEN'"]
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the loader's name is that of x86-64")
@pytest.mark.parametrize("user", [False, True])
def test_no_step_holds_the_machines_own_interpreter(busybox: str, work: Path, secret: Path, user: bool) -> None:
    context = _context(work, busybox, secret, INTERPRETER)
    done = builders.img("build", "--progress", "plain", str(context), root=work / "s", user=user)
    assert done.returncode == 1
    assert "/proc/self/exe -> /memfd:img" in done.stderr, done.stderr
    assert "can't create /proc/self/fd/3" in done.stderr and not re.search(r"\d OPEN", done.stderr)


@pytest.mark.parametrize("name", ["user", "runc"])
def test_killing_everybody_kills_the_step_alone(
    request: pytest.FixtureRequest, busybox: str, work: Path, stores: Path, secret: Path, name: str
) -> None:
    way = WAYS[name]
    context = _context(
        work, busybox, secret, "FROM @BASE@\nRUN kill -9 -1; kill -9 1; kill -9 $PPID; echo alive; exit 3\n"
    )
    done = _img(request, stores, way, "build", "--progress", "plain", str(context))
    assert done.returncode == 1 and "failed with" in done.stderr
    again = _img(request, stores, way, "build", "--progress", "plain", str(context))
    assert again.returncode == 1 and "failed with" in again.stderr, "the store is whole"


def test_nobody_else_reaches_the_files_of_images(busybox: str, work: Path, secret: Path) -> None:
    """Setuid programs and device nodes of an image are in the store of root, whose folder was made for all."""
    lines = "FROM @BASE@\nRUN cp /bin/busybox /su && chmod 4755 /su && mknod -m 666 /node c 10 200\n"
    context = _context(work, busybox, secret, lines)
    store = work / "s"
    store.mkdir()
    store.chmod(0o755)
    assert builders.img("build", str(context), root=store).returncode == 0
    (tree,) = (path.parent for path in store.glob("layers/*/tree/su"))
    for word in (f"{tree}/su id", f"true < {tree}/node"):
        done = subprocess.run(["setpriv", f"--reuid={builders.USER}", "--clear-groups", "sh", "-c", word], check=False)
        assert done.returncode != 0


SECRETS = """
FROM @BASE@ AS holder
RUN --mount=type=secret,id=word,env=WORD --mount=type=secret,id=word sleep 3; wc -c < /run/secrets/word
FROM @BASE@ AS thief
RUN sleep 1; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /run/secrets/* > /all 2>/dev/null; \\
    grep -rsl shib[b]oleth /all /run /tmp /dev/shm /etc /var /root > /found; cat /found; test ! -s /found
FROM @BASE@
COPY --from=holder /etc/passwd /1
COPY --from=thief /etc/passwd /2
"""


@pytest.mark.parametrize("user", [False, True])
def test_a_step_does_not_see_the_secret_of_one_beside_it(busybox: str, work: Path, secret: Path, user: bool) -> None:
    context = _context(work, busybox, secret, SECRETS)
    word = work / "word"
    word.write_text("shibboleth-4711")
    arguments = ["build", "--secret", f"id=word,src={word}", "--progress", "plain", str(context)]
    done = builders.img(*arguments, root=work / "s", user=user)
    assert done.returncode == 0, done.stderr


# --- files without a process ------------------------------------------------------------------------------------------------

LINKS = """
FROM @BASE@ AS a
RUN mkdir -p /out && ln -s / /out/root && ln -s ../../../../../../../.. /out/up
RUN ln -s @DIR@ /out/dir && ln -s @FILE@ /out/file
FROM @BASE@
COPY --from=a /out/@HOW@ /got
"""


@pytest.mark.parametrize("how", ["up@FILE@", "dir/of-the-machine", "file"])
def test_links_of_a_stage_lead_nowhere_outside(busybox: str, work: Path, secret: Path, how: str) -> None:
    lines = LINKS.replace("@HOW@", how).replace("@DIR@", str(work))
    context = _context(work, busybox, secret, lines)
    out = work / "out.tar"
    done = builders.img("build", "-o", f"type=tar,dest={out}", str(context), root=work / "s")
    assert "Traceback" not in done.stderr
    if done.returncode == 0:
        assert WORD.encode() not in out.read_bytes()
    else:
        assert "there is no" in done.stderr or "is not there" in done.stderr, done.stderr


def test_a_destination_behind_links_is_inside(busybox: str, work: Path, secret: Path) -> None:
    lines = f"FROM @BASE@\nRUN ln -s {work} /abs && ln -s ../../../../../..{work} /rel\n"
    lines += "COPY escape.pl /abs/new\nCOPY escape.pl /rel/new2\n"
    context = _context(work, busybox, secret, lines)
    before = sorted(os.listdir(work))
    out = work / "out.tar"
    done = builders.img("build", "-o", f"type=tar,dest={out}", str(context), root=work / "s")
    assert sorted(set(os.listdir(work)) - {"out.tar", "s"}) == sorted(set(before) - {"s"})
    if done.returncode == 0:
        with tarfile.open(out) as tar:
            assert f"{str(work)[1:]}/new" in tar.getnames()


def test_a_context_that_changes_into_links_meanwhile(busybox: str, work: Path, secret: Path) -> None:
    """A folder of the context is again and again a link to a folder of the machine while it is copied."""
    context = _context(work, busybox, secret, "FROM @BASE@\nCOPY d /d\n")
    outside = work / "outside"
    outside.mkdir()
    for number in range(200):
        (outside / f"f{number}").write_text(WORD)
    stop = threading.Event()

    def swap() -> None:
        place, spare, link = context / "d" / "e", context / "d" / "spare", context / "d" / "link"
        while not stop.is_set():
            place.rename(spare)
            link.symlink_to(outside)
            link.rename(place)
            place.unlink()
            spare.rename(place)

    (context / "d" / "e").mkdir(parents=True)
    for number in range(200):
        (context / "d" / "e" / f"f{number}").write_text("harmless")
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(2):
            out = work / f"{number}.tar"
            done = builders.img("build", "--no-cache", "-o", f"type=tar,dest={out}", str(context), root=work / "s")
            assert "Traceback" not in done.stderr
            assert not out.exists() or WORD.encode() not in out.read_bytes()
    finally:
        stop.set()
        thread.join()


def test_layers_that_lead_outside(work: Path, secret: Path) -> None:
    """An archive that the build unpacks writes through a link that it made."""
    context = _context(work, "scratch", secret, "FROM scratch\nADD evil.tar /in/\n")
    (context / "evil.tar").write_bytes(bases.tar([("l", str(work)), ("l/planted", b"x"), ("../../planted2", b"x")]))
    done = builders.img("build", str(context), root=work / "s")
    assert "Traceback" not in done.stderr
    found = subprocess.run(
        ["find", str(work), "/var/tmp", "-maxdepth", "2", "-name", "planted*"], capture_output=True, check=False
    )
    assert b"planted" not in found.stdout.replace(str(work / "s").encode(), b"")
