"""Whether containerd can be spoken to from here, and if not, why. Asks before anything heavy is imported."""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from img.errors import BackendError
from img.ports import Availability

if TYPE_CHECKING:
    from img_plugins.backends.containerd.client import Containerd

DEFAULT = "/run/containerd/containerd.sock"
NAMESPACE = "img"
INSTALL = "pip install 'img-build[containerd]'"
NAME_IT = "or say where its socket is with IMG_CONTAINERD_ADDRESS"
SOON = 5.0
"""Seconds in which containerd has to say its version."""


class Reached(NamedTuple):
    """containerd's process and its version."""

    pid: int
    version: str


def address_of(settings: Mapping[str, str], given: str = "") -> str:
    """The socket's path: as `given`, else the setting, else the usual place; ``unix://`` before it is taken too."""
    return (given or settings.get("containerd_address", "") or DEFAULT).removeprefix("unix://").removeprefix("unix:")


def connect(address: str, namespace: str) -> Containerd:
    """A connection. Raises `BackendError` if the packages that speak gRPC are not there."""
    lacking = packages()
    if lacking is not None:
        raise BackendError(f"containerd can't be spoken to: {lacking.reason}", hint=lacking.remedy)
    from img_plugins.backends.containerd.client import Containerd

    return Containerd(address, namespace)


def packages() -> Availability | None:
    """What is wrong with the packages of the extra, if anything."""
    return installed() or usable()


def installed() -> Availability | None:
    """Which package of the extra is not there, if any; without importing them."""
    for package in ("grpc", "google.protobuf"):
        try:
            found = find_spec(package)
        except ImportError:
            found = None
        if found is None:
            name = {"grpc": "grpcio", "google.protobuf": "protobuf"}[package]
            return Availability(False, f"the Python package {name} is not installed", INSTALL)
    return None


def usable() -> Availability | None:
    """Why they can't be used, if so."""
    try:
        import img_plugins.backends.containerd.client  # noqa: F401
    except Exception as error:  # protobuf has errors of its own for versions that do not fit
        return Availability(False, f"gRPC can't be used: {error}", INSTALL)
    return None


def reach(address: str) -> Reached | Availability:
    """Speak to containerd, or say why that does not work and what would help."""
    missing = installed() or _socket(address) or usable()  # gRPC takes half a second to import
    if missing is not None:
        return missing
    pid = _peer(address)
    if isinstance(pid, Availability):
        return pid
    from img_plugins.backends.containerd.client import Refusal

    client = connect(address, NAMESPACE)
    try:
        version = client.call("Version.Version", timeout=SOON).version
    except Refusal as refusal:
        why = f"what listens at {address} does not answer as containerd does: {refusal.words}"
        return Availability(False, why, f"systemctl restart containerd, {NAME_IT}")
    finally:
        client.close()
    return Reached(pid, version)


def _socket(address: str) -> Availability | None:
    try:
        mode = os.stat(address).st_mode
    except PermissionError:
        return Availability(False, f"{address} is in a folder that is closed to this user", "run img as root")
    except OSError:
        return Availability(False, f"there is no socket {address}", f"systemctl start containerd, {NAME_IT}")
    if not stat.S_ISSOCK(mode):
        return Availability(False, f"{address} is no socket", f"systemctl start containerd, {NAME_IT}")
    return None


def _peer(address: str) -> int | Availability:
    """The process that listens at the socket; 0 if it is in another process namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(SOON)
        try:
            sock.connect(address)
        except PermissionError:
            return Availability(False, f"{address}: permission denied", "run img as root: the socket is root's")
        except OSError as error:
            why = f"nothing listens at {address} ({error.strerror or error})"
            return Availability(False, why, f"systemctl start containerd, {NAME_IT}")
        found: tuple[int, int, int] = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return found[0]
