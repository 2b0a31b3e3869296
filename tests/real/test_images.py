"""Outputs and the commands on images, with docker, podman, skopeo and umoci on the other side."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.peers import builders, flatten
from tests.peers.builders import img
from tests.peers.servers import Registry

pytestmark = pytest.mark.real

EPOCH = 1_600_000_000
FILES = (
    "FROM {base}\nARG TEXT=one\nRUN echo $TEXT > /text && mkdir /d && echo x > /d/x && ln -s x /d/link && chmod 4755 /d/x\n"
    'CMD ["cat", "/text"]\n'
)


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def run(*argv: object, **more: Any) -> str:
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture
def context(work: Path, busybox: str) -> Path:
    folder = work / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(FILES.format(base=busybox))
    return folder


@pytest.fixture
def store(work: Path) -> Path:
    return work / "store"


@pytest.fixture
def two(context: Path, store: Path) -> Path:
    """A store with the images one:1 and two:1."""
    for name in ("one", "two"):
        ok(img("build", "-t", f"{name}:1", "--build-arg", f"TEXT={name}", str(context), root=store))
    return store


def ids(store: Path, *names: str) -> dict[str, str]:
    return {name: json.loads(ok(img("inspect", "-f", "json", name, root=store)))["Id"] for name in names}


def podman(work: Path) -> Callable[..., str]:
    base = ["podman", "--root", work / "pod", "--runroot", work / "podrun", "--storage-driver", "vfs"]
    return lambda *argv: run(*base, *argv)


# --- archives with docker and podman ---------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_docker_loads_and_saves_several_images(two: Path, docker_host: str, work: Path) -> None:
    def docker(*argv: object) -> str:
        return run(builders.DOCKER, "-H", docker_host, *argv)

    known = ids(two, "one:1", "two:1")
    ok(img("save", "-o", str(work / "a.tar"), "one:1", "two:1", root=two))
    docker("load", "-i", work / "a.tar")
    for name, id in known.items():
        assert docker("image", "inspect", "-f", "{{.Id}}", name).strip() == id
        assert docker("run", "--rm", "--network", "none", name) == f"{name[:3]}\n"
    docker("save", "-o", work / "b.tar", "one:1", "two:1")
    other = work / "other"
    ok(img("load", "-i", str(work / "b.tar"), root=other))
    assert ids(other, *known) == known
    for name in known:
        ok(img("verify", name, root=other))
    docker("rmi", "one:1", "two:1")


@pytest.mark.timeout(300)
def test_podman_loads_and_saves_several_images(two: Path, work: Path) -> None:
    pod = podman(work)
    known = ids(two, "one:1", "two:1")
    for form in ("docker", "oci"):
        names = list(known) if form == "docker" else ["one:1"]
        ok(img("save", "--format", form, "-o", str(work / f"{form}.tar"), *names, root=two))
        pod("load", "-i", work / f"{form}.tar")
        for name in names:
            full = name if form == "docker" else f"docker.io/library/{name}"
            assert f"sha256:{pod('image', 'inspect', '-f', '{{.Id}}', full).strip()}" == known[name]
    pod("save", "-m", "-o", work / "back.tar", *known)
    pod("save", "--format", "oci-archive", "-o", work / "oci.tar", "one:1")
    other = work / "other"
    ok(img("load", "-i", str(work / "back.tar"), root=other))
    assert (
        ids(other, "localhost/one:1", "localhost/two:1") == {f"localhost/{name}": id for name, id in known.items()}
        or ids(other, *known) == known
    )
    ok(img("load", "-i", str(work / "oci.tar"), root=work / "third"))


def test_the_docker_output(context: Path, store: Path, docker_host: str, work: Path) -> None:
    spec = f"type=docker,dest={work}/i.tar,compression=uncompressed"
    ok(img("build", "-t", "out:1", "-t", "out:2", "-o", spec, str(context), root=store))
    run(builders.DOCKER, "-H", docker_host, "load", "-i", work / "i.tar")
    found = {
        run(builders.DOCKER, "-H", docker_host, "image", "inspect", "-f", "{{.Id}}", f"out:{n}").strip() for n in (1, 2)
    }
    assert len(found) == 1
    run(builders.DOCKER, "-H", docker_host, "rmi", "out:1", "out:2")
    ok(img("build", "-o", f"type=docker,tar=false,dest={work}/folder", str(context), root=store))
    assert {"manifest.json", "index.json", "oci-layout", "blobs"} <= set(os.listdir(work / "folder"))


def test_save_refuses_a_terminal(two: Path) -> None:
    child = pexpect.spawn(str(builders.TOOL), ["save", "one:1"], env={**os.environ, "IMG_ROOT": str(two)}, timeout=60)
    child.expect("cowardly refusing to save to a terminal")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2


# --- forms -----------------------------------------------------------------------------------------------------------


def manifest(layout: Path) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Manifest, configuration and manifest digest of a layout's only image."""

    def blob(digest: str) -> Any:
        return json.loads((layout / "blobs" / "sha256" / digest[7:]).read_bytes())

    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    found = blob(entry["digest"])
    return found, blob(found["config"]["digest"]), entry["digest"]


