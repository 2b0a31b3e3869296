"""The content of a regular file, named by digest."""

from __future__ import annotations

import hashlib
import os

CHUNK = 1 << 20
SMALL = 64 << 10


def file_digest(path: str) -> str:
    """The digest of a regular file, which is not followed if a symlink."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        data = os.read(file, SMALL)
        record = hashlib.sha256(data)
        while len(data := os.read(file, CHUNK)):
            record.update(data)
    finally:
        os.close(file)
    return "sha256:" + record.hexdigest()
