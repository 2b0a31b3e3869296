"""Git repositories for the tests, made with git, and served on loopback: by git daemon, and by HTTP smart and dumb."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.peers.servers import free_port, running

WHEN = 1700000000
BACKEND = "/usr/lib/git-core/git-http-backend"


def git(folder: Path, *arguments: str, when: int = WHEN) -> str:
    """Run git in a work tree, as nobody in particular, at a fixed time."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.com",
        "GIT_AUTHOR_DATE": f"{when} +0000",
        "GIT_COMMITTER_DATE": f"{when} +0000",
    }
    argv = ["git", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(argv, cwd=folder, env=env, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, files: dict[str, str | None], message: str = "m", when: int = WHEN) -> str:
    """Write (None: remove) files and commit all there is; returns the commit. Makes the repository if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".git").exists():
        git(folder, "init", "-q")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message, when=when)
    return git(folder, "rev-parse", "HEAD")


@contextlib.contextmanager
def daemon(base: Path) -> Iterator[str]:
    """Every repository below `base` at ``git://…/NAME``."""
    port = free_port()

    def ready() -> bool:
        argv = ["git", "ls-remote", f"git://127.0.0.1:{port}/nothing"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return "refused" not in done.stderr

    argv = [
        "git",
        "daemon",
        "--export-all",
        f"--base-path={base}",
        "--listen=127.0.0.1",
        f"--port={port}",
        "--reuseaddr",
    ]
    with running(argv, base / "daemon.log", ready, {"GIT_CONFIG_GLOBAL": str(_trusting(base))}):
        yield f"git://127.0.0.1:{port}"


def _trusting(base: Path) -> Path:
    config = base / "gitconfig"
    config.write_text("[safe]\n\tdirectory = *\n")
    return config


class GitWeb:
    """A running HTTP server. `login` is the Authorization that it wants, if any; `asked` the ones it saw."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.login = ""
        self.asked: list[tuple[str, str]] = []


@contextlib.contextmanager
def web(base: Path, smart: bool = True) -> Iterator[GitWeb]:
    """Every repository below `base` over HTTP: by git http-backend, or as plain files (``dumb``)."""

    class Handler(_Handler):
        where = base
        backend = smart
        server_: GitWeb

        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(base))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Handler.server_ = found = GitWeb(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(SimpleHTTPRequestHandler):
    where: Path
    backend: bool
    server_: GitWeb

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        self.server_.asked.append((self.path, given))
        if self.server_.login and given != self.server_.login:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic realm=x")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.backend:
            self._cgi()
        else:
            super().do_GET()

    do_POST = do_GET

    def _cgi(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.where),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": str(_trusting(self.where)),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run([BACKEND], input=body, env=env, capture_output=True, check=False)
        head, _, out = done.stdout.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        status = next((value for name, value in lines if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in lines:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""
