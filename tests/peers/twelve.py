"""The twelve builds that every rung and every backend must make alike, and a few more; and building all of them at once.

Three of them install with apt, pip and npm from wherever this machine does.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tests.peers import bases, builders

EPOCH = "1700000000"

FILES = {
    "apt": """
        RUN apt-get update -q && apt-get install -qy --no-install-recommends tree && \\
            rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/ldconfig/aux-cache /var/cache/apt/*.bin
        RUN dpkg -S /usr/bin/tree && tree --version > /version
    """,
    "pip": """
        COPY ca.crt /etc/ssl/certs/ca-certificates.crt
        COPY pip.conf /etc/pip.conf
        ENV PYTHONDONTWRITEBYTECODE=1
        RUN pip3 install --break-system-packages --no-cache-dir --no-compile itsdangerous==2.2.0
        RUN python3 -c 'import itsdangerous; print(itsdangerous.__file__)' > /where
    """,
    "npm": """
        COPY ca.crt /etc/ssl/certs/ca-certificates.crt
        ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
        WORKDIR /app
        RUN --mount=type=cache,target=/root/.npm npm install --no-audit --no-fund --no-update-notifier is-number@7.0.0
        RUN node -e 'console.log(require("is-number")("7"))' > /said
    """,
    "users": """
        RUN useradd -m -u 4242 -s /bin/sh ann && install -d -o ann -g ann -m 2750 /srv/ann && rm -f /var/log/*log
        RUN chown -R ann:ann /opt && chmod 4711 /bin/true && chgrp 42 /etc/debian_version
    """,
    "setcap": """
        RUN cp /bin/true /raw && setcap cap_net_raw+ep /raw && getcap /raw > /said
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
    "archive": """
        ADD files.tar /added/
        RUN find /added -printf '%p %m %U %s\\n' | sort > /found && mkfifo /added/fifo
    """,
    "opened": """
        RUN exec 3<>/etc/issue && chmod 644 /etc/issue && touch /tmp/x && rm /tmp/x
        RUN exec 3>>/etc/hosts && echo nothing > /etc/resolv.conf && cp /etc/motd /m && cat /m > /etc/motd
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
"""What follows ``FROM … AS base``, by name."""

LARGE = ("pip", "npm", "setcap")
"""Those that stand on the base with pip, npm and setcap."""

OPENING = ("opened",)
"""Those that write to what a runtime mounts at /etc/hosts and /etc/resolv.conf: BuildKit lets nobody."""

AT_ONCE = 4

SCRIPT = """
build() {
    @TOOL@ build @OPTIONS@ --progress plain --secret id=word,src=@CONTEXT@/word -f @CONTEXT@/$1 \\
        -o type=oci,rewrite-timestamp=true,dest=@OUT@/$1.tar @CONTEXT@ > @OUT@/$1.log 2>&1
    echo $1 $?
}
for name in @NAMES@; do
    build $name &
    while [ $(jobs -p | wc -l) -ge @AT_ONCE@ ]; do wait -n; done
done
wait
"""
"""For bash: builds everything, some at once, and says how each ended."""


def context(folder: Path, small: str, large: str) -> Path:
    """The folder with all build files and what they copy; `small` and `large` are the names of the bases."""
    folder.mkdir(mode=0o755)
    for name, text in FILES.items():
        lines = "\n".join(line.strip() for line in text.strip().splitlines())
        (folder / name).write_text(f"FROM {large if name in LARGE else small} AS base\n{lines}\n")
    (folder / "files.tar").write_bytes(bases.tar([("d", None), ("d/f", b"x"), ("d/l", "f"), ("top", b"yy")]))
    (folder / "word").write_text("shibboleth")
    config = Path("/etc/pip.conf")
    lines = config.read_text().splitlines() if config.exists() else []
    (folder / "pip.conf").write_text("\n".join(line for line in lines if "file:" not in line) + "\n")
    shutil.copy(os.environ.get("PIP_CERT") or "/etc/ssl/certs/ca-certificates.crt", folder / "ca.crt")
    for path in folder.iterdir():
        path.chmod(0o644)
    return folder


def script(tool: str, options: str, context: Path, out: Path, names: Iterable[str] = FILES) -> str:
    """What builds them all, or those of the `names`, into `out`."""
    found = SCRIPT
    words = {
        "TOOL": tool,
        "OPTIONS": options,
        "CONTEXT": context,
        "OUT": out,
        "NAMES": " ".join(names),
        "AT_ONCE": AT_ONCE,
    }
    for name, value in words.items():
        found = found.replace(f"@{name}@", str(value))
    return found


def outcome(printed: str, out: Path, names: Iterable[str] = FILES) -> dict[str, str]:
    """The manifest digest of each, from what the script printed. Fails with the logs of those that failed."""
    words = [line.split() for line in printed.splitlines()]
    ended = {line[0]: line[1] for line in words if len(line) == 2 and line[0] in FILES}
    assert set(ended) == set(names), f"it did not come to an end:\n{printed}"
    failed = [name for name in ended if ended[name] != "0"]
    assert not failed, "\n".join(f"{name}: {(out / f'{name}.log').read_text()[-2000:]}" for name in failed)
    return {name: manifest(out / f"{name}.tar") for name in ended}


def manifest(archive: Path) -> str:
    """The digest of the one image of an archive."""
    with tarfile.open(archive) as tar:
        index = tar.extractfile("index.json")
        assert index is not None
        found: str = json.load(index)["manifests"][0]["digest"]
    return found


def here(context: Path, out: Path, flags: str, env: dict[str, str], names: Iterable[str] = FILES) -> dict[str, str]:
    """Build them all on this machine itself, as root, into a new folder; the digest of each."""
    out.mkdir()
    out.chmod(0o777)
    known = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "IMG_ROOT": f"{out}/s",
        "SOURCE_DATE_EPOCH": EPOCH,
    }
    argv = ["bash", "-c", script(str(builders.TOOL), flags, context, out, names)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**known, **env}, timeout=600, cwd="/")
    found = outcome(done.stdout, out, names)
    subprocess.run(["rm", "-rf", f"{out}/s"], check=True)
    return found


def wanted(context: Path, out: Path, shared: Path) -> dict[str, str]:
    """What chroot makes of them as root on this machine; `shared` is a file of all processes of one run, of which the first
    builds."""
    with Path(f"{shared}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            found = here(context, out, "--backend chroot", {})
            shutil.rmtree(out)
            shared.write_text(json.dumps(found))
        known: dict[str, str] = json.loads(shared.read_text())
        return known


def shared(folders: Path) -> Path:
    """A place that all processes of one run know; `folders` is pytest's for this process."""
    return (folders.parent if "PYTEST_XDIST_WORKER" in os.environ else folders) / "twelve"
