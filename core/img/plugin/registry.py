"""What plugins offer, found once and then remembered.

Finding them takes entry points (importlib-metadata) and hooks (pluggy), which costs more than a whole cached build. So
the light records that come out, the *index*, are kept in a file, under a key made from the modification times of the
folders on sys.path: installing or removing a package changes one of them. Only `scan` and `specs` know pluggy.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from img.digest import sha256
from img.errors import PluginError, in_words
from img.plugin.offers import Offer, Setting
from img.plugin.scan import OURS, Entry, manager, scan

__all__ = ["OURS", "Entry", "Registry"]


class Registry:
    """Offers by kind and name. Make one with `discover`; it is passed down, never global."""

    def __init__(
        self,
        entries: Sequence[Entry],
        offers: Mapping[tuple[str, str], tuple[Offer, str]],
        settings: Sequence[Setting] = (),
        broken: Mapping[str, str] | None = None,
    ) -> None:
        self._entries = entries
        self._offers = offers
        self.settings = tuple(settings)
        self.broken = dict(broken or {})
        """Entry points that could not be loaded, with the reason."""
        self.told: list[str] = []
        """Sentences about plugins that failed while they were used."""
        self.tell: Callable[[str], None] = lambda words: None
        """Who hears of them as they come."""
        self._hooks: Any = None

    @classmethod
    def discover(cls, disabled: frozenset[str] = frozenset(), cache: Path | None = None) -> Registry:
        """All installed plugins but those whose entry point or distribution is in `disabled`.

        `cache` is the folder that keeps indexes, one for each sys.path; without it everything is looked up. Packages that
        break the contract are left out, with a sentence in `broken`.
        """
        key = _key(disabled)
        index = cache / f"plugins-{sha256(os.fsencode(':'.join(sys.path)))[7:15]}.json" if cache else None
        found = _read(index, key) if index else None
        if found is None:
            scanned = scan(disabled)
            found = cls(scanned.entries, scanned.offers, scanned.settings, scanned.broken)
            if index:
                _write(index, key, found)
        return found

    def offers(self, kind: str | None = None) -> list[tuple[Offer, str]]:
        """Offers with the distribution each comes from, by kind and name."""
        return [item for (k, _), item in sorted(self._offers.items()) if kind in (None, k)]

    def names(self, kind: str) -> list[str]:
        return sorted(name for k, name in self._offers if k == kind)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The plugin packages."""
        return tuple(self._entries)

    def distributions(self) -> dict[str, str]:
        """Version of each distribution with plugins."""
        return {entry.distribution: entry.version for entry in self._entries}

    def load(self, kind: str, name: str) -> Callable[..., Any]:
        """Import what is offered as (kind, name). Raises `PluginError` naming what there is, or what broke."""
        found = self._offers.get((kind, name))
        if found is None:
            there = ", ".join(self.names(kind)) or "none"
            raise PluginError(f"there is no {kind} named {name!r}", hint=f"installed: {there}")
        offer, distribution = found
        module, _, attribute = offer.target.partition(":")
        try:
            loaded: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:
            words = f"the {kind} {name!r} of {distribution} can't be loaded"
            if kind == "reporter" and distribution != OURS:
                return self._plain(words, error)
            hint = f"its offer says {offer.target}; reinstall or disable {distribution}"
            raise PluginError(f"{words}: {in_words(error)}", hint=hint) from error
        return self._tolerant(loaded, name) if kind == "reporter" and distribution != OURS else loaded

    def _tolerant(self, make: Callable[..., Any], name: str) -> Callable[..., Any]:
        """A maker of a stranger's reporter; if it fails, the plain one is made instead."""

        def made(host: Any) -> Any:
            try:
                return make(host)
            except (Exception, SystemExit) as error:
                return self._plain(f"{self.title('reporter', name)} can't be made", error)(host)

        return made

    def _plain(self, words: str, error: BaseException) -> Callable[..., Any]:
        """The maker of the plain reporter, which stands in for another."""
        self.trouble(f"{words}, plain stands in for it: {in_words(error)}")
        made: Callable[..., Any] = self.load("reporter", "plain")
        return made

    def first(self, hook: str, **arguments: Any) -> Any:
        """The first result that is not None of a first-result hook; strangers are asked before our own.

        A stranger's hook that fails, or answers what the hook does not know, is passed over and told of (`tell`).
        """
        entries = [entry for entry in self._entries if hook in entry.hooks]
        if any(entry.distribution != OURS for entry in entries):
            result = self._of_strangers(hook, arguments)
            if result is not None:
                return result
        for entry in entries:
            if entry.distribution == OURS:
                result = getattr(importlib.import_module(entry.module), hook)(**arguments)
                if result is not None:
                    return result
        return None

    def _of_strangers(self, hook: str, arguments: Mapping[str, Any]) -> Any:
        if self._hooks is None:
            self._hooks = manager(entry.module for entry in self._entries if entry.distribution != OURS)
        titles = {entry.module: f"{entry.distribution} {entry.version}".strip() for entry in self._entries}
        for one in reversed(getattr(self._hooks.hook, hook).get_hookimpls()):
            title = titles.get(one.plugin_name, one.plugin_name)
            try:
                result = one.function(**{name: arguments[name] for name in one.argnames if name in arguments})
            except (Exception, SystemExit) as error:
                self.trouble(f"{hook} of {title} failed, and is passed over: {in_words(error)}")
                continue
            if result is None:
                continue
            if ANSWERS[hook](result):
                return result
            self.trouble(f"{hook} of {title} answered {result!r:.60}, and is passed over")
        return None

    def trouble(self, words: str) -> None:
        """Tell of a plugin's trouble, each once."""
        if words not in self.told:
            self.told.append(words)
            self.tell(words)

    def title(self, kind: str, name: str) -> str:
        """How messages call what is offered as (kind, name)."""
        offer = self._offers.get((kind, name))
        if offer is None:
            return f"the {kind} {name!r}"
        return f"the {kind} {name!r} of {offer[1]} {self.distributions().get(offer[1], '')}".rstrip()

    def author(self, thing: object) -> str:
        """Distribution and version of the plugin package that an object's class is from; empty if it is from none."""
        root = type(thing).__module__.partition(".")[0]
        for entry in self._entries:
            if entry.distribution != OURS and entry.module.partition(".")[0] == root:
                return f"{entry.distribution} {entry.version}".strip()
        return ""

    def is_ours(self, kind: str, name: str) -> bool:
        """Whether img brings it itself."""
        offer = self._offers.get((kind, name))
        return offer is not None and offer[1] == OURS


