"""Containers as pods are confined, with img installed in them: an image that img itself builds, run by dockerd."""

from __future__ import annotations

import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from img_plugins.worker.bundle import NAMES
from tests.peers import builders

UNCONFINED = (
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
)
NO_NEW_PRIVILEGES = "--security-opt=no-new-privileges"
YOUNG = ("PERFMON", "BPF", "CHECKPOINT_RESTORE")
"""Capabilities that Debian's dockerd does not know yet."""
BUILDER, STRANGER = 4321, 54321
"""An ordinary user with a range of ids in the image, and one that the image knows nothing of."""


def _privileged() -> tuple[str, ...]:
    """``--privileged``, or what comes nearest on a machine whose own root lacks a capability: dockerd can't give it then."""
    with open("/proc/self/status", encoding="ascii") as lines:
        bounding = next(int(line.split()[1], 16) for line in lines if line.startswith("CapBnd:"))
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        names = NAMES[: int(file.read()) + 1]
    held = [name for number, name in enumerate(names) if bounding >> number & 1]
    if held == names:
        return ("--privileged",)
    return (*UNCONFINED, *(f"--cap-add={name}" for name in held if name not in YOUNG))


class Jail(NamedTuple):
    """One way to be confined. `says` is what the build says of the rung; `runs`, whether RUN works."""

    name: str
    flags: tuple[str, ...]
    uid: int
    says: str
    runs: bool = True


JAILS = (
    Jail("P0", _privileged(), 0, ""),
    Jail("P1", UNCONFINED, BUILDER, ""),
    Jail("P2", (*UNCONFINED, NO_NEW_PRIVILEGES), STRANGER, "a recorder of owners"),
    Jail("P3", (), 0, "each RUN gets a plain copy of its root"),
    Jail("P4", ("--cap-drop=ALL", NO_NEW_PRIVILEGES), STRANGER, "user namespaces are not allowed here", runs=False),
)

DOCKERFILE = """
FROM @BASE@
COPY packages /usr/local/lib/python3.11/dist-packages/
COPY --chmod=755 img /usr/local/bin/img
RUN useradd -m -u @BUILDER@ builder && echo builder:200000:65536 | tee /etc/subuid > /etc/subgid
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /usr/local/lib/python3.11/dist-packages
RUN chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap && \\
    setcap cap_setuid+ep /usr/bin/newuidmap && setcap cap_setgid+ep /usr/bin/newgidmap
"""
PROGRAM = "#!/usr/bin/python3\nimport sys\nfrom img_cli.main import main\nsys.exit(main())\n"


def image(folder: Path, base: str, name: str, root: Path) -> str:
    """Build the image with img, as it is installed here, and push it as `name`. `base` has Python and uidmap."""
    packages = folder / "packages"
    packages.mkdir(parents=True)
    for distribution in sorted(_needed("img-build")):
        _copy(distribution, packages)
    (folder / "img").write_text(PROGRAM)
    (folder / "Dockerfile").write_text(DOCKERFILE.replace("@BASE@", base).replace("@BUILDER@", str(BUILDER)))
    done = builders.img("build", "-t", name, "--push", str(folder), root=root)
    assert done.returncode == 0, done.stderr
    return name


def _needed(name: str) -> set[str]:
    """A distribution that is installed here, and all that it needs."""
    found: set[str] = set()
    pending = [name]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or []:
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                pending.append(wanted.name)
    return found


def _copy(distribution: str, packages: Path) -> None:
    """The files of an installed distribution, without scripts and compiled code."""
    for file in metadata.files(distribution) or []:
        if ".." in file.parts or file.suffix == ".pyc":
            continue
        place = packages / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.locate(), place)


def run(
    host: str, jail: Jail, image: str, script: str, folders: dict[Path, str], store: Path, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a script of bash in a jail. `folders` are seen where they are, each ``ro`` or ``rw``; `store` is the volume that
    img's store is on."""
    argv = [builders.DOCKER, "-H", host, "run", "--rm", "--network=host", *jail.flags, f"--user={jail.uid}:{jail.uid}"]
    argv += ["-e", "SOURCE_DATE_EPOCH=1700000000", "-e", "IMG_ROOT=/store/root", "-v", f"{store}:/store", "-w", "/"]
    for folder, how in folders.items():
        argv += ["-v", f"{folder}:{folder}:{how}"]
    store.mkdir(exist_ok=True)
    for folder in (store, *(folder for folder, how in folders.items() if how == "rw")):
        shutil.chown(folder, jail.uid, jail.uid)
    return subprocess.run(
        [*argv, image, "bash", "-c", script], capture_output=True, text=True, check=False, timeout=timeout
    )


def mounted(
    host: str, image: str, script: str, folders: dict[Path, str], store: Path, flags: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a script of sh in a container where ``img`` is this machine's own, which is mounted: as uid 0 under dockerd's
    defaults, unless `flags` say otherwise. `image` has the libraries that Python takes."""
    argv = [builders.DOCKER, "-H", host, "run", "--rm", "--network=host", *flags, "-e", f"IMG_ROOT={store}", "-w", "/"]
    for folder, how in {builders.TOOL.parent.parent: "ro", Path("/usr"): "ro", **folders}.items():
        argv += ["-v", f"{folder}:{folder}:{how}"]
    script = f'img() {{ {builders.TOOL} "$@"; }}\n{script}'
    command = [*argv, image, "sh", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=300)
