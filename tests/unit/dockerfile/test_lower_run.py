"""RUN as a node: its command, mounts, devices and confinement."""

from __future__ import annotations

import pytest
from tests.unit.dockerfile.lowering import BASE, CONTEXT, Resolver, problems, step, target

from img.errors import FrontendError, Place
from img.ir.nodes import Copy, Exec, Scratch, Source, Write
from img.ir.values import (
    Bind,
    CacheDir,
    Confinement,
    Device,
    Limit,
    Mount,
    Network,
    Secret,
    Security,
    Sharing,
    Ssh,
    Tmpfs,
)
from img_frontends.dockerfile.mounts import read_options

COMMANDS = [
    ("RUN make  all", ("/bin/sh", "-c", "make  all")),
    ("RUN $B", ("/bin/sh", "-c", "$B")),
    ('RUN ["a", "$B"]', ("a", "$B")),
    ('SHELL ["/x", "-e"]\nRUN a', ("/x", "-e", "a")),
    ("RUN <<EOF\na\n$b\nEOF", ("/bin/sh", "-c", "a\n$b\n")),
    ("RUN <<-'EOF'\n\ta\n\tEOF", ("/bin/sh", "-c", "a\n")),
    ("RUN 3<<EOF\na\nEOF", ("/bin/sh", "-c", "a\n")),
    ("RUN cat <<EOF\na\nEOF", ("/bin/sh", "-c", "cat <<EOF\na\nEOF")),
    ("RUN <<EOF cat\na\nEOF", ("/bin/sh", "-c", "<<EOF cat\na\nEOF")),
    ("RUN <<A cat <<B\na\nA\nb\nB", ("/bin/sh", "-c", "<<A cat <<B\na\nA\nb\nB")),
    ("RUN <<EOF\n#!/bin/x\na\nEOF", ("/bin/sh", "-c", "/dev/pipes/EOF")),
]


@pytest.mark.parametrize(("text", "argv"), COMMANDS)
def test_commands(text: str, argv: tuple[str, ...]) -> None:
    assert step(text).argv == argv


def test_a_heredoc_that_is_a_program() -> None:
    (mount,) = step("RUN --network=none <<EOF\n#!/bin/x\na\nEOF").mounts
    assert isinstance(mount, Bind)
    assert (mount.target, mount.path, mount.readonly) == ("/dev/pipes", "/", True)
    assert isinstance(mount.node, Write)
    assert (mount.node.path, mount.node.mode, mount.node.data) == ("/EOF", 0o755, b"#!/bin/x\na\n")


def test_what_a_run_gets() -> None:
    node = step("ENV A=1\nWORKDIR /w\nUSER u:g\nRUN x")
    assert (node.cwd, node.user) == ("/w", "u:g")
    assert dict(node.env) == {"PATH": "/bin", "B": "base", "A": "1"}
    assert node.notes.title == "[stage-0 3/3] RUN x"
    assert node.notes.group == "0"


def test_titles_of_heredocs_say_how_they_begin() -> None:
    assert step("RUN <<EOF\n\nfirst\nsecond\nEOF").notes.title == "[stage-0 2/2] RUN <<EOF (first...)"


# --- mounts ---------------------------------------------------------------------------------------------------------

