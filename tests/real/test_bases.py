"""A COPY onto a base in Debian's docker-registry: how much of the base is sent, by the registry's own log."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.peers import bases, builders
from tests.peers.servers import Registry

pytestmark = pytest.mark.real

SIZE = 12 << 20
SMALL = 1 << 20
"""What a change on a base may cost, however large the base is."""
SENT = re.compile(r'"GET /v2/\S+/blobs/\S+ HTTP/1\.1" 20\d (\d+)')


def sent(registry: Registry, begun: int) -> int:
    """Bytes of blobs that were sent since the request number `begun`."""
    return sum(int(found[1]) for line in registry.requests()[begun:] if (found := SENT.search(line)))


def img(root: Path, *words: str) -> str:
    done = builders.img(*words, root=root)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def large(work: Path, registry: Registry) -> str:
    """A base with a link on the way and a file that no program can make small; its plain gzip form."""
    entries = [("usr", None), ("usr/lib", None), ("app", "usr/lib"), ("usr/lib/large", os.urandom(SIZE))]
    tar = bases.tar(entries).rstrip(b"\0")
    tar += bytes(-len(tar) % 512 + 1024)  # skopeo 1.9 drops what padding there is behind the end of the tar
    bases.push(bases.layout(work / "layout", [tar], {}), f"{registry.host}/large:gzip")
    return f"{registry.host}/large"


def chunked(large: str, folder: Path) -> str:
    """The base as skopeo packs it for podman's partial pulls."""
    plain = folder / "plain"
    (folder / "from").write_text(f"FROM {large}:gzip\n")
    out = f"type=oci,dest={plain},tar=false,compression=uncompressed,force-compression=true"
    img(folder / "maker", "build", "-q", "-t", "plain", "-o", out, "-f", str(folder / "from"), str(folder / "context"))
    argv = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "--dest-compress-format", "zstd:chunked"]
    subprocess.run([*argv, f"oci:{plain}", f"docker://{large}:chunked"], check=True, capture_output=True)
    return f"{large}:chunked"


def estargz(large: str, folder: Path) -> str:
    out = f"type=registry,name={large}:estargz,compression=estargz,force-compression=true"
    (folder / "from").write_text(f"FROM {large}:gzip\n")
    img(folder / "maker", "build", "-q", "-o", out, "-f", str(folder / "from"), str(folder / "context"))
    return f"{large}:estargz"


def test_a_small_change_costs_what_is_small(large: str, registry: Registry, work: Path) -> None:
    context = work / "context"
    context.mkdir()
    (context / "a").write_text("a")
    cache = f"type=registry,ref={registry.host}/cache:large"
    for number, (base, *words) in enumerate(
        [
            (estargz(large, work),),
            (chunked(large, work),),
            (f"{large}:gzip", "--cache-to", cache),
            (f"{large}:gzip", "--cache-from", cache),
        ]
    ):
        (context / "Dockerfile").write_text(f"FROM {base}\nCOPY a /app/{number}/\nWORKDIR /app/work\n")
        begun = len(registry.requests())
        name = f"{registry.host}/app:{number}"
        done = builders.img("build", "-q", "--push", "-t", name, *words, str(context), root=work / f"store{number}")
        assert done.returncode == 0, done.stderr
        assert ("are downloaded only because COPY" in done.stderr) == ("--cache-to" in words), done.stderr
        cost = sent(registry, begun)
        assert cost > SIZE if "--cache-to" in words else 0 < cost < SMALL, (base, words, cost)
        img(work / "check", "unpack", "-o", str(work / f"root{number}"), f"docker://{name}")
        assert (work / f"root{number}/usr/lib/{number}/a").read_text() == "a"
        assert os.readlink(work / f"root{number}/app") == "usr/lib"
