"""Named images: a table in the store's database, and the same names in the layout's ``index.json``."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import NamedTuple

from img.oci.spec import Descriptor
from img.store.database import Database
from img.store.locks import locked


class Image(NamedTuple):
    """A name and what it stands for. Times are Unix times."""

    name: str
    descriptor: Descriptor
    created: float
    updated: float


class Images:
    """Names are whole, as `img.oci.reference.Reference` writes them: ``docker.io/library/x:latest``."""

    def __init__(self, root: Path, tmp: Path, database: Database) -> None:
        self._root = root
        self._tmp = tmp
        self._database = database

    def get(self, name: str) -> Descriptor | None:
        row = self._database.one("SELECT descriptor FROM images WHERE name = ?", (name,))
        return Descriptor.from_json(json.loads(row[0])) if row else None

    def list(self) -> list[Image]:
        """All images, by name."""
        rows = self._database.read("SELECT name, descriptor, created, updated FROM images ORDER BY name")
        return [Image(row[0], Descriptor.from_json(json.loads(row[1])), row[2], row[3]) for row in rows]

    def set(self, name: str, descriptor: Descriptor) -> None:
        """Let `name` stand for `descriptor` from now on; its blobs must be in the store already."""
        if self.get(name) == descriptor:
            return
        text, now = json.dumps(descriptor.to_json()), time.time()
        self._database.write(
            "INSERT INTO images VALUES (?, ?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET descriptor = excluded.descriptor, updated = excluded.updated",
            (name, text, now, now),
        )
        self._write_index()

    def remove(self, name: str) -> bool:
        """Forget a name; returns whether it was there."""
        if self.get(name) is None:
            return False
        self._database.write("DELETE FROM images WHERE name = ?", (name,))
        self._write_index()
        return True

    def _write_index(self) -> None:
        """Rewrite ``index.json`` from the table (image-layout.md, "index.json File")."""
        with locked(self._root / "locks" / "index"):
            manifests = []
            for image in self.list():
                document = image.descriptor.to_json()
                tag = image.name.rpartition(":")[2]
                names = {"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": tag}
                document["annotations"] = {**document.get("annotations", {}), **names}
                manifests.append(document)
            index = {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": manifests,
            }
            path = self._tmp / f"index-{os.urandom(6).hex()}"
            path.write_text(json.dumps(index, indent=2))
            os.replace(path, self._root / "index.json")
