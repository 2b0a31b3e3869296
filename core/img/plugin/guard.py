"""Plugins of strangers, kept at arm's length: what they raise that is not img's, and what they return that their port does not
know, becomes a `PluginError` that names their distribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from img.errors import ImgError, PluginError, in_words
from img.ir.definition import Definition
from img.plugin.offers import a
from img.ports import Availability, BaseImage, Exported, Folder, Pin, Report, Snapshot

RETURNS: dict[tuple[str, str], tuple[type, ...]] = {
    ("backend", "probe"): (Availability,),
    ("backend", "run"): (Snapshot,),
    ("cache", "missing"): (frozenset, set),
    ("cache", "save"): (str,),
    ("exporter", "export"): (Exported,),
    ("frontend", "call"): (Report,),
    ("frontend", "load"): (Definition,),
    ("source", "fetch"): (Snapshot, Folder),
    ("source", "pin"): (Pin, type(None)),
    ("source", "resolve"): (BaseImage,),
}
"""What the methods of each port return (`img.ports`)."""


METHODS: dict[str, tuple[str, ...]] = {
    "backend": ("probe",),
    "cache": ("check", "load", "missing", "open_blob", "save"),
    "exporter": ("export",),
    "frontend": ("load", "call"),
    "registry": ("pull", "login", "logout", "check"),
    "reporter": ("handle", "close"),
    "source": ("pin", "fetch"),
}
"""The methods that an object of each kind must have."""


def guarded(inner: Any, kind: str, title: str) -> Any:
    """`inner` at arm's length. Raises `PluginError` if it is no object of its kind."""
    for name in METHODS.get(kind, ()):
        if not callable(getattr(inner, name, None)):
            raise PluginError(f"{title} has no method {name}", hint=f"img.ports says what {a(kind)} must be")
    return Guarded(inner, kind, title)


class Guarded:
    """An object of a plugin. Attributes are the plugin's; methods are called through here."""

    def __init__(self, inner: Any, kind: str, title: str) -> None:
        self._inner = inner
        self._kind = kind
        self._title = title

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._method(name, value) if callable(value) else value

    def __repr__(self) -> str:
        return f"<{self._title}>"

    def _method(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            try:
                result = method(*args, **keywords)
            except ImgError:
                raise
            except (Exception, SystemExit) as error:
                raise PluginError(
                    f"{self._title} failed in {name}: {in_words(error)}",
                    hint="this is an error of the plugin: report it there",
                ) from error
            wanted = RETURNS.get((self._kind, name))
            if wanted is not None and not isinstance(result, wanted):
                names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in wanted)
                raise PluginError(
                    f"{self._title} returned {type(result).__name__} from {name}, not {names}",
                    hint="this is an error of the plugin: report it there",
                )
            return result

        return call
