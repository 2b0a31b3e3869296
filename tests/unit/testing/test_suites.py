"""Every conformance suite over every plugin of its kind that img brings, and over the fakes and the example package."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from img.ir.nodes import Source
from img.session import Session
from img.testing import builders
from img.testing.caches import CacheConformance
from img.testing.exporters import ExporterConformance
from img.testing.frontends import FrontendConformance
from img.testing.plugins import PluginConformance
from img.testing.registry import MemoryRegistry, serving
from img.testing.reporters import ReporterConformance
from img.testing.sources import SourceConformance

FILES = {"hello.txt": b"hello\n", "bin/run": b"#!/bin/sh\necho run\n"}

# --- frontends -----------------------------------------------------------------------------------------------------


class TestDockerfile(FrontendConformance):
    frontend, file = "dockerfile", "Dockerfile"
    good = 'FROM scratch AS one\nARG A=b\nENV A=$A\nCOPY hello.txt /\nFROM scratch\nCOPY --from=one / /\nCMD ["x"]\n'
    bad = ("FRO scratch\n", "FROM scratch\nCOPY\n", "FROM scratch\nCOPY a b\nRUN --mount=typ=x y\n")


class TestYaml(FrontendConformance):
    frontend, file = "yaml", "img.yaml"
    good = "from: scratch\nenv: {A: b}\nsteps:\n  - copy: [hello.txt, /]\n  - mkdir: /x\ncmd: [x]\n"
    bad = ("from: scratch\nstepz: []\n", "from: [\n", "from: scratch\nsteps:\n  - copy: 5\n")


class TestToml(FrontendConformance):
    frontend, file = "toml", "img.toml"
    good = 'from = "scratch"\nsteps = [{ copy = ["hello.txt", "/"] }, { mkdir = "/x" }]\ncmd = ["x"]\n'
    bad = ('from = "scratch"\nstepz = []\n', "from = \n", 'from = "scratch"\nsteps = [{ copy = 5 }]\n')


# --- sources -------------------------------------------------------------------------------------------------------


class TestLocal(SourceConformance):
    source = "local"
    wrong = (Source("local", "nobody"),)

    def available(self, folder: Path, session: Session) -> tuple[Source, Mapping[str, bytes]]:
        session.engine.contexts["here"] = builders.context(folder, FILES)
        return Source("local", "here"), FILES


class TestDockerImage(SourceConformance):
    source, image = "docker-image", True
    wrong = (Source("docker-image", "127.0.0.1:1/a:1@sha256:" + "0" * 64, (("platform", "linux/amd64"),)),)

    def available(self, folder: Path, session: Session) -> tuple[Source, Mapping[str, bytes]]:
        builders.stored(session, "conformance:1", FILES)
        found: Source = session.engine.load("source", "docker-image").resolve("conformance:1", "linux/amd64").source
        return found, FILES


class TestOciLayout(SourceConformance):
    source, image = "oci-layout", True

    def available(self, folder: Path, session: Session) -> tuple[Source, Mapping[str, bytes]]:
        from img.images.copy import copy
        from img.testing.builders import stored

        stored(session, "conformance:1", FILES)
        copy(session.engine, "conformance:1", f"oci:{folder}/layout:one")
        layout = session.engine.load("source", "oci-layout")
        found: Source = layout.resolve(f"{folder}/layout:one", "linux/amd64").source
        return found, FILES


class Served(SourceConformance):
    """Sources of a server that serves a folder."""

    address: ClassVar[str]
    place: ClassVar[Path]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        cls.place = tmp_path_factory.mktemp("served")

        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(cls.place)))
        cls.address = f"http://127.0.0.1:{made.server_address[1]}"
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield
        made.shutdown()
        made.server_close()
        thread.join()


class TestHttp(Served):
    source = "http"
    wrong = (Source("http", "http://127.0.0.1:1/x", (("filename", "x"),)),)

    def available(self, folder: Path, session: Session) -> tuple[Source, Mapping[str, bytes]]:
        (self.place / "file").write_bytes(b"served")
        return Source("http", f"{self.address}/file", (("filename", "file"),)), {"file": b"served"}


class TestGit(SourceConformance):
    source = "git"
    wrong = (Source("git", "file:///nowhere.git"),)

    def available(self, folder: Path, session: Session) -> tuple[Source, Mapping[str, bytes]]:
        builders.context(folder / "repo", FILES)
        git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(folder / "repo")]
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
            subprocess.run([*git, *words], check=True, capture_output=True)
        return Source("git", f"file://{folder}/repo"), FILES


# --- exporters -----------------------------------------------------------------------------------------------------


class TestImage(ExporterConformance):
    exporter, needs = "image", ()

    def attrs(self, folder: Path, session: Session) -> Mapping[str, str]:
        return {"name": "conformance:1"}


class TestOci(ExporterConformance):
    exporter = "oci"


class TestOciFolder(ExporterConformance):
    exporter = "oci"

    def attrs(self, folder: Path, session: Session) -> Mapping[str, str]:
        return {"dest": str(folder / "out"), "tar": "false"}


class TestDocker(ExporterConformance):
    exporter, several = "docker", False

    def attrs(self, folder: Path, session: Session) -> Mapping[str, str]:
        return {"dest": str(folder / "out"), "name": "conformance:1"}


class TestTar(ExporterConformance):
    exporter = "tar"


class TestLocalFolder(ExporterConformance):
    exporter = "local"


class TestRegistry(ExporterConformance):
    exporter, needs = "registry", ("name",)
    host: ClassVar[str]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def server(cls) -> Iterator[None]:
        with serving(MemoryRegistry()) as running:
            cls.host = running.host
            yield

    def attrs(self, folder: Path, session: Session) -> Mapping[str, str]:
        return {"name": f"{self.host}/conformance:1"}


class TestExample(ExporterConformance):
    exporter, several = "files", False


# --- caches --------------------------------------------------------------------------------------------------------


class TestLocalCache(CacheConformance):
    cache = "local"

    def attrs(self, folder: Path, writes: bool) -> Mapping[str, str]:
        return {"dest" if writes else "src": str(folder / "kept")}

    def broken(self, folder: Path) -> Mapping[str, str]:
        (folder / "index.json").write_text("[")
        return {"src": str(folder)}


class TestRegistryCache(CacheConformance):
    cache = "registry"
    host: ClassVar[str]

    @pytest.fixture(autouse=True)
    def server(self) -> Iterator[None]:
        with serving(MemoryRegistry()) as running:
            type(self).host = running.host
            yield

    def attrs(self, folder: Path, writes: bool) -> Mapping[str, str]:
        return {"ref": f"{self.host}/cache:1"}

    def broken(self, folder: Path) -> Mapping[str, str]:
        return {"ref": "127.0.0.1:1/cache:1"}


# --- reporters -----------------------------------------------------------------------------------------------------


class TestPlain(ReporterConformance):
    reporter = "plain"


class TestTty(ReporterConformance):
    reporter = "tty"


class TestJson(ReporterConformance):
    reporter = "json"


class TestQuiet(ReporterConformance):
    reporter = "quiet"


# --- packages ------------------------------------------------------------------------------------------------------


class TestOurs(PluginConformance):
    distribution = "img-build"


class TestExamplePackage(PluginConformance):
    distribution = "img-example-plugin"
