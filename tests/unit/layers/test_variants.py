"""One blob for each form of a layer, remembered, never mixed; pulled layers are checked on the way."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.peers.bases import tar

from img.errors import CorruptBlob
from img.oci.compress import decompressed
from img.oci.packing import KINDS, Packing
from img.oci.spec import OCI_LAYER_GZIP, OCI_LAYER_ZSTD, Descriptor
from img.session import Session
from img.store.variants import DEFAULT, kind_of

LAYER = tar([("a", b"one" * 1000), ("d", None)])
ID = "sha256:" + hashlib.sha256(LAYER).hexdigest()
FORMS = [
    Packing.parse("gzip"),
    Packing.parse("gzip", "9"),
    Packing.parse("zstd"),
    Packing.parse("zstd", "9"),
    Packing.parse("uncompressed"),
    Packing.parse("estargz"),
    Packing.parse("gzip")._replace(epoch=1),
]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(tmp_path / "store") as opened:
        yield opened


def pulled(session: Session, data: bytes, id: str = ID) -> Descriptor:
    digest, size = session.store.blobs.write([data])
    descriptor = Descriptor(OCI_LAYER_GZIP, digest, size)
    session.store.layers.add_remote(id, descriptor, {"scheme": "none"})
    return descriptor


def test_each_form_is_kept_once_and_never_mixed(session: Session) -> None:
    own = pulled(session, gzip.compress(LAYER, mtime=0))
    blobs = [session.store.variants.blob((ID,), form) for form in FORMS]
    assert blobs[0].descriptor == own
    assert len({blob.descriptor.digest for blob in blobs}) == len(FORMS)
    assert [kind_of(blob.descriptor) for blob in blobs] == [form.kind for form in FORMS]
    for form, blob in zip(FORMS, blobs, strict=True):
        plain = b"".join(decompressed(session.store.blobs.chunks(blob.descriptor.digest)))
        assert blob.diff_id == "sha256:" + hashlib.sha256(plain).hexdigest()
        assert (plain == LAYER) == (form.kind != "estargz" and form.epoch is None)
        assert blob.descriptor.media_type == KINDS[form.kind]
    before = {path.name: path.stat().st_mtime_ns for path in (session.root / "blobs" / "sha256").iterdir()}
    assert [session.store.variants.blob((ID,), form) for form in reversed(FORMS)] == blobs[::-1]
    assert {path.name: path.stat().st_mtime_ns for path in (session.root / "blobs" / "sha256").iterdir()} == before
    assert session.store.layers.blob((ID,)).descriptor == own


def test_a_lost_blob_is_made_again(session: Session) -> None:
    pulled(session, gzip.compress(LAYER, mtime=0))
    made = session.store.variants.blob((ID,), FORMS[2])
    session.store.blobs.remove(made.descriptor.digest)
    assert session.store.variants.blob((ID,), FORMS[2]) == made
    assert session.store.blobs.has(made.descriptor.digest)


def test_the_default_of_a_layer_that_is_not_gzip(session: Session) -> None:
    from backports import zstd

    digest, size = session.store.blobs.write([zstd.compress(LAYER)])
    session.store.layers.add_blob(ID, Descriptor(OCI_LAYER_ZSTD, digest, size))
    assert kind_of(session.store.variants.blob((ID,), DEFAULT).descriptor) == "gzip"


def test_a_pulled_layer_that_lies_leaves_no_form(session: Session) -> None:
    pulled(session, gzip.compress(LAYER + bytes(512), mtime=0))
    for form in FORMS[1:]:
        with pytest.raises(CorruptBlob, match="its image says"):
            session.store.variants.blob((ID,), form)
    assert len(list((session.root / "blobs" / "sha256").iterdir())) == 1


def test_a_blob_in_hand_takes_the_place_of_one_that_is_lost(session: Session) -> None:
    own = pulled(session, gzip.compress(LAYER, mtime=0))
    other_digest, size = session.store.blobs.write([LAYER])
    other = Descriptor(KINDS["uncompressed"], other_digest, size)
    session.store.layers.add_blob(ID, other)
    layer = session.store.layers.get(ID)
    assert layer is not None
    assert layer.descriptor == own
    assert session.store.layers.holder(own.digest) == ID
    assert session.store.layers.holder(other.digest) is None


def test_descriptor_and_origin_belong_together(session: Session) -> None:
    """A layer known from a registry in one compression, then loaded in another: it is there, and not remote."""
    layers = session.store.layers
    gone = Descriptor(OCI_LAYER_GZIP, "sha256:" + "1" * 64, 5)
    layers.add_remote(ID, gone, {"scheme": "registry", "ref": "a"})
    layers.add_remote(ID, gone, {"scheme": "registry", "ref": "b"})
    assert layers.get(ID).origin == {"scheme": "registry", "ref": "b"}  # type: ignore[union-attr]
    digest, size = session.store.blobs.write([LAYER])
    here = Descriptor(KINDS["uncompressed"], digest, size)
    layers.add_remote(ID, here, {"scheme": "docker-image", "ref": "local"})
    row = layers.get(ID)
    assert row is not None
    assert (row.descriptor, row.origin) == (here, {"scheme": "docker-image", "ref": "local"})
    layers.add_remote(ID, gone, {"scheme": "registry", "ref": "c"})
    assert layers.get(ID) == row
    assert b"".join(layers.plain((ID,))) == LAYER
