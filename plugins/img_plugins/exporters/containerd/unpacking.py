"""An image's layers into containerd's snapshots, as its own client unpacks them: named by chain ID (config.md of the image
specification), so that whoever starts a container from the image finds them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from img.errors import Cancelled, CorruptBlob
from img.oci.mutate import Image
from img.oci.spec import Descriptor
from img.ports import Host
from img_plugins.backends.containerd.client import Containerd, Refusal

LONG = 3600.0
"""Seconds that one layer may take to unpack."""


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """The chain ID up to each layer."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(f"sha256:{hashlib.sha256(f'{chain[-1]} {diff_id}'.encode()).hexdigest()}" if chain else diff_id)
    return chain


class Unpacking:
    """Unpacks images under a lease."""

    def __init__(self, host: Host, client: Containerd, lease: str, snapshotter: str) -> None:
        self._host = host
        self._client = client
        self._lease = lease
        self._snapshotter = snapshotter

    def image(self, image: Image) -> dict[str, str]:
        """Unpack what is not unpacked yet; returns the label that ties the snapshots to the image's configuration. Raises
        `Refusal`, `CorruptBlob`."""
        parent = ""
        for layer, diff_id, name in zip(image.layers, image.diff_ids, chain_ids(image.diff_ids), strict=True):
            if self._host.cancelled:
                raise Cancelled
            if not self._there(name):
                self._layer(layer, diff_id, name, parent)
            parent = name
        return {f"containerd.io/gc.ref.snapshot.{self._snapshotter}": parent} if parent else {}

    def _call(self, method: str, **fields: Any) -> Any:
        return self._client.call(method, lease=self._lease, **fields)

    def _there(self, name: str) -> bool:
        """Whether there is such a snapshot; then it joins the lease."""
        try:
            self._call("Snapshots.Stat", snapshotter=self._snapshotter, key=name)
            resource = {"id": name, "type": f"snapshots/{self._snapshotter}"}
            self._call("Leases.AddResource", id=self._lease, resource=resource)
        except Refusal as refusal:
            if refusal.code == "NOT_FOUND":
                return False
            raise
        return True

    def _layer(self, layer: Descriptor, diff_id: str, name: str, parent: str) -> None:
        key = f"img-{os.urandom(8).hex()} {name}"
        labels = {"containerd.io/snapshot.ref": name}
        on = {"snapshotter": self._snapshotter, "key": key}
        try:
            mounts = self._call("Snapshots.Prepare", **on, parent=parent, labels=labels).mounts
        except Refusal as refusal:  # a snapshotter that fetches by itself had it ready
            if refusal.code == "ALREADY_EXISTS" and self._there(name):
                return
            raise
        try:
            diff = {"media_type": layer.media_type, "digest": layer.digest, "size": layer.size}
            applied = self._call("Diff.Apply", diff=diff, mounts=mounts, timeout=LONG).applied
            if applied.digest != diff_id:
                raise CorruptBlob(f"containerd unpacked {layer.digest} to {applied.digest}, its image says {diff_id}")
            self._call("Snapshots.Commit", **on, name=name, labels=labels)
        except BaseException as error:
            with suppress(Refusal):
                self._call("Snapshots.Remove", **on)
            if isinstance(error, Refusal) and error.code == "ALREADY_EXISTS":  # someone else was faster
                return
            raise
