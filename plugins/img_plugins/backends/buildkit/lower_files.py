"""Steps that are only about files, as a FileOp of LLB."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from img.ir.nodes import Copy, Link, Mkdir, Node, Remove, Write
from img_plugins.backends.buildkit.lower import NOTHING, is_sent, refused

if TYPE_CHECKING:
    from img_plugins.backends.buildkit.api import ops_pb2 as pb
    from img_plugins.backends.buildkit.lower import Inputs, Lowering

FileStep = Copy | Mkdir | Write | Remove | Link
SYMBOLIC = "history.filter"
"""Stands for modes like ``u=rwX``: their own capability (``file.copy.modestring``) has a name, but daemons that have it do
not say so. This one came right after, in 0.21; a daemon without it would leave the modes as they are."""
LARGEST = 0xFFFFFFFE
"""The largest user or group id."""


def lower_files(lowering: Lowering, node: FileStep) -> str:
    """The op of `node`. Raises `BackendError` with its place."""
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

    inputs = lowering.inputs()
    base = inputs.index(node.base)
    needs = ["file.base"]
    match node:
        case Copy():
            actions = _copies(node, inputs, base, needs)
        case Mkdir():
            owner = _owner(node, node.owner, base)
            made = pb.FileActionMkDir(
                path=node.path, mode=node.mode, makeParents=True, owner=owner, timestamp=_time(node.mtime)
            )
            actions = [{"mkdir": made}]
        case Write():
            owner = _owner(node, node.owner, base)
            file = pb.FileActionMkFile(path=node.path, mode=node.mode, data=node.data, owner=owner, timestamp=NOTHING)
            actions = [*_parents(node.path), {"mkfile": file}]
        case Remove():
            removed = pb.FileActionRm(path=node.path, allowNotFound=node.missing_ok, allowWildcard=node.wildcard)
            actions = [{"rm": removed}]
            needs += ["file.rm.wildcard"] if node.wildcard else []
        case Link():
            owner = _owner(node, node.owner, base)
            link = pb.FileActionSymlink(oldpath=node.target, newpath=node.path, owner=owner, timestamp=NOTHING)
            actions = [*_parents(node.path), {"symlink": link}]
            needs.append("file.symlink.create")
    return lowering.add(pb.Op(file=_chained(actions, base, len(inputs.digests))), [node], needs, inputs)


def _chained(actions: list[dict[str, Any]], base: int, count: int) -> pb.FileOp:
    """Each action on what the one before it made; the last one's is the op's."""
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

    chain = []
    for number, action in enumerate(actions):
        before = base if number == 0 else count + number - 1
        output = 0 if number == len(actions) - 1 else NOTHING
        fields = {"secondaryInput": NOTHING, **action}
        chain.append(pb.FileAction(input=before, output=output, **fields))
    return pb.FileOp(actions=chain)


def _parents(path: str) -> list[dict[str, Any]]:
    """A file's folder has to be there before it."""
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

    folder = posixpath.dirname(path)
    if folder.strip("/") == "":
        return []
    return [{"mkdir": pb.FileActionMkDir(path=folder, mode=0o755, makeParents=True, timestamp=NOTHING)}]


def _copies(node: Copy, inputs: Inputs, base: int, needs: list[str]) -> list[dict[str, Any]]:
    source = inputs.index(node.source)
    if source == NOTHING:
        raise refused(node, "there is nothing in an empty filesystem to copy")
    if node.parents or node.excludes:
        needs.append("file.copy.includeexcludepatterns")
    return [{"secondaryInput": source, "copy": _copy(node, path, base, needs)} for path in node.paths]


def _copy(node: Copy, path: str, base: int, needs: list[str]) -> pb.FileActionCopy:
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

    copy = pb.FileActionCopy(
        src=_rooted(path),
        dest=node.dest,
        owner=_owner(node, node.owner or ("" if node.keep_owner or is_sent(node.source) else "0:0"), base),
        mode=NOTHING,
        followSymlink=True,
        dirCopyContents=True,
        attemptUnpackDockerCompatibility=node.unpack,
        createDestPath=True,
        allowWildcard=not node.literal,
        allowEmptyWildcard=not node.literal,
        timestamp=_time(node.mtime),
        exclude_patterns=list(node.excludes),
    )
    if node.parents:
        pivot, _, rest = path.rpartition("/./") if "/./" in path else ("", "", path)
        copy.src = _rooted(pivot)
        copy.include_patterns.append(_rooted(rest)[1:])
    if node.mode.isdigit():
        copy.mode = int(node.mode, 8)
    elif node.mode:
        copy.modeStr = node.mode
        needs.append(SYMBOLIC)
    return copy


def _rooted(path: str) -> str:
    """An absolute path without ``..``: what lies above the root is the root."""
    return "/" + posixpath.normpath("/" + path).lstrip("/")


def _time(seconds: int | None) -> int:
    return NOTHING if seconds is None else seconds * 1_000_000_000


def _owner(node: Node, text: str, base: int) -> pb.ChownOpt | None:
    """``user[:group]``; names are looked up in the filesystem with the index `base`."""
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

    if not text:
        return None

    def one(word: str) -> pb.UserOpt:
        if not word.isdigit():
            return pb.UserOpt(byName=pb.NamedUserOpt(name=word, input=base))
        if int(word) > LARGEST:
            raise refused(node, f"{word} is too large for an id", hint=f"{LARGEST} at most")
        return pb.UserOpt(byID=int(word))

    user, _, group = text.partition(":")
    return pb.ChownOpt(user=one(user) if user else None, group=one(group) if group else None)
