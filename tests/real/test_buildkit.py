"""The backend ``buildkit`` on two real BuildKits: that of Debian's dockerd (20.10), and a 0.25. What they make is held
against what ``--backend chroot`` makes of the same files."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.peers import bases, builders, doors, flatten, guarded, servers

pytestmark = pytest.mark.real

EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}

FILES = {
    "Dockerfile": """
FROM @BASE@ AS made
RUN mkdir -p /a/b && echo hi > /a/f && ln /a/f /a/g && chown 33:44 /a/f && chmod 4755 /a/g && ln -s f /a/soft
RUN rm -r /var && mkdir /var
FROM @BASE@
ARG WORD=first
COPY --from=made /a /copied/
COPY --chown=www:extra plain dir /owned/
COPY link/inner* *.md /found/
COPY --chmod=640 plain /private
ADD files.tar /added/
ADD . /all/
RUN rm /all/dir/inner /added/top
USER www
RUN id > /tmp/id; ! touch /etc/refused
USER root
WORKDIR /made/here
ENV NAME=value
RUN pwd > listed; echo $NAME $WORD >> listed; umask >> listed
RUN --mount=type=bind,from=made,source=/a,target=/tmp/a --mount=type=tmpfs,target=/root ls /tmp/a /root > /seen
RUN --network=none ls /sys/class/net > /net
LABEL a=b
ENTRYPOINT ["/bin/sh"]
""",
    "img.yaml": """
stages:
  app:
    from: "@BASE@"
    steps:
      - run: echo yaml > /made
      - write: {path: /etc/text, text: written, mode: "600"}
      - mkdir: {path: /new, owner: www}
      - copy: [plain, dir, /copied/]
      - remove: /made
    cmd: ["/bin/true"]
