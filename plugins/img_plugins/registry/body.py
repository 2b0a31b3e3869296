"""Bytes from a registry as streams that outlive a broken connection."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from img.errors import CorruptBlob, ImgError, RegistryError
from img_plugins.registry.network import Network, unreachable
from img_plugins.registry.transport import broken, drop

CHUNK = 1 << 20
RENEWED = 1 << 20
"""Bytes that have to come for a broken connection to be forgotten."""

Open = Callable[[int], Any]
"""Offset → a urllib3 response whose body begins there."""


class Blob(io.BufferedIOBase):
    """A blob of known size. When the connection breaks, the rest is asked for from where it broke off, again and again
    as long as something comes. Never more than `size` bytes: a body that goes on raises `CorruptBlob`. Not verified.

    `ways` open the blob, one endpoint each; the next is taken when `leads_on` says that the error of one allows it.
    """

    def __init__(
        self,
        ways: list[tuple[Open, str]],
        size: int,
        network: Network,
        offset: int = 0,
        leads_on: Callable[[ImgError, int], bool] = lambda error, way: False,
    ) -> None:
        self._ways = ways
        self._size = size
        self._network = network
        self._leads_on = leads_on
        self._way = 0
        self._at = offset
        self._broken = 0
        self._since = offset
        self._response: Any = None
        self._reopen()

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes: as many as there are, fewer only at the end. Raises `RegistryError`, `CorruptBlob`."""
        parts: list[bytes] = []
        left = self._size - self._at + 1 if size is None or size < 0 else size
        while left and (data := self._some(left)):
            parts.append(data)
            left -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _some(self, most: int) -> bytes:
        while True:
            self._network.check()
            try:
                data: bytes = self._response.read(min(most, CHUNK))
            except Exception as error:
                failure = broken(self._ways[self._way][1], error)
                if failure is None:
                    raise
                self._again(unreachable(failure))
                continue
            if not data and self._at < self._size:
                host = self._ways[self._way][1]
                self._again(RegistryError(f"{host} sent {self._at} of the {self._size} bytes of a blob, and no more"))
                continue
            self._at += len(data)
            if self._at > self._size:
                raise CorruptBlob(f"more than the promised {self._size} bytes came from {self._ways[self._way][1]}")
            return data

    def _again(self, error: RegistryError) -> None:
        """Go on after a break, or raise `error` if that leads nowhere."""
        self._response.close()
        if self._at - self._since >= RENEWED:
            self._broken = 0
        self._since = self._at
        self._broken += 1
        if self._broken < self._network.patience.tries:
            self._network.wait(self._broken - 1)
        elif self._way + 1 < len(self._ways) and self._leads_on(error, self._way):
            self._way, self._broken = self._way + 1, 0
        else:
            raise error
        self._reopen()

    def _reopen(self) -> None:
        while True:
            try:
                self._response = self._ways[self._way][0](self._at)
            except ImgError as error:
                if self._way + 1 == len(self._ways) or not self._leads_on(error, self._way):
                    raise
                self._way += 1
            else:
                return

    def close(self) -> None:
        if not self.closed and self._response is not None:
            self._response.close()
            self._response.release_conn()
        super().close()


def from_offset(response: Any, offset: int, host: str, again: Callable[[], Any]) -> Any:
    """A response to a request for the bytes from `offset` on, made to begin there.

    206 is checked (RFC 9110, 15.3.7); a 200 begins at 0, so that what came already is read once more and left; after a
    416 the whole is asked for by `again`. Raises `RegistryError`.
    """
    if offset == 0 and response.status != 416:
        return response
    if response.status == 206:
        if response.headers.get("Content-Range", "").strip().startswith(f"bytes {offset}-"):
            return response
        drop(response)
        response = again()
    elif response.status == 416:
        drop(response)
        response = again()
    left = offset
    while left:
        try:
            data = response.read(min(left, CHUNK))
        except Exception as error:
            failure = broken(host, error)
            if failure is None:
                raise
            raise unreachable(failure) from error
        if not data:
            raise RegistryError(f"{host} sends a blob that is shorter than it was before")
        left -= len(data)
    return response


def whole(response: Any, limit: int, host: str, what: str) -> bytes:
    """A small document. Raises `Broken` if it is larger than `limit`, or breaks off."""
    try:
        data: bytes = response.read(limit + 1)
    except Exception as error:
        failure = broken(host, error)
        if failure is None:
            raise
        raise Broken(unreachable(failure).message, hint=unreachable(failure).hint) from error
    finally:
        response.close()
        response.release_conn()
    if len(data) > limit:
        raise Broken(f"{what} is larger than the {limit} bytes allowed")
    return data


class Broken(RegistryError):
    """A document that broke off while it was read, or did not end: asking again may help."""
