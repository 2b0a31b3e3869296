"""Compressions and media types of an image: other bytes, the same files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.peers import flatten
from tests.peers.builders import img, ok, run

pytestmark = pytest.mark.real


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