MOUNTS: list[tuple[str, Mount]] = [
    ("type=cache,target=/c", CacheDir("/c", "/c")),
    ("type=cache,target=/c/../d/", CacheDir("/d", "/d")),
    ("type=cache,target=c", CacheDir("c", "/w/c")),
    ("type=cache,dst=/c,id=x", CacheDir("x", "/c")),
    ("type=CACHE,TARGET=/c,sharing=locked", CacheDir("/c", "/c", Sharing.LOCKED)),
    ("type=cache,target=/c,sharing=private,mode=0700,uid=1,gid=2", CacheDir("/c", "/c", Sharing.PRIVATE, 0o700, 1, 2)),
    ("type=cache,target=/c,ro", CacheDir("/c", "/c", readonly=True)),
    ("type=cache,target=/c,readwrite=false", CacheDir("/c", "/c", readonly=True)),
    ("type=cache,target=/c,from=a,source=/s", CacheDir("/c", "/c", node=BASE, path="/s")),
    ("type=cache,target=/$B", CacheDir("/base", "/base")),
    ("type=tmpfs,target=/t", Tmpfs("/t")),
    ("type=tmpfs,destination=/t,size=64m", Tmpfs("/t", 64 << 20)),
    ("type=tmpfs,target=/t,size=1.5GiB", Tmpfs("/t", 3 << 29)),
    ("type=tmpfs,target=/t,size=10", Tmpfs("/t", 10)),
    ("from=a,target=/t", Bind(BASE, "/t")),
    ("from=A,source=s,target=/t", Bind(BASE, "/t", "/s")),
    ("from=a,src=../s/.,target=/t", Bind(BASE, "/t", "/s")),
    ("type=bind,from=base:9,target=t,rw", Bind(BASE, "/w/t", "/", False)),
    ("from=a,target=/t,readwrite=true", Bind(BASE, "/t", "/", False)),
    ("from=a,target=/t,readonly=false", Bind(BASE, "/t", "/", False)),
    ("from=a,target=/t,ro", Bind(BASE, "/t")),
    (r"from=a,\"target=/a,b\"", Bind(BASE, "/a,b")),
    ("target=/t", Bind(Copy(Scratch(), CONTEXT, ("",), "/", literal=True), "/t")),
    ("target=/t,source=/s", Bind(Copy(Scratch(), CONTEXT, ("s",), "/s", literal=True), "/t", "/s")),
    ("type=secret,id=x", Secret("x", "/run/secrets/x")),
    ("type=secret,id=a/x", Secret("a/x", "/run/secrets/x")),
    ("type=secret,source=x", Secret("x", "/run/secrets/x")),
    ("type=secret,target=/a/x", Secret("x", "/a/x")),
    ("type=secret,id=x,target=y", Secret("x", "/w/y")),
    ("type=secret,id=x,env", Secret("x", env="x")),
    ("type=secret,id=x,env=Y", Secret("x", env="Y")),
    ("type=secret,id=x,env=Y,target=/z", Secret("x", "/z", "Y")),
    ("type=secret,id=x,required", Secret("x", "/run/secrets/x", required=True)),
    ("required=true,type=secret,id=x", Secret("x", "/run/secrets/x", required=True)),
    ("type=secret,id=x,required=false,mode=0444,uid=1,gid=2", Secret("x", "/run/secrets/x", "", 0o444, 1, 2)),
    ("type=ssh", Ssh("default", "/run/buildkit/ssh_agent.0")),
    ("type=ssh,id=x,target=/s,required", Ssh("x", "/s", required=True)),
    ("type=ssh,mode=0666,uid=1,gid=2", Ssh("default", "/run/buildkit/ssh_agent.0", 0o666, 1, 2)),
]


@pytest.mark.parametrize(("options", "mount"), MOUNTS)
def test_mounts(options: str, mount: Mount) -> None:
    made = target(f"FROM base AS a\nFROM base\nWORKDIR /w\nRUN --mount={options} x")
    assert isinstance(made.root, Exec)
    assert made.root.mounts == (mount,)


def test_several_mounts_and_agents() -> None:
    text = "RUN --mount=type=ssh --mount=type=tmpfs,target=/t --mount=type=ssh,id=x --mount=type=ssh,id=y,target=/y x"
    sockets = [mount.target for mount in step(text).mounts]  # type: ignore[union-attr]
    assert sockets == ["/run/buildkit/ssh_agent.0", "/t", "/run/buildkit/ssh_agent.1", "/y"]


def test_caches_have_a_namespace() -> None:
    (mount,) = step("RUN --mount=type=cache,target=/c x", args={"BUILDKIT_CACHE_MOUNT_NS": "mine"}).mounts
    assert mount == CacheDir("mine//c", "/c")


def test_mounts_of_named_contexts() -> None:
    resolver = Resolver(named={"files": Source("local", "other")})
    how = {"contexts": {"files": "dir"}}
    (mount,) = step("RUN --mount=from=files,source=s,target=/t x", resolver, **how).mounts
    assert mount == Bind(Copy(Scratch(), Source("local", "other"), ("s",), "/s", literal=True), "/t", "/s")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("type=cach,target=/x", "unsupported mount type 'cach'"),
        ("type=cache", "a cache mount needs a target"),
        ("type=bind", "a bind mount needs a target"),
        ("type=tmpfs", "a tmpfs mount needs a target"),
        ("target=/", "a mount can't take the place of /"),
        ("target=/a/..", "a mount can't take the place of /"),
        ("type=tmpfs,target=/x,idd=1", "unexpected key 'idd' in 'idd=1'"),
        ("type=tmpfs,target=/x,target=/y", "the mount option 'target' is given twice"),
        ("type=tmpfs,target=/x,dst=/y", "the mount option 'target' is given twice"),
        ("target", "the mount option 'target' must be name=value"),
        ("type=tmpfs,target=/x,size=big", "size=big is not a size"),
        ("type=bind,target=/x,size=1", "a bind mount has no option 'size'"),
        ("type=tmpfs,target=/x,mode=0700", "a tmpfs mount has no option 'mode'"),
        ("type=bind,target=/x,uid=1", "a bind mount has no option 'uid'"),
        ("type=cache,target=/x,required", "a cache mount has no option 'required'"),
        ("type=bind,target=/x,sharing=locked", "a bind mount has no option 'sharing'"),
        ("type=cache,target=/x,sharing=lock", "sharing can't be 'lock'"),
        ("type=cache,target=/x,mode=9", "invalid value '9' for mode"),
        ("type=cache,target=/x,uid=root", "invalid value 'root' for uid"),
        ("type=cache,target=/x,ro=maybe", "readonly is true or false, not 'maybe'"),
        ("type=secret", "a secret mount needs an id"),
        ("type=secret,id=a,source=b", "a secret mount takes id or source, not both"),
        ("type=secret,id=a,from=b", "a secret mount has no option 'from'"),
        ("type=secret,id=a,sharing=shared", "a secret mount has no option 'sharing'"),
        ("type=ssh,source=a", "a ssh mount has no option 'source'"),
        ("type=cache,target=/x,env=A", "a cache mount has no option 'env'"),
        ("from=$B,target=/x", "'from' doesn't support variable expansion"),
        ("from=0,target=/x", "a mount can't be from=0: stages go by name here"),
    ],
)
def test_wrong_mounts(options: str, message: str) -> None:
    (error,) = problems(f"FROM base\nRUN true\nRUN --mount={options} x")
    assert error.message == message
    assert error.place is not None
    assert error.place.line == 3


