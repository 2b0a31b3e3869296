"""LLB of every kind of node: what the daemon is told, and what it must be able to do."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from img.errors import BackendError, Place
from img.ir.definition import Target
from img.ir.nodes import Copy, Diff, Exec, Link, Merge, Mkdir, Node, Remove, Scratch, Source, Write
from img.ir.values import (
    Bind,
    CacheDir,
    Confinement,
    Device,
    Limit,
    Network,
    Notes,
    Secret,
    Security,
    Sharing,
    Ssh,
    Tmpfs,
)
from img_plugins.backends.buildkit.api import ops_pb2 as pb
from img_plugins.backends.buildkit.lower import Graph, lower

DIGEST = "sha256:" + "a" * 64
BASE = Source("docker-image", f"docker.io/library/base:1@{DIGEST}", (("platform", "linux/arm64"),))
FILES = Source("local", "context")
PLACE = Place("Dockerfile", 3)


def graph(root: Node, **how: Any) -> Graph:
    return lower(Target(root, {}, "linux/arm/v7"), **how)


def ops(found: Graph) -> list[pb.Op]:
    return [pb.Op.FromString(data) for data in getattr(found.definition, "def")]


def last(root: Node, **how: Any) -> pb.Op:
    """The op of the root: the one before the end."""
    return ops(graph(root, **how))[-2]


def run(*argv: str, **fields: Any) -> Exec:
    return Exec(BASE, argv, notes=Notes("[1/1] RUN it", PLACE), **fields)


def test_an_op_is_named_by_its_bytes_and_knows_its_inputs_by_their_names() -> None:
    found = graph(run("make"))
    datas = list(getattr(found.definition, "def"))
    digests = ["sha256:" + hashlib.sha256(data).hexdigest() for data in datas]
    base, step, end = ops(found)
    assert [one.digest for one in step.inputs] == [digests[0]] and [one.digest for one in end.inputs] == [digests[1]]
    assert base.source.identifier == f"docker-image://{BASE.ref}"
    assert (base.platform.OS, base.platform.Architecture) == ("linux", "arm64")
    assert (step.platform.Architecture, step.platform.Variant) == ("arm", "v7")
    metadata = found.definition.metadata[digests[1]]
    assert metadata.description["llb.customname"] == "[1/1] RUN it"
    assert metadata.progress_group.id == digests[1]
    assert found.nodes[digests[1]] == [run("make")]


def test_the_same_graph_has_the_same_bytes() -> None:
    step = Exec(Copy(BASE, Write(Scratch(), "/a", b"x"), ("a",), "/"), ("make",))
    first, second = graph(step).definition, graph(step).definition
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


def test_folders_of_two_builds_are_never_one() -> None:
    step = Copy(BASE, FILES, (".",), "/")
    names = [list(graph(step).folders) for _ in range(2)]
    attrs = [dict(ops(graph(step))[1].source.attrs) for _ in range(2)]
    assert names[0] == names[1]
    assert attrs[0]["local.unique"] != attrs[1]["local.unique"]
    assert attrs[0]["local.sharedkeyhint"] == attrs[1]["local.sharedkeyhint"] == names[0][0]


def test_empty_filesystems_are_no_ops() -> None:
    assert graph(Scratch()).empty
    copy = Copy(Scratch(), BASE, ("a",), "/b")
    merged = Merge((Scratch(), copy), notes=Notes("[2/2] COPY --link"))
    found = graph(merged)
    assert len(ops(found)) == 3
    assert any(merged in nodes and copy in nodes for nodes in found.nodes.values())
    action = ops(found)[1].file.actions[0]
    assert (action.input, action.secondaryInput, action.output) == (-1, 0, 0)


def test_merge_and_diff() -> None:
    upper = run("make")
    merge = last(Merge((BASE, Copy(Scratch(), FILES, ("a",), "/"))))
    assert [one.input for one in merge.merge.inputs] == [0, 1]
    diff = last(Diff(BASE, upper))
    assert (diff.diff.lower.input, diff.diff.upper.input) == (0, 1)
    assert graph(Diff(BASE, upper)).needs["diffop"] == Diff(BASE, upper)


# --- files ---------------------------------------------------------------------------------------------------------


def test_a_copy_is_one_action_a_path_each_on_the_one_before() -> None:
    op = last(Copy(BASE, FILES, ("a", "dir/../b*"), "/to/", "www:44", "640", ("*.o",), mtime=7))
    first, second = op.file.actions
    assert (first.input, first.secondaryInput, first.output) == (0, 1, -1)
    assert (second.input, second.secondaryInput, second.output) == (2, 1, 0)
    assert (first.copy.src, second.copy.src, second.copy.dest) == ("/a", "/b*", "/to/")
    assert first.copy.owner.user.byName.name == "www" and first.copy.owner.user.byName.input == 0
    assert first.copy.owner.group.byID == 44
    assert (first.copy.mode, first.copy.timestamp, list(first.copy.exclude_patterns)) == (0o640, 7 * 10**9, ["*.o"])
    assert first.copy.allowWildcard and first.copy.followSymlink and first.copy.createDestPath


@pytest.mark.parametrize(
    ("copy", "owned"),
    [
        (Copy(BASE, FILES, ("a",), "/"), False),  # files that are sent are root's already, archives keep their owners
        (Copy(BASE, run("x"), ("a",), "/"), True),
        (Copy(BASE, run("x"), ("a",), "/", keep_owner=True), False),
        (Copy(BASE, FILES, ("a",), "/", "5"), True),
    ],
)
def test_who_owns_what_is_copied(copy: Copy, owned: bool) -> None:
    assert last(copy).file.actions[0].copy.HasField("owner") is owned


def test_parents_literals_and_archives() -> None:
    copy = last(Copy(BASE, FILES, ("x/./y/*.c",), "/to/", parents=True)).file.actions[0].copy
    assert (copy.src, list(copy.include_patterns)) == ("/x", ["y/*.c"])
    copy = last(Copy(BASE, FILES, ("a[b",), "/", literal=True)).file.actions[0].copy
    assert copy.src == "/a[b" and not copy.allowWildcard and not copy.allowEmptyWildcard
    assert last(Copy(BASE, FILES, ("a.tar",), "/", unpack=True)).file.actions[0].copy.attemptUnpackDockerCompatibility


@pytest.mark.parametrize("path", ["../../etc/passwd", "/../etc/passwd", "a/../../../etc/passwd"])
def test_nothing_above_the_root_is_named(path: str) -> None:
    assert last(Copy(BASE, FILES, (path,), "/")).file.actions[0].copy.src == "/etc/passwd"


def test_the_small_steps() -> None:
    made = last(Mkdir(BASE, "/a/b", 0o700, "1:2")).file.actions[0].mkdir
    assert (made.path, made.mode, made.makeParents, made.owner.user.byID, made.timestamp) == (
        "/a/b",
        0o700,
        True,
        1,
        -1,
    )
    parents, file = last(Write(BASE, "/a/b", b"\0x", 0o600)).file.actions
    assert parents.mkdir.path == "/a" and (file.mkfile.data, file.mkfile.mode, file.input) == (b"\0x", 0o600, 1)
    assert len(last(Write(BASE, "/b", b"")).file.actions) == 1
    removed = last(Remove(BASE, "/a*", True, True)).file.actions[0].rm
    assert (removed.path, removed.allowWildcard, removed.allowNotFound) == ("/a*", True, True)
    link = last(Link(BASE, "/l", "target")).file.actions[0].symlink
    assert (link.newpath, link.oldpath) == ("/l", "target")


# --- processes -----------------------------------------------------------------------------------------------------


def test_a_process() -> None:
    step = run("a", "b c", env=(("X", "1"), ("Y", "")), cwd="/w", user="www:1")
    meta = last(step).exec.meta
    assert (list(meta.args), list(meta.env), meta.cwd, meta.user) == (["a", "b c"], ["X=1", "Y="], "/w", "www:1")
    assert meta.hostname == "" and not meta.HasField("proxy_env")


def test_mounts() -> None:
    mounts = (
        Bind(BASE, "/b", "/sub"),
        Bind(BASE, "/w", readonly=False),
        CacheDir("id", "/c", Sharing.LOCKED),
        CacheDir("own", "/o", mode=0o700, uid=3),
        Tmpfs("/t", 4096),
        Secret("s", "/s", "S", 0o440, 1, 2, required=True),
        Ssh("default", "/agent", required=False),
    )
    op = last(run("x", mounts=mounts))
    found = {mount.dest: mount for mount in op.exec.mounts}
    assert (found["/"].input, found["/"].output) == (0, 0)
    assert (found["/b"].input, found["/b"].selector, found["/b"].readonly, found["/b"].output) == (0, "/sub", True, -1)
    assert not found["/w"].readonly
    assert (found["/c"].input, found["/c"].cacheOpt.ID, found["/c"].cacheOpt.sharing) == (-1, "id", pb.LOCKED)
    assert (found["/o"].input, found["/o"].selector) == (1, "/cache")
    assert found["/t"].tmpfsOpt.size == 4096
    assert (found["/s"].secretOpt.mode, found["/s"].secretOpt.optional) == (0o440, False)
    assert [(one.ID, one.name) for one in op.exec.secretenv] == [("s", "S")]
    assert found["/agent"].sshOpt.optional
    assert "SSH_AUTH_SOCK=/agent" in op.exec.meta.env
    assert len(op.inputs) == 2


def test_confinement_and_what_the_daemon_must_allow() -> None:
    limits = (Limit("nofile", 1, 2),)
    confinement = Confinement(Network.HOST, Security.INSECURE, "name", (("h", "1.2.3.4"),), limits, 1 << 20)
    found = graph(run("x", confinement=confinement, proxies=(("HTTP_PROXY", "p"), ("no_proxy", "q"))))
    step = ops(found)[-2].exec
    assert (step.network, step.security) == (pb.HOST, pb.INSECURE)
    assert found.entitlements == {"network.host", "security.insecure"}
    assert (step.meta.hostname, step.meta.extraHosts[0].IP, step.meta.ulimit[0].Hard) == ("name", "1.2.3.4", 2)
    assert (step.meta.proxy_env.http_proxy, step.meta.proxy_env.no_proxy) == ("p", "q")
    assert [mount.tmpfsOpt.size for mount in step.mounts if mount.dest == "/dev/shm"] == [1 << 20]


@pytest.mark.parametrize(
    ("network", "build", "asked"),
    [
        (Network.DEFAULT, "", pb.UNSET),
        (Network.DEFAULT, "host", pb.HOST),
        (Network.DEFAULT, "none", pb.NONE),
        (Network.NONE, "host", pb.NONE),
        (Network.HOST, "", pb.HOST),
    ],
)
def test_network(network: Network, build: str, asked: int) -> None:
    step = run("x", confinement=replace(Confinement(), network=network))
    assert last(step, network=build).exec.network == asked


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"devices": (Device("vendor.com/class=a", True),)},
            "the device vendor.com/class=a can't be asked of BuildKit",
        ),
        ({"proxies": (("RSYNC_PROXY", "p"),)}, "RSYNC_PROXY"),
    ],
)
def test_what_can_t_be_said_is_refused_with_its_place(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words) as caught:
        graph(run("x", **fields))
    assert caught.value.place == PLACE


def test_needs_lead_to_the_first_step_that_has_them() -> None:
    first = run("x", mounts=(Secret("a", env="A"),))
    second = Exec(first, ("y",), mounts=(Secret("a", env="A"),))
    assert graph(second).needs["exec.secretenv"] == first


def test_what_must_run_anew_is_not_taken_from_the_daemon_s_cache() -> None:
    step = run("x")
    found = graph(step, fresh=lambda node: node == step)
    ignored = [digest for digest, metadata in found.definition.metadata.items() if metadata.ignore_cache]
    assert [found.nodes[digest] for digest in ignored] == [[step]]


def test_images_of_ours_are_read_from_us() -> None:
    found = graph(run("x"), ours=lambda source: True)
    source = ops(found)[0].source
    assert source.identifier.startswith("oci-layout://") and source.identifier.endswith(DIGEST)
    assert found.images == {BASE.digest: DIGEST} and "source.ocilayout" in found.needs
