"""Debian's docker-registry behind TLS, client certificates, passwords and tokens, and a token server for it."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import http.server
import json
import os
import re
import secrets
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.peers import servers


class Certificate(NamedTuple):
    cert: Path
    key: Path


class Authority:
    """A private certificate authority, made with openssl."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.cert, self._key = folder / "ca.crt", folder / "ca.key"
        self._openssl(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-authority -addext basicConstraints=critical,CA:TRUE",
            f"-keyout {self._key} -out {self.cert}",
        )

    def issue(self, name: str, usage: str = "serverAuth") -> Certificate:
        """A certificate for loopback, or for a client."""
        cert, key, request = (self._folder / f"{name}.{kind}" for kind in ("cert", "key", "csr"))
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage={usage}\n")
        self._openssl(f"req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {key} -out {request}")
        self._openssl(
            f"x509 -req -days 2 -in {request} -CA {self.cert} -CAkey {self._key} -CAcreateserial",
            f"-extfile {extensions} -out {cert}",
        )
        return Certificate(cert, key)

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *" ".join(words).split()], check=True, capture_output=True)


def bcrypt(password: str) -> str:
    """A bcrypt hash, as htpasswd files have it, from the system's libcrypt."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    return str(crypt(password.encode(), b"$2b$05$" + b"a" * 21 + b"u").decode())


class Guard(NamedTuple):
    """What a registry asks for. Empty: nothing."""

    tls: Certificate | None = None
    clients: Path | None = None
    """The authority of the client certificates that are required."""
    users: tuple[tuple[str, str], ...] = ()
    """Basic authentication."""
    tokens: TokenServer | None = None


@contextlib.contextmanager
def registry(folder: Path, guard: Guard) -> Iterator[servers.Registry]:
    """A docker-registry that asks for what `guard` says."""
    folder.mkdir(parents=True, exist_ok=True)
    port = servers.free_port()
    document: dict[str, Any] = {
        "version": 0.1,
        "log": {"accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "x" * 16},
    }
    if guard.tls:
        document["http"]["tls"] = {"certificate": str(guard.tls.cert), "key": str(guard.tls.key)}
        if guard.clients:
            document["http"]["tls"]["clientcas"] = [str(guard.clients)]
    if guard.users:
        (folder / "htpasswd").write_text("".join(f"{user}:{bcrypt(word)}\n" for user, word in guard.users))
        document["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    if guard.tokens:
        document["auth"] = {
            "token": {
                "realm": guard.tokens.url,
                "service": "test-registry",
                "issuer": "test-issuer",
                "rootcertbundle": str(guard.tokens.certificate.cert),
            }
        }
    config, log = folder / "config.json", folder / "registry.log"
    config.write_text(json.dumps(document))

    def ready() -> bool:
        with contextlib.suppress(OSError), contextlib.closing(servers.socket.create_connection(("127.0.0.1", port), 2)):
            return True
        return False

    with servers.running(["docker-registry", "serve", str(config)], log, ready):
        yield servers.Registry(port, log)


class TokenServer:
    """A token server (distribution's token specification) for one user. Its tokens last `lasts` seconds."""

    def __init__(self, signer: Certificate, user: str, password: str, lasts: int, tls: Certificate | None) -> None:
        self.certificate = signer
        self._known = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.lasts = lasts
        self.asked: list[tuple[str, ...]] = []
        """The scopes of each request."""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, body = outer.answer(self.path, self.headers.get("Authorization", ""))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.cert, tls.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> TokenServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, authorization: str) -> tuple[int, bytes]:
        scopes = tuple(" ".join(parse_qs(urlsplit(path).query).get("scope", [])).split())
        self.asked.append(scopes)
        if authorization != self._known:
            return 401, b"{}"
        access = []
        for scope in scopes:
            kind, name, actions = re.fullmatch(r"(\w+):(.+):([\w,]+)", scope).groups()  # type: ignore[union-attr]
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        token = self._sign(access)
        return 200, json.dumps({"token": token, "expires_in": self.lasts}).encode()

    def _sign(self, access: list[dict[str, Any]]) -> str:
        pem = self.certificate.cert.read_text()
        chain = [re.sub(r"-----[A-Z ]+-----|\s", "", pem)]
        now = int(time.time())
        claims = {"iss": "test-issuer", "sub": "user", "aud": "test-registry", "jti": secrets.token_hex(8)}
        claims |= {"nbf": now - 10, "iat": now, "exp": now + self.lasts, "access": access}  # type: ignore[dict-item]
        parts = [_text({"typ": "JWT", "alg": "RS256", "x5c": chain}), _text(claims)]
        argv = ["openssl", "dgst", "-sha256", "-sign", os.fspath(self.certificate.key)]
        done = subprocess.run(argv, input=".".join(parts).encode(), capture_output=True, check=True)
        return ".".join([*parts, _base64(done.stdout)])


def _text(document: dict[str, Any]) -> str:
    return _base64(json.dumps(document).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
