"""One Dockerfile on two rungs: overlay as root here, and copies with chroot in a container that docker confines as it does
by default. The images are the same to the byte, and the container's own files are not touched.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.peers import bases, builders

pytestmark = pytest.mark.real

EPOCH = "1700000000"

FILES = {
    "apt": """
        RUN apt-get update -q && apt-get install -qy --no-install-recommends libcap2-bin tree && \\
            rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/ldconfig/aux-cache /var/cache/apt/*.bin
        RUN cp /bin/true /raw && setcap cap_net_raw+ep /raw && dpkg -S /usr/bin/tree
    """,
    "users": """
        RUN useradd -m -u 4242 -s /bin/sh ann && install -d -o ann -g ann -m 2750 /srv/ann && rm -f /var/log/*log
        RUN chown -R ann:ann /opt && chmod 4711 /bin/true && chgrp 42 /etc/debian_version
    """,
    "user": """
        RUN mkdir -m 1777 /open
        USER 65534:65534
        RUN id -u > /open/id && touch /open/made && ! touch /etc/refused
    """,
    "stages": """
        RUN mkdir -p /out/a && echo one > /out/a/1 && ln -s 1 /out/a/link
        FROM base
        COPY --from=0 /out /in
        RUN --mount=type=bind,from=base,source=/out,target=/mnt/out cat /mnt/out/a/1 >> /in/a/1
    """,
    "cache": """
        RUN --mount=type=cache,target=/var/tool echo kept > /var/tool/file
        RUN --mount=type=cache,target=/var/tool cp /var/tool/file /copied && echo more > /var/tool/more
        RUN --mount=type=cache,target=/var/tool,readonly ls /var/tool > /listed
    """,
    "secret": """
        RUN --mount=type=secret,id=word,uid=33,mode=0440 stat -c '%u %a' /run/secrets/word > /seen
        RUN --mount=type=secret,id=word,target=/etc/word wc -c < /etc/word > /size
        RUN --mount=type=secret,id=word,env=WORD test "$WORD" = shibboleth
    """,
    "links": """
        RUN echo 1 > /a && ln /a /b && ln /a /c
        RUN echo 2 >> /b
        RUN rm /c && ln /b /d && echo 3 >> /a
    """,
    "deletes": """
        RUN rm -r /usr/share/doc && mkdir /usr/share/doc && echo new > /usr/share/doc/only
        RUN rm /etc/issue; mv /etc/profile /etc/moved; mv /usr/share/doc /usr/share/papers
        RUN rm -r /usr/share/papers /media && ln -s /srv /media && touch -d @1000 /srv
    """,
    "opened": """
        RUN exec 3<>/etc/issue && chmod 644 /etc/issue && touch /tmp/x && rm /tmp/x
        RUN exec 3>>/etc/hosts && echo nothing > /etc/resolv.conf && cp /etc/motd /m && cat /m > /etc/motd
    """,
    "archive": """
        ADD files.tar /added/
        RUN find /added -printf '%p %m %U %s\\n' | sort > /found && mkfifo /added/fifo && mknod /null c 1 3
    """,
    "mounts": """
        RUN --mount=type=tmpfs,target=/scratch/a/b echo gone > /scratch/a/b/c && echo stays > /scratch/here
        RUN --mount=type=tmpfs,target=/scratch2/a/b echo gone > /scratch2/a/b/c
    """,
    "shells": """
        SHELL ["/bin/bash", "-euc"]
        WORKDIR /made/here
        RUN umask 077; printf '%s' "$PWD" > where; (sleep 0.01; echo late > late) & wait
    """,
}

SCRIPT = """
listing() { find / -xdev -path /store -prune -o -path /images -prune -o -printf '%p %y %m %U:%G %s %T@ %C@\\n' | sort; }
mkdir -p /store
listing > /images/before
for file in @NAMES@; do
    @TOOL@ build --progress plain --secret id=word,src=@CONTEXT@/word -f @CONTEXT@/$file \\
        -o type=oci,rewrite-timestamp=true,dest=/images/$file.tar @CONTEXT@ > /images/$file.log 2>&1
    echo $file $?
done
listing > /images/after
"""


def _context(folder: Path, base: str) -> Path:
    folder.mkdir(mode=0o755)
    for name, text in FILES.items():
        lines = "\n".join(line.strip() for line in text.strip().splitlines())
        (folder / name).write_text(f"FROM {base} AS base\n{lines}\n")
    (folder / "files.tar").write_bytes(bases.tar([("d", None), ("d/f", b"x"), ("d/l", "f"), ("top", b"yy")]))
    (folder / "word").write_text("shibboleth")
    return folder


def _confined(docker_host: str, image: str, mounts: list[Path], store: Path, script: str) -> str:
    """Run a script as root in a container with docker's default confinement; returns what it printed."""
    argv = [builders.DOCKER, "-H", docker_host, "run", "--rm", "--network", "host", "-e", "IMG_ROOT=/store/root"]
    argv += ["-e", f"SOURCE_DATE_EPOCH={EPOCH}", "-v", f"{store}:/images"]
    for path in (builders.TOOL.parent.parent, Path("/usr"), *mounts):
        argv += ["-v", f"{path}:{path}:ro"]
    done = subprocess.run([*argv, image, "sh", "-c", script], capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _manifest(archive: Path) -> str:
    import tarfile

    with tarfile.open(archive) as tar:
        index = tar.extractfile("index.json")
        assert index is not None
        found: str = json.load(index)["manifests"][0]["digest"]
    return found


@pytest.mark.timeout(900)
def test_the_same_images_in_a_confined_container(docker_host: str, debian: str, work: Path) -> None:
    context = _context(work / "c", debian)
    there = work / "there"
    there.mkdir()
    script = SCRIPT.replace("@NAMES@", " ".join(FILES)).replace("@TOOL@", str(builders.TOOL))
    printed = _confined(docker_host, debian, [context], there, script.replace("@CONTEXT@", str(context)))
    logs = {name: (there / f"{name}.log").read_text() for name in FILES}
    failed = [line.split()[0] for line in printed.splitlines() if not line.endswith(" 0")]
    assert not failed, "\n".join(logs[name] for name in failed)
    assert all("each RUN gets a plain copy of its root" in log for log in logs.values())
    assert (there / "after").read_text() == (there / "before").read_text()
    here: dict[str, str] = {}
    for name in FILES:
        out = work / f"{name}.tar"
        output = f"type=oci,rewrite-timestamp=true,dest={out}"
        arguments = ["build", "--secret", f"id=word,src={context}/word", "-f", f"{context}/{name}", "-o", output]
        done = builders.img(*arguments, str(context), root=work / "s", env={"SOURCE_DATE_EPOCH": EPOCH})
        assert done.returncode == 0, done.stderr
        here[name] = _manifest(out)
    assert {name: _manifest(there / f"{name}.tar") for name in FILES} == here


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


def test_a_store_where_no_overlay_can_be_mounted(busybox: str, work: Path) -> None:
    """Root, but the store lies on an overlay itself, as in a privileged container: copies, and the same image."""
    context = work / "c"
    context.mkdir(mode=0o755)
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN rm -r /var /etc/group && mkdir /var\nRUN touch /made\n")
    for name in ("upper", "inner", "merged"):
        (work / name).mkdir()
    options = f"lowerdir={work}/c,upperdir={work}/upper,workdir={work}/inner"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(work / "merged")], check=True)
    try:
        archives = []
        for store in (work / "merged" / "store", work / "plain"):
            out = work / f"{store.name}.tar"
            output = f"type=oci,rewrite-timestamp=true,dest={out}"
            done = builders.img("build", "-o", output, str(context), root=store, env={"SOURCE_DATE_EPOCH": EPOCH})
            assert done.returncode == 0, done.stderr
            assert ("no overlay on the disk of the store" in done.stderr) is (store.name == "store")
            archives.append(out.read_bytes())
        assert archives[0] == archives[1]
    finally:
        subprocess.run(["umount", str(work / "merged")], check=True)
