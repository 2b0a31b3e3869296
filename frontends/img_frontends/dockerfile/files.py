"""RUN, COPY, ADD and WORKDIR: the instructions that make layers."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Protocol

from img.errors import FrontendError, Place
from img.ir.nodes import Copy, Exec, Mkdir, Node, Scratch, Write
from img.ir.values import Bind, Confinement, Network, Notes, Pairs, Security
from img_frontends.dockerfile.mounts import MountReader
from img_frontends.dockerfile.state import StageState
from img_frontends.dockerfile.tree import Instruction
from img_frontends.dockerfile.words import Words, switch


class Scope(Protocol):
    """What these instructions ask of the file around them."""

    def context(self) -> Node:
        """The main context."""

    def files_of(self, name: str, place: Place) -> Node:
        """The files of the stage or image that ``from`` names."""

    def notes(self, instruction: Instruction) -> Notes:
        """Title and place of the node that this instruction makes."""

    @property
    def proxies(self) -> Pairs: ...

    @property
    def hostname(self) -> str: ...


def run(state: StageState, i: Instruction, words: Words, scope: Scope) -> None:
    """RUN."""
    argv, extra, shown = _command(state, i)
    if not argv:
        raise FrontendError("RUN needs a command", place=i.line.whole)
    reader = MountReader(state.cwd, scope.files_of, scope.context)
    mounts = [
        reader.read(words.one(flag.value or "", flag.offset), i.line.place(flag.offset), number)
        for number, flag in enumerate(i.all("mount"))
    ]
    if i.all("device"):
        raise FrontendError("RUN --device is not supported yet", place=i.line.place(i.all("device")[0].offset))
    given = [(name, value) for name, value in state.args.items() if value is not None]
    env = tuple({**dict(given), **state.env}.items())
    node = Exec(
        state.node,
        tuple(argv),
        env,
        state.cwd,
        state.user,
        (*mounts, *extra),
        _confinement(i, scope),
        proxies=scope.proxies,
        notes=scope.notes(i),
    )
    told = f"|{len(given)} " + "".join(f"{name}={value} " for name, value in given) if given else ""
    state.note(f"RUN {told}{shown}", node)


def _confinement(i: Instruction, scope: Scope) -> Confinement:
    network, security = i.flag("network") or "default", i.flag("security") or "sandbox"
    if network not in tuple(Network):
        hint = f"it is one of {', '.join(Network)}"
        raise FrontendError(f"--network can't be {network!r}", hint=hint, place=i.line.whole)
    if security not in tuple(Security):
        raise FrontendError(f"--security can't be {security!r}", hint="sandbox or insecure", place=i.line.whole)
    if security == "insecure":
        hint = "it needs an entitlement, and --allow, which are not supported yet"
        raise FrontendError("RUN --security=insecure is not allowed", hint=hint, place=i.line.whole)
    return Confinement(Network(network), Security(security), scope.hostname)


def _command(state: StageState, i: Instruction) -> tuple[list[str], list[Bind], str]:
    """argv, what must be mounted for it, and the words of the history. Heredocs are BuildKit's (dispatchRun)."""
    if i.exec:
        return list(i.values), [], " ".join(i.values)
    text = i.text
    if i.heredocs:
        first = i.heredocs[0]
        alone = len(i.heredocs) == 1 and text.split("<<", 1)[0].strip() in ("", str(first.fd)) and _is_only(text)
        if alone and first.body.startswith("#!"):
            path = f"/dev/pipes/{first.name}"
            script = Write(Scratch(), f"/{first.name}", first.body.encode("utf-8", "surrogateescape"), 0o755)
            return [path], [Bind(script, path, f"/{first.name}", True)], path
        if alone:
            text = first.body
        else:
            text += "".join(f"\n{heredoc.body}{heredoc.name}" for heredoc in i.heredocs)
    argv = [*state.shell, text] if text else []
    return argv, [], " ".join(argv)


def _is_only(text: str) -> bool:
    """Whether the text is a heredoc's beginning and nothing else."""
    return len(text.strip().split()) == 1 or text.strip().split("<<", 1)[1].strip(" -\"'").count(" ") == 0