""",
    ".dockerignore": "hidden\n*.txt\n!kept.txt\n",
    "plain": "plain",
    "kept.txt": "kept",
    "left.txt": "left",
    "hidden/file": "hidden",
    "readme.md": "# read",
    "dir/inner": "inner",
    "dir/inner2": "inner two",
    "dir/deep/er/file": "deep",
    "word": "shibboleth",
}

NEWER = """
FROM @BASE@ AS made
RUN mkdir /x && echo x > /x/x
FROM @BASE@
COPY --link --from=made /x /linked/
COPY --link --chown=33 plain /linked/plain
COPY --exclude=*2 dir /excluded/
COPY --parents dir/deep/./er/file /parents/
COPY <<one <<two /docs/
first
one
second
two
RUN <<sh
echo here > /here
sh
RUN --mount=type=secret,id=word,env=WORD echo ${#WORD} > /length
COPY --chmod=u=rwX,go=rX dir /modes/
"""


def _context(work: Path, base: str, dockerfile: str = FILES["Dockerfile"]) -> Path:
    context = work / "c"
    context.mkdir(mode=0o755)
    for name, text in {**FILES, "Dockerfile": dockerfile}.items():
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text(text.replace("@BASE@", base))
    (context / "link").symlink_to("dir")
    (context / "dir" / "loop").symlink_to("loop")
    os.link(context / "plain", context / "dir" / "hard")
    (context / "files.tar").write_bytes(bases.tar([("d", None), ("d/f", b"x"), ("top", b"yy")]))
    return context


def _img(work: Path, host: str, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    variables = {"IMG_BUILDKIT_ADDRESS": host.replace("unix://", "docker://"), **EPOCH, **(env or {})}
    argv = ["build", "--backend", "buildkit", "--network", "host", *words]
    return builders.img(*argv, root=work / "farm", env=variables, timeout=200)


def _built(work: Path, host: str, context: Path, *words: str) -> flatten.Whole:
    """What comes of a build on BuildKit."""
    out = work / f"out-{time.monotonic_ns()}"
    done = _img(work, host, "-o", f"type=oci,tar=false,dest={out}", *words, str(context))
    assert done.returncode == 0, done.stderr
    return flatten.read_layout(out)


def _here(work: Path, context: Path, *words: str) -> flatten.Whole:
    out = work / "here"
    argv = ["build", "-b", "chroot", "-o", f"type=oci,tar=false,dest={out}", *words, str(context)]
    done = builders.img(*argv, root=work / "s", env=EPOCH)
    assert done.returncode == 0, done.stderr
    return flatten.read_layout(out)


@pytest.fixture(params=["20.10", "0.25"])
def host(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue("docker_host" if request.param == "20.10" else "newer")
    return found


def test_the_same_tree_and_configuration(busybox: str, work: Path, host: str) -> None:
    context = _context(work, busybox)
    flatten.check_same(
        _built(work, host, context, "--build-arg", "WORD=second"), _here(work, context, "--build-arg", "WORD=second")
    )


def test_what_newer_ones_can_do(busybox: str, work: Path, newer: str) -> None:
    context = _context(work, busybox, NEWER)
    secret = ("--secret", f"id=word,src={context}/word")
    flatten.check_same(_built(work, newer, context, *secret), _here(work, context, *secret))


def test_other_frontends(busybox: str, work: Path, host: str) -> None:
    context = _context(work, busybox)
    (context / "Dockerfile").unlink()
    flatten.check_same(_built(work, host, context), _here(work, context))


@pytest.mark.parametrize(
    ("lines", "line", "word"),
    [
        ("FROM @BASE@\nRUN true\nCOPY --link plain /p\n", 3, "files.merge"),
        ("FROM @BASE@\nCOPY --exclude=*2 dir /e/\n", 2, "files.patterns"),
        ("FROM @BASE@\nCOPY --chmod=u=rwX dir /e/\n", 2, "files.modes"),
        ("FROM @BASE@\nRUN true\nRUN --security=insecure true\n", 3, "security.insecure"),
        ("FROM @BASE@\nRUN true\nRUN --device=a.b/c=d,required true\n", 3, "devices"),
    ],
)
def test_an_older_one_is_not_asked_for_what_it_can_t_do(
    busybox: str, work: Path, docker_host: str, lines: str, line: int, word: str
) -> None:
    words = ["--allow", "security.insecure", "--allow", "device", "--progress", "json"]
    done = _img(work, docker_host, *words, str(_context(work, busybox, lines)))
    assert done.returncode == 1
    assert f"Dockerfile:{line}:" in done.stderr and f"({word}), which the backend buildkit lacks here" in done.stderr
    assert "--backend chroot has it" in done.stderr
    assert builders.ran(done) == []


GIVEN = """
FROM @BASE@
RUN --mount=type=secret,id=word,uid=33,mode=440 stat -c '%u %a' /run/secrets/word > /mode; wc -c < /run/secrets/word > /size
RUN --mount=type=cache,target=/c,uid=33,mode=750,sharing=locked echo k > /c/k
RUN --mount=type=cache,target=/c,uid=33,mode=750,sharing=locked cat /c/k > /kept; stat -c '%u %a' /c >> /kept
RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK > /agent
"""


def test_what_the_user_gives_reaches_the_steps_and_nothing_else(busybox: str, work: Path, host: str) -> None:
    context = _context(work, busybox, GIVEN)
    key = work / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    made = _built(work, host, context, "--secret", f"id=word,src={context}/word", "--ssh", f"default={key}")
    files = made.flat.files
    assert files["size"].content == repr(b"10\n")
    assert files["mode"].content == repr(b"33 440\n")
    assert files["kept"].content == repr(b"k\n33 750\n")
    assert "agent" in files and "run/secrets/word" not in files and "c/k" not in files
    missing = _img(work, host, "--no-cache", str(context))
    assert missing.returncode == 2 or "word" in missing.stderr


def test_a_failing_step_has_its_line_and_its_last_words(busybox: str, work: Path, host: str) -> None:
    context = _context(work, busybox, "FROM @BASE@\nRUN echo fine\nRUN echo out; echo last >&2; exit 7\n")
    done = _img(work, host, str(context))
    assert done.returncode == 1
    assert "Dockerfile:3:" in done.stderr and "failed with exit code 7" in done.stderr and "| last" in done.stderr


def test_cancelled_it_stops_there_too(busybox: str, work: Path, host: str) -> None:
    mark = f"88{len(host)}"
    context = _context(work, busybox, f"FROM @BASE@\nRUN sleep {mark}\n")
    env = {"IMG_ROOT": str(work / "s"), "IMG_BUILDKIT_ADDRESS": host.replace("unix://", "docker://")}
    argv = [str(builders.TOOL), "build", "-b", "buildkit", "--network", "host", str(context)]
    process = subprocess.Popen(
        argv, env={**env, "PATH": os.environ["PATH"]}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _until(lambda: _sleeping(mark) == 1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130, said
        _until(lambda: _sleeping(mark) == 0)
    finally:
        process.kill()
        process.wait()


def test_a_second_build_sends_nothing_and_the_image_is_the_store_s(busybox: str, work: Path, host: str) -> None:
    context = _context(work, busybox, "FROM @BASE@\nCOPY plain /p\nRUN cat /p\n")
    first = _img(work, host, "--progress", "json", "-t", "kept", str(context))
    assert first.returncode == 0 and len(builders.ran(first)) >= 2, first.stderr
    second = _img(work, host, "--progress", "json", "-t", "kept", str(context))
    assert second.returncode == 0 and builders.ran(second) == []
    inner = work / "inner"
    inner.mkdir()
    (inner / "Dockerfile").write_text("FROM kept\nRUN cat /p > /q\n")
    done = builders.img("build", "-b", "chroot", "-t", "grown", str(inner), root=work / "farm")
    assert done.returncode == 0, done.stderr
    argv = [builders.DOCKER, "-H", host, "images", "-q", "img.invalid/transfer"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == ""


def test_a_base_that_only_the_store_has(busybox: str, work: Path, newer: str) -> None:
    context = _context(work, busybox, "FROM @BASE@\nRUN echo base > /base\n")
    done = builders.img("build", "-b", "chroot", "-t", "mine", str(context), root=work / "farm")
    assert done.returncode == 0, done.stderr
    (context / "Dockerfile").write_text("FROM mine\nRUN cat /base > /copy\n")
    assert _built(work, newer, context).flat.files["copy"].content == repr(b"base\n")


def test_a_base_s_layers_do_not_travel(busybox: str, registry: servers.Registry, work: Path, newer: str) -> None:
    context = _context(work, busybox, "FROM @BASE@\nRUN echo x > /x\n")
    name = f"{registry.host}/grown:1"
    done = _img(work, newer, "-t", name, "-o", "type=registry", str(context))
    assert done.returncode == 0, done.stderr
    assert flatten.flatten(f"docker://{name}", work / "pulled").files["x"].content == repr(b"x\n")
    blobs = (work / "farm" / "blobs" / "sha256").iterdir()
    assert max(blob.stat().st_size for blob in blobs) < 100_000


def test_outputs(busybox: str, registry: servers.Registry, work: Path, host: str) -> None:
    context = _context(work, busybox, "FROM @BASE@\nRUN echo x > /x\n")
    name, tree, tar = f"{registry.host}/from-buildkit:1", work / "tree", work / "their.tar"
    outputs = ["type=registry", f"type=local,dest={tree}", f"type=buildkit,exporter=tar,dest={tar}"]
    done = _img(work, host, "-t", name, *[word for output in outputs for word in ("-o", output)], str(context))
    assert done.returncode == 0, done.stderr
    assert flatten.flatten(f"docker://{name}", work / "pulled").files["x"].content == repr(b"x\n")
    assert (tree / "x").read_text() == "x\n"
    listing = subprocess.run(["tar", "tf", str(tar)], capture_output=True, text=True, check=True).stdout
    assert "x" in listing.split()


def test_the_image_stays_with_the_daemon(busybox: str, work: Path, newer: str) -> None:
    context = _context(work, busybox, 'FROM @BASE@\nRUN echo x > /x\nCMD ["x"]\n')
    done = _img(work, newer, "-t", "there:1", "-o", "type=buildkit,exporter=moby", str(context))
    assert done.returncode == 0, done.stderr
    argv = [builders.DOCKER, "-H", newer, "image", "inspect", "there:1"]
    shown = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert shown[0]["Config"]["Cmd"] == ["x"]
    assert builders.img("ls", "-q", root=work / "farm").stdout == ""


def test_an_older_one_can_t_be_told_a_configuration(busybox: str, work: Path, docker_host: str) -> None:
    context = _context(work, busybox, 'FROM @BASE@\nCMD ["x"]\n')
    done = _img(work, docker_host, "-t", "there:1", "-o", "type=buildkit,exporter=moby", str(context))
    assert done.returncode == 2 and "docker load" in done.stderr


def test_caches_are_buildkit_s_own(busybox: str, registry: servers.Registry, work: Path, newer: str) -> None:
    context = _context(work, busybox, "FROM @BASE@\nRUN date +%N > /once\n")
    cache = f"type=registry,ref={registry.host}/farm-cache"
    first = _built(work, newer, context, "--cache-to", f"{cache},mode=max,registry.insecure=true")
    document = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/farm-cache"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "application/vnd.buildkit.cacheconfig.v0" in document.stdout
    second = _img(work / "other", newer, "--cache-from", cache, "-o", f"type=local,dest={work}/o", str(context))
    assert second.returncode == 0, second.stderr
    assert repr((work / "o" / "once").read_bytes()) == first.flat.files["once"].content


# --- how it is reached ---------------------------------------------------------------------------------------------


def test_addresses(busybox: str, work: Path, newer: str) -> None:
    socket = newer.removeprefix("unix://")
    context = _context(work, busybox, "FROM @BASE@\nCOPY plain /p\nRUN cat /p > /q\n")
    authority = guarded.Authority(work / "ca")
    server, client = authority.issue("server"), authority.issue("client", "clientAuth")
    programs = work / "bin"
    programs.mkdir()
    with (
        doors.plain(socket, work / "plain.sock") as plain,
        doors.tls(socket, server.cert, server.key, authority.cert) as secured,
    ):
        check = "assert sys.argv[1:] == {words!r}, sys.argv"
        doors.pipe(
            programs / "docker",
            work / "plain.sock",
            check.format(words=["exec", "-i", "builder0", "buildctl", "dial-stdio"]),
        )
        words = ["--namespace=ci", "exec", "-i", "--container=b", "pod0", "--", "buildctl", "dial-stdio"]
        doors.pipe(programs / "kubectl", work / "plain.sock", check.format(words=words))
        certificates = {
            "IMG_BUILDKIT_TLS_CA": str(authority.cert),
            "IMG_BUILDKIT_TLS_CERT": str(client.cert),
            "IMG_BUILDKIT_TLS_KEY": str(client.key),
        }
        path = {"PATH": f"{programs}:{os.environ['PATH']}"}
        ways: list[tuple[str, dict[str, str]]] = [
            (plain, {}),
            (secured, certificates),
            ("docker-container://builder0", path),
            ("kube-pod://pod0?namespace=ci&container=b", path),
        ]
        for address, env in ways:
            (context / "plain").write_text(address)
            done = _img(
                work, "", "-o", f"type=local,dest={work}/o", str(context), env={"BUILDKIT_HOST": address, **env}
            )
            assert done.returncode == 0, done.stderr
            assert (work / "o" / "q").read_text() == address
        refused = _img(work, "", "--no-cache", str(context), env={"BUILDKIT_HOST": secured})
        assert refused.returncode == 1 and "can't be reached" in refused.stderr


def test_through_a_container(busybox: str, debian: str, work: Path, newer: str, docker_host: str) -> None:
    """With the real client and ``docker exec``: what is said when there is no such container, or no BuildKit in it, too."""
    context = _context(work, busybox, "FROM @BASE@\nCOPY plain /p\nRUN head -c 3000000 /dev/zero > /q\n")
    doors_of = work / "doors"
    doors_of.mkdir()
    with (
        doors.plain(newer.removeprefix("unix://"), doors_of / "plain.sock"),
        doors.contained(docker_host, debian, doors_of / "plain.sock", doors_of / "bin") as name,
    ):
        client = {"DOCKER_HOST": docker_host}
        out = f"type=local,dest={work}/o"
        there = {"BUILDKIT_HOST": f"docker-container://{name}", **client}
        done = _img(work, "", "-o", out, str(context), env=there)
        assert done.returncode == 0, done.stderr
        assert (work / "o" / "q").stat().st_size == 3_000_000
        (doors_of / "bin" / "buildctl").unlink()
        for other, words in ((name, "buildctl"), ("nobody", "No such container: nobody")):
            refused = _img(
                work, "", "--no-cache", str(context), env={**there, "BUILDKIT_HOST": f"docker-container://{other}"}
            )
            assert refused.returncode == 1 and "can't be reached" in refused.stderr and words in refused.stderr


def test_a_base_of_a_private_registry(busybox: str, work: Path, host: str) -> None:
    guard = guarded.Guard(users=(("user", "word"),))
    with guarded.registry(work / "guarded", guard) as private:
        name = f"{private.host}/private/base:1"
        words = ["--src-tls-verify=false", "--dest-tls-verify=false", "--dest-creds", "user:word"]
        argv = ["skopeo", "--insecure-policy", "copy", *words, f"docker://{busybox}", f"docker://{name}"]
        subprocess.run(argv, check=True, capture_output=True)
        (work / "docker").mkdir()
        login = base64.b64encode(b"user:word").decode()
        (work / "docker" / "config.json").write_text(json.dumps({"auths": {private.host: {"auth": login}}}))
        context = _context(work, name, "FROM @BASE@\nRUN echo in > /in\n")
        known = {"DOCKER_CONFIG": str(work / "docker")}
        done = _img(work, host, "-o", f"type=local,dest={work}/o", str(context), env=known)
        assert done.returncode == 0, done.stderr
        assert (work / "o" / "in").read_text() == "in\n"


def _sleeping(mark: str) -> int:
    found = subprocess.run(["pgrep", "-fxc", f"sleep {mark}"], capture_output=True, text=True, check=False)
    return int(found.stdout)


def _until(holds: object) -> None:
    assert callable(holds)
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
