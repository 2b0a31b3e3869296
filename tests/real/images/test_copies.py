"""Images between a store, a registry, layouts, archives and folders: the same bytes everywhere, with skopeo and umoci."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.peers import builders
from tests.peers.builders import img, members, ok, run
from tests.peers.servers import Registry

pytestmark = pytest.mark.real


@pytest.mark.parametrize("user", [False, True], ids=["root", "user"])
def test_unpack_export_import(user: bool, context: Path, work: Path, store: Path) -> None:
    if user:
        store.mkdir()
        shutil.chown(store, builders.USER, builders.USER)
        builders.readable_by_user(context)
    out = str(work / "fs")
    ok(img("build", "-t", "a:1", str(context), root=store, user=user))
    ok(img("unpack", "-o", out, "a:1", root=store, user=user))
    assert (Path(out) / "text").read_text() == "one\n"
    assert os.readlink(Path(out) / "d" / "link") == "x"
    assert (Path(out) / "d" / "x").stat().st_mode & 0o7777 == 0o4755
    again = img("unpack", "-o", out, "a:1", root=store, user=user)
    assert (again.returncode, again.stderr.splitlines()[0]) == (2, f"error: {out} exists already")
    tar = str(work / "fs.tar")
    ok(img("export", "-o", tar, "a:1", root=store, user=user))
    ok(img("import", tar, "b:1", "-c", 'CMD ["sh"]', "-m", "by hand", root=store, user=user))
    difference = json.loads(ok(img("diff", "--json", "a:1", "b:1", root=store, user=user)))
    assert {row["path"] for row in difference if row["layer"] < 0} >= {"config.Cmd", "history 1"}
    ok(img("export", "-o", str(work / "fs2.tar"), "b:1", root=store, user=user))
    names = [sorted(members(work / file)) for file in ("fs.tar", "fs2.tar")]
    assert names[0] == names[1]
    assert not [name for name in os.listdir(work) if name.endswith(".part")]
    bad = img("import", tar, "c:1", "-c", "RUN true", root=store, user=user)
    assert bad.returncode != 0


@pytest.mark.timeout(300)
def test_copies_keep_the_digest(two: Path, work: Path, registry: Registry) -> None:
    digest = json.loads(ok(img("ls", "--json", "-f", "name==one:1", root=two)))[0]["digest"]
    remote = f"docker://{registry.host}/copied:1"
    way = [
        "one:1",
        remote,
        f"oci:{work}/l:1",
        f"oci-archive:{work}/o.tar:x/y:1",
        f"docker-archive:{work}/d.tar:z:1",
        "back:1",
    ]
    for source, dest in itertools.pairwise(way):
        assert ok(img("copy", source, dest, root=two if dest != "back:1" else work / "new")).strip() == digest
    ok(img("verify", "back:1", root=work / "new"))
    for place in (remote, f"oci:{work}/l:1", f"oci-archive:{work}/o.tar"):
        raw = run("skopeo", "inspect", "--raw", "--tls-verify=false", place).encode()
        assert "sha256:" + hashlib.sha256(raw).hexdigest() == digest
    run("umoci", "unpack", "--image", f"{work}/l:1", work / "bundle")
    run("skopeo", "--insecure-policy", "copy", f"docker-archive:{work}/d.tar", f"oci:{work}/from-docker:1")
    ok(img("copy", "two:1", f"oci:{work}/l:2", root=two))
    assert ok(img("diff", "one:1", f"oci:{work}/l:1", "--exit-code", root=two)) == ""
    done = img("diff", "one:1", f"oci:{work}/l:2", "--exit-code", root=two)
    assert done.returncode == 1
    assert "~ /text  (size" not in done.stdout
    assert "~ /text  (content sha256:" in done.stdout


def test_between_repositories_no_layer_is_kept(two: Path, work: Path, registry: Registry) -> None:
    digest = ok(img("copy", "one:1", f"docker://{registry.host}/from:1", root=two)).strip()
    fresh = work / "fresh"
    for dest in ("to:1", "again:1"):
        said = ok(img("copy", f"docker://{registry.host}/from:1", f"docker://{registry.host}/{dest}", root=fresh))
        assert said.strip() == digest
    layers = json.loads(ok(img("history", "--json", "one:1", root=two)))
    assert not {row["digest"][7:] for row in layers if row["digest"]} & set(os.listdir(fresh / "blobs" / "sha256"))
    run(
        "skopeo",
        "--insecure-policy",
        "copy",
        "--src-tls-verify=false",
        f"docker://{registry.host}/again:1",
        f"dir:{work}/d",
    )


def test_merge_joins_what_was_built_apart(work: Path, registry: Registry) -> None:
    context = work / "c"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n")
    stores = {arch: work / arch for arch in ("amd64", "arm64", "riscv64")}
    for arch, store in stores.items():
        ok(img("build", "-t", f"app:{arch}", "--platform", f"linux/{arch}", str(context), root=store))
    ok(img("copy", "app:arm64", f"oci:{work}/l", "--platform", "linux/arm64", root=stores["arm64"]))
    pushed = f"docker://{registry.host}/app:riscv64"
    ok(img("copy", "app:riscv64", pushed, "--platform", "linux/riscv64", root=stores["riscv64"]))
    name = f"{registry.host}/app:all"
    main = stores["amd64"]
    ok(img("merge", "--push", name, "app:amd64", f"oci:{work}/l", pushed, root=main))
    index = json.loads(run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"))
    there = {entry["platform"]["architecture"]: entry["digest"] for entry in index["manifests"]}
    for arch, store in stores.items():
        assert json.loads(ok(img("ls", "--json", root=store)))[0 if arch != "amd64" else -1]["digest"] in (
            there[arch],
            json.loads(ok(img("ls", "--json", "-f", f"name~={arch}", root=store)))[0]["digest"],
        )
        assert json.loads(ok(img("ls", "--json", "-f", f"name~=app:{arch}", root=store)))[0]["digest"] == there[arch]
    ok(img("verify", name, root=main))
    twice = img("merge", "x:1", "app:amd64", name, root=main)
    assert twice.returncode == 0
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /other\n")
    ok(img("build", "-t", "other:1", str(context), root=main))
    clash = img("merge", "x:2", "app:amd64", "other:1", root=main)
    assert clash.returncode == 2
    assert "are both for linux/amd64" in clash.stderr
    ok(img("copy", "--all", name, f"oci:{work}/whole", root=main))
    ok(img("verify", f"oci:{work}/whole", root=main))
    ok(img("save", "--format", "oci", "-o", str(work / "all.tar"), name, root=main))
    ok(img("load", "-i", str(work / "all.tar"), root=work / "fresh"))
    assert "linux/riscv64" in ok(img("verify", name, root=work / "fresh"))


def test_verify_finds_a_flipped_bit(two: Path) -> None:
    layer = json.loads(ok(img("history", "--json", "one:1", root=two)))
    digest = next(row["digest"] for row in layer if row["digest"])
    blob = two / "blobs" / "sha256" / digest[7:]
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    done = img("verify", "one:1", root=two)
    assert done.returncode == 1
    assert digest in done.stdout


def test_a_loaded_image_is_a_base_without_a_registry(two: Path, work: Path) -> None:
    ok(img("save", "-o", str(work / "a.tar"), "one:1", root=two))
    context = work / "on-top"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM one:1\nRUN cat /text > /more\n")
    fresh = work / "fresh"
    ok(img("load", "-i", str(work / "a.tar"), root=fresh))
    ok(img("build", "-t", "top:1", str(context), root=fresh, env={"IMG_PULL": "never"}))
    ok(img("unpack", "-o", str(work / "fs"), "top:1", root=fresh))
    assert (work / "fs" / "more").read_text() == "one\n"
    layers = [json.loads(ok(img("history", "--json", name, root=fresh))) for name in ("one:1", "top:1")]
    digests = [[row["digest"] for row in rows if row["digest"]] for rows in layers]
    assert digests[1][1:] == digests[0]
