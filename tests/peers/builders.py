"""The builders that are compared: img itself as a command, docker (BuildKit), buildah."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

DOCKER = "/usr/bin/docker"
TOOL = Path(sys.executable).parent / "img"
USER = "imgtest"


def img(
    *arguments: str,
    root: Path,
    user: bool = False,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 600,
    stdin: Path = Path(os.devnull),
) -> subprocess.CompletedProcess[str]:
    """Run img as a user would, reading from the file `stdin`; with `user`, as the ordinary user imgtest."""
    argv = [str(TOOL), *arguments]
    variables = {"IMG_ROOT": str(root), "PATH": os.environ["PATH"], "HOME": "/root", **(env or {})}
    if user:
        variables["HOME"] = f"/home/{USER}"
        argv = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--inh-caps=-all", *argv]
    with stdin.open("rb") as stream:
        return subprocess.run(
            argv,
            stdin=stream,
            capture_output=True,
            text=True,
            errors="replace",
            env=variables,
            cwd=cwd or "/",
            timeout=timeout,
            check=False,
        )


def ok(done: subprocess.CompletedProcess[str]) -> str:
    """What a command printed that had to end well."""
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def run(*argv: object, **more: Any) -> str:
    """What another program printed, which had to end well."""
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout


def members(path: Path) -> list[str]:
    """The names in a tar."""
    with tarfile.open(path) as archive:
        return archive.getnames()


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The events of a run with ``--progress json``."""
    return [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Titles of the steps that ran, without their numbering."""
    titles = [event["title"] for event in events(done) if event.get("event") == "StepStarted"]
    return [title.partition("] ")[2] or title for title in titles]


def docker_build(host: str, context: Path, archive: Path, *extra: str, network: str = "host") -> str:
    """Build with dockerd's embedded BuildKit, and save; returns where the image is. Pushing would compress it."""
    env = {**os.environ, "DOCKER_BUILDKIT": "1", "DOCKER_HOST": host}
    name = f"{archive.stem}:saved"
    _run([DOCKER, "build", "--network", network, "-t", name, *extra, str(context)], env)
    _run([DOCKER, "save", "-o", str(archive), name], env)
    _run([DOCKER, "rmi", name], env)
    return f"docker-archive:{archive}"


def buildah_build(folder: Path, context: Path, layout: Path, *extra: str) -> str:
    """Build with buildah in chroot isolation, and copy to a layout; returns where the image is."""
    storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run"), "--storage-driver", "overlay"]
    argv = ["buildah", *storage, "bud", "--isolation", "chroot", "--tls-verify=false", "--layers=false"]
    _run([*argv, "--signature-policy", str(policy(folder)), "-t", layout.name, *extra, str(context)])
    argv = ["buildah", *storage, "push", "--disable-compression", "--signature-policy", str(policy(folder))]
    _run([*argv, layout.name, f"oci:{layout}:saved"])
    return f"oci:{layout}:saved"


def policy(folder: Path) -> Path:
    path = folder / "policy.json"
    path.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    return path


def _run(argv: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def readable_by_user(folder: Path) -> Path:
    """Give a folder of the tests to the ordinary user, and let it in."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            shutil.chown(path, USER, USER)
            path.chmod(mode & 0o7777)  # chown takes setuid bits away
    return folder
