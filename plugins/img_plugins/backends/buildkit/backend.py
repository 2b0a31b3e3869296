"""The backend ``buildkit``: the whole graph goes to an existing BuildKit, and its layers come back into the store.

From there on nothing differs from other backends: the same exporters write the same images. Sources but images are
fetched here, with our credentials and checks, and sent as files. An output ``type=buildkit`` is one of the daemon's own
exporters instead, and nothing comes back for it.
"""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING

from img.abilities import ALL
from img.errors import BackendError, ImgError, UsageError
from img.ports import Availability, GraphBuild, Host, Made
from img_plugins.backends.buildkit.address import Address, address_of
from img_plugins.backends.buildkit.lower_files import SYMBOLIC

if TYPE_CHECKING:
    from img_plugins.backends.buildkit.rpc import Client

LACKS = frozenset({"devices", "network.sandbox", "logs.whole", "mounts.traceless", "xattrs", "files.excludes.named"})
"""What no BuildKit has, beside limits of resources."""
LATER = {
    "mount.secret.env": "exec.secretenv",
    "mount.tmpfs.size": "exec.mount.tmpfs.size",
    "shm_size": "exec.mount.tmpfs.size",
    "rlimits": "exec.meta.ulimit",
    "files.patterns": "file.copy.includeexcludepatterns",
    "files.modes": SYMBOLIC,
    "files.link": "file.symlink.create",
    "files.merge": "mergeop",
    "files.diff": "diffop",
    "files.remove.strict": "file.symlink.create",  # a name of its own it has not: those that have this one are mended
}
"""Abilities that BuildKit did not always have, and the capability by which a daemon says that it has each."""
GRANTED = ("network.host", "security.insecure")
"""Abilities that are entitlements: the daemon's configuration grants them."""
INSTALL = "pip install 'img-build[buildkit]'"
PROBE = 5
"""Seconds that a daemon has for saying that it is there."""


class BuildkitBackend:
    """See `img.ports.GraphBackend`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @cached_property
    def abilities(self) -> frozenset[str]:
        """What LLB can say and the daemon knows and grants; if it does not answer, what LLB can say."""
        able = frozenset(name for name in ALL - LACKS if not name.startswith("resources."))
        address = self._found[0]
        return able if address is None else able - _lacking(address)

    def probe(self) -> Availability:
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[Address | None, Availability]:
        try:
            address = address_of(self._host.settings)
        except UsageError as error:
            return None, Availability(False, error.message, error.hint)
        if find_spec("grpc") is None:
            return None, Availability(False, "the module grpc is not installed", INSTALL)
        if address is None:
            remedy = "set IMG_BUILDKIT_ADDRESS, e.g. to docker:// or unix:///run/buildkit/buildkitd.sock"
            return None, Availability(False, "no address of a BuildKit is set", remedy)
        try:
            import grpc  # noqa: F401
            from google.protobuf import message  # noqa: F401
        except ImportError as error:
            return None, Availability(False, f"the module {error.name or 'grpc'} is not installed", INSTALL)
        from img_plugins.backends.buildkit.dial import program

        if missing := program(address):
            return None, Availability(False, f"{address.text} needs the program {missing}", f"install {missing}")
        return self._asked(address)

    def _asked(self, address: Address) -> tuple[Address | None, Availability]:
        from img_plugins.backends.buildkit.rpc import Client

        try:
            client = Client(address)
            try:
                workers = client.workers(PROBE).record
                version = client.version()
            finally:
                client.close()
        except ImgError as error:
            return None, Availability(False, error.message, error.hint)
        if not workers:
            return None, Availability(False, f"the BuildKit at {address.text} has no worker", "look at its log")
        named = f"BuildKit {version}" if version else "a BuildKit that does not say its version"
        platforms = sorted({f"{one.OS}/{one.Architecture}" for worker in workers for one in worker.platforms})
        return address, Availability(True, f"{named} at {address.text}: {', '.join(platforms)}")

    # --- building --------------------------------------------------------------------------------------------

    def solve(self, build: GraphBuild) -> Made:
        """See `img.ports.GraphBackend`. Raises `StepFailed`, `BackendError`, `FileError`, `Cancelled`."""
        from img_plugins.backends.buildkit.building import Building

        address, found = self._found
        if address is None:
            raise BackendError(f"the backend buildkit does not work here: {found.reason}", hint=found.remedy)
        return Building(self._host, address, build).run()


def _lacking(address: Address) -> frozenset[str]:
    """The abilities that the daemon does not have."""
    from img_plugins.backends.buildkit.rpc import Client

    try:
        with closing(Client(address)) as client:
            known = client.capabilities()
            refused = {name for name in GRANTED if not _grants(client, name)}
    except ImgError:
        return frozenset()  # what it then can't do, it says of the graph
    return frozenset(name for name, capability in LATER.items() if capability not in known) | refused


def _grants(client: Client, entitlement: str) -> bool:
    try:
        client.capabilities(entitlement)
    except BackendError as error:
        return f"entitlement {entitlement}" not in error.message
    return True
