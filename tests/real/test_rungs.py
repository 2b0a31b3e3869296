"""The rung of copies with chroot where it is the one that works: what is left of an interrupted build, and a store that no
overlay can be mounted over. That its images are those of every other rung is in `test_podjail`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.peers import builders

pytestmark = pytest.mark.real

EPOCH = "1700000000"


def _confined(docker_host: str, image: str, mounts: list[Path], store: Path, script: str) -> str:
    """Run a script as root in a container with docker's default confinement; returns what it printed."""
    argv = [builders.DOCKER, "-H", docker_host, "run", "--rm", "--network", "host", "-e", "IMG_ROOT=/store/root"]
    argv += ["-e", f"SOURCE_DATE_EPOCH={EPOCH}", "-v", f"{store}:/images"]
    for path in (builders.TOOL.parent.parent, Path("/usr"), *mounts):
        argv += ["-v", f"{path}:{path}:ro"]
    done = subprocess.run([*argv, image, "sh", "-c", script], capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_interrupted_it_leaves_no_process(docker_host: str, debian: str, work: Path) -> None:
    """Also what daemonized, and also when the engine is killed outright."""
    context = work / "c"
    context.mkdir(mode=0o755)
    (context / "Dockerfile").write_text(f"FROM {debian}\nRUN (setsid sleep 977 &) ; setsid sleep 977 & sleep 977\n")
    there = work / "there"
    there.mkdir()
    script = "".join(
        f"env --default-signal=INT {builders.TOOL} build {context} > /images/{signal} 2>&1 & pid=$!\n"
        f"for i in $(seq 200); do [ $(sleeping) -ge 3 ] && break; sleep 0.2; done; sleeping\n"
        f"kill -{signal} $pid; wait $pid; sleep 1; sleeping\n"
        for signal in ("INT", "KILL")
    )
    each = "tr '\\0' ' ' < $p/cmdline; echo"
    sleeping = f"sleeping() {{ for p in /proc/[0-9]*; do {each}; done 2>&1 | grep -cx 'sleep 977 '; true; }}\n"
    printed = _confined(docker_host, debian, [context], there, sleeping + script)
    assert [line for line in printed.split("\n") if line.isdecimal()] == ["3", "0", "3", "0"]


LINES = """
FROM @BASE@ AS one
RUN rm -r /var /etc/group && mkdir /var && echo 1 > /a && ln /a /b && chown 33:44 /a && touch /made
RUN --mount=type=cache,target=/c,uid=33 --mount=type=tmpfs,target=/t/u \\
    echo 2 >> /b; touch /c/x /t/u/x; ls /proc/self/fd > /dev/null
FROM @BASE@
RUN --mount=type=bind,from=one,source=/etc,target=/m,rw --mount=type=secret,id=word,uid=33 \\
    rm /m/passwd && stat -c %u /run/secrets/word > /seen && echo $$ > /dev/stdout && ! test -e /c
COPY --from=one /a /b /
RUN chmod 1777 /tmp
USER www
RUN id -u > /tmp/id && ! touch /etc/refused
"""


@pytest.mark.parametrize("user", [False, True])
def test_a_store_where_no_overlay_can_be_mounted(busybox: str, work: Path, user: bool) -> None:
    """The store lies on an overlay itself, as in a container: copies in namespaces, said aloud, and root's image."""
    context = work / "c"
    context.mkdir(mode=0o755)
    (context / "word").write_text("shibboleth")
    (context / "Dockerfile").write_text(LINES.replace("@BASE@", busybox))
    for name in ("upper", "inner", "merged"):
        (work / name).mkdir()
        (work / name).chmod(0o777)
    options = f"lowerdir={work}/c,upperdir={work}/upper,workdir={work}/inner"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(work / "merged")], check=True)
    try:
        archives = []
        for store, by_user in ((work / "merged" / "store", user), (work / "plain", False)):
            out = work / f"{store.name}.tar"
            output = f"type=oci,rewrite-timestamp=true,dest={out}"
            words = ["build", "--secret", f"id=word,src={context}/word", "-o", output, str(context)]
            done = builders.img(*words, root=store, env={"SOURCE_DATE_EPOCH": EPOCH}, user=by_user)
            assert done.returncode == 0, done.stderr
            assert ("no overlay on the disk of the store" in done.stderr) is (store.name == "store")
            archives.append(out.read_bytes())
        assert archives[0] == archives[1]
    finally:
        subprocess.run(["umount", str(work / "merged")], check=True)
