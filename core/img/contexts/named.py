"""Named contexts: what ``--build-context NAME=VALUE`` stands for, looked up as BuildKit does, opened when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from img.contexts import remote, schemes
from img.contexts.reading import read_inside
from img.errors import UsageError
from img.ir.nodes import Source
from img.ports import BaseImage

if TYPE_CHECKING:
    from img.engine import Engine

MAIN = "context"
IGNORE = ".dockerignore"


def normal_names(given: Mapping[str, str]) -> dict[str, str]:
    """Named contexts under the names they are looked up by. Raises `UsageError` for a name that is taken."""
    found: dict[str, str] = {}
    for name, value in given.items():
        if name == MAIN:
            raise UsageError(f"a context can't be named {MAIN!r}: that is the main one", hint="choose another name")
        if not value:
            raise UsageError(
                f"the context {name!r} has no value", hint="NAME=folder, URL, docker-image://REF or oci-layout://PATH"
            )
        found[normal(name)] = value
    return found


def normal(name: str) -> str:
    """A name as it is compared: image names in their short form and without ``:latest``, others as they stand."""
    from img.oci.reference import Reference

    bare, mark, platform = name.partition("::")
    try:
        bare = Reference.parse(bare).familiar.removesuffix(":latest")
    except UsageError:
        pass
    return bare + mark + platform


def named(engine: Engine, name: str, platform: str) -> BaseImage | Source | None:
    """See `img.ports.Resolver.named`. ``NAME::PLATFORM`` goes before ``NAME``."""
    key = _key(engine, name, platform)
    if key is None:
        return None
    image = schemes.image(engine, engine.given[key], platform)
    if image is not None:
        return image
    _open(engine, key)
    from img.files.patterns import read_ignore

    data = read_inside(engine.contexts[key], IGNORE)
    patterns = read_ignore(data, f"{key}: {IGNORE}") if data is not None else ()
    return Source("local", key, (("ignore", "\n".join(patterns)),) if patterns else ())


def need_files(engine: Engine, name: str) -> str:
    """The name under which `Engine.contexts` has the folder of a context of files, opened now if it was not. Raises
    `UsageError` if there is none, or it is an image."""
    if name in engine.contexts:
        return name
    key = _key(engine, name, "")
    if key is None:
        raise UsageError(f"there is no context named {name!r}", hint=f"--build-context {name}=…")
    if schemes.names_image(engine, engine.given[key]):
        raise UsageError(f"the context {name!r} is an image, not a folder of files")
    _open(engine, key)
    return key


def modified(engine: Engine, name: str) -> int | None:
    """See `img.ports.Resolver.modified`."""
    if name not in engine.contexts:
        key = _key(engine, name, "")
        if key is None or schemes.names_image(engine, engine.given[key]):
            return None
        name = need_files(engine, name)
    source = engine.origins.get(name)
    return None if source is None else remote.modified(engine, source)


def _key(engine: Engine, name: str, platform: str) -> str | None:
    if not engine.given:
        return None
    plain = normal(name)
    return next((key for key in (f"{plain}::{platform}", plain) if key in engine.given), None)


def _open(engine: Engine, key: str) -> None:
    """Make the folder of a context of files known to the engine, once a build."""
    if key in engine.contexts:
        return
    value = engine.given[key]
    import os

    source = None if os.path.isdir(value) else remote.source_of(value, engine=engine)
    if source is None:
        engine.contexts[key] = remote.need_folder(value)
        return
    engine.contexts[key] = remote.fetch(engine, source).folder
    engine.origins[key] = source
