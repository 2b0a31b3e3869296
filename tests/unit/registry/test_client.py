"""The distribution client against a registry that misbehaves on purpose."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from img.errors import CorruptBlob, ImgError, LayerError, NotFound, RegistryError, Unauthorized
from img.oci.spec import Descriptor
from img_plugins.registry.auth import Secret
from img_plugins.registry.client import Client
from img_plugins.registry.hosts.model import Endpoint
from img_plugins.registry.network import Network, Patience
from img_plugins.registry.transport import Transport

CONFIG = b'{"architecture":"amd64","os":"linux"}'
DIGEST = "sha256:" + hashlib.sha256(CONFIG).hexdigest()
MANIFEST = json.dumps(
    {"schemaVersion": 2, "layers": [], "config": {"mediaType": "c", "digest": DIGEST, "size": 5}}
).encode()

Answer = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: Answer
    seen: list[tuple[str, str, str]]

    def _do(self) -> None:
        self.seen.append((self.command, self.path, self.headers.get("Authorization", "")))
        type(self).answer(self)

    do_GET = do_HEAD = do_POST = do_PUT = _do

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Server:
    """A registry that gives one answer to everything; `set` changes it."""

    def __init__(self, name: str) -> None:
        self.handler = type("H", (Handler,), {"seen": []})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.host = f"{name}:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def set(self, answer: Answer) -> None:
        self.handler.answer = staticmethod(answer)  # type: ignore[attr-defined]

    @property
    def seen(self) -> list[tuple[str, str, str]]:
        return self.handler.seen  # type: ignore[attr-defined, no-any-return]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server("127.0.0.1")
    yield made
    made.close()


@pytest.fixture
def network() -> Iterator[Network]:
    made = Network(patience=Patience(4, 0.001))
    yield made
    made.close()


def client(server: Server, network: Network, known: Secret | None = None) -> Client:
    endpoint = Endpoint(server.host, "x", ("http",))
    return Client(endpoint, Transport(endpoint, lambda host, repository: known, network))


def test_a_manifest(server: Server, network: Network) -> None:
    server.set(lambda h: h.reply(200, MANIFEST, Content_Type="application/vnd.oci.image.manifest.v1+json"))
    c = client(server, network)
    assert c.manifest("1").data == MANIFEST
    assert server.seen == [("GET", "/v2/x/manifests/1", "")]


REFUSALS = [
    (lambda h: h.reply(401), Unauthorized, "does not allow this"),
    (lambda h: h.reply(403, b'{"errors":[{"message":"go away"}]}'), Unauthorized, "go away"),
    (lambda h: h.reply(404), NotFound, "is not there"),
    (lambda h: h.reply(500), RegistryError, "answered 500"),
    (lambda h: h.reply(418, b"<html>\x1b[2J"), RegistryError, "answered 418"),
    (lambda h: h.reply(200, b"<html>"), LayerError, "is not JSON"),
    (lambda h: h.reply(200, b"[" * (5 << 20)), RegistryError, "is larger than"),
    (lambda h: h.reply(302), RegistryError, "redirects to nowhere"),
    (lambda h: h.reply(302, Location="file:///etc/passwd"), RegistryError, "redirects to nowhere"),
    (lambda h: h.reply(302, Location="/v2/x/manifests/1"), RegistryError, "redirects more than"),
    (lambda h: h.connection.shutdown(2), RegistryError, "can't reach the registry"),
]


@pytest.mark.parametrize(("answer", "kind", "message"), REFUSALS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_refusals(server: Server, network: Network, answer: Answer, kind: type[ImgError], message: str) -> None:
    server.set(answer)
    c = client(server, network)
    with pytest.raises(kind, match=message) as caught:
        c.manifest("1")
    assert "\x1b" not in caught.value.message


def test_a_failure_that_passes_is_tried_again(server: Server, network: Network) -> None:
    server.set(lambda h: h.reply(503) if len(server.seen) < 3 else h.reply(200, MANIFEST))
    c = client(server, network)
    assert c.manifest("1").data == MANIFEST
    assert len(server.seen) == 3


def test_a_manifest_must_have_the_digest_asked_for(server: Server, network: Network) -> None:
    server.set(lambda h: h.reply(200, MANIFEST))
    c = client(server, network)
    with pytest.raises(CorruptBlob, match="sent a manifest with digest"):
        c.manifest("sha256:" + "0" * 64)


def test_a_configuration_must_have_its_digest(server: Server, network: Network) -> None:
    server.set(lambda h: h.reply(200, b"o" * len(CONFIG)))
    c = client(server, network)
    with pytest.raises(CorruptBlob):
        c.small_blob(Descriptor("c", DIGEST, len(CONFIG)))


def test_basic_credentials_only_after_a_401(server: Server, network: Network) -> None:
    def answer(h: Handler) -> None:
        if h.headers.get("Authorization"):
            h.reply(200, MANIFEST)
        else:
            h.reply(401, WWW_Authenticate='Basic realm="x"')

    server.set(answer)
    c = client(server, network, Secret("user", "word"))
    c.manifest("1")
    expected = "Basic " + base64.b64encode(b"user:word").decode()
    assert [seen[2] for seen in server.seen] == ["", expected]


def test_a_bearer_token_from_another_server(server: Server, network: Network) -> None:
    tokens = Server("127.0.0.1")
    tokens.set(lambda h: h.reply(200, b'{"token":"secret"}'))

    def answer(h: Handler) -> None:
        if h.headers.get("Authorization") == "Bearer secret":
            h.reply(200, MANIFEST)
        else:
            h.reply(401, WWW_Authenticate=f'Bearer realm="http://{tokens.host}/token",service="s"')

    server.set(answer)
    try:
        c = client(server, network)
        c.manifest("1")
    finally:
        tokens.close()
    ((_, path, authorization),) = tokens.seen
    assert authorization == ""
    assert path == "/token?scope=repository%3Ax%3Apull&service=s"


def test_a_redirect_to_another_host_gets_no_credentials(server: Server, network: Network) -> None:
    other = Server("localhost")
    other.set(lambda h: h.reply(200, CONFIG))

    def answer(h: Handler) -> None:
        if h.headers.get("Authorization"):
            h.reply(307, Location=f"http://{other.host}/elsewhere")
        else:
            h.reply(401, WWW_Authenticate='Basic realm="x"')

    server.set(answer)
    try:
        c = client(server, network, Secret("user", "word"))
        assert c.small_blob(Descriptor("c", DIGEST, len(CONFIG))) == CONFIG
    finally:
        other.close()
    assert other.seen == [("GET", "/elsewhere", "")]
