"""``http``: one file from an http or https URL.

`ref` is the URL. Attributes: ``checksum`` (``sha256:…``), and ``filename``, the file's name in the folder it comes in.
Without that the name is the server's (Content-Disposition), else the URL path's last part, else ``__unnamed__``. The
file has mode 0600 and the server's Last-Modified, else 1970. Bytes are kept in the store's blobs, with what the server
said of them: an unchanged file is not sent again, and one whose checksum is known is not even asked for.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from img.digest import digest_of, is_digest, sha256
from img.errors import SourceError, UsageError
from img.ir.nodes import Source
from img.ports import Folder, Host, Pin
from img_plugins.offline import is_offline
from img_plugins.sources.download import Answer, Downloads, shown

MODE = 0o600
UNNAMED = "__unnamed__"


class Known(NamedTuple):
    """A URL's bytes, and what the server said of them."""

    digest: str
    named: str
    """From Content-Disposition."""
    modified: int | None
    """Unix time."""
    etag: str
    last_modified: str


class HttpSource:
    """See `img.ports.SourcePlugin`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._downloads = Downloads(host)
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._known: dict[tuple[str, str], Known] = {}
        self._folders: dict[str, Folder] = {}

    def pin(self, source: Source) -> Pin:
        """Digest, name, time and mode of the file. Raises `SourceError`, and `UsageError` for wrong attributes."""
        known, name = self._find(source)
        return Pin(
            digest_of(["http", known.digest, name, known.modified or 0, MODE]), f"{shown(source.ref)} {known.digest}"
        )

    def fetch(self, source: Source) -> Folder:
        """A folder of this run that holds the file."""
        key = self.pin(source).key
        known, name = self._find(source)
        with self._one(key):
            if key not in self._folders:
                place = self._host.store.scratch()
                self._write(place / name, known)
                self._folders[key] = Folder(os.fspath(place), name=shown(source.ref))
        return self._folders[key]

    def modified(self, source: Source) -> int | None:
        """The server's Last-Modified, as Unix time."""
        return self._find(source)[0].modified

    def _write(self, path: Path, known: Known) -> None:
        with path.open("xb") as out:
            for data in self._host.store.blobs.chunks(known.digest):
                out.write(data)
        path.chmod(MODE)
        os.utime(path, (known.modified or 0, known.modified or 0))

    # --- what the file is -----------------------------------------------------------------------------------------

    def _find(self, source: Source) -> tuple[Known, str]:
        """The file, asked for once a session, and its name."""
        attrs = dict(source.attrs)
        checksum = attrs.get("checksum", "")
        if urlsplit(source.ref).scheme not in ("http", "https") or not urlsplit(source.ref).hostname:
            raise UsageError(f"{shown(source.ref)!r} is not an http URL", hint="write it like https://host/path")
        if checksum and not is_digest(checksum):
            raise UsageError(f"the checksum {checksum!r} is not one", hint="sha256: and 64 hexadecimal digits")
        given = attrs.get("filename", "")
        if given and not _safe(given):
            raise UsageError(f"{given!r} can't be the name of a file", hint="one name without a slash")
        key = (source.ref, checksum)
        with self._one(source.ref):
            if key not in self._known:
                self._known[key] = self._ask(source.ref, checksum)
        known = self._known[key]
        return known, given or known.named or _from_path(source.ref)

    def _ask(self, url: str, checksum: str) -> Known:
        store = self._host.store
        drawer = sha256(url.encode())
        known = _recalled(store.downloads.get(drawer))
        if known is not None and not store.blobs.has(known.digest):
            known = None
        if known is not None and (known.digest == checksum or (not checksum and is_offline(self._host.settings))):
            return known
        conditions: dict[str, str] = {}
        if known is not None and not checksum:
            conditions = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
            conditions = {name: value for name, value in conditions.items() if value}

        def take(answer: Answer) -> Known:
            if answer.status == 304:
                if known is None or not conditions:
                    raise SourceError(f"{shown(url)} answered 304 to a plain request")
                return known
            digest = store.blobs.write(answer.chunks)[0]
            return _said(digest, answer.headers)

        found: Known = self._downloads.get(url, conditions, take, downgrade=bool(checksum))
        if checksum and found.digest != checksum:
            raise SourceError(
                f"{shown(url)} has the checksum {found.digest}, not {checksum}",
                hint="the file has changed, or the checksum is of another one; nothing of it was used",
            )
        if found != known:
            store.downloads.set(drawer, json.dumps(found))
        return found

    def _one(self, key: str) -> threading.Lock:
        """The lock of one download: other files do not wait for it."""
        with self._lock:
            return self._locks.setdefault(key, threading.Lock())


def _said(digest: str, headers: Mapping[str, str]) -> Known:
    from email.utils import parsedate_to_datetime

    text = headers.get("Last-Modified") or ""
    try:
        modified: int | None = max(int(parsedate_to_datetime(text).timestamp()), 0) if text else None
    except (ValueError, OverflowError):
        modified, text = None, ""
    return Known(
        digest, _disposition(headers.get("Content-Disposition") or ""), modified, headers.get("ETag") or "", text
    )


def _recalled(text: str | None) -> Known | None:
    try:
        fields: Any = json.loads(text) if text else None
        return Known(*fields) if fields and is_digest(fields[0]) else None
    except (ValueError, TypeError):
        return None


def _disposition(header: str) -> str:
    """The file name of a Content-Disposition (RFC 6266), if it is a safe one."""
    if not header:
        return ""
    from email.message import Message

    message = Message()
    message["Content-Disposition"] = header
    name = (message.get_filename() or "").rpartition("/")[2]
    return name if _safe(name) else ""


def _from_path(url: str) -> str:
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    return name if _safe(name) else UNNAMED


def _safe(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name and len(os.fsencode(name)) <= 255
