"""A process, as an ExecOp of LLB."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from img.ir.nodes import Exec
from img.ir.values import Bind, CacheDir, Confinement, Mount, Network, Secret, Security, Sharing, Ssh, Tmpfs
from img_plugins.backends.buildkit.lower import NOTHING, refused
from img_plugins.worker.lengths import MOST, check_lengths

if TYPE_CHECKING:
    from img_plugins.backends.buildkit.api import ops_pb2 as pb
    from img_plugins.backends.buildkit.lower import Inputs, Lowering

KNOWN = ("network", "security", "hostname", "hosts", "limits", "shm_size")
"""The parts of a confinement that an ExecOp can say."""
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
CACHE = "/cache"
"""Where in the filesystem that a cache starts from its folder is, if it has an owner or mode of its own."""


def lower_exec(lowering: Lowering, node: Exec) -> str:
    """The op of `node`. Raises `BackendError` with its place."""
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

    _check(node)
    inputs, needs = lowering.inputs(), ["exec.meta.base", "platform", "constraints"]
    op = pb.Op(exec=pb.ExecOp(meta=_meta(node, needs)), platform=lowering.platform())
    run = op.exec
    run.mounts.append(pb.Mount(input=inputs.index(node.root), dest="/", output=0))
    for mount in node.mounts:
        _mount(lowering, run, mount, inputs, needs)
    if node.confinement.shm_size:
        run.mounts.append(_tmpfs(Tmpfs("/dev/shm", node.confinement.shm_size), needs))
    _isolate(lowering, run, node, needs)
    return lowering.add(op, [node], needs, inputs)


def _isolate(lowering: Lowering, run: pb.ExecOp, node: Exec, needs: list[str]) -> None:
    """Network and security. What the daemon must allow for them is asked for: who started the build has granted it."""
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

    asked = node.confinement.network.value
    network = lowering.network if asked == Network.DEFAULT.value else asked
    modes = {"": pb.UNSET, "host": pb.HOST, "none": pb.NONE}
    if network not in modes:
        raise refused(node, f"the network {network} can't be asked of BuildKit")
    run.network = modes[network]
    if run.network != pb.UNSET:
        needs.append("exec.meta.network")
    if run.network == pb.HOST:
        lowering.graph.entitlements.add("network.host")
    if node.confinement.security is Security.INSECURE:
        run.security = pb.INSECURE
        needs.append("exec.meta.security")
        lowering.graph.entitlements.add("security.insecure")


def _check(node: Exec) -> None:
    """Raises `BackendError` for what an ExecOp can't say, `StepFailed` for more text than any process can have."""
    check_lengths(node, MOST)
    for device in node.devices:
        if device.required:  # one that is not is done without, as where it is not there
            raise refused(node, f"the device {device.name} can't be asked of BuildKit")
    usual = Confinement()
    for part in dataclasses.fields(node.confinement):
        if part.name not in KNOWN and getattr(node.confinement, part.name) != getattr(usual, part.name):
            raise refused(node, f"{part.name} can't be asked of BuildKit")
    unknown = [part.name for part in dataclasses.fields(node) if part.name not in EXEC]
    for name in unknown:
        if getattr(node, name):
            raise refused(node, f"{name} can't be asked of BuildKit")


EXEC = frozenset(
    {"root", "argv", "env", "cwd", "user", "mounts", "confinement", "devices", "proxies", "notes", "digest"}
)
"""The fields of an Exec that are looked at here."""


def _meta(node: Exec, needs: list[str]) -> pb.Meta:
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

    environment = dict(node.env)
    agents = [mount.target for mount in node.mounts if isinstance(mount, Ssh)]
    if agents:
        environment.setdefault("SSH_AUTH_SOCK", agents[0])
    meta = pb.Meta(
        args=node.argv,
        env=[f"{name}={value}" for name, value in environment.items()],
        cwd=node.cwd,
        user=node.user,
        removeMountStubsRecursive=True,
        extraHosts=[pb.HostIP(Host=name, IP=address) for name, address in node.confinement.hosts],
        ulimit=[pb.Ulimit(Name=one.name, Soft=one.soft, Hard=one.hard) for one in node.confinement.limits],
    )
    if node.confinement.hostname != Confinement().hostname:
        meta.hostname = node.confinement.hostname
    if node.confinement.limits:
        needs.append("exec.meta.ulimit")
    for name, value in node.proxies:
        if name.lower() not in PROXIES:
            raise refused(node, f"the proxy variable {name} can't be given to BuildKit")
        setattr(meta.proxy_env, name.lower(), value)
    if node.proxies:
        needs.append("exec.meta.proxyenv")
    return meta


