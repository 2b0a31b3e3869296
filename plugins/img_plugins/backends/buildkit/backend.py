"""The backend ``buildkit``: the whole graph goes to an existing BuildKit, and its layers come back into the store.

From there on nothing differs from other backends: the same exporters write the same images. Sources but images are
fetched here, with our credentials and checks, and sent as files. An output ``type=buildkit`` is one of the daemon's own
exporters instead, and nothing comes back for it.
"""

from __future__ import annotations

from functools import cached_property

from img.abilities import ALL
from img.errors import BackendError, ImgError, UsageError
from img.ports import Availability, GraphBuild, Host, Made
from img_plugins.backends.buildkit.address import Address, address_of

LACKS = frozenset({"devices", "network.sandbox", "logs.whole"})
"""Beside limits of resources."""
INSTALL = "pip install 'img-build[buildkit]'"
PROBE = 5
"""Seconds that a daemon has for saying that it is there."""


class BuildkitBackend:
    """See `img.ports.GraphBackend`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def abilities(self) -> frozenset[str]:
        """What LLB can say. Whether the daemon knows it too, and grants it, it is asked before anything runs."""
        return frozenset(name for name in ALL - LACKS if not name.startswith("resources."))

    def probe(self) -> Availability:
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[Address | None, Availability]:
        try:
            address = address_of(self._host.settings)
        except UsageError as error:
            return None, Availability(False, error.message, error.hint)
        try:
            import grpc  # noqa: F401
            from google.protobuf import message  # noqa: F401
        except ImportError as error:
            return None, Availability(False, f"the module {error.name or 'grpc'} is not installed", INSTALL)
        if address is None:
            remedy = "set IMG_BUILDKIT_ADDRESS, e.g. to docker:// or unix:///run/buildkit/buildkitd.sock"
            return None, Availability(False, "no address of a BuildKit is set", remedy)
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
