"""One build on a daemon: its targets side by side over one connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial

from img.errors import FileError, UsageError
from img.files.folder import FolderTree
from img.files.select import Selection, select
from img.ir.definition import Target
from img.ir.nodes import Copy, Exec, Node, Source
from img.ir.values import Secret, Ssh
from img.ir.walk import topological
from img.oci.reference import Reference
from img.oci.spec import Descriptor
from img.ports import Folder, GraphBuild, Host, Made
from img_plugins.backends.buildkit import own
from img_plugins.backends.buildkit.address import Address
from img_plugins.backends.buildkit.content import blobs_of
from img_plugins.backends.buildkit.lower import IMAGES, Graph, lower, refused
from img_plugins.backends.buildkit.needed import Pattern, patterns_of
from img_plugins.backends.buildkit.rpc import Client
from img_plugins.backends.buildkit.serve import Offered
from img_plugins.backends.buildkit.solve import Cache, Job, fetch
from img_plugins.backends.buildkit.status import Watch
from img_plugins.backends.buildkit.together import side_by_side
from img_plugins.registry.auth import IDENTITY
from img_plugins.registry.auth import Secret as Login


class Building:
    """See `img.ports.GraphBackend.solve`."""

    def __init__(self, host: Host, address: Address, build: GraphBuild) -> None:
        self._host = host
        self._address = address
        self._build = build

    def run(self) -> Made:
        """Everything that can be refused is, before anything runs."""
        build = self._build
        for attrs in build.outputs:
            own.checked(build.definition, attrs)
        caches = [list(map(_cache, given)) for given in (build.cache_from, build.cache_to)]
        parts = [self._lowered(target, caches) for target in self._targets]
        with closing(Client(self._address)) as client:
            job = Job(self._host, client, Watch(self._host), caches[0], caches[1])
            snapshots = side_by_side([partial(fetch, job, *part) for part in parts], job.stop) if build.results else []
            exported = [own.export(job, *parts[0], attrs) for attrs in build.outputs]
        return Made(tuple(snapshots), tuple(job.watch.ran), tuple(exported))

    def _lowered(self, target: Target, caches: Sequence[Sequence[Cache]]) -> tuple[Target, Graph, Offered]:
        graph = lower(target, self._build.fresh, self._network, self._ours)
        for node in graph.execs:
            self._granted(node)
        return target, graph, self._offered(target, graph, caches)

    def _granted(self, node: Exec) -> None:
        """Raises `UsageError` if a step needs a secret or an agent that the build was not given."""
        for mount in node.mounts:
            if isinstance(mount, Secret) and mount.required and self._host.secret(mount.id) is None:
                hint = f"give it with --secret id={mount.id},src=FILE or --secret id={mount.id},env=NAME"
                what = f"the step needs the secret {mount.id!r}, which the build was not given"
                raise UsageError(what, hint=hint, place=node.notes.place)
            if isinstance(mount, Ssh) and mount.required and self._host.ssh(mount.id) is None:
                hint = f"give it with --ssh {mount.id}, or --ssh {mount.id}=SOCKET-OR-KEY"
                what = f"the step needs the ssh agent {mount.id!r}, which the build was not given"
                raise UsageError(what, hint=hint, place=node.notes.place)

    def _ours(self, source: Source) -> bool:
        """Whether an image is here, and its registry never said that it has it too: it was built, loaded or pulled."""
        reference, platform = Reference.parse(source.ref), dict(source.attrs).get("platform", "")
        names = (str(reference), str(reference.at("")))
        return all(self._host.store.pins.get(f"{name} {platform}") != reference.digest for name in names)

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
        names = [node.ref for node in nodes if isinstance(node, Source) and node.scheme == "docker-image"]
        names += [name for attrs in self._build.outputs for name in attrs.get("name", "").split(",") if name]
        names += [how["ref"] for given in caches for _, how in given if "ref" in how]
        hosts = {Reference.parse(name).registry: Reference.parse(name).repository for name in names}
        access = self._host.load("registry", "distribution")

        def credentials(host: str) -> tuple[str, str] | None:
            return as_asked(access.credentials(host, hosts.get(host, "")))

        blobs: dict[str, Descriptor] = {}
        for source in nodes:
            if isinstance(source, Source) and source.scheme in IMAGES:
                self._host.load("source", source.scheme).fetch(source)  # its layers are known: none has to come back
                if source.digest in graph.images:
                    blobs |= blobs_of(self._host, graph.images[source.digest])
        return Offered(self._host, folders, graph.secrets, graph.agents, frozenset(hosts), credentials, blobs)

    def _folder(self, source: Source, nodes: Iterable[Node]) -> tuple[Folder, frozenset[Pattern]]:
        result = self._host.load("source", source.scheme).fetch(source)
        if not isinstance(result, Folder):
            raise refused(source, f"the files of {source.scheme}://{source.ref} can't be sent to BuildKit")
        copies = [node for node in nodes if isinstance(node, Copy) and node.source == source]
        for copy in copies:
            self._one_each(copy, result)
        return result, patterns_of(copies)

    def _one_each(self, copy: Copy, folder: Folder) -> None:
        """Raises `FileError` for several files that would become one: BuildKit keeps the last, in silence."""
        if copy.dest.endswith("/") or copy.parents:
            return
        items = select(FolderTree(folder.path, folder.ignore, self._host.store.stats), Selection.of(copy))
        if sum(item.entries[0].kind != "dir" for item in items) > 1:
            what = f"several files would become {copy.dest}, each taking the place of the one before"
            hint = "end the destination with a / to copy them into a folder"
            raise FileError(what, hint=hint, place=copy.notes.place)


def as_asked(secret: Login | None) -> tuple[str, str] | None:
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
