"""From the executor's flags to a build, and the files that it leaves about it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from img.errors import UsageError
from img_cli.commands.build import write_file
from img_cli.commands.kaniko.flags import Given, help_text, read
from img_cli.options import BUILD, DEFAULTS
from img_cli.outcome import printable

CONFIG = "/kaniko/.docker"
"""Where the executor's image has docker's configuration."""

QUIET, PLAIN = ("panic", "fatal", "error", "warn"), ("info", "debug", "trace")
FORMATS = ("text", "color", "json")


def kaniko(arguments: Sequence[str]) -> int:
    """Build as the executor would. Raises `ImgError`."""
    if {"-h", "--help"} & set(arguments):
        print(help_text())
        return 0
    given = read(arguments)
    destinations = given.many("destination")
    if not destinations and not given.on("no-push"):
        raise UsageError("there is nowhere to push to", hint="name it with --destination, or say --no-push")
    progress = _progress(given)
    cache, said = _cache(given)
    for line in (*given.ignored, *said):
        print(f"note: {printable(line)}", file=sys.stderr)
    if "DOCKER_CONFIG" not in os.environ and os.path.isfile(f"{CONFIG}/config.json"):
        os.environ["DOCKER_CONFIG"] = CONFIG
    with tempfile.TemporaryDirectory(prefix="img-kaniko-") as folder:
        result = _build(given, {**_options(given), **cache}, _settings(given, Path(folder)), progress)
    _told(given, str(result.facts.get("containerimage.digest", "")), result.lines)
    return 0


def _build(given: Given, options: Mapping[str, Any], settings: Mapping[str, str], progress: str) -> Any:
    from dataclasses import replace

    from img_cli.commands.build import stop_on_signals
    from img_cli.commands.kaniko.contexts import logins, where
    from img_cli.commands.request import request_of
    from img_cli.commands.warned import Warned
    from img_cli.context import open_session

    with open_session(settings) as session:
        stop_on_signals(session)
        place = where(given, session, os.environ)
        request = request_of({**options, "context": place.context, "file": place.file})
        request = replace(request, secrets={**logins(os.environ), **request.secrets}, outputs=_outputs(given))
        warned = Warned()
        reporter = session.engine.registry.load("reporter", progress)
        try:
            return session.build(request, [reporter(session.engine), warned])
        finally:
            if progress == "plain":
                warned.show(sys.stderr)


def _options(given: Given) -> dict[str, Any]:
    """The options of ``img build`` that the flags stand for, by parameter name."""
    return {
        **{name: list(value) if isinstance(value, list) else value for name, value in DEFAULTS.items()},
        "annotation": given.many("annotation"),
        "build_arg": given.many("build-arg"),
        "label": given.many("label"),
        "no_cache": given.one("cache") == "false",
        "platform": given.many("custom-platform")[-1:],
        "secret": given.many("secret"),
        "target": given.one("target"),
    }


def _outputs(given: Given) -> tuple[dict[str, str], ...]:
    """Every place the image goes to; if there is none, it is made all the same, as its digest may be asked for."""
    names = given.many("destination")
    form = {name: given.one(name) for name in ("compression", "compression-level") if given.one(name)}
    if given.on("reproducible"):
        form |= {"source-date-epoch": "0", "rewrite-timestamp": "true"}
    named = {"name": ",".join(names)} if names else {}
    found: list[dict[str, str]] = []
    if given.one("tar-path"):
        found.append({"type": "docker", "dest": given.one("tar-path"), **named, **form})
    if given.one("oci-layout-path"):
        found.append({"type": "oci", "tar": "false", "dest": given.one("oci-layout-path"), **named, **form})
    if names and not given.on("no-push"):
        found.append({"type": "registry", **named, **form})
    return tuple(found or [{"type": "image", "store": "false", **form}])


def _settings(given: Given, folder: Path) -> dict[str, str]:
    """Settings of this one build. What the flags say of registries goes by way of a file in `folder`."""
    from img_cli.commands.kaniko.transport import insecure, registries

    names = given.many("destination") + tuple(filter(None, [given.one("cache-repo")]))
    settings = {"insecure_registries": insecure(given, names)}
    if text := registries(given, os.environ):
        file = folder / "registries.toml"
        file.write_text(text, encoding="utf-8")
        settings["more_registries"] = os.fspath(file)
    return settings


def _cache(given: Given) -> tuple[dict[str, Any], tuple[str, ...]]:
    """``--cache`` as options of ``img build``, and what there is to say of it."""
    if not given.on("cache"):
        return {}, ("--cache-repo is ignored: without --cache=true there is no cache",) * bool(given.one("cache-repo"))
    if "--cache-to" not in BUILD:
        return {}, ("--cache=true only uses the store of this machine: remote caches are not read and written yet",)
    from img.oci.reference import Reference

    name = given.one("cache-repo")
    for destination in given.many("destination")[:1]:
        first = Reference.parse(destination)
        name = name or f"{first.registry}/{first.repository}/cache"
    if not name:
        raise UsageError("there is no place for the cache", hint="name a repository with --cache-repo")
    place = f"type=registry,ref={name}"
    write = [] if given.on("no-push-cache") else [f"{place},mode=max"]
    return {"cache_from": [place], "cache_to": write}, ()


def _progress(given: Given) -> str:
    """The reporter for ``--verbosity`` and ``--log-format``."""
    level, form = given.one("verbosity", "info").lower(), given.one("log-format", "text")
    if level not in (*QUIET, *PLAIN):
        raise UsageError(f"there is no verbosity {level!r}", hint=f"one of {', '.join((*QUIET, *PLAIN))}")
    if form not in FORMATS:
        raise UsageError(f"there is no log format {form!r}", hint=f"one of {', '.join(FORMATS)}")
    if level in QUIET:
        return "quiet"
    return "json" if form == "json" else "plain"


def _told(given: Given, digest: str, lines: Sequence[str]) -> None:
    """The files about the image, and the last words."""
    from img.oci.reference import Reference

    names = [Reference.parse(name) for name in given.many("destination")]
    files = {
        "digest-file": digest,
        "image-name-with-digest-file": "".join(f"{name.untagged(digest)}\n" for name in names),
        "image-name-tag-with-digest-file": "".join(f"{name}@{digest}\n" for name in names),
    }
    for flag, text in files.items():
        if given.one(flag):
            write_file(given.one(flag), text)
    for line in lines:
        print(f"Successfully exported {line}", file=sys.stderr)