def _is_login(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(text, str) for text in value)


ANSWERS: dict[str, Callable[[Any], bool]] = {
    "img_credentials": _is_login,
    "img_detect_frontend": lambda value: isinstance(value, str) and bool(value),
}
"""Whether something is an answer to a first-result hook."""


# --- the index file -------------------------------------------------------------------------------------------


def _key(disabled: frozenset[str]) -> list[Any]:
    times: list[Any] = [sys.version, sorted(disabled)]
    for path in sys.path:
        try:
            times.append([path, os.stat(path or ".").st_mtime_ns])
        except OSError:
            times.append([path, 0])
    return [*times, os.stat(__file__).st_mtime_ns]


def _read(cache: Path, key: list[Any]) -> Registry | None:
    try:
        document = json.loads(cache.read_bytes())
        if document["key"] != key:
            return None
        entries = [Entry(a, b, c, d, tuple(hooks)) for a, b, c, d, hooks in document["entries"]]
        offers = {(o[0], o[1]): (_offer(o), distribution) for o, distribution in document["offers"]}
        if any(os.stat(path).st_mtime_ns != time for path, time in document["modules"]):
            return None
        return Registry(entries, offers, [Setting(*s) for s in document["settings"]])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def _offer(fields: list[Any]) -> Offer:
    kind, name, help, target, files = fields
    return Offer(kind, name, help, target, tuple(files))


def _write(cache: Path, key: list[Any], registry: Registry) -> None:
    """Keep the index. A registry with broken plugins is not kept, so that each run says so until it is mended."""
    if registry.broken:
        return
    files = [sys.modules[entry.module].__file__ for entry in registry._entries]
    document = {
        "key": key,
        "entries": registry._entries,
        "offers": [[offer, distribution] for offer, distribution in registry.offers()],
        "settings": registry.settings,
        "modules": [[file, os.stat(file).st_mtime_ns] for file in files if file],
    }
    part = cache.with_name(f"{cache.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.write_text(json.dumps(document))
        os.replace(part, cache)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
