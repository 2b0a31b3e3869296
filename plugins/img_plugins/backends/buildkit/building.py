"""One build on a daemon: its targets one after the other over one connection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing

from img.errors import BackendError, UsageError
from img.ir.definition import Target
from img.ir.nodes import Copy, Node, Source
from img.ir.walk import topological
from img.oci.reference import Reference
from img.ports import Exported, Folder, GraphBuild, Host, Made, Snapshot
from img_plugins.backends.buildkit.address import Address
from img_plugins.backends.buildkit.lower import IMAGES, Graph, lower, refused
from img_plugins.backends.buildkit.needed import Pattern, patterns_of
from img_plugins.backends.buildkit.rpc import Client
from img_plugins.backends.buildkit.serve import Offered
from img_plugins.backends.buildkit.solve import Cache, Job, fetch
from img_plugins.backends.buildkit.status import Watch
from img_plugins.registry.auth import IDENTITY, Secret


class Building:
    """See `img.ports.GraphBackend.solve`."""

    def __init__(self, host: Host, address: Address, build: GraphBuild) -> None:
        self._host = host
        self._address = address
        self._build = build

    def run(self) -> Made:
        """Everything that can be refused is, before anything runs."""
        build = self._build
        graphs = [lower(target, build.fresh, self._network) for target in self._targets]
        caches = [list(map(_cache, given)) for given in (build.cache_from, build.cache_to)]
        offered = [self._offered(target, graph, caches) for target, graph in zip(self._targets, graphs, strict=True)]
        with closing(Client(self._address)) as client:
            job = Job(self._host, client, Watch(self._host), caches[0], caches[1])
            snapshots: list[Snapshot] = []
            if build.results:
                for parts in zip(self._targets, graphs, offered, strict=True):
                    snapshots.append(fetch(job, *parts))
            exported: list[Exported] = []
            return Made(tuple(snapshots), tuple(job.watch.ran), tuple(exported))

    @property
    def _targets(self) -> Sequence[Target]:
        return self._build.definition.targets

    @property
    def _network(self) -> str:
        """The network of processes that do not say, if somebody said it: `img`'s own default is not the daemon's."""
        settings = self._host.settings
        given = settings.get("given")
        return settings.get("network", "") if given is None or "network" in given.split() else ""

    # --- what the daemon may have ----------------------------------------------------------------------------

    def _offered(self, target: Target, graph: Graph, caches: Iterable[Sequence[Cache]]) -> Offered:
        nodes = topological([target.root])
        folders = {name: self._folder(source, nodes) for name, source in graph.folders.items()}
        names = [node.ref for node in nodes if isinstance(node, Source) and node.scheme in IMAGES]
        names += [how["ref"] for given in caches for _, how in given if "ref" in how]
        hosts = {Reference.parse(name).registry: Reference.parse(name).repository for name in names}
        access = self._host.load("registry", "distribution")

        def credentials(host: str) -> tuple[str, str] | None:
            return as_asked(access.credentials(host, hosts.get(host, "")))

        return Offered(self._host, folders, graph.secrets, graph.agents, frozenset(hosts), credentials)

    def _folder(self, source: Source, nodes: Iterable[Node]) -> tuple[Folder, frozenset[Pattern]]:
        result = self._host.load("source", source.scheme).fetch(source)
        if not isinstance(result, Folder):
            raise refused(source, f"the files of {source.scheme}://{source.ref} can't be sent to BuildKit")
        return result, patterns_of(node for node in nodes if isinstance(node, Copy) and node.source == source)


def as_asked(secret: Secret | None) -> tuple[str, str] | None:
    """User name and secret as BuildKit takes them: an identity token has no user."""
    if secret is None:
        return None
    return ("", secret.password) if secret.user == IDENTITY else (secret.user, secret.password)


def _cache(attrs: Mapping[str, str]) -> Cache:
    """A ``--cache-from`` or ``--cache-to`` as the daemon wants it."""
    how = dict(attrs)
    kind = how.pop("type", "")
    if kind not in ("registry", "s3", "gha", "azblob"):
        raise UsageError(f"a cache of type {kind!r} can't be asked of BuildKit", hint="registry, s3, gha, azblob")
    return kind, how