@pytest.mark.timeout(300)
def test_every_compression_holds_the_same_files(context: Path, store: Path, work: Path) -> None:
    suffixes = {"gzip": "tar+gzip", "zstd": "tar+zstd", "uncompressed": "tar", "estargz": "tar+gzip"}
    flat, diffs, digests = {}, {}, set()
    for kind, suffix in suffixes.items():
        for level in ("", "9"):
            if kind == "uncompressed" and level:
                continue
            more = f",compression-level={level}" if level else ""
            dest = work / f"{kind}{level}"
            spec = f"type=oci,tar=false,dest={dest},compression={kind},force-compression=true{more}"
            ok(img("build", "-t", "x:1", "-o", spec, str(context), root=store))
            found, config, digest = manifest(dest)
            assert {layer["mediaType"] for layer in found["layers"]} == {f"application/vnd.oci.image.layer.v1.{suffix}"}
            assert all(("annotations" in layer) == (kind == "estargz") for layer in found["layers"])
            digests.add(digest)
            diffs[kind] = config["rootfs"]["diff_ids"]
            ok(img("verify", f"oci:{dest}", root=store))
            flat[kind + level] = flatten.flatten(f"oci:{dest}:1", work / f"f-{kind}{level}").files
    assert len(digests) == 7
    assert diffs["gzip"] == diffs["zstd"] == diffs["uncompressed"] != diffs["estargz"]
    stargz = ("stargz.index.json", ".no.prefetch.landmark")
    for files in flat.values():
        assert {name: file for name, file in files.items() if name not in stargz} == flat["gzip"]
    again = f"type=oci,tar=false,dest={work}/again,compression=gzip,force-compression=true"
    ok(img("build", "-t", "x:1", "-o", again, str(context), root=store))
    assert manifest(work / "again")[2] == manifest(work / "gzip")[2]


