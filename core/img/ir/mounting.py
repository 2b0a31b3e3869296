"""What `State.run` can mount, reached as ``img.mount``:

    import img
    from img import mount

    app.run("pip install -r /src/requirements.txt", mounts=[
        mount.cache("/root/.cache/pip"),
        mount.bind(img.local("."), "/src"),
        mount.secret("token", env="TOKEN"),
    ])

Targets are absolute, or relative to the working folder. Each function raises `img.errors.UsageError`.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from img.errors import UsageError
from img.ir.checked import kind, text
from img.ir.values import CacheDir, Secret, Sharing, Ssh, Tmpfs

if TYPE_CHECKING:
    from img.ir.state import Files, State


@dataclass(frozen=True, slots=True)
class FilesMount:
    """A bind mount of something that is not a node yet."""

    source: State | Files
    target: str
    path: str
    readonly: bool


Mounted = FilesMount | CacheDir | Secret | Ssh | Tmpfs


def bind(source: State | Files, target: str, *, path: str = "/", writable: bool = False) -> FilesMount:
    """The files of a State or of a source, from `path` in it, for one step. What is written to it is thrown away."""
    from img.ir.state import Files, State

    if not isinstance(source, State | Files):
        raise UsageError(f"bind mounts a State or files, not {kind(source)}", hint="e.g. img.local('.')")
    inside = "/" + posixpath.normpath(posixpath.join("/", text(path, "the path of a bind mount"))).lstrip("/")
    return FilesMount(source, _target(target), inside, not writable)


def cache(
    target: str, *, id: str = "", sharing: str = "shared", mode: int = 0o755, uid: int = 0, gid: int = 0
) -> CacheDir:
    """A folder that outlives the build and is never in the image; builds with the same `id` (default: the target) share
    it. `sharing` is ``shared``, ``private`` or ``locked``."""
    if sharing not in tuple(Sharing):
        raise UsageError(f"sharing can't be {sharing!r}", hint=f"one of {', '.join(Sharing)}")
    return CacheDir(id or posixpath.normpath(target), _target(target), Sharing(sharing), mode, uid, gid)


def secret(
    id: str, target: str = "", *, env: str = "", mode: int = 0o400, uid: int = 0, gid: int = 0, required: bool = True
) -> Secret:
    """A secret of the build as a file (default: ``/run/secrets/ID``) or, with `env`, as a variable. It is in memory
    alone."""
    place = target or ("" if env else f"/run/secrets/{posixpath.basename(text(id, 'the id of a secret'))}")
    return Secret(text(id, "the id of a secret"), place, env, mode, uid, gid, required)


def ssh(id: str = "default", target: str = "/run/buildkit/ssh_agent.0", *, mode: int = 0o600) -> Ssh:
    """The ssh agent that the build was given under `id`; the step finds it by ``SSH_AUTH_SOCK``."""
    return Ssh(text(id, "the id of an agent"), _target(target), mode, 0, 0, True)


def tmpfs(target: str, *, size: int = 0) -> Tmpfs:
    """A folder in memory for one step; `size` in bytes, 0 for the kernel's default."""
    return Tmpfs(_target(target), size)


def _target(value: str) -> str:
    if posixpath.normpath(text(value, "the target of a mount")) == "/":
        raise UsageError("a mount can't take the place of /", hint="choose another target")
    return value