def test_options_that_are_no_list() -> None:
    with pytest.raises(FrontendError, match="is no comma-separated list of options"):
        read_options('from=a,"target=/x', Place("Dockerfile", 1))


def test_near_names_of_options() -> None:
    assert problems("FROM base\nRUN --mount=type=cach,target=/x x")[0].hint == "did you mean cache?"
    assert problems("FROM base\nRUN --mount=tagret=/x x")[0].hint == "did you mean target?"


# --- devices and confinement ----------------------------------------------------------------------------------------


def test_devices() -> None:
    text = "RUN --device=v.com/gpu=0 --device=v.com/gpu,required --device=name=v.com/x=*,required=false x"
    node = step(text, allow=frozenset({"device"}))
    assert node.devices == (Device("v.com/gpu=0"), Device("v.com/gpu", True), Device("v.com/x=*"))
    assert node != step("RUN x")


@pytest.mark.parametrize("granted", ["device", "device=v.com/gpu=0", "device=v.com/gpu", "device=v.com/gpu=*"])
def test_devices_that_are_allowed(granted: str) -> None:
    assert step("RUN --device=v.com/gpu=0 x", allow=frozenset({granted})).devices


@pytest.mark.parametrize("granted", ["", "device=v.com/gpu=1", "device=v.com", "security.insecure"])
def test_devices_that_are_not(granted: str) -> None:
    (error,) = problems("FROM base\nRUN --device=v.com/gpu=0 x", allow=frozenset(filter(None, [granted])))
    assert error.message == "the device v.com/gpu=0 is not allowed"
    assert "--allow device=v.com/gpu=0" in error.hint


@pytest.mark.parametrize("value", ["a,b", "required", "a,required=maybe", "a,name=b"])
def test_wrong_devices(value: str) -> None:
    (error,) = problems(f"FROM base\nRUN --device={value} x", allow=frozenset({"device"}))
    assert error.place is not None


def test_the_confinement_of_the_build_holds_for_every_step() -> None:
    build = Confinement(hosts=(("h", "10.0.0.1"),), limits=(Limit("nofile", 1, 2),), shm_size=7, network=Network.NONE)
    node = step("RUN x", confinement=build)
    assert node.confinement == build
    assert node.confinement.hostname == "buildkitsandbox"


def test_a_step_says_its_own_network() -> None:
    none = Confinement(network=Network.NONE)
    assert step("RUN --network=none x").confinement.network is Network.NONE
    assert step("RUN --network=default x").confinement.network is Network.DEFAULT
    assert step("RUN --network=host x").confinement.network is Network.HOST
    assert step("RUN --network=default x", confinement=none).confinement.network is Network.NONE
    granted = step("RUN --network=host x", confinement=none, allow=frozenset({"network.host"}))
    assert granted.confinement.network is Network.HOST


def test_a_build_without_network_lets_no_step_have_it() -> None:
    (error,) = problems("FROM base\nRUN --network=host x", confinement=Confinement(network=Network.NONE))
    assert error.message == "RUN --network=host is not allowed"
    assert "--allow network.host" in error.hint


def test_insecure_steps_need_an_entitlement() -> None:
    text = "RUN --security=insecure x"
    (error,) = problems(f"FROM base\n{text}")
    assert error.message == "RUN --security=insecure is not allowed"
    assert "--allow security.insecure" in error.hint
    assert step(text, allow=frozenset({"security.insecure"})).confinement.security is Security.INSECURE
    assert step("RUN --security=sandbox x").confinement.security is Security.SANDBOX


def test_the_hostname_is_an_argument() -> None:
    assert step("RUN x", args={"BUILDKIT_SANDBOX_HOSTNAME": "h"}).confinement.hostname == "h"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN --network=maybe x", "--network can't be 'maybe'"),
        ("RUN --security=some x", "--security can't be 'some'"),
        ("RUN", "RUN needs a command"),
        ("RUN []", "RUN needs a command"),
    ],
)
def test_errors(text: str, message: str) -> None:
    (error,) = problems(f"FROM base\n{text}")
    assert error.message == message
    assert error.place is not None
