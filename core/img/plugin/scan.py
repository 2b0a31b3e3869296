"""Looks every installed plugin package over, once: what it offers, and whether it keeps the contract.

A package that does not is left out as a whole, and said why, in a sentence with its distribution. It never costs the others.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from img.errors import PluginError, in_words
from img.plugin.contract import FIRST, NAME, declared_in, refusal
from img.plugin.offers import KINDS, Offer, Setting, a

OURS = "img-build"
"""The distribution that img itself comes in; its hooks are asked last."""

Offered = dict[tuple[str, str], tuple[Offer, str]]


class Entry(NamedTuple):
    """One plugin package: its entry point's name and module, its distribution and version, its hooks' names."""

    name: str
    module: str
    distribution: str
    version: str
    hooks: tuple[str, ...]


class Scanned(NamedTuple):
    """What was found. `broken` has a sentence for each entry point that is left out."""

    entries: list[Entry]
    offers: Offered
    settings: list[Setting]
    broken: dict[str, str]


def scan(disabled: frozenset[str]) -> Scanned:
    """All plugin packages but those whose entry point or distribution is in `disabled`; img's own come first."""
    found = Scanned([], {}, [], {})
    for name, module, distribution, version in points():
        if name in disabled or distribution in disabled:
            continue
        try:
            entry, offers, settings = _look(name, module, distribution, version)
            offered = join(found.offers, offers, distribution)
            fresh = _settings(settings, found.settings, distribution)
        except PluginError as error:
            hint = f" ({error.hint})" if error.hint else ""
            found.broken[f"{name} ({distribution})"] = f"{error.message}{hint}"
            continue
        found.offers.update(offered)
        found.settings.extend(fresh)
        found.entries.append(entry)
    return found


def points() -> Iterator[tuple[str, str, str, str]]:
    """Entry points as (name, module, distribution, version), img's own first, each once."""
    import importlib_metadata

    seen: set[tuple[str, str]] = set()
    found = importlib_metadata.entry_points(group="img")
    for point in sorted(found, key=lambda p: (p.dist is None or p.dist.name != OURS, p.name)):
        distribution = point.dist.name if point.dist else "?"
        if (point.name, point.value) not in seen:
            seen.add((point.name, point.value))
            yield point.name, point.value, distribution, point.dist.version if point.dist else ""


def _look(name: str, module: str, distribution: str, version: str) -> tuple[Entry, list[Offer], list[Setting]]:
    """What one package says. Raises `PluginError`."""
    declared, failure = FIRST, None
    try:
        loaded = importlib.import_module(module)
        declared = getattr(loaded, NAME, FIRST)
    except (Exception, SystemExit) as error:
        failure = error
        declared = declared_in(_file(module))
    if words := refusal(declared, distribution, version):
        raise PluginError(words)
    if failure is not None:
        raise PluginError(f"{module} of {distribution} can't be imported: {in_words(failure)}")
    hooks = tuple(sorted(key for key, thing in vars(loaded).items() if hasattr(thing, "img_impl")))
    try:
        hooked = manager([module])
        hooked.check_pending()
    except Exception as error:
        text = str(error).replace("\n", " ")
        raise PluginError(f"the hooks of {distribution} are not img's: {text}") from error
    for hook in hooks:
        if (options := getattr(loaded, hook).img_impl).get("wrapper") or options.get("hookwrapper"):
            raise PluginError(f"{hook} of {distribution} is a wrapper, which img does not call")
    offers = list(_asked(hooked, "img_offers", Offer, distribution))
    for offer in offers:
        _check_offer(offer, distribution)
    settings = list(_asked(hooked, "img_settings", Setting, distribution))
    return Entry(name, module, distribution, version, hooks), offers, settings


def _file(module: str) -> Path:
    from importlib.util import find_spec

    try:
        spec = find_spec(module)
    except (Exception, SystemExit):
        return Path()
    return Path(spec.origin) if spec and spec.origin else Path()


def _asked(hooked: Any, hook: str, kind: type, distribution: str) -> Iterator[Any]:
    """The records that a hook gives. Raises `PluginError` if it fails, or gives something else."""
    try:
        groups = [list(group) for group in getattr(hooked.hook, hook)()]
    except (Exception, SystemExit) as error:
        raise PluginError(f"{hook} of {distribution} failed: {in_words(error)}") from error
    for record in (record for group in groups for record in group):
        if not isinstance(record, kind) or not all(isinstance(text, str) for text in record[:4]):  # type: ignore[index]
            raise PluginError(f"{hook} of {distribution} gives {kind.__name__} records of texts, not {record!r:.80}")
        yield record


def _check_offer(offer: Offer, distribution: str) -> None:
    module, colon, attribute = offer.target.partition(":")
    if not (colon and all(part.isidentifier() for part in (*module.split("."), *attribute.split(".")))):
        raise PluginError(
            f"{distribution} offers {offer.kind} {offer.name!r} as {offer.target!r}, not package.module:name"
        )
    if not offer.name or any(c.isspace() or not c.isprintable() for c in offer.name):
        raise PluginError(f"{distribution} offers {a(offer.kind)} named {offer.name!r}, which is no name")


def join(offers: Mapping[tuple[str, str], tuple[Offer, str]], offered: Iterable[Offer], distribution: str) -> Offered:
    """The offers of one more package. Raises `PluginError` for a kind that there is not, and for a name that is taken, with
    both distributions."""
    fresh: Offered = {}
    for offer in offered:
        if offer.kind not in KINDS:
            known = ", ".join(KINDS)
            raise PluginError(
                f"{distribution} offers a {offer.kind!r}, which is no kind of offer", hint=f"kinds: {known}"
            )
        other = fresh.get((offer.kind, offer.name)) or offers.get((offer.kind, offer.name))
        if other is not None:
            raise PluginError(
                f"both {other[1]} and {distribution} offer {a(offer.kind)} named {offer.name!r}",
                hint=f"disable one: IMG_DISABLE_PLUGINS={distribution}",
            )
        fresh[offer.kind, offer.name] = (offer, distribution)
    return fresh


def _settings(settings: list[Setting], known: list[Setting], distribution: str) -> list[Setting]:
    """Raises `PluginError` for a setting, or a variable, that another package has."""
    names = {one.name for one in known}
    variables = {word for one in known for word in one.env.split()}
    for one in settings:
        if not one.name or one.name in names or variables & set(one.env.split()):
            raise PluginError(f"{distribution} declares the setting {one.name!r} ({one.env}), which there is already")
        names.add(one.name)
        variables |= set(one.env.split())
    return settings


def manager(modules: Iterable[str]) -> Any:
    """A pluggy manager with `modules` registered, ours first: pluggy asks the last registered first."""
    import pluggy

    from img.plugin import specs

    made = pluggy.PluginManager(specs.PROJECT)
    made.add_hookspecs(specs)
    for module in modules:
        made.register(importlib.import_module(module), name=module)
    return made
