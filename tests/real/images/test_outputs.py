"""Outputs of a build: names in the store and in a registry, folders and tars, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.peers.builders import img, members, ok, run
from tests.peers.servers import Registry

pytestmark = pytest.mark.real

EPOCH = 1_600_000_000


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("type=oci,dest=x,compression=brotli", "there is no compression 'brotli'"),
        ("type=oci,dest=x,compression=zstd,oci-mediatypes=false", "needs OCI media types"),
        ("type=oci,dest=x,nope=1", "has no attribute 'nope'"),
        ("type=image,oci-artifact=true", "attestations are not made yet"),
        ("type=oci,registry.insecure=true", "it pushes nothing"),
        ("type=image,compatibility-version=15", "one of 10, 20, 30"),
        ("type=oci,dest=x,rewrite-timestamp=true", "needs to know the time"),
        ("type=docker,dest=x,tar=maybe", "neither true nor false"),
        ("type=local,dest=x,mode=move", "neither copy nor delete"),
        ("type=local,dest=/,mode=delete", "would remove everything else"),
        ("type=image,push=true", "needs a name"),
    ],
)
def test_attributes_that_can_not_be_honoured(spec: str, message: str, context: Path, store: Path, work: Path) -> None:
    done = img("build", "-o", spec, str(context), root=store, cwd=work)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert sorted(os.listdir(work)) == ["context", "store"]


def test_names_of_the_image_output(context: Path, store: Path) -> None:
    ok(img("build", "-o", "type=image,name=a:1,name-canonical=true,unpack=true", str(context), root=store))
    ok(img("build", "-o", "type=image,dangling-name-prefix=dangling", str(context), root=store))
    ok(img("build", "-o", "type=image,name=b:1,store=false", str(context), root=store))
    digest = json.loads(ok(img("ls", "--json", root=store)))[0]["digest"]
    assert ok(img("ls", "-q", root=store)).split() == ["a:1", f"a@{digest}", f"dangling@{digest}"]


def test_push_by_digest(context: Path, store: Path, registry: Registry) -> None:
    name = f"{registry.host}/by-digest"
    spec = f"type=image,name={name},push-by-digest=true"
    ok(img("build", "-o", spec, str(context), root=store))
    digest = json.loads(ok(img("ls", "--json", root=store)))[0]["digest"]
    run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}@{digest}")
    done = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", f"docker://{name}:latest"], capture_output=True, check=False
    )
    assert done.returncode != 0


def test_platforms_side_by_side(work: Path, store: Path) -> None:
    context = work / "c"
    context.mkdir()
    (context / "file").write_text("x")
    (context / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY file /common\nCOPY file /$TARGETARCH\n")
    both = ("--platform", "linux/amd64,linux/arm64", str(context))
    ok(img("build", "-o", str(work / "out"), *both, root=store))
    assert sorted(os.listdir(work / "out")) == ["linux_amd64", "linux_arm64"]
    assert (work / "out" / "linux_arm64" / "arm64").read_text() == "x"
    ok(img("build", "-o", f"type=tar,dest={work}/t.tar", *both, root=store))
    assert "linux_arm64/arm64" in members(work / "t.tar")
    done = img("build", "-o", f"type=local,dest={work}/one,platform-split=false", *both, root=store)
    assert done.returncode == 2
    assert "/common is in the result of more than one platform" in done.stderr
    ok(img("build", "-o", f"type=local,dest={work}/split,platform-split=true", str(context), root=store))
    assert os.listdir(work / "split") == ["linux_amd64"]


def test_mode_delete_and_an_epoch(context: Path, store: Path, work: Path) -> None:
    out = work / "out"
    (out / "d").mkdir(parents=True)
    (out / "d" / "old").write_text("x")
    (out / "stale").mkdir()
    (out / "gone").symlink_to(work / "context")
    ok(img("build", "-o", str(out), str(context), root=store))
    assert (out / "d" / "old").exists()
    ok(img("build", "-o", f"type=local,dest={out},mode=delete,source-date-epoch={EPOCH}", str(context), root=store))
    assert not (out / "d" / "old").exists()
    assert not (out / "stale").exists()
    assert not (out / "gone").is_symlink()
    assert (context / "Dockerfile").exists()
    assert (out / "text").stat().st_mtime == (out / "d").stat().st_mtime == EPOCH