def test_without_force_the_base_stays_as_it_is(context: Path, store: Path, work: Path) -> None:
    ok(img("build", "-o", f"type=oci,tar=false,dest={work}/a,compression=zstd", str(context), root=store))
    types = [layer["mediaType"].rpartition("+")[2] for layer in manifest(work / "a")[0]["layers"]]
    assert types == ["gzip", "zstd"]
    umoci = run("umoci", "list", "--layout", work / "a")
    assert umoci is not None
    ok(img("build", "-o", f"type=oci,tar=false,dest={work}/b,oci-mediatypes=false", str(context), root=store))
    found = manifest(work / "b")[0]
    assert found["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert {layer["mediaType"] for layer in found["layers"]} == {"application/vnd.docker.image.rootfs.diff.tar.gzip"}
    run("skopeo", "--insecure-policy", "copy", f"oci:{work}/b", f"dir:{work}/dir")


def test_a_base_keeps_its_layers_whatever_else_the_store_knows_them_by(context: Path, store: Path, work: Path) -> None:
    for number, kind in enumerate(("gzip", "zstd", "uncompressed")):
        spec = f"type=image,name=base:{kind},compression={kind},force-compression=true"
        ok(img("build", "-o", spec, str(context), root=store))
        on_top = work / kind
        on_top.mkdir()
        (on_top / "Dockerfile").write_text(f"FROM base:{kind}\nCOPY Dockerfile /{number}\n")
        ok(img("build", "-t", f"top:{kind}", str(on_top), root=store))
        rows = [json.loads(ok(img("history", "--json", f"{n}:{kind}", root=store))) for n in ("base", "top")]
        base, top = ([row["digest"] for row in reversed(one) if row["digest"]] for one in rows)
        assert top[: len(base)] == base


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


def listed(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return archive.getnames()


# --- filesystems -----------------------------------------------------------------------------------------------------


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
    assert "linux_arm64/arm64" in listed(work / "t.tar")
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
    names = [sorted(listed(work / file)) for file in ("fs.tar", "fs2.tar")]
    assert names[0] == names[1]
    assert not [name for name in os.listdir(work) if name.endswith(".part")]
    bad = img("import", tar, "c:1", "-c", "RUN true", root=store, user=user)
    assert bad.returncode != 0


# --- between places --------------------------------------------------------------------------------------------------


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


# --- reproducible ----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_two_stores_and_two_users_give_one_digest(context: Path, work: Path) -> None:
    builders.readable_by_user(context)
    digests = []
    form = f"rewrite-timestamp=true,source-date-epoch={EPOCH}"
    for number, user in enumerate((False, False, True)):
        store = work / f"s{number}"
        store.mkdir()
        if user:
            shutil.chown(store, builders.USER, builders.USER)
        time.sleep(1.1)
        ok(img("build", "-o", f"type=image,name=r:1,{form}", str(context), root=store, user=user))
        digests.append(json.loads(ok(img("ls", "--json", root=store, user=user)))[0]["digest"])
    assert len(set(digests)) == 1
    config = json.loads(ok(img("inspect", "r:1", root=work / "s0")))
    assert config["created"].startswith("2020-09-13T12:26:40")
    ok(img("export", "-o", str(work / "fs.tar"), "r:1", root=work / "s0"))


@pytest.mark.timeout(300)
def test_twice_names_the_file_and_the_cause(busybox: str, work: Path) -> None:
    context = work / "c"
    context.mkdir()

    def twice(body: str, form: str = f"rewrite-timestamp=true,source-date-epoch={EPOCH}") -> tuple[int, str]:
        (context / "Dockerfile").write_text(f"FROM {busybox}\n{body}\n")
        done = img("build", "--twice", "-o", f"type=image,{form}", str(context), root=work / "s")
        return done.returncode, done.stdout + done.stderr

    status, said = twice("RUN echo same > /f && mkdir /d && touch /d/a /d/b")
    assert status == 0, said
    assert "Reproducible: both builds gave sha256:" in said
    status, said = twice("RUN echo same > /f", f"source-date-epoch={EPOCH}")
    assert status == 1
    assert "~ /f  (time 20" in said
    assert "likely cause: a time stamp: the file was written during the build" in said
    for body, cause in {
        "RUN date > /stamp": "a time stamp in its content",
        "RUN echo made by 1$RANDOM > /stamp": "a number in its content",
        "RUN head -c 16 /dev/urandom > /random": "its content",
        "RUN mktemp -p /var": "a name that is made anew each time",
    }.items():
        status, said = twice(body)
        assert status == 1, said
        assert f"likely cause: {cause}" in said, said
    status, said = twice("RUN echo same > /f", "rewrite-timestamp=false")
    assert status == 1
    assert "likely cause: a time stamp: set SOURCE_DATE_EPOCH" in said
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo same > /f\n")
    argv = ("build", "--twice", "-o", "type=image,rewrite-timestamp=true", str(context))
    done = img(*argv, root=work / "s", env={"SOURCE_DATE_EPOCH": "0"})
    assert "Reproducible: both builds gave" in done.stderr, done.stderr
    assert ok(img("ls", "-q", root=work / "s")) == ""
