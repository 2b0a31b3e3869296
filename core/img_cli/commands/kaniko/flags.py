"""The flags of kaniko's executor (of 1.24 and the forks after it) as a table, and the reader of its command line.

A flag is *taken* (it ends up in the build), *ignored* with the reason why nothing is lost, or *refused* with what to do.
The syntax is that of the executor: ``--flag value`` or ``--flag=value``; a switch only takes ``--flag`` and
``--flag=true|false``; one-letter flags may have their value attached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import NamedTuple

from img.errors import UsageError

ONE, MANY, SWITCH = "one", "many", "switch"
TRUE, FALSE = ("1", "t", "true"), ("0", "f", "false")


class Flag(NamedTuple):
    """One flag: how many values it takes, and either what it does or why it does nothing."""

    kind: str
    help: str = ""
    ignored: str = ""
    refused: str = ""


_SNAPSHOT = "the kernel's overlay says what a step changed, nothing is scanned"
_RETRY = "transfers are always tried again where that can help"
_CACHE = "steps are found again by what they do and what they are given, so nothing has to be chosen or to expire"
_OWN = "steps run in a root of their own, so nothing of the surrounding container gets into the image"

FLAGS: Mapping[str, Flag] = MappingProxyType(
    {
        "annotation": Flag(MANY, "KEY=VALUE annotation of the image"),
        "build-arg": Flag(MANY, "NAME=VALUE for an ARG; without a value from the environment"),
        "cache": Flag(SWITCH, "use a cache, in --cache-repo; =false runs every step"),
        "cache-repo": Flag(ONE, "the repository of the cache (default: DESTINATION/cache)"),
        "compression": Flag(ONE, "gzip or zstd"),
        "compression-level": Flag(ONE, "1 to 9 for gzip, 1 to 22 for zstd"),
        "context": Flag(ONE, "a folder, dir://FOLDER, tar://FILE, tar://stdin, git://HOST/REPOSITORY[#REF[#COMMIT]]"),
        "context-sub-path": Flag(ONE, "the folder in the context that is the context"),
        "custom-platform": Flag(ONE, "os/architecture[/variant]"),
        "destination": Flag(MANY, "push the image under this name"),
        "digest-file": Flag(ONE, "write the image's digest to this file"),
        "dockerfile": Flag(ONE, "the build file: a path here, else one in the context, or a URL"),
        "git": Flag(ONE, "branch=…,recurse-submodules=… of a git context"),
        "image-name-tag-with-digest-file": Flag(ONE, "write NAME:TAG@DIGEST of each destination to this file"),
        "image-name-with-digest-file": Flag(ONE, "write NAME@DIGEST of each destination to this file"),
        "insecure": Flag(SWITCH, "push over plain HTTP if need be"),
        "insecure-pull": Flag(SWITCH, "pull over plain HTTP if need be"),
        "insecure-registry": Flag(MANY, "a registry that may be spoken to over plain HTTP"),
        "label": Flag(MANY, "NAME=VALUE label of the image"),
        "log-format": Flag(ONE, "text, color or json"),
        "no-push": Flag(SWITCH, "push nothing"),
        "oci-layout-path": Flag(ONE, "write the image to this folder, as an OCI image layout"),
        "registry-certificate": Flag(MANY, "REGISTRY=FILE: the authority of its certificate"),
        "registry-client-cert": Flag(MANY, "REGISTRY=CERTIFICATE,KEY"),
        "registry-map": Flag(MANY, "REGISTRY=MIRROR[;REGISTRY=MIRROR…]: where to pull from first"),
        "registry-mirror": Flag(MANY, "where to pull images of Docker Hub from first"),
        "reproducible": Flag(SWITCH, "no time in the image is later than 1970"),
        "secret": Flag(MANY, "id=ID[,src=FILE|,env=NAME] for RUN --mount=type=secret"),
        "skip-default-registry-fallback": Flag(SWITCH, "with a mirror or map: never ask the registry itself"),
        "skip-tls-verify": Flag(SWITCH, "push to registries with any certificate"),
        "skip-tls-verify-pull": Flag(SWITCH, "pull from registries with any certificate"),
        "skip-tls-verify-registry": Flag(MANY, "a registry whose certificate may be any"),
        "tar-path": Flag(ONE, "write the image to this file, as docker load takes it"),
        "target": Flag(ONE, "the stage to build"),
        "verbosity": Flag(ONE, "panic, fatal, error, warn, info, debug or trace"),
        # --- what does nothing here ---
        "azure-container-registry-config": Flag(ONE, ignored="docker's config.json names the helper for a registry"),
        "cache-copy-layers": Flag(SWITCH, ignored=_CACHE),
        "cache-dir": Flag(ONE, ignored="bases are kept in img's own store, and only fetched when bytes are needed"),
        "cache-run-layers": Flag(SWITCH, ignored=_CACHE),
        "cache-ttl": Flag(ONE, ignored=_CACHE),
        "cleanup": Flag(SWITCH, ignored="a build leaves nothing outside of the store"),
        "compressed-caching": Flag(SWITCH, ignored="layers are streams, so compressing them takes no memory"),
        "credential-helpers": Flag(MANY, ignored="docker's config.json names the helper for a registry"),
        "force": Flag(SWITCH, ignored="img never touches the root that it runs in, so it may run anywhere"),
        "force-build-metadata": Flag(SWITCH, ignored="the history has every instruction anyway"),
        "ignore-path": Flag(MANY, ignored=f"{_OWN}; what a step itself writes there is kept"),
        "ignore-var-run": Flag(SWITCH, ignored=_OWN),
        "image-download-retry": Flag(ONE, ignored=_RETRY),
        "image-fs-extract-retry": Flag(ONE, ignored=_RETRY),
        "initial-fs-unpacked": Flag(SWITCH, ignored=_OWN),
        "kaniko-dir": Flag(ONE, ignored="IMG_ROOT or 'img --state DIR kaniko …' says where the store is"),
        "log-timestamp": Flag(SWITCH, ignored="--log-format=json has the time of every event"),
        "no-push-cache": Flag(SWITCH, "read the cache, and write none"),
        "push-ignore-immutable-tag-errors": Flag(
            SWITCH, ignored="a tag that the registry does not move is an error: the image was not published"
        ),
        "push-retry": Flag(ONE, ignored=_RETRY),
        "single-snapshot": Flag(SWITCH, ignored="each instruction keeps its layer, so that pulls can share them"),
        "skip-push-permission-check": Flag(SWITCH, ignored="nothing is checked before the build"),
        "skip-unused-stages": Flag(SWITCH, ignored="stages that the target does not need are never built"),
        "snapshot-mode": Flag(ONE, ignored=_SNAPSHOT),
        "use-new-run": Flag(SWITCH, ignored=_SNAPSHOT),
        "whitelist-var-run": Flag(SWITCH, ignored=_OWN),
        "bucket": Flag(ONE, refused="fetch the context first, and give it as --context tar://FILE"),
    }
)
SHORT = {"b": "bucket", "c": "context", "d": "destination", "f": "dockerfile", "v": "verbosity"}
OLD = {"snapshotMode": "snapshot-mode", "customPlatform": "custom-platform", "tarPath": "tar-path"}
"""Older spellings."""


class Given(NamedTuple):
    """A command line that was read: values by the flag's name, and a line for each flag that does nothing."""

    values: Mapping[str, Sequence[str]]
    ignored: tuple[str, ...] = ()

    def one(self, name: str, default: str = "") -> str:
        """The last value of a flag."""
        return self.values[name][-1] if self.values.get(name) else default

    def many(self, name: str) -> tuple[str, ...]:
        return tuple(self.values.get(name, ()))

    def on(self, name: str) -> bool:
        return self.one(name) == "true"