def _mount(lowering: Lowering, run: pb.ExecOp, mount: Mount, inputs: Inputs, needs: list[str]) -> None:
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

    match mount:
        case Bind():
            needs.append("exec.mount.bind")
            made = _from(mount.path, needs)
            made.input, made.readonly = inputs.index(mount.node), mount.readonly
            if not mount.readonly:
                needs.append("exec.mount.bind.readwrite-nooutput")
            made.dest = mount.target
            run.mounts.append(made)
        case CacheDir():
            run.mounts.append(_cache(lowering, mount, inputs, needs))
        case Tmpfs():
            run.mounts.append(_tmpfs(mount, needs))
        case Secret():
            _secret(run, mount, needs)
        case Ssh():
            needs.append("exec.mount.ssh")
            how: dict[str, Any] = {"ID": mount.id, "uid": mount.uid, "gid": mount.gid, "mode": mount.mode}
            agent = pb.SSHOpt(**how, optional=not mount.required)
            run.mounts.append(
                pb.Mount(input=NOTHING, output=NOTHING, dest=mount.target, mountType=pb.SSH, sshOpt=agent)
            )


def _from(path: str, needs: list[str]) -> pb.Mount:
    """A mount of a path of an input."""
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

    made = pb.Mount(output=NOTHING)
    if path.strip("/"):
        made.selector = path
        needs.append("exec.mount.selector")
    return made


def _cache(lowering: Lowering, mount: CacheDir, inputs: Inputs, needs: list[str]) -> pb.Mount:
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

    needs += ["exec.mount.cache", "exec.mount.cache.sharing"]
    made = _from(mount.path, needs)
    made.input = NOTHING if mount.node is None else inputs.index(mount.node)
    if mount.node is None and (mount.mode, mount.uid, mount.gid) != (0o755, 0, 0):
        made.input = inputs.index_of(_owned(lowering, mount))
        made.selector = CACHE
        needs.append("exec.mount.selector")
    sharing = {Sharing.SHARED: pb.SHARED, Sharing.PRIVATE: pb.PRIVATE, Sharing.LOCKED: pb.LOCKED}[mount.sharing]
    made.dest, made.readonly, made.mountType = mount.target, mount.readonly, pb.CACHE
    made.cacheOpt.CopyFrom(pb.CacheOpt(ID=mount.id, sharing=sharing))
    return made


def _owned(lowering: Lowering, mount: CacheDir) -> str:
    """The op that makes the folder which a cache with an owner or a mode of its own starts from."""
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

    owner = pb.ChownOpt(user=pb.UserOpt(byID=mount.uid), group=pb.UserOpt(byID=mount.gid))
    folder = pb.FileActionMkDir(path=CACHE, mode=mount.mode, owner=owner, timestamp=NOTHING)
    action = pb.FileAction(input=NOTHING, secondaryInput=NOTHING, output=0, mkdir=folder)
    return lowering.add(pb.Op(file=pb.FileOp(actions=[action])), (), ("file.base",))


def _tmpfs(mount: Tmpfs, needs: list[str]) -> pb.Mount:
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

    needs.append("exec.mount.tmpfs")
    made = pb.Mount(input=NOTHING, output=NOTHING, dest=mount.target, mountType=pb.TMPFS)
    made.tmpfsOpt.size = mount.size
    if mount.size:
        needs.append("exec.mount.tmpfs.size")
    return made


def _secret(run: pb.ExecOp, mount: Secret, needs: list[str]) -> None:
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

    needs.append("exec.mount.secret")
    if mount.env:
        needs.append("exec.secretenv")
        run.secretenv.append(pb.SecretEnv(ID=mount.id, name=mount.env, optional=not mount.required))
    if mount.target:
        how: dict[str, Any] = {"ID": mount.id, "uid": mount.uid, "gid": mount.gid, "mode": mount.mode}
        secret = pb.SecretOpt(**how, optional=not mount.required)
        run.mounts.append(
            pb.Mount(input=NOTHING, output=NOTHING, dest=mount.target, mountType=pb.SECRET, secretOpt=secret)
        )
