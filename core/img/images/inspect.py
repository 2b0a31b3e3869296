"""What an image says of itself: its configuration, docker's view of it, its history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from img.errors import UsageError
from img.images.places import opened
from img.images.provider import Found
from img.oci.closure import OneImage
from img.ports import Host

Json = Any


def inspect(host: Host, name: str, platform: str = "") -> Mapping[str, Json]:
    """The OCI image configuration (config.md), as it is. Raises `ImgError`."""
    with opened(host, name) as found:
        return found.one(platform).config


def docker_view(host: Host, name: str, platform: str = "") -> dict[str, Json]:
    """The image as ``docker image inspect`` shows one; what a daemon would know and a file can't is left out."""
    with opened(host, name) as found:
        image = found.one(platform)
        return _docker(host, found, image)


def _docker(host: Host, found: Found, image: OneImage) -> dict[str, Json]:
    config = image.config
    digest = found.descriptor.digest
    stored = [entry.name for entry in host.store.images.list() if entry.descriptor.digest == digest]
    from img.oci.reference import Reference

    names = [Reference.parse(name) for name in stored] or list(found.image.names)
    size = sum(layer.size for layer in image.manifest.layers) + image.manifest.config.size
    view: dict[str, Json] = {
        "Id": image.manifest.config.digest,
        "RepoTags": [name.familiar for name in names if name.tag],
        "RepoDigests": sorted({name.untagged(digest).familiar for name in names}),
        "Comment": _comment(config),
        "Created": config.get("created"),
        "Author": config.get("author") or "",
        "Config": dict(config.get("config") or {}),
        "Architecture": config.get("architecture"),
        "Os": config.get("os"),
        "Size": size,
        "RootFS": {"Type": "layers", "Layers": list((config.get("rootfs") or {}).get("diff_ids") or [])},
        "Descriptor": found.descriptor.to_json(),
    }
    if config.get("variant"):
        view["Variant"] = config["variant"]
    return view


def _comment(config: Mapping[str, Json]) -> str:
    history = config.get("history") or [{}]
    return str(history[-1].get("comment") or "")


class Step(NamedTuple):
    """One line of an image's history, newest first in `history`. `size` is that of the compressed layer, 0 without one."""

    created: str
    created_by: str
    size: int
    digest: str
    comment: str


def history(host: Host, name: str, platform: str = "") -> list[Step]:
    """How the image came to be, newest first. Raises `ImgError`."""
    with opened(host, name) as found:
        image = found.one(platform)
    layers = iter(image.manifest.layers)
    steps: list[Step] = []
    for entry in image.config.get("history") or []:
        layer = None if entry.get("empty_layer") else next(layers, None)
        steps.append(
            Step(
                str(entry.get("created") or ""),
                str(entry.get("created_by") or ""),
                layer.size if layer else 0,
                layer.digest if layer else "",
                str(entry.get("comment") or ""),
            )
        )
    steps += [Step("", "", layer.size, layer.digest, "<a layer without history>") for layer in layers]
    return steps[::-1]


# --- templates -----------------------------------------------------------------------------------------------------


def render(template: str, document: Json) -> str:
    """`template` with each ``{{.Path.To.Field}}`` and ``{{json .Path}}`` filled in from `document`.

    This much of Go's templates is known: a path of fields from ``.``, or ``json`` and a path. A field may stand in any case;
    ``{{index .A "key"}}`` reads a key that is no word. Raises `UsageError` for anything else, and for a field that is not
    there, naming those that are.
    """
    out: list[str] = []
    rest = template
    while "{{" in rest:
        before, _, rest = rest.partition("{{")
        action, closed, rest = rest.partition("}}")
        if not closed:
            raise UsageError(f"the template {template!r} has no end", hint="write {{.Field}}")
        out += [before, _action(action.strip(" -"), document)]
    out.append(rest)
    return "".join(out).replace("\\n", "\n").replace("\\t", "\t")


def _action(action: str, document: Json) -> str:
    import re

    match = re.fullmatch(r"""(?:(json)\s+)?(\.[\w.]*)|index\s+(\.[\w.]*)\s+"([^"]*)\"""", action)
    if match is None:
        raise UsageError(
            f"the template can't do {{{{{action}}}}}", hint='it can do {{.A.B}}, {{json .A}} and {{index .A "key"}}'
        )
    if match[3]:
        return _shown(_field(_walk(document, match[3]), match[4]))
    value = _walk(document, match[2])
    if match[1]:
        import json

        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _shown(value)


def _walk(value: Json, path: str) -> Json:
    for name in filter(None, path.split(".")):
        value = _field(value, name)
    return value


def _field(value: Json, name: str) -> Json:
    if isinstance(value, Mapping):
        if name in value:
            return value[name]
        for key in value:
            if key.lower() == name.lower():
                return value[key]
    known = ", ".join(map(str, value)) if isinstance(value, Mapping) else "none"
    raise UsageError(f"there is no field {name!r}", hint=f"there are: {known}")


def _shown(value: Json) -> str:
    """As Go prints it: lists as ``[a b]``, maps as ``map[k:v]``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{_shown(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_shown, value))}]"
    return str(value)
