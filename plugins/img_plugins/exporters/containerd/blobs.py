"""Blobs into containerd's content store, under a lease.

A write has a name (its ref) that is the same for everybody who exports the blob: what one left unfinished another goes on
with, two at one time wait for each other, and a write that can't be finished is aborted. A blob that is there is left as
it is, and joins the lease.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from queue import SimpleQueue
from typing import Any

from img.errors import Cancelled, StoreError
from img.events import Progress
from img.oci.spec import Descriptor
from img.ports import Host
from img_plugins.backends.containerd.api.content_pb2 import COMMIT, STAT, WRITE, WriteContentRequest
from img_plugins.backends.containerd.client import Containerd, Refusal

SILENCE = 0.1
"""Seconds between two progress events of one blob."""
ATTEMPTS = 3
BUSY = 600.0
"""Seconds that another writer of the same blob is waited for."""


class Ingest:
    """Writes of one export."""

    def __init__(self, host: Host, client: Containerd, lease: str) -> None:
        self._host = host
        self._client = client
        self._lease = lease

    def blob(self, descriptor: Descriptor, labels: Mapping[str, str]) -> None:
        """See to it that containerd has the blob with these labels. Raises `StoreError`, `CorruptBlob`, `Cancelled`, and
        `Refusal` if containerd does not take it."""
        ref = f"img-{descriptor.digest}"
        deadline = time.monotonic() + BUSY
        failed = 0
        while True:
            if self._host.cancelled:
                raise Cancelled
            try:
                self._write(ref, descriptor, labels)
                return
            except Refusal as refusal:
                if refusal.code == "ALREADY_EXISTS":
                    break
                if refusal.code == "UNAVAILABLE" and "locked" in refusal.words and time.monotonic() < deadline:
                    time.sleep(0.1)
                    continue
                failed += 1
                self._abort(ref)
                if failed == ATTEMPTS:
                    raise
                time.sleep(0.2 * failed)
            except BaseException:
                self._abort(ref)
                raise
        if labels:
            self.label(descriptor.digest, labels)

    def label(self, digest: str, labels: Mapping[str, str]) -> None:
        """Give a blob labels beside those that it has."""
        mask = {"paths": [f"labels.{key}" for key in labels]}
        self._client.call("Content.Update", info={"digest": digest, "labels": dict(labels)}, update_mask=mask)

    def _abort(self, ref: str) -> None:
        try:
            self._client.call("Content.Abort", ref=ref)
        except Refusal:
            return

    def _write(self, ref: str, descriptor: Descriptor, labels: Mapping[str, str]) -> None:
        asked: SimpleQueue[Any] = SimpleQueue()
        answers = self._client.stream("Content.Write", iter(asked.get, None), lease=self._lease)

        def ask(**fields: Any) -> int:
            asked.put(WriteContentRequest(ref=ref, total=descriptor.size, expected=descriptor.digest, **fields))
            answer = next(answers, None)
            if answer is None:
                raise Refusal("UNAVAILABLE", "the write was ended from the other side")
            offset: int = answer.offset
            return offset

        try:
            offset = ask(action=STAT)
            for piece in self._pieces(descriptor, offset):
                ask(action=WRITE, offset=offset, data=piece)
                offset += len(piece)
                self._tell(descriptor, offset)
            ask(action=COMMIT, offset=offset, labels=dict(labels))
        finally:
            asked.put(None)
            answers.close()

    def _pieces(self, descriptor: Descriptor, offset: int) -> Iterator[bytes]:
        """The blob from `offset` on, which another write may have left off at. The store verifies what it reads, and
        containerd what it got."""
        passed = 0
        for data in self._host.store.blobs.chunks(descriptor.digest):
            if self._host.cancelled:
                raise Cancelled
            piece = data[max(0, offset - passed) :]
            passed += len(data)
            if piece:
                yield piece

    def _tell(self, descriptor: Descriptor, done: int) -> None:
        now = time.monotonic()
        self._host.emit(Progress("", descriptor.digest, "exporting", done, descriptor.size, now))


def told(address: str, refusal: Refusal) -> StoreError:
    """A refusal as an error for people."""
    hint = "is it still running, and is there room on its disk?"
    return StoreError(f"containerd at {address} does not take the image: {refusal.words}", hint=hint)
