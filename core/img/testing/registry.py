"""A registry in memory (distribution-spec 1.1) on a free loopback port, for tests of whatever speaks to registries.

It verifies digests, ranges and scopes as a real one does. `fault` may spoil any request (`img.testing.chaos`).
"""

from __future__ import annotations

import base64
import http.server
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from img.digest import is_digest, sha256

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_ROUTE = re.compile(r"/v2/(?P<name>.+?)/(?P<kind>manifests|blobs/uploads|blobs|tags|referrers)/(?P<rest>[^/]*)\Z")


class Seen(NamedTuple):
    """One request as it came."""

    method: str
    path: str
    authorization: str


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Route(NamedTuple):
    """What a request is about: repository, kind of thing (``manifests``, ``blobs/uploads``, …), and which."""

    name: str
    kind: str
    rest: str


class MemoryRegistry:
    """The contents and the habits of one registry. Use `serving` to run it."""

    def __init__(
        self, *, user: str = "", password: str = "", auth: str = "", pieces: bool = True, referrers: bool = True
    ) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.tokens: dict[str, tuple[frozenset[str], float]] = {}
        """Token → scopes, and the time at which it ends."""
        self.seen: list[Seen] = []
        self.sent = 0
        """Bytes of blobs that were sent, whole or in part."""
        self.user, self.password = user, password
        self.auth = auth
        """``basic``, ``token``, or empty: everybody may do everything."""
        self.pieces = pieces
        self.referrers = referrers
        self.lasts = 300.0
        self.identity = ""
        """The identity token that may be used in place of user and password."""
        self.page = 1000
        self.largest = 0
        """Bytes of the largest body it takes; 0: any."""
        self.host = ""
        self.fault: Callable[[Handler], bool] = lambda handler: False
        """Called before each request; True: it has been answered, in whatever way."""
        self.lock = threading.RLock()

    # --- answering -----------------------------------------------------------------------------------------

    def answer(self, method: str, url: str, headers: Any, body: bytes) -> Answer:
        """What the registry says, without any fault."""
        parts = urlsplit(url)
        path, query = unquote(parts.path), {name: values[-1] for name, values in parse_qs(parts.query).items()}
        with self.lock:
            if self.largest and len(body) > self.largest:
                return error(413, "SIZE_INVALID")
            if path == "/token":
                return self._token(method, parts.query, headers, body)
            if (refused := self._refused(method, path, query, headers.get("Authorization", ""))) is not None:
                return refused
            if path in ("/v2/", "/v2"):
                return Answer(200, b"{}")
            route = _ROUTE.match(path)
            if route is None:
                return error(404, "UNSUPPORTED")
            return self.routed(method, Route(route["name"], route["kind"], route["rest"]), query, headers, body)

    def routed(self, method: str, route: Route, query: dict[str, str], headers: Any, body: bytes) -> Answer:
        """The answer to a request that is allowed."""
        act = getattr(self, "_" + route.kind.replace("/", "_"))
        found: Answer = act(method, route.name, route.rest, query, headers, body)
        return found

    def _manifests(self, method: str, name: str, target: str, query: Any, headers: Any, body: bytes) -> Answer:
        if method == "PUT":
            return self._put_manifest(name, target, headers.get("Content-Type", ""), body)
        found = self.manifests.get((name, target))
        if found is None:
            return error(404, "MANIFEST_UNKNOWN")
        media_type, data = found
        return Answer(200, data, (("Content-Type", media_type), ("Docker-Content-Digest", sha256(data))))

    def _put_manifest(self, name: str, target: str, media_type: str, body: bytes) -> Answer:
        try:
            document = json.loads(body)
            wanted = [document[key] for key in ("config",) if key in document] + document.get("layers", [])
            inner = [d["digest"] for d in document.get("manifests", [])]
        except (ValueError, TypeError, KeyError, AttributeError):
            return error(400, "MANIFEST_INVALID")
        missing = [d["digest"] for d in wanted if (name, d["digest"]) not in self.blobs and not d.get("urls")]
        if missing or any((name, digest) not in self.manifests for digest in inner):
            return error(404, "MANIFEST_BLOB_UNKNOWN")
        digest = sha256(body)
        if is_digest(target) and target != digest:
            return error(400, "DIGEST_INVALID")
        for key in (target, digest):
            self.manifests[name, key] = (media_type, body)
        told = [("Docker-Content-Digest", digest), ("Location", f"/v2/{name}/manifests/{digest}")]
        if self.referrers and isinstance(document.get("subject"), dict):
            told.append(("OCI-Subject", str(document["subject"].get("digest"))))
        return Answer(201, b"", tuple(told))

    def _blobs(self, method: str, name: str, digest: str, query: Any, headers: Any, body: bytes) -> Answer:
        return self.blob_answer(method, name, digest, headers)

    def blob_answer(self, method: str, name: str, digest: str, headers: Any) -> Answer:
        """A blob, or a part of it."""
        data = self.blobs.get((name, digest))
        if data is None:
            return error(404, "BLOB_UNKNOWN")
        span = re.match(r"bytes=(\d+)-(\d*)\Z", headers.get("Range", ""))
        at, end = (int(span[1]), min(int(span[2] or len(data)) + 1, len(data))) if span else (0, len(data))
        if method == "GET":
            self.sent += max(0, end - at)
        if span is None or method == "HEAD":
            return Answer(200, data, (("Docker-Content-Digest", digest),))
        if at >= len(data):
            return error(416, "RANGE_INVALID")
        return Answer(206, data[at:end], (("Content-Range", f"bytes {at}-{end - 1}/{len(data)}"),))

    def _blobs_uploads(self, method: str, name: str, id: str, query: Any, headers: Any, body: bytes) -> Answer:
        if method == "POST":
            if (source := query.get("from")) and (source, query.get("mount", "")) in self.blobs:
                self.blobs[name, query["mount"]] = self.blobs[source, query["mount"]]
                return Answer(201, b"", (("Location", f"/v2/{name}/blobs/{query['mount']}"),))
            id = secrets.token_hex(8)
            self.uploads[id] = bytearray()
            return self._progress(202, name, id)
        upload = self.uploads.get(id)
        if upload is None:
            return error(404, "BLOB_UPLOAD_UNKNOWN")
        if method == "DELETE":
            del self.uploads[id]
            return Answer(204)
        if method == "GET":
            return self._progress(204, name, id)
        if method == "PATCH" and not self.pieces:
            return error(405, "UNSUPPORTED")
        span = headers.get("Content-Range", "")
        if span and int(span.partition("-")[0]) != len(upload):
            return self._progress(416, name, id)
        upload += body
        return self._progress(202, name, id) if method == "PATCH" else self._commit(name, id, query.get("digest", ""))

    def _commit(self, name: str, id: str, digest: str) -> Answer:
        data = bytes(self.uploads.pop(id))
        if sha256(data) != digest:
            return error(400, "DIGEST_INVALID")
        self.blobs[name, digest] = data
        return Answer(201, b"", (("Docker-Content-Digest", digest), ("Location", f"/v2/{name}/blobs/{digest}")))

    def _progress(self, status: int, name: str, id: str) -> Answer:
        place, size = f"/v2/{name}/blobs/uploads/{id}", len(self.uploads[id])
        return Answer(status, b"", (("Location", place), ("Range", f"0-{max(size - 1, 0)}")))

    def _tags(self, method: str, name: str, rest: str, query: Any, headers: Any, body: bytes) -> Answer:
        tags = sorted(t for n, t in self.manifests if n == name and not is_digest(t) and t > query.get("last", ""))
        if not any(n == name for n, _ in self.manifests):
            return error(404, "NAME_UNKNOWN")
        shown = tags[: min(self.page, int(query.get("n", self.page)))]
        link: tuple[tuple[str, str], ...] = ()
        if len(shown) < len(tags):
            link = (("Link", f'</v2/{name}/tags/list?n={len(shown)}&last={shown[-1]}>; rel="next"'),)
        return Answer(200, json.dumps({"name": name, "tags": shown}).encode(), link)

    def _referrers(self, method: str, name: str, digest: str, query: Any, headers: Any, body: bytes) -> Answer:
        if not self.referrers:
            return error(404, "UNSUPPORTED")
        found = []
        for (repository, target), (media_type, data) in sorted(self.manifests.items()):
            document = json.loads(data)
            if repository == name and is_digest(target) and (document.get("subject") or {}).get("digest") == digest:
                kind = document.get("artifactType") or document["config"]["mediaType"]
                found.append({"mediaType": media_type, "digest": target, "size": len(data), "artifactType": kind})
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        return Answer(200, json.dumps(index).encode(), (("Content-Type", OCI_INDEX),))

    # --- who may ---------------------------------------------------------------------------------------------

    def _refused(self, method: str, path: str, query: dict[str, str], header: str) -> Answer | None:
        """The 401 for a request whose header does not allow it."""
        if not self.auth:
            return None
        if self.auth == "basic":
            allowed = header == self._basic()
            return None if allowed else error(401, "UNAUTHORIZED", ("WWW-Authenticate", 'Basic realm="memory"'))
        route = _ROUTE.match(path)
        action = "pull" if method in ("GET", "HEAD") and "/uploads/" not in path else "push"
        needed = {f"{route['name']}:{action}"} if route else set()
        if "from" in query:
            needed.add(f"{query['from']}:pull")
        scopes, until = self.tokens.get(header.removeprefix("Bearer "), (frozenset(), 0.0))
        if header and time.monotonic() < until and needed <= scopes:
            return None
        parameters = f'realm="http://{self.host}/token",service="memory"'
        if route:
            parameters += f',scope="repository:{route["name"]}:{"pull" if action == "pull" else "pull,push"}"'
        return error(401, "UNAUTHORIZED", ("WWW-Authenticate", f"Bearer {parameters}"))

    def _token(self, method: str, query: str, headers: Any, body: bytes) -> Answer:
        fields = parse_qs(body.decode() if method == "POST" else query)
        if method == "POST":
            known = bool(self.identity) and fields.get("refresh_token") == [self.identity]
            known = known or (fields.get("username") == [self.user] and fields.get("password") == [self.password])
        else:
            known = headers.get("Authorization", "") == self._basic()
        if self.user and not known:
            return error(401, "UNAUTHORIZED")
        scopes = set()
        for text in " ".join(fields.get("scope", [])).split():
            _, name, actions = text.split(":", 2)
            scopes |= {f"{name}:{action}" for action in actions.split(",")}
        token = secrets.token_hex(8)
        self.tokens[token] = (frozenset(scopes), time.monotonic() + self.lasts)
        return Answer(200, json.dumps({"token": token, "expires_in": self.lasts}).encode())

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def error(status: int, code: str, *headers: tuple[str, str], message: str = "") -> Answer:
    """An error document."""
    return Answer(
        status, json.dumps({"errors": [{"code": code, "message": message or code.lower()}]}).encode(), headers
    )


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection. `body` is the request's, read before anything is answered."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True
    registry: MemoryRegistry
    body: bytes

    def act(self) -> None:
        self.registry.seen.append(Seen(self.command, self.path, self.headers.get("Authorization", "")))
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.registry.fault(self):
            self.send(self.honest())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = act

    def honest(self) -> Answer:
        """What the registry would say, with its effects."""
        return self.registry.answer(self.command, self.path, self.headers, self.body)

    def send(self, answer: Answer) -> None:
        """Send an answer whole."""
        self.head(answer, len(answer.body))
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def head(self, answer: Answer, length: int) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that a fault, or the client, has ended."""


Served = TypeVar("Served", bound=MemoryRegistry)


@contextmanager
def serving(registry: Served, name: str = "127.0.0.1") -> Iterator[Served]:
    """Run a registry for the time of the block; its `host` is ``NAME:PORT``."""
    handler = type("Served", (Handler,), {"registry": registry})
    server = _Server(("127.0.0.1", 0), handler)
    registry.host = f"{name}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
