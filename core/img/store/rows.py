"""What the store's database knows of layers: their diff ids, their blobs, and where these came from."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

from img.oci.spec import Descriptor
from img.store.blobs import Blobs
from img.store.database import Database
from img.store.forms import Layer, LayerBlob, squash_key
from img.store.using import Using


class Rows:
    """All methods may be called from several threads and processes at once."""

    def __init__(self, database: Database, blobs: Blobs, use: Using) -> None:
        self._database = database
        self._blobs = blobs
        self._use = use

    def get(self, id: str) -> Layer | None:
        """The layer's row, if the store has heard of it."""
        self._use.note(id)
        row = self._database.one("SELECT id, diff_id, blob, origin, created FROM layers WHERE id = ?", (id,))
        if row is None:
            return None
        descriptor = Descriptor.from_json(json.loads(row[2])) if row[2] else None
        return Layer(row[0], row[1], descriptor, json.loads(row[3]) if row[3] else None, row[4])

    def holder(self, digest: str) -> str | None:
        """The id of a layer whose blob has this digest, if one is known."""
        row = self._database.one("SELECT id FROM layers WHERE instr(blob, ?)", (f'"{digest}"',))
        return row[0] if row else None

    def origin(self, digest: str) -> tuple[Descriptor, Mapping[str, str]] | None:
        """Where the blob `digest` came from; None if it is not known to have come from anywhere."""
        row = self._database.one(
            "SELECT blob, origin FROM layers WHERE origin != '' AND blob != '' AND json_extract(blob, '$.digest') = ?",
            (digest,),
        )
        return (Descriptor.from_json(json.loads(row[0])), json.loads(row[1])) if row else None

    def squashed(self, group: Sequence[str]) -> LayerBlob | None:
        """The blob of a group of layers as one, if it was made."""
        row = self._database.one("SELECT diff_id, blob FROM squashed WHERE key = ?", (squash_key(group),))
        return LayerBlob(Descriptor.from_json(json.loads(row[1])), row[0]) if row else None

    def insert(self, id: str, diff_id: str = "", blob: str = "", origin: str = "", created: float = 0.0) -> None:
        """Make a layer known, if it is not."""
        self._use.note(id)
        row = (id, diff_id, blob, origin, created or time.time())
        self._database.write("INSERT OR IGNORE INTO layers VALUES (?, ?, ?, ?, ?)", row)

    def point(self, id: str, diff_id: str, descriptor: Descriptor, origin: str, created: float = 0.0) -> None:
        """Have a layer be the blob `descriptor` from `origin` (JSON, or empty), unless the store has another blob of it."""
        self._use.note(id)
        row = self._database.one("SELECT blob, origin FROM layers WHERE id = ?", (id,))
        blob = json.dumps(descriptor.to_json())
        if row is None:
            self.insert(id, diff_id, blob, origin, created)
            return
        known = Descriptor.from_json(json.loads(row[0])) if row[0] else None
        if known is not None and known.digest == descriptor.digest:
            if origin and origin != row[1]:
                self._database.write("UPDATE layers SET origin = ? WHERE id = ?", (origin, id))
        elif known is None or not self._blobs.has(known.digest):
            sql = "UPDATE layers SET diff_id = ?, blob = ?, origin = ? WHERE id = ?"
            self._database.write(sql, (diff_id, blob, origin, id))

    def packed(self, group: Sequence[str], made: LayerBlob) -> None:
        """Note the blob that was made of a layer, or of a group as one."""
        blob = json.dumps(made.descriptor.to_json())
        if len(group) == 1:
            sql = "UPDATE layers SET diff_id = ?, blob = ? WHERE id = ?"
            self._database.write(sql, (made.diff_id, blob, group[0]))
        else:
            sql = "INSERT OR REPLACE INTO squashed VALUES (?, ?, ?)"
            self._database.write(sql, (squash_key(group), made.diff_id, blob))
