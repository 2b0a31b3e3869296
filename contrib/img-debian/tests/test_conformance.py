"""img's own suites for what this package offers, with a mirror on this machine and a stand-in for mmdebstrap."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import img
from img.digest import sha256
from img.ir.nodes import Source
from img.session import Session
from img.testing import builders
from img.testing.plugins import PluginConformance
from img.testing.sources import SourceConformance

RELEASE = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n\n-----\n"


class Mirror(BaseHTTPRequestHandler):
    """One InRelease, whatever is asked for."""

    def do_GET(self) -> None:
        there = self.path.endswith("/dists/sid/InRelease")
        self.send_response(200 if there else 404)
        self.send_header("Content-Length", str(len(RELEASE) if there else 0))
        self.end_headers()
        self.wfile.write(RELEASE if there else b"")

    def log_message(self, format: str, *args: object) -> None: ...


class TestPackage(PluginConformance):
    distribution = "img-debian"


class TestSource(SourceConformance):
    source, image = "deb", True

    @pytest.fixture(scope="class")
    @classmethod
    def session(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
        """With a mirror, and a program that makes a root of a few files."""
        folder = tmp_path_factory.mktemp("world")
        (folder / "root.tar").write_bytes(builders.tar({"etc/debian_version": "13"}))
        (folder / "keys").write_text("")
        program = folder / "mmdebstrap"
        program.write_text(f"#!/bin/sh\necho 'img-debian-release {sha256(RELEASE)} x' >&2\ncat {folder}/root.tar\n")
        program.chmod(0o755)
        server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        settings = {
            "path": f"{folder}:/usr/bin:/bin",
            "debian_keyring": str(folder / "keys"),
            "debian_mirror": f"http://127.0.0.1:{server.server_address[1]}/debian",
        }
        with img.Session(tmp_path_factory.mktemp("store"), settings) as opened:
            yield opened
        server.shutdown()
        server.server_close()

    def available(self, folder: Path, session: Session) -> tuple[Source, Mapping[str, bytes]]:
        found = session.engine.load("source", "deb").resolve("sid?variant=apt", "linux/amd64")
        return found.source, {"etc/debian_version": b"13"}
