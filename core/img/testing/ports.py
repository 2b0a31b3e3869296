"""A fake for each port of `img.ports`, in memory: what stands on a port is tested with these, without a disk or a network.

Each keeps what it was asked in a list, and does nothing that its port does not say.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from img.digest import digest_of, sha256
from img.errors import CacheMoved, FrontendError, LayerError, NotFound, Place, UsageError
from img.events import Event
from img.ir.definition import Definition, Target
from img.ir.nodes import Scratch, Source, Write
from img.oci.spec import OCI_MANIFEST, Descriptor
from img.ports import BaseImage, CacheFound, Export, Exported, Folder, FrontendRequest, Pin, Report, Resolver, Result
from img.store.forms import LayerBlob


class FakeResolver:
    """Files of contexts by path (or by (context, path)); every image there is, is a bare one of one layer, unless `images`
    says otherwise."""

    def __init__(
        self,
        files: Mapping[Any, str | bytes] | None = None,
        images: Mapping[str, BaseImage] | None = None,
        named: Mapping[str, BaseImage | Source] | None = None,
    ) -> None:
        self._files = {key if isinstance(key, tuple) else ("context", key): v for key, v in (files or {}).items()}
        self._images = images
        self._named = dict(named or {})
        self.asked: list[tuple[str, str]] = []

    def image(self, ref: str, platform: str) -> BaseImage:
        self.asked.append(("image", ref))
        if self._images is None:
            return bare(ref, platform)
        if ref not in self._images:
            raise NotFound(f"there is no image {ref}")
        return self._images[ref]

    def context_file(self, path: str, context: str = "context") -> bytes | None:
        self.asked.append(("file", path))
        data = self._files.get((context, path))
        return data.encode() if isinstance(data, str) else data

    def named(self, name: str, platform: str) -> BaseImage | Source | None:
        self.asked.append(("named", name))
        return self._named.get(name)

    def modified(self, context: str) -> int | None:
        return None


def bare(ref: str, platform: str = "linux/amd64") -> BaseImage:
    """An image with nothing but a platform and one layer."""
    os_name, architecture = platform.split("/")[:2]
    history = [{"created": "1970-01-01T00:00:00Z", "created_by": "bare"}]
    config = {"os": os_name, "architecture": architecture, "config": {}, "history": history}
    return BaseImage(Source("docker-image", f"{ref}@{sha256(ref.encode())}", (("platform", platform),)), config, 1)


class FakeFrontend:
    """Each line of a build file is ``PATH TEXT``: a file of the image. Other lines are errors with their place."""

    calls: tuple[str, ...] = ("lines",)

    def __init__(self, host: object = None) -> None:
        self.loaded: list[FrontendRequest] = []

    def load(self, request: FrontendRequest, resolver: Resolver) -> Definition:
        self.loaded.append(request)
        if request.target:
            raise FrontendError(f"there is no target {request.target!r}", hint="it has none")
        lines = request.text.decode("utf-8", "replace").split("\n")
        node: Scratch | Write = Scratch()
        history: list[dict[str, object]] = []
        layers: list[str] = []
        for number, line in enumerate(lines, 1):
            path, _, words = line.partition(" ")
            if not line.strip():
                continue
            if not path.startswith("/") or not words or "\0" in line:
                place = Place(request.file, number, 1, number, line)
                raise FrontendError(f"{path!r} is no absolute path with text behind it", hint="/a text", place=place)
            node = Write(node, path, words.encode("utf-8", "replace"))
            layers.append(node.digest)
            history.append({"created_by": f"WRITE {path}"})
        made = []
        for platform in request.platforms or (request.build_platform,):
            os_name, architecture = platform.split("/")[:2]
            settings = {"Labels": dict(request.labels)} if request.labels else {}
            config = {"os": os_name, "architecture": architecture, "config": settings, "history": history}
            made.append(Target(node, config, platform, tuple(layers)))
        return Definition(tuple(made))

    def call(self, name: str, request: FrontendRequest, resolver: Resolver) -> Report:
        if name not in self.calls:
            raise UsageError(f"it can't answer {name!r}", hint=f"one of {', '.join(self.calls)}")
        count = len(request.text.split(b"\n"))
        return Report(f"{count} lines\n", {"lines": count})


class FakeSource:
    """Folders by reference; a missing one is an error. `things` may be changed between calls."""

    def __init__(self, things: Mapping[str, Path] | None = None) -> None:
        self.things = dict(things or {})
        self.fetched: list[str] = []

    def pin(self, source: Source) -> Pin | None:
        self._place(source)
        return None

    def fetch(self, source: Source) -> Result:
        self.fetched.append(source.ref)
        return Folder(str(self._place(source)))

    def _place(self, source: Source) -> Path:
        if source.ref not in self.things:
            raise NotFound(f"there is no {source.scheme} {source.ref}")
        return self.things[source.ref]


class FakeExporter:
    """Keeps what it was given. Attribute ``name`` may be there; all others are errors."""

    def __init__(self, host: object = None) -> None:
        self.done: list[tuple[Sequence[Export], Mapping[str, str]]] = []
        self.pushed: list[str] = []

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        for name in attrs:
            if name != "name":
                raise UsageError(f"--output type=fake has no attribute {name!r}", hint="it has: name")
        self.done.append((tuple(exports), dict(attrs)))
        digest = digest_of([export.target.root.digest for export in exports])
        return Exported(f"kept {len(exports)}", {"containerimage.digest": digest})

    def push(self, name: str, descriptor: Descriptor) -> str:
        """What the exporter ``registry`` has too."""
        self.pushed.append(name)
        return descriptor.digest


class FakeCache:
    """A cache in a dict, by the attribute ``name``. `slow` and `broken` are raised by all that asks it."""

    def __init__(self, host: Any = None) -> None:
        self._host = host
        self.kept: dict[str, tuple[bytes, str]] = {}
        self.blobs: dict[str, bytes] = {}
        self.broken: Exception | None = None

    def check(self, attrs: Mapping[str, str], writes: bool) -> None:
        for name in attrs:
            if name not in ("name", "mode"):
                raise UsageError(f"type=fake has no attribute {name!r}", hint="it has: name, mode")
        if not attrs.get("name"):
            raise UsageError("type=fake needs name=…")

    def load(self, attrs: Mapping[str, str]) -> Sequence[CacheFound]:
        self._ask()
        if attrs["name"] not in self.kept:
            return []
        document, mark = self.kept[attrs["name"]]
        return [CacheFound(json.loads(document), {"name": attrs["name"]}, mark)]

    def missing(self, origin: Mapping[str, str], blobs: Sequence[Descriptor]) -> frozenset[str]:
        self._ask()
        return frozenset(one.digest for one in blobs if one.digest not in self.blobs)

    def open_blob(self, origin: Mapping[str, str], descriptor: Descriptor, offset: int = 0) -> IO[bytes]:
        self._ask()
        if descriptor.digest not in self.blobs:
            raise LayerError(f"the cache has no blob {descriptor.digest}")
        return io.BytesIO(self.blobs[descriptor.digest][offset:])

    def save(
        self, attrs: Mapping[str, str], document: bytes, blobs: Sequence[LayerBlob], mark: str | None = None
    ) -> str:
        self._ask()
        there = self.kept.get(attrs["name"], (b"", ""))[1]
        if mark is not None and mark != there:
            raise CacheMoved(f"{attrs['name']} was written by somebody else meanwhile")
        for blob in blobs:
            digest = blob.descriptor.digest
            if digest not in self.blobs:
                self.blobs[digest] = b"".join(self._host.store.blobs.chunks(digest))
        self.kept[attrs["name"]] = (document, sha256(document))
        return f"fake {attrs['name']}"

    def _ask(self) -> None:
        if self.broken is not None:
            raise self.broken


class FakeReporter:
    """Keeps events; raises `trouble` for each if there is any."""

    def __init__(self, host: object = None) -> None:
        self.events: list[Event] = []
        self.closed = 0
        self.trouble: Exception | None = None

    def handle(self, event: Event) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.events.append(event)

    def close(self) -> None:
        self.closed += 1


class FakeRegistries:
    """Registries that have `images` (name → manifest), and let in who knows `logins`."""

    def __init__(self, images: Mapping[str, bytes] | None = None, logins: Mapping[str, tuple[str, str]] | None = None):
        self.images = dict(images or {})
        self.logins = dict(logins or {})
        self.kept: dict[str, tuple[str, str]] = {}

    def pull(self, name: str, platforms: Sequence[str] = (), every: bool = False) -> Descriptor:
        if name not in self.images:
            raise NotFound(f"there is no {name}")
        data = self.images[name]
        return Descriptor(OCI_MANIFEST, sha256(data), len(data))

    def login(self, server: str, user: str, password: str) -> str:
        from img.errors import Unauthorized

        if self.logins.get(server) != (user, password):
            raise Unauthorized(f"{server} does not know {user}")
        self.kept[server] = (user, password)
        return "memory"

    def logout(self, server: str) -> bool:
        return self.kept.pop(server, None) is not None

    def check(self, name: str) -> Report:
        return Report(f"{name}: a fake\n", {"host": name})


if TYPE_CHECKING:
    from img import ports

    _resolver: ports.Resolver = FakeResolver()
    _frontend: ports.Frontend = FakeFrontend()
    _source: ports.SourcePlugin = FakeSource()
    _exporter: ports.Exporter = FakeExporter()
    _cache: ports.CachePlugin = FakeCache()
    _reporter: ports.Reporter = FakeReporter()
    _registries: ports.Registries = FakeRegistries()
