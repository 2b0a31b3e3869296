"""Base images, made without img: from busybox-static and from mmdebstrap, pushed with skopeo."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOTED = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["bash"]}
"""The configuration of Debian's bases."""
CACHE = Path(os.environ.get("IMG_TEST_CACHE", "/var/tmp/img-test-cache"))


@contextmanager
def making(path: Path) -> Iterator[bool]:
    """Alone with something in the cache, also beside other processes; whether it still has to be made."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not path.exists()


def layout(folder: Path, layers: list[bytes], config: dict[str, Any], architecture: str = "amd64") -> Path:
    """An OCI image layout with one image, written by hand from its layers' uncompressed tars."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(data: bytes) -> tuple[str, int]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return f"sha256:{digest}", len(data)

    packed = [put(gzip.compress(layer, 1, mtime=0)) for layer in layers]
    diff_ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    document = {
        "architecture": architecture,
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "test"} for _ in layers],
    }
    digest, size = put(json.dumps(document).encode())
    oci = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{oci}.manifest.v1+json",
        "config": {"mediaType": f"{oci}.config.v1+json", "digest": digest, "size": size},
        "layers": [{"mediaType": f"{oci}.layer.v1.tar+gzip", "digest": d, "size": n} for d, n in packed],
    }
    digest, size = put(json.dumps(manifest).encode())
    index = {
        "schemaVersion": 2,
        "manifests": [{"mediaType": f"{oci}.manifest.v1+json", "digest": digest, "size": size}],
    }
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return folder


def tar(entries: list[tuple[str, Any]]) -> bytes:
    """A tar of (name, content): bytes are a file, None a folder, a `TarInfo` (with its content) itself."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            data = None
            if isinstance(content, tarfile.TarInfo):
                info = content
            elif content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, content, 0o777
            else:
                info.size, info.mode, data = len(content), 0o755, io.BytesIO(content)
            archive.addfile(info, data)
    return out.getvalue()


def busybox_tar() -> bytes:
    """A small root: busybox under all its names, /etc with users."""
    names = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    entries: list[tuple[str, Any]] = [(folder, None) for folder in ("bin", "etc", "root", "var", "tmp")]
    entries.append(("bin/busybox", Path("/bin/busybox").read_bytes()))
    entries += [(f"bin/{name}", "busybox") for name in names if name != "busybox"]
    entries.append(("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/var:/bin/sh\n"))
    entries.append(("etc/group", b"root:x:0:\nwww:x:33:\nextra:x:44:www\n"))
    return tar(entries)


def debian_layout() -> Path:
    """A Debian root with apt, as an image layout in the cache; made by mmdebstrap from the machine's own mirror."""
    return _debian("debian-slim", "ca-certificates")


LARGE = "ca-certificates,libcap2-bin,nodejs,python3-pip,uidmap"
NPM = "npm@10.8.2"
"""From its own registry: Debian's brings 20,000 files along, which rungs without mounts copy for every step."""


def large_layout() -> Path:
    """A Debian root with pip, npm and uidmap, as an image layout in the cache: compressing it takes long."""
    return _debian("debian-slim-tools", LARGE, npm=True)


SLIM = (
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    '--aptopt=Acquire::Languages "none"',
)
"""As Debian's own slim images have it: no manuals, no translations. A third of the files, which every pull unpacks."""

NPM_LINKS = (
    '--customize-hook=mkdir -p "$1/usr/lib/node_modules" && mv "$1/package" "$1/usr/lib/node_modules/npm"',
    '--customize-hook=ln -s ../lib/node_modules/npm/bin/npm-cli.js "$1/usr/bin/npm"',
)


def _debian(name: str, packages: str, *, npm: bool = False) -> Path:
    path = CACHE / name
    with making(path) as wanted:
        if wanted:
            part, tar = path.with_suffix(".part"), path.with_suffix(".tar")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            hooks = (f'--customize-hook=tar -xz -C "$1" -f {_packed_npm(part)}', *NPM_LINKS) if npm else ()
            argv = ["mmdebstrap", "--variant=apt", f"--include={packages}", *SLIM, *hooks, "bookworm", str(tar)]
            lists = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
            subprocess.run([*argv, *[str(p) for p in lists if p.is_file()]], check=True, capture_output=True)
            shutil.rmtree(part)
            layout(part, [tar.read_bytes()], ROOTED)
            tar.unlink()
            os.replace(part, path)
    return path


def _packed_npm(folder: Path) -> Path:
    """npm's own package, as npm gets it."""
    argv = ["npm", "pack", "--silent", "--pack-destination", str(folder), NPM]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return folder / done.stdout.split()[-1]


BUILDKIT_SUITE = os.environ.get("IMG_TEST_BUILDKIT_SUITE", "forky")
"""The Debian release whose docker.io is the newer BuildKit: forky's is 28.5 (BuildKit 0.25), trixie's 26.1 (0.13)."""


def buildkit_root() -> Path:
    """A Debian root with a newer docker.io than the machine's, as a folder in the cache; nobody writes to it later.

    From the machine's own mirror. How old the mirror's index is does not matter for a peer: its signature still does.
    """
    path = CACHE / f"buildkit-{BUILDKIT_SUITE}"
    with making(path) as wanted:
        if not wanted:
            return path
        part = path.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        argv = ["mmdebstrap", "--variant=minbase", '--aptopt=Acquire::Check-Valid-Until "false"']
        argv += ["--include=docker.io,docker-cli,docker-buildx,ca-certificates,git,iptables,xz-utils"]
        argv += ["--keyring=/usr/share/keyrings/debian-archive-keyring.gpg", BUILDKIT_SUITE, str(part), _mirror()]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {done.returncode}\n{done.stderr[-3000:]}")
        os.replace(part, path)
    return path


def _mirror() -> str:
    """Where this machine's apt gets Debian's own packages from."""
    argv = ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)"]
    argv += ["Created-By: Packages", "Label: Debian", "Component: main"]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split("\n")
    found = [words[1] for words in map(str.split, lines) if len(words) == 2 and "-" not in words[0]]
    if not found:
        raise RuntimeError("apt's sources name no Debian mirror: run apt-get update, or look at `apt-get indextargets`")
    return found[0]


def push(folder: Path, name: str) -> None:
    """Push a layout's image with skopeo."""
    argv = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", f"oci:{folder}", f"docker://{name}"]
    subprocess.run(argv, check=True, capture_output=True)


def push_busybox(host: str, folder: Path) -> str:
    push(layout(folder, [busybox_tar()], {"Env": ["PATH=/bin"], "Cmd": ["sh"]}), f"{host}/busybox:1")
    return f"{host}/busybox:1"


def push_debian(host: str) -> str:
    push(debian_layout(), f"{host}/debian:12")
    return f"{host}/debian:12"


def push_large(host: str) -> str:
    push(large_layout(), f"{host}/debian-tools:12")
    return f"{host}/debian-tools:12"
