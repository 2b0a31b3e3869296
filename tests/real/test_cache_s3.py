"""Caches in a bucket of a real S3 server (moto's, on loopback)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from img.testing.caches import CacheConformance
from tests.peers import builders, servers

pytestmark = pytest.mark.real

FILE = "FROM scratch\nCOPY a /\nFROM scratch\nCOPY --from=0 /a /b\nCOPY a /c\n"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = servers.free_port()
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        put = [
            "curl",
            "-sf",
            "-X",
            "PUT",
            f"{url}/caches",
            "-H",
            "Authorization: AWS4-HMAC-SHA256 Credential=k/x/us-east-1/s3",
        ]
        return subprocess.run(put, capture_output=True, check=False).returncode == 0

    with servers.running(argv, tmp_path_factory.mktemp("moto") / "log", ready):
        yield url


def test_a_bucket(endpoint: str, work: Path, busybox: str) -> None:
    context = work / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(FILE)
    (context / "a").write_bytes(os.urandom(3_000_000))
    place = f"type=s3,bucket=caches,endpoint_url={endpoint},access_key_id=k,secret_access_key=very-hidden,prefix=p/"
    options = ("--progress", "json", str(context))
    kept = ("--cache-to", f"{place},mode=max", "-o", f"type=oci,dest={work}/a.tar")
    built = builders.img("build", *kept, *options, root=work / "a")
    assert built.returncode == 0, built.stderr
    found = ("--cache-from", place, "-o", f"type=oci,dest={work}/b.tar")
    again = builders.img("build", *found, *options, root=work / "b")
    assert again.returncode == 0, again.stderr
    assert builders.ran(again) == []
    assert (work / "a.tar").read_bytes() == (work / "b.tar").read_bytes()
    for path in (work / "b").rglob("*.db*"):
        assert b"very-hidden" not in path.read_bytes(), "keys stay in the process"

    (context / "Dockerfile").write_text(
        f"FROM {busybox}\nRUN --mount=type=cache,target=/c echo 1 >> /c/n && cp /c/n /n\n"
    )
    mounts = ("--cache-mount-from", f"{place},name=m", "--cache-mount-to", f"{place},name=m", "--no-cache")
    for number in ("1", "2"):
        done = builders.img("build", *mounts, "-o", f"{work}/out{number}", *options, root=work / f"m{number}")
        assert done.returncode == 0, done.stderr
        assert (work / f"out{number}/n").read_text() == "1\n" * int(number)


def test_a_bucket_that_is_not_there(work: Path) -> None:
    context = work / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    place = "type=s3,bucket=caches,endpoint_url=http://127.0.0.1:1,access_key_id=k,secret_access_key=very-hidden"
    done = builders.img("build", "-t", "x", "--cache-from", place, "--cache-to", place, str(context), root=work / "a")
    assert done.returncode == 1
    assert "can't be used" in done.stderr
    assert "Traceback" not in done.stderr
    assert "very-hidden" not in done.stderr


class TestConformance(CacheConformance):
    cache = "s3"
    url: ClassVar[str]

    @pytest.fixture(autouse=True)
    def bucket(self, endpoint: str) -> None:
        type(self).url = endpoint

    def attrs(self, folder: Path, writes: bool) -> Mapping[str, str]:
        keys = {"access_key_id": "k", "secret_access_key": "s", "prefix": f"{folder.parent.name}/"}
        return {"bucket": "caches", "endpoint_url": self.url, **keys}
