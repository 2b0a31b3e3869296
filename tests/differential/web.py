"""A web server on loopback for ADD: files with known times, an archive, and a git repository."""

from __future__ import annotations

import contextlib
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.differential.contexts import archive, compressed

MODIFIED = 1_500_000_000


class Files(http.server.SimpleHTTPRequestHandler):
    """Plain files, and git's smart protocol below ``/git/`` by way of ``git http-backend`` (RFC 3875 variables)."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith("/git/"):
            self._git(b"")
        elif self.path.startswith("/redirect/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/redirect"))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._git(body)

    def _git(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": self.directory,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        self.send_response(status)
        for name, value in headers:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve `folder`, filled here; gives ``http://127.0.0.1:PORT``."""
    _fill(folder)

    def handler(*args: object) -> Files:
        return Files(*args, directory=str(folder))  # type: ignore[arg-type]

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _fill(folder: Path) -> None:
    folder.mkdir(parents=True)
    tar = archive("d d 750 3:4\nf d/x 640 5:6 in the archive\nl link 777 0:0 d/x\n")
    files = {
        "file.txt": b"from the web\n",
        "archive.tar.gz": compressed(tar, "gz"),
        "plain.tar": tar,
        "index.html": b"root\n",
    }
    for name, data in files.items():
        path = folder / name
        path.write_bytes(data)
        os.utime(path, (MODIFIED, MODIFIED))
    _repository(folder)


def _repository(folder: Path) -> None:
    """``git/repo.git``: branch main with two commits and a tag on the first, branch other; always the same commits."""
    work = folder / "work"
    env = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _IDENTITY.items()},
    }

    def git(*words: str, cwd: Path = work) -> None:
        subprocess.run(["git", *words], cwd=cwd, env=env, check=True, capture_output=True)

    (work / "sub").mkdir(parents=True)
    git("init", "-q", "-b", "main")
    (work / "README").write_text("first\n")
    (work / "sub" / "script").write_text("#!/bin/sh\n")
    (work / "sub" / "script").chmod(0o755)
    (work / "link").symlink_to("README")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    git("tag", "v1")
    (work / "README").write_text("second\n")
    git("commit", "-q", "-a", "-m", "second")
    git("checkout", "-q", "-b", "other", "v1")
    (work / "other").write_text("other\n")
    git("add", "-A")
    git("commit", "-q", "-m", "other")
    git("checkout", "-q", "main")
    (folder / "git").mkdir()
    git("clone", "-q", "--bare", str(work), str(folder / "git" / "repo.git"), cwd=folder)


_IDENTITY = {"NAME": "nobody", "EMAIL": "nobody@localhost", "DATE": "2020-01-01T00:00:00Z"}
