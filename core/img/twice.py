"""Whether a build gives the same image again: it is built twice, each time in a store that has only the bases, and the
images are held against each other file by file.

The second build starts in another second of the clock than the first, so that times in files can't be equal by luck.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from typing import NamedTuple

from img.digest import is_digest
from img.errors import ImgError
from img.images.compare import Difference, between
from img.images.provider import Found
from img.images.stored import find, whole
from img.ir.definition import Definition
from img.ir.nodes import Source
from img.ir.walk import topological
from img.oci.closure import OneImage
from img.oci.compress import decompressed
from img.oci.retell import members
from img.oci.spec import Descriptor, Manifest
from img.outputs import IMAGES
from img.ports import Reporter
from img.request import Options, Request
from img.session import Session
from img.store.store import Store

NAME = "img.invalid/twice:latest"
FORM = (
    "compression",
    "compression-level",
    "force-compression",
    "oci-mediatypes",
    "rewrite-timestamp",
    "source-date-epoch",
)
PEEK = 1 << 20
"""Bytes of a file that are looked at to guess why it differs."""


class Cause(NamedTuple):
    """One difference and what probably makes it."""

    difference: Difference
    cause: str


class Verdict(NamedTuple):
    """The digests of both builds, and what differs; nothing does if the digests are equal."""

    digests: tuple[str, str]
    causes: tuple[Cause, ...]

    @property
    def same(self) -> bool:
        return self.digests[0] == self.digests[1]


def build_twice(session: Session, request: Request, observers: Sequence[Reporter] = ()) -> Verdict:
    """Build `request` twice beside `session`'s store, which only lends its bases. Nothing is kept. Raises what a build
    raises."""
    definition = session.definition(request)
    contexts = dict(session.engine.contexts)
    form = next((dict(o) for o in request.outputs if o.get("type") in IMAGES), {})
    output = {"type": "image", "name": NAME, **{key: form[key] for key in FORM if key in form}}
    given = {field.name: getattr(request, field.name) for field in fields(Options)}
    options = Options(
        **{
            **given,
            "tags": (),
            "outputs": (output,),
            "cache_from": (),
            "cache_to": (),
            "cache_mount_from": (),
            "cache_mount_to": (),
        }
    )
    room = session.store.scratch()
    with ExitStack() as stack:
        found: list[Found] = []
        ended = 0.0
        for number in ("1", "2"):
            time.sleep(max(0.0, ended + 1.1 - time.time()))
            fresh = stack.enter_context(Session(room / number, session.engine.settings, session.registry))
            _lend(session.store, fresh.store, definition)
            with _cancelled_with(session, fresh):
                fresh.build_definition(definition, options, contexts, observers)
            found.append(find(fresh.engine, NAME))
            ended = time.time()
        return _verdict(*found)


@contextmanager
def _cancelled_with(session: Session, fresh: Session) -> Iterator[None]:
    """Whoever stops `session` stops `fresh`, which ends well by itself."""
    session.engine.check()
    forget = session.engine.on_cancel(fresh.cancel)
    session.engine.busy = True
    try:
        yield
    finally:
        session.engine.busy = False
        forget()


def _lend(store: Store, fresh: Store, definition: Definition) -> None:
    """Give the bases that `definition` stands on to the fresh store, as far as `store` has them."""
    for node in topological([target.root for target in definition.targets]):
        if not isinstance(node, Source) or not node.is_image:
            continue
        digest = node.ref.rpartition("@")[2]
        if not is_digest(digest) or not store.blobs.has(digest):
            continue
        manifest = Manifest.parse(store.blobs.read(digest))
        for wanted in (*manifest.layers, manifest.config):
            if store.blobs.has(wanted.digest):
                fresh.blobs.write(store.blobs.chunks(wanted.digest), wanted.digest)
        fresh.blobs.write(store.blobs.chunks(digest), digest)


def _verdict(one: Found, other: Found) -> Verdict:
    digests = (one.descriptor.digest, other.descriptor.digest)
    if digests[0] == digests[1]:
        return Verdict(digests, ())
    causes: list[Cause] = []
    for mine, theirs in zip(one.images(), other.images(), strict=True):
        differences = list(between(one, mine, other, theirs))
        causes += [Cause(d, _cause(d, differences, (one, mine), (other, theirs))) for d in differences]
    if not causes:
        raise ImgError(f"two builds gave {digests[0]} and {digests[1]}, but nothing in them differs; report this")
    return Verdict(digests, tuple(causes))


# --- why ---------------------------------------------------------------------------------------------------------------

_TIMES = re.compile(
    rb"\b1[5-9]\d{8}\b|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\b\d\d:\d\d:\d\d\b|\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? "
)
_TEMPORARY = re.compile(r"(?:^|[/._-])(?:tmp|temp|pid)|[0-9a-f]{8,}|\d{3,}")

Side = tuple[Found, OneImage]


def _cause(difference: Difference, all: Sequence[Difference], one: Side, other: Side) -> str:
    if difference.layer < 0:
        timed = difference.path == "created" or any(name == "created" for name, _, _ in difference.what)
        return "a time stamp: set SOURCE_DATE_EPOCH" if timed else "the configuration"
    if difference.change in ("order", "form"):
        return "the order of files"
    if difference.change in ("added", "removed"):
        return _name_cause(difference, all)
    changed = {name for name, _, _ in difference.what}
    if changed == {"time"}:
        return "a time stamp: the file was written during the build; rewrite-timestamp=true with SOURCE_DATE_EPOCH"
    if "content" in changed:
        texts = [_content(*side, difference) for side in (one, other)]
        return _content_cause(*texts)
    return f"the file's {', '.join(sorted(changed - {'time'}))}"


def _name_cause(difference: Difference, all: Sequence[Difference]) -> str:
    """A file that only one build has: under another name in the other, if that has one of the same shape."""
    shape = _TEMPORARY.sub("#", difference.path)
    for other in all:
        opposite = {other.change, difference.change} == {"added", "removed"} and other.layer == difference.layer
        if opposite and _shape(other.path) == _shape(difference.path):
            return f"a name that is made anew each time (a process id, or random), as {other.path} is"
    return "a temporary name" if shape != difference.path else "a file that only one build made"


def _shape(path: str) -> str:
    """A path with whatever may be random in its last part taken out."""
    head, _, name = path.rpartition("/")
    stem = re.sub(r"[A-Za-z]*\d[A-Za-z0-9]*|(?<=[._-])[A-Za-z0-9]{6,}$", "#", name)
    return f"{head}/{stem}"


def _content(found: Found, image: OneImage, difference: Difference) -> bytes:
    layer = image.manifest.layers[difference.layer]
    for entry, content in _members(found, layer):
        if entry == difference.path:
            data = b""
            for chunk in content:
                data += chunk
                if len(data) > PEEK:
                    break
            return data[:PEEK]
    return b""


def _members(found: Found, layer: Descriptor) -> Iterator[tuple[str, Iterator[bytes]]]:
    for entry, content in members(decompressed(whole(found.provider, layer))):
        if entry.kind == "file":
            yield entry.path, content.chunks()


def _content_cause(one: bytes, other: bytes) -> str:
    lines, others = one.splitlines(), other.splitlines()
    if sorted(lines) == sorted(others):
        return "the order of lines in its content"
    pair = next(((a, b) for a, b in zip(lines, others, strict=False) if a != b), (b"", b""))
    if _TIMES.sub(b"#", pair[0]) == _TIMES.sub(b"#", pair[1]) and all(map(_TIMES.search, pair)):
        return "a time stamp in its content"
    if b"/tmp/" in pair[0] or b"tmp." in pair[0]:
        return "a temporary name in its content"
    if re.sub(rb"\d+", b"#", pair[0]) == re.sub(rb"\d+", b"#", pair[1]):
        return "a number in its content: a time stamp, a process id, or random"
    return "its content"
