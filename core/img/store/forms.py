"""What the store says of a layer, and what it needs to make one form of it from another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol

from img.digest import digest_of
from img.oci.spec import Descriptor

if TYPE_CHECKING:
    from img.ports import Sandbox


class Engine(Protocol):
    """What a store needs of the engine around it to make one form from another."""

    @property
    def sandbox(self) -> Sandbox: ...

    @property
    def cancelled(self) -> bool: ...

    def open_blob(self, origin: Mapping[str, str], descriptor: Descriptor, offset: int = 0) -> IO[bytes]:
        """The bytes of a remote layer from `offset` to the descriptor's size, which may be less than all of it."""

    def progress(self, id: str, action: str, current: int, total: int) -> None:
        """Tell observers of a transfer."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What the store knows of one layer. `diff_id` is empty until a blob was made of it."""

    id: str
    diff_id: str
    descriptor: Descriptor | None
    origin: Mapping[str, str] | None
    created: float


@dataclass(frozen=True, slots=True)
class LayerBlob:
    """One layer as an image holds it: its compressed blob and the digest of the uncompressed tar."""

    descriptor: Descriptor
    diff_id: str


def over(ids: Sequence[str], number: int) -> str:
    """The name of the layer `number` of a stack as it is over just those below it."""
    return digest_of(["over", ids[number], list(ids[:number])])


class Standing(NamedTuple):
    """Where the entries of a layer in a stack are listed: a tree, a recipe's listing, or nothing yet (empty), and the name
    under which that is remembered: the layer's id, or one for this layer over just those below it."""

    path: str
    key: str


def squash_key(group: Sequence[str]) -> str:
    """What layers that were made one are known by."""
    return digest_of(["squash", tuple(group)])
