"""What plugins offer, found once and then remembered.

Finding them takes entry points (importlib-metadata) and hooks (pluggy), which costs more than a whole cached build. So
the light records that come out, the *index*, are kept in a file, under a key made from the modification times of the
folders on sys.path: installing or removing a package changes one of them. Only this module and `specs` know pluggy.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from img.digest import sha256
from img.errors import PluginError
from img.plugin.offers import KINDS, Offer, Setting

OURS = "img-build"
"""The distribution that img itself comes in; its hooks are asked last."""


class Entry(NamedTuple):
    """One plugin package: its entry point's name and module, its distribution and version, its hooks' names."""

    name: str
    module: str
    distribution: str
    version: str
    hooks: tuple[str, ...]


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
        self._hooks: Any = None

    @classmethod
    def discover(cls, disabled: frozenset[str] = frozenset(), cache: Path | None = None) -> Registry:
        """All installed plugins but those whose entry point or distribution is in `disabled`.

        `cache` is the folder that keeps indexes, one for each sys.path; without it everything is looked up. Raises
        `PluginError` if two packages offer the same thing, or an offer's kind is unknown.
        """
        key = _key(disabled)
        index = cache / f"plugins-{sha256(os.fsencode(':'.join(sys.path)))[7:15]}.json" if cache else None
        found = _read(index, key) if index else None
        if found is None:
            found = _scan(disabled)
            if index:
                _write(index, key, found)
        return found

    def offers(self, kind: str | None = None) -> list[tuple[Offer, str]]:
        """Offers with the distribution each comes from, by kind and name."""
        return [item for (k, _), item in sorted(self._offers.items()) if kind in (None, k)]

    def names(self, kind: str) -> list[str]:
        return sorted(name for k, name in self._offers if k == kind)

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
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise PluginError(
                f"the {kind} {name!r} of {distribution} can't be loaded: {reason}",
                hint=f"its offer says {offer.target}; reinstall or disable {distribution}",
            ) from error
        return loaded

    def first(self, hook: str, **arguments: Any) -> Any:
        """The first result that is not None of a first-result hook; strangers are asked before our own."""
        entries = [entry for entry in self._entries if hook in entry.hooks]
        if all(entry.distribution == OURS for entry in entries):
            for entry in entries:
                result = getattr(importlib.import_module(entry.module), hook)(**arguments)
                if result is not None:
                    return result
            return None
        if self._hooks is None:
            self._hooks = _manager(entry.module for entry in self._entries)
        try:
            return getattr(self._hooks.hook, hook)(**arguments)
        except Exception as error:
            names = ", ".join(entry.distribution for entry in entries)
            raise PluginError(f"the hook {hook} failed in one of {names}: {error}") from error


def _manager(modules: Iterable[str]) -> Any:
    """A pluggy manager with `modules` registered, ours first: pluggy asks the last registered first."""
    import pluggy

    from img.plugin import specs

    manager = pluggy.PluginManager(specs.PROJECT)
    manager.add_hookspecs(specs)
    for module in modules:
        manager.register(importlib.import_module(module))
    return manager


def _scan(disabled: frozenset[str]) -> Registry:
    """Import every hooks module and ask it. A package that fails is left out and named in `broken`."""
    import importlib_metadata

    entries: list[Entry] = []
    broken: dict[str, str] = {}
    offers: dict[tuple[str, str], tuple[Offer, str]] = {}
    settings: list[Setting] = []
    points = importlib_metadata.entry_points(group="img")
    for point in sorted(points, key=lambda p: (p.dist is None or p.dist.name != OURS, p.name)):
        distribution = point.dist.name if point.dist else "?"
        if point.name in disabled or distribution in disabled:
            continue
        try:
            module = importlib.import_module(point.value)
            hooks = tuple(sorted(name for name, thing in vars(module).items() if hasattr(thing, "img_impl")))
            manager = _manager([point.value])
            offered = [offer for group in manager.hook.img_offers() for offer in group]
            settings.extend(setting for group in manager.hook.img_settings() for setting in group)
        except Exception as error:
            broken[f"{point.name} ({distribution})"] = f"{type(error).__name__}: {error}"
            continue
        _join(offers, offered, distribution)
        version = point.dist.version if point.dist else ""
        entries.append(Entry(point.name, point.value, distribution, version, hooks))
    return Registry(entries, offers, settings, broken)


def _join(offers: dict[tuple[str, str], tuple[Offer, str]], offered: Iterable[Offer], distribution: str) -> None:
    for offer in offered:
        if offer.kind not in KINDS:
            known = ", ".join(KINDS)
            raise PluginError(
                f"{distribution} offers a {offer.kind!r}, which is no kind of offer", hint=f"kinds: {known}"
            )
        other = offers.get((offer.kind, offer.name))
        if other is not None:
            raise PluginError(
                f"both {other[1]} and {distribution} offer a {offer.kind} named {offer.name!r}",
                hint=f"disable one: IMG_DISABLE_PLUGINS={distribution}",
            )
        offers[offer.kind, offer.name] = (offer, distribution)


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
    part = cache.with_name(f"{cache.name}.{os.getpid()}")
    try:
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.write_text(json.dumps(document))
        os.replace(part, cache)
    except OSError:
        part.unlink(missing_ok=True)
