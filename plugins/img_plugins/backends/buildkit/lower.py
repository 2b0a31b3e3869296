"""From a target of a Definition to LLB, the graph that BuildKit builds.

Every node becomes one op, so that each adds the layers that `img.ir.walk.width` says; only what stands for nothing
(`Scratch`, a `Merge` of one) has none. An op's name is the digest of its bytes. With every op goes what it needs of the
daemon (its *capabilities*): a daemon that does not know one refuses the whole graph before anything runs.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from img.digest import sha256
from img.errors import BackendError
from img.ir.definition import Target
from img.ir.nodes import Copy, Diff, Exec, Link, Merge, Mkdir, Node, Remove, Scratch, Source, Write
from img.ir.values import Secret, Ssh
from img.ir.walk import topological
from img.oci.platform import Platform

if TYPE_CHECKING:
    from img_plugins.backends.buildkit.api import ops_pb2 as pb

NOTHING = -1
"""The index of an input or output that there is none of."""
IMAGES = ("docker-image", "oci-layout")
"""Schemes whose things are images; the files of all others are sent."""
STORE = "img"
"""How an image of ours names the place where the daemon reads its blobs."""


@dataclass(slots=True)
class Graph:
    """The LLB of one target, and what has to be known while it is built."""

    definition: pb.Definition
    nodes: dict[str, list[Node]] = field(default_factory=dict)
    """By the digest of an op: the nodes that it makes."""
    needs: dict[str, Node] = field(default_factory=dict)
    """By a capability of the daemon: the first node that asks for it."""
    folders: dict[str, Source] = field(default_factory=dict)
    """Sources whose files are sent, by the name that the daemon asks for."""
    images: dict[str, str] = field(default_factory=dict)
    """Images whose blobs are sent: the digest of each one's manifest, by its node's."""
    entitlements: set[str] = field(default_factory=set)
    """What the daemon has to allow."""
    empty: bool = False
    """The target is an empty filesystem: there is nothing to build."""

    @property
    def execs(self) -> list[Exec]:
        return [node for nodes in self.nodes.values() for node in nodes if isinstance(node, Exec)]

    @property
    def secrets(self) -> frozenset[str]:
        return frozenset(mount.id for node in self.execs for mount in node.mounts if isinstance(mount, Secret))

    @property
    def agents(self) -> frozenset[str]:
        return frozenset(mount.id for node in self.execs for mount in node.mounts if isinstance(mount, Ssh))


class Inputs:
    """The inputs of one op, each named once."""

    def __init__(self, made: Mapping[str, str]) -> None:
        self._made = made
        self.digests: list[str] = []

    def index(self, node: Node) -> int:
        """Where `node` stands among the inputs; `NOTHING` for an empty filesystem."""
        digest = self._made[node.digest]
        return self.index_of(digest) if digest else NOTHING

    def index_of(self, digest: str) -> int:
        if digest not in self.digests:
            self.digests.append(digest)
        return self.digests.index(digest)


class Lowering:
    """One target on its way to LLB. `fresh` says of a node that the daemon must not take it from its cache, `network`
    which one processes get that do not say: ``host``, ``none``, or empty for the daemon's own, `ours` of an image whether
    its blobs are sent."""

    def __init__(
        self, target: Target, fresh: Callable[[Node], bool], network: str, ours: Callable[[Source], bool]
    ) -> None:
        from img_plugins.backends.buildkit.api import ops_pb2 as pb

        self._pb = pb
        self._target = target
        self._fresh = fresh
        self._ours = ours
        self._unique = secrets.token_hex(16)
        """What tells our folders from those of the same name that other builds send at the same time."""
        self.network = network
        self._made: dict[str, str] = {}
        """By the digest of a node: that of its op, empty for an empty filesystem."""
        self.graph = Graph(pb.Definition())

    def run(self) -> Graph:
        """Raises `BackendError` for a node that LLB can't say, with its place."""
        for node in topological([self._target.root]):
            self._made[node.digest] = self._lower(node)
        root = self._made[self._target.root.digest]
        if not root:
            self.graph.empty = True
            return self.graph
        last = self._pb.Op(inputs=[self._pb.Input(digest=root, index=0)])
        self.add(last, (), ("constraints", "platform"))
        return self.graph

    def _lower(self, node: Node) -> str:
        if isinstance(node, Scratch):
            return ""
        if isinstance(node, Source):
            return self._source(node)
        if isinstance(node, Merge):
            return self._merge(node)
        if isinstance(node, Diff):
            return self._diff(node)
        if isinstance(node, Exec):
            from img_plugins.backends.buildkit.lower_exec import lower_exec

            return lower_exec(self, node)
        if isinstance(node, Copy | Mkdir | Write | Remove | Link):
            from img_plugins.backends.buildkit.lower_files import lower_files

            return lower_files(self, node)
        raise refused(node, f"BuildKit does not know the step {node.step}")

    # --- what the parts use ----------------------------------------------------------------------------------

    def inputs(self) -> Inputs:
        return Inputs(self._made)

    def platform(self, text: str = "") -> pb.Platform:
        """The target's platform, or another one."""
        parsed = Platform.parse(text or self._target.platform)
        return self._pb.Platform(OS=parsed.os, Architecture=parsed.architecture, Variant=parsed.variant)

    def add(self, op: pb.Op, nodes: Iterable[Node], needs: Iterable[str], inputs: Inputs | None = None) -> str:
        """Take an op into the graph; returns its digest. `nodes` are those that it makes."""
        pb, graph = self._pb, self.graph
        nodes = list(nodes)
        if inputs is not None:
            op.inputs.extend(pb.Input(digest=digest, index=0) for digest in inputs.digests)
        data = op.SerializeToString(deterministic=True)
        digest = sha256(data)
        title = next((node.notes.title for node in nodes if node.notes.title), "")
        wanted = [*needs, *(["meta.description"] if title else [])]
        fresh = any(map(self._fresh, nodes))
        if fresh:
            wanted.append("meta.ignorecache")
        if digest not in graph.nodes:
            graph.nodes[digest] = []
            getattr(graph.definition, "def").append(data)  # a keyword of Python's
        graph.nodes[digest] += [node for node in nodes if node not in graph.nodes[digest]]
        metadata = graph.definition.metadata[digest]
        metadata.ignore_cache = metadata.ignore_cache or fresh
        for name in wanted:
            metadata.caps[name] = True
            for node in nodes:
                graph.needs.setdefault(name, node)
        if title and not metadata.description:
            metadata.description["llb.customname"] = title
        # newer daemons rewrite some ops, and with them the digest of every op above; their groups stay
        metadata.progress_group.CopyFrom(pb.ProgressGroup(id=digest, name=title, weak=True))
        return digest

    # --- the small ones --------------------------------------------------------------------------------------

    def _source(self, node: Source) -> str:
        if node.scheme in IMAGES:
            return self._image(node)
        name = f"{node.scheme}-{node.digest[7:19]}"
        self.graph.folders[name] = node
        source = self._pb.SourceOp(identifier=f"local://{name}")
        source.attrs["local.sharedkeyhint"] = name
        source.attrs["local.unique"] = self._unique
        needs = ("source.local", "source.local.sharedkeyhint", "source.local.unique")
        return self.add(self._pb.Op(source=source), [node], needs)

    def _image(self, node: Source) -> str:
        platform, digest = self.platform(dict(node.attrs).get("platform", "")), node.ref.rpartition("@")[2]
        needs = ["platform", "constraints", "source.image"]
        source = self._pb.SourceOp(identifier=f"docker-image://{node.ref}")
        if node.scheme == "oci-layout" or self._ours(node):
            needs[-1] = "source.ocilayout"
            self.graph.images[node.digest] = digest
            source = self._pb.SourceOp(identifier=f"oci-layout://img.invalid/image@{digest}")
            source.attrs["oci.store"] = STORE
        return self.add(self._pb.Op(source=source, platform=platform), [node], needs)

    def _merge(self, node: Merge) -> str:
        """Empty filesystems add nothing, and BuildKit wants two at least."""
        inputs = self.inputs()
        indexes = [index for layer in node.layers if (index := inputs.index(layer)) != NOTHING]
        if len(indexes) < 2:
            only = inputs.digests[0] if indexes else ""
            if only:
                self.graph.nodes[only].append(node)
            return only
        merge = self._pb.MergeOp(inputs=[self._pb.MergeInput(input=index) for index in indexes])
        return self.add(self._pb.Op(merge=merge), [node], ("mergeop",), inputs)

    def _diff(self, node: Diff) -> str:
        inputs = self.inputs()
        lower, upper = inputs.index(node.lower), inputs.index(node.upper)
        diff = self._pb.DiffOp(lower=self._pb.LowerDiffInput(input=lower), upper=self._pb.UpperDiffInput(input=upper))
        return self.add(self._pb.Op(diff=diff), [node], ("diffop",), inputs)


def lower(
    target: Target,
    fresh: Callable[[Node], bool] = lambda node: False,
    network: str = "",
    ours: Callable[[Source], bool] = lambda source: False,
) -> Graph:
    """The LLB of a target (see `Lowering`). Raises `BackendError` for what can't be said in it, with the step's place."""
    return Lowering(target, fresh, network, ours).run()


def is_sent(node: Node) -> bool:
    """Whether a node is files that are sent. They are root's already; what archives among them hold is whose it is."""
    return isinstance(node, Source) and node.scheme not in IMAGES


def refused(node: Node, message: str, hint: str = "use --backend chroot or runc") -> BackendError:
    """An error about a step, with its place."""
    title = f"{node.notes.title}: " if node.notes.title else ""
    return BackendError(f"{title}{message}", hint=hint, place=node.notes.place)