def workdir(state: StageState, i: Instruction, words: Words, scope: Scope) -> None:
    """WORKDIR: a folder that is there from now on, and a layer of its own unless it is /."""
    path = words.one(i.text, i.words[0].offset)
    if not path:
        raise FrontendError("WORKDIR needs a path", place=i.line.whole)
    where = posixpath.normpath(posixpath.join("/", state.cwd, path))
    where = "/" + where.lstrip("/")
    state.config["WorkingDir"] = where
    if where == "/":
        state.note(f"WORKDIR {where}")
        return
    state.note(f"WORKDIR {where}", Mkdir(state.node, where, owner=state.user, notes=scope.notes(i)))


def copy(state: StageState, i: Instruction, words: Words, scope: Scope) -> None:
    """COPY, and ADD of what needs no network."""
    adds = i.keyword == "ADD"
    if len(i.words) < 2:
        raise FrontendError(f"{i.keyword} requires at least a source and a destination", place=i.line.whole)
    *sources, dest = words.all()
    _unsupported(i)
    owner, mode = words.flag("chown"), words.flag("chmod")
    bodies = {f"<<{'-' if h.chomp else ''}{h.name}": h for h in i.heredocs}
    names = {word.text.replace('"', "").replace("'", ""): word.offset for word in i.words}
    target = _dest(state, dest, several=len(sources) > 1)
    notes = scope.notes(i)
    node: Node = state.node
    plain = [source for source in sources if source.replace('"', "").replace("'", "") not in bodies]
    if plain:
        node = _copy_node(node, i, plain, target, owner, mode, scope, notes, adds)
    for key, heredoc in bodies.items():
        body = words.one(heredoc.body, names.get(key, 0), raw=True) if heredoc.expand else heredoc.body
        place = posixpath.join(target, heredoc.name) if target.endswith("/") else target
        octal = int(mode, 8) if mode.isdigit() else 0o644
        node = Write(node, place, body.encode("utf-8", "surrogateescape"), octal, owner, notes=notes)
    shown = "".join(f" --{name}={value}" for name, value in (("chown", owner), ("chmod", mode)) if value)
    if switch(i, "link"):
        shown += " --link"
    state.note(f"{i.keyword}{shown} {' '.join([*sources, dest])}", node)


def _copy_node(
    node: Node,
    i: Instruction,
    paths: list[str],
    target: str,
    owner: str,
    mode: str,
    scope: Scope,
    notes: Notes,
    adds: bool,
) -> Copy:
    origin = i.flag("from")
    if origin is not None and "$" in origin:
        hint = "give the image a stage of its own: FROM … AS name"
        raise FrontendError("variable expansion is not supported for --from", hint=hint, place=i.line.whole)
    source = scope.context() if origin is None else scope.files_of(origin, i.line.place(0))
    excludes = tuple(flag.value or "" for flag in i.all("exclude"))
    unpack = adds and switch(i, "unpack", True)
    return Copy(
        node,
        source,
        tuple(paths),
        target,
        owner,
        mode,
        excludes,
        switch(i, "parents"),
        unpack,
        keep_owner=origin is not None,
        notes=notes,
    )


def _dest(state: StageState, dest: str, several: bool) -> str:
    """The absolute destination; a trailing "/" stays, and says folder."""
    folder = dest.endswith(("/", "/.")) or dest in (".", "..", "") or several
    path = posixpath.normpath(posixpath.join("/", state.cwd, dest))
    path = "/" + path.lstrip("/")
    return path.rstrip("/") + "/" if folder else path


def _unsupported(i: Instruction) -> None:
    for name in ("keep-git-dir", "checksum"):
        for flag in i.flags:
            if flag.name == name:
                raise FrontendError(f"ADD --{name} is not supported yet", place=i.line.place(flag.offset))
    if i.keyword != "ADD":
        return
    for word in i.words[:-1]:
        text = word.text
        if text.startswith(("http://", "https://", "git://", "ssh://", "git@")):
            hint = "fetch it in a RUN, or put it into the context"
            raise FrontendError("ADD from the network is not supported yet", hint=hint, place=i.line.place(word.offset))


LAYERS: dict[str, Callable[[StageState, Instruction, Words, Scope], None]] = {
    "ADD": copy,
    "COPY": copy,
    "RUN": run,
    "WORKDIR": workdir,
}