def read(arguments: Sequence[str]) -> Given:
    """Read the executor's command line. Raises `UsageError` for flags that it does not have or that can't be honoured."""
    values: dict[str, list[str]] = {}
    waiting = iter(arguments)
    for word in waiting:
        written, name, value = _parted(word)
        flag = FLAGS[name]
        if flag.refused:
            raise UsageError(f"img kaniko has no {written}", hint=flag.refused)
        if flag.kind == SWITCH:
            value = _switch(written, value)
        elif value is None:
            value = next(waiting, None)
            if value is None:
                raise UsageError(f"{written} needs a value", hint="see 'img kaniko --help'")
        values.setdefault(name, []).append(value)
    ignored = tuple(f"--{name} is ignored: {FLAGS[name].ignored}" for name in values if FLAGS[name].ignored)
    return Given(values, ignored)


def _parted(word: str) -> tuple[str, str, str | None]:
    """A word as flag: how it was written, its name, and its value if that is attached."""
    if word.startswith("--") and word != "--":
        written, equals, value = word.partition("=")
        name = written[2:]
        found = OLD.get(name, name)
        if found in FLAGS:
            return written, found, value if equals else None
        near = get_close_matches(name, [*FLAGS, *OLD], 1)
        hint = f"did you mean --{near[0]}?" if near else "see 'img kaniko --help'"
        raise UsageError(f"kaniko's executor has no flag {written}", hint=hint)
    if word.startswith("-") and word[1:2] in SHORT:
        return word[:2], SHORT[word[1]], word[2:].removeprefix("=") or None
    if word.startswith("-"):
        raise UsageError(f"kaniko's executor has no flag {word}", hint="see 'img kaniko --help'")
    hint = "switches take their value after '=': --cache=true"
    raise UsageError(f"img kaniko takes only flags, and {word!r} is none", hint=hint)


def _switch(written: str, value: str | None) -> str:
    if value is None or value.lower() in TRUE:
        return "true"
    if value.lower() in FALSE:
        return "false"
    raise UsageError(f"{written}={value} is neither true nor false")


def help_text() -> str:
    """What ``img kaniko --help`` prints."""
    rows = [
        "Usage: img kaniko [FLAGS]",
        "",
        "  Build as kaniko's executor does, from its own command line.",
        "",
        "Flags:",
    ]
    letters = {name: f"-{letter}, " for letter, name in SHORT.items()}
    for name, flag in sorted(FLAGS.items()):
        if flag.help:
            rows.append(f"  {letters.get(name, '    ')}--{name:<34} {flag.help}")
    rows += ["", "Taken and ignored:"]
    rows += [f"      --{name:<34} {flag.ignored}" for name, flag in sorted(FLAGS.items()) if flag.ignored]
    return "\n".join(rows)
