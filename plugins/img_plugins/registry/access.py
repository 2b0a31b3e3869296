"""Registries as the rest of img sees them (`img.ports.Registries`): one object a session, shared by the image source, the
exporters and the commands, so that tokens, connections and credentials are had once."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from img.errors import UsageError
from img.events import Warning
from img.oci.reference import Reference
from img.oci.spec import Descriptor
from img.ports import Host, Report
from img_plugins.registry.auth import Secret
from img_plugins.registry.client import Client
from img_plugins.registry.credentials import Credentials
from img_plugins.registry.hosts.choose import Hosts
from img_plugins.registry.hosts.model import Endpoint, unguarded
from img_plugins.registry.network import Network
from img_plugins.registry.reader import Reader
from img_plugins.registry.transport import Transport


class Registries:
    """See `img.ports.Registries`. Safe from several threads."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.credentials = Credentials(host)
        self.network = Network(host.settings, lambda: host.cancelled)
        self._hosts: Hosts | None = None
        self._transports: dict[Endpoint, Transport] = {}
        self._readers: dict[tuple[str, str, bool], Reader] = {}
        self._lock = threading.RLock()

    @property
    def hosts(self) -> Hosts:
        """What the configuration says; read at first use. Raises `UsageError`."""
        with self._lock:
            if self._hosts is None:
                self._hosts = Hosts.of(self._host.settings)
            return self._hosts

    def reader(self, reference: Reference, insecure: bool = False) -> Reader:
        """What pulls from the repository of `reference`: its mirrors, and the registry itself. Raises `UsageError`."""
        key = (reference.registry, reference.repository, insecure)
        with self._lock:
            if key not in self._readers:
                name = Reference(*key[:2])
                lists = [self.hosts.endpoints(name, "tag"), self.hosts.endpoints(name, "digest")]
                lists.append(self.hosts.endpoints(name, "any"))
                tagged, digested, blobs = ([self._client(e, insecure) for e in endpoints] for endpoints in lists)
                self._readers[key] = Reader(tagged, digested, blobs, self._tell)
            return self._readers[key]

    def writer(self, reference: Reference, insecure: bool = False) -> Client:
        """What pushes to the repository of `reference`: the registry that it names. Raises `UsageError`."""
        with self._lock:
            return self._client(self.hosts.endpoint(reference), insecure)

    def _client(self, endpoint: Endpoint, insecure: bool = False) -> Client:
        if insecure and not endpoint.mirror:
            endpoint = unguarded(endpoint)
        key = Endpoint(endpoint.host, "", endpoint.schemes, endpoint.trust, endpoint.proxy)
        if key not in self._transports:
            self._transports[key] = Transport(key, self.credentials, self.network)
        return Client(endpoint, self._transports[key])

    def _tell(self, message: str) -> None:
        self._host.emit(Warning(message, None, time.monotonic()))

    # --- the commands --------------------------------------------------------------------------------------

    def pull(self, name: str, platforms: Sequence[str] = (), every: bool = False) -> Descriptor:
        """See `img.ports.Registries`."""
        from img_plugins.registry.pull import Puller

        reference = Reference.parse(name)
        return Puller(self._host, self.reader(reference), reference).pull(platforms, every)

    def login(self, server: str, user: str, password: str) -> str:
        """See `img.ports.Registries`."""
        from img_plugins.registry import check, keep

        host, scope = keep.server_of(server)
        secret = Secret(user, password)
        endpoint = replace(self.hosts.server(host), repository=scope)
        check.try_secret(endpoint, secret, self.network)
        return keep.keep(self._file(), host, scope, secret)

    def logout(self, server: str) -> bool:
        """See `img.ports.Registries`."""
        from img_plugins.registry import keep

        return keep.forget(self._file(), *keep.server_of(server))

    def check(self, name: str) -> Report:
        """See `img.ports.Registries`."""
        from img_plugins.registry.check import Check

        return Check(self, self._host.settings).report(name)

    def _file(self) -> Path:
        """Where credentials are kept: ``$REGISTRY_AUTH_FILE``, else docker's ``config.json``."""
        settings = self._host.settings
        if named := settings.get("registry_auth_file"):
            return Path(named)
        if folder := settings.get("docker_config"):
            return Path(folder) / "config.json"
        raise UsageError("there is no home folder to keep credentials in", hint="set DOCKER_CONFIG or HOME")
