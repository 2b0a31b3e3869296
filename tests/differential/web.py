"""What the cases of ADD fetch: files and an archive by HTTP, a git repository by git's smart HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.differential.contexts import archive, compressed
from tests.peers import repositories, web

ARCHIVE = "d d 750 3:4\nf d/x 640 5:6 in the archive\nl link 777 0:0 d/x\n"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """``web`` and ``git``: the addresses of the two servers."""
    folder.mkdir()
    _repository(folder)
    with web.serving() as files, repositories.web(folder) as git:
        files.put("/", b"root\n")
        files.put("/file.txt", b"from the web\n")
        files.put("/archive.tar.gz", compressed(archive(ARCHIVE), "gz"))
        files.put("/plain.tar", archive(ARCHIVE))
        files.put("/redirect/file.txt", b"", redirect=f"{files.url}/file.txt")
        files.put("/named", b"named by the server\n", headers={"Content-Disposition": 'attachment; filename="own.txt"'})
        yield {"web": files.url, "git": git.url}


def _repository(folder: Path) -> None:
    """``repo.git``: the branch main with two commits, the tag v1 on the first, the branch other."""
    work = folder / "work"
    repositories.commit(work, {"README": "first\n", "sub/script": "#!/bin/sh\n"})
    (work / "sub" / "script").chmod(0o755)
    (work / "link").symlink_to("README")
    repositories.commit(work, {})
    repositories.git(work, "tag", "v1")
    repositories.commit(work, {"README": "second\n"})
    repositories.git(work, "checkout", "-q", "-b", "other", "v1")
    repositories.commit(work, {"other": "other\n", "sub/more": "more\n"})
    repositories.git(work, "checkout", "-q", "main")
    repositories.git(folder, "clone", "-q", "--bare", str(work), str(folder / "repo.git"))
