"""Every error that img raises on purpose, as one tree.

    ImgError                  exit code 1, a message, a hint, a place
    ├── UsageError            exit code 2: the command line or a request is wrong
    ├── FrontendError         the build file is wrong (one or several problems, each with a place)
    ├── StepFailed            a step's process failed
    ├── FileError             a file of the context, or a path of a COPY, is wrong
    ├── LayerError            a layer's bytes are wrong or hostile
    ├── StoreError            the store can't be read or written
    │   └── CorruptBlob       stored bytes do not have the digest they are stored under
    ├── RegistryError         a registry refused, failed, or lied
    │   ├── Unauthorized      401, or 403:
    │   │   └── Forbidden     403
    │   └── NotFound          404
    ├── CacheLost             what a remote cache promised can't be had; a session builds it instead
    ├── CacheMoved            somebody else wrote to a remote cache meanwhile
    ├── SourceError           files of a URL or a git repository can't be had, or are not the promised ones
    ├── BackendError          a backend can't run, or can't keep a promise
    ├── PluginError           a plugin is broken, missing, or registered twice
    ├── TimedOut              exit code 124: the build took longer than it may
    └── Cancelled             exit code 130: the user, or a failed neighbour, stopped it

A message is one sentence without a full stop; a hint says what to do. Only `img_cli` prints them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands. Lines and columns count from 1; `text` is the source line(s) shown."""

    file: str
    line: int
    column: int = 1
    end_line: int = 0
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class ImgError(Exception):
    """The root of the tree: `str(error)` is the message."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", place: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint, self.place))


def _rebuild(kind: type[ImgError], message: str, hint: str, place: Place | None) -> ImgError:
    return kind(message, hint=hint, place=place)


class UsageError(ImgError):
    """The command line or a request is wrong."""

    exit_code = 2


class FrontendError(ImgError):
    """The build file is wrong. `others` are further, independent problems of the same file."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        place: Place | None = None,
        others: tuple[FrontendError, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, place=place)
        self.others = others


class StepFailed(ImgError):
    """A step's process failed. `status` is its exit code (128 + N after signal N), `tail` its last output lines."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        place: Place | None = None,
        status: int = 1,
        tail: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, place=place)
        self.status = status
        self.tail = tail


class FileError(ImgError):
    """A file of the context, or a path of a COPY, is missing or wrong."""


class LayerError(ImgError):
    """A layer's bytes are malformed, or try to leave their root."""


class StoreError(ImgError):
    """The store can't be read or written."""


class CorruptBlob(StoreError):
    """Stored or received bytes do not have the digest they were promised to have."""


class RegistryError(ImgError):
    """A registry can't be reached, refused, failed, or answered against the protocol."""


class Unauthorized(RegistryError):
    """The registry wants other credentials, or does not allow this to these."""


class Forbidden(Unauthorized):
    """The registry knows who asks, and does not allow this."""


class NotFound(RegistryError):
    """The registry has no such repository, tag or blob."""


class CacheLost(ImgError):
    """What a remote cache promised can't be had from it. `digest` is the blob's; `whole` says that nothing else can be
    had from there either."""

    def __init__(
        self, message: str, *, hint: str = "", place: Place | None = None, digest: str = "", whole: bool = False
    ) -> None:
        super().__init__(message, hint=hint, place=place)
        self.digest = digest
        self.whole = whole


class CacheMoved(ImgError):
    """What is in a remote cache is no longer what it was when it was read."""


class SourceError(ImgError):
    """Files from outside (a URL, a git repository, an image layout) can't be had, or are not the promised ones."""


class BackendError(ImgError):
    """A backend can't run here, or can't keep a promise a step asks for."""


class PluginError(ImgError):
    """A plugin is broken, missing, or registered twice."""


class TimedOut(ImgError):
    """The build as a whole took longer than it may."""

    exit_code = 124


class Cancelled(ImgError):
    """The build was stopped: by Ctrl-C, a signal, or a step that failed beside this one."""

    exit_code = 130

    def __init__(self, message: str = "cancelled", *, hint: str = "", place: Place | None = None) -> None:
        super().__init__(message, hint=hint, place=place)


def in_words(error: BaseException) -> str:
    """A foreign error in one line, without what could move a terminal's cursor: plugins of strangers raise anything."""
    try:
        text = f"{type(error).__name__}: {error}".removesuffix(": ")
    except Exception:
        text = type(error).__name__
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))[:300]
