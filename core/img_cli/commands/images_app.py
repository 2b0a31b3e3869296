"""The commands on finished images, with their options and help."""

from __future__ import annotations

from typing import Annotated, Any

import typer

app = typer.Typer(rich_markup_mode=None)
"""Its commands are img's own (`commands.app`)."""

PLACES = "NAME, docker://NAME, oci:FOLDER[:NAME], oci-archive:FILE[:NAME] or docker-archive:FILE[:NAME]."


def _one(*names: str, help: str) -> Any:
    return typer.Option(*names, help=help)


def _word(metavar: str, help: str) -> Any:
    return typer.Argument(metavar=metavar, help=help)


Words = list[str] | None
Platform = Annotated[str, _one("--platform", help="os/architecture[/variant] (default: this machine's).")]
Json = Annotated[bool, _one("--json", help="As JSON.")]


@app.command()
def ls(
    json: Json = False,
    filter: Annotated[Words, _one("--filter", "-f", help="name==NAME, name~=REGEX, target.digest==…")] = None,
    quiet: Annotated[bool, _one("--quiet", "-q", help="Print only names, or with --digests only digests.")] = False,
    digests: Annotated[bool, _one("--digests", help="Show whole digests of image and configuration.")] = False,
) -> int:
    """List the images in the store."""
    from img_cli.commands.ls import ls as act

    return act(json, filter or [], quiet, digests)


@app.command()
def tag(
    source: Annotated[str, _word("SOURCE", "An image of the store: name or digest.")],
    name: Annotated[str, _word("NAME", "The name it is to have as well.")],
) -> int:
    """Give an image another name."""
    from img_cli.commands.images import tag as act

    return act(source, name)


@app.command()
def rm(images: Annotated[list[str], _word("IMAGE...", "Names, or digests for all names of an image.")]) -> int:
    """Remove images from the store; prune frees their space."""
    from img_cli.commands.images import remove as act

    return act(images)


@app.command()
def inspect(
    name: Annotated[str, _word("IMAGE", PLACES)],
    format: Annotated[str, _one("--format", "-f", help="oci, docker, json, or a template: '{{.Config.Env}}'.")] = "oci",
    docker: Annotated[bool, _one("--docker", help="As docker inspect shows it: --format docker.")] = False,
    platform: Platform = "",
) -> int:
    """Show an image's configuration."""
    from img_cli.commands.images import inspect as act

    return act(name, "docker" if docker else format, platform)


@app.command()
def history(
    name: Annotated[str, _word("IMAGE", PLACES)],
    json: Json = False,
    whole: Annotated[bool, _one("--no-trunc", help="Show instructions and digests as they are.")] = False,
    platform: Platform = "",
) -> int:
    """Show how an image came to be."""
    from img_cli.commands.images import history as act

    return act(name, json, whole, platform)


@app.command()
def save(
    images: Annotated[list[str], _word("IMAGE...", "Images of the store.")],
    format: Annotated[str, _one("--format", help="docker or oci.")] = "docker",
    output: Annotated[str, _one("--output", "-o", help="Write to this file instead of standard output.")] = "",
    platform: Platform = "",
) -> int:
    """Write images as an archive."""
    from img_cli.commands.archives import save as act

    return act(images, format, output, platform)


@app.command()
def load(
    input: Annotated[str, _one("--input", "-i", help="An archive or a layout's folder, not standard input.")] = "",
    quiet: Annotated[bool, _one("--quiet", "-q", help="Print only digests.")] = False,
) -> int:
    """Load images from an archive of docker's, an OCI archive, or an OCI layout."""
    from img_cli.commands.archives import load as act

    return act(input, quiet)


@app.command(name="import")
def import_(
    source: Annotated[str, _word("FILE|-", "The tar of a root filesystem.")],
    name: Annotated[str, _word("[NAME]", "The image's name.")] = "",
    change: Annotated[Words, _one("--change", "-c", help="An instruction: CMD, ENV, EXPOSE, LABEL, USER, …")] = None,
    message: Annotated[str, _one("--message", "-m", help="The comment in the image's history.")] = "",
    platform: Platform = "",
) -> int:
    """Make an image of a root filesystem's tar."""
    from img_cli.commands.archives import import_image as act

    return act(source, name, change or [], message, platform)


@app.command()
def export(
    name: Annotated[str, _word("IMAGE", PLACES)],
    output: Annotated[str, _one("--output", "-o", help="Write to this file instead of standard output.")] = "",
    platform: Platform = "",
) -> int:
    """Write an image's filesystem as a tar."""
    from img_cli.commands.archives import export as act

    return act(name, output, platform)


@app.command()
def unpack(
    name: Annotated[str, _word("IMAGE", PLACES)],
    output: Annotated[str, _one("--output", "-o", help="The new folder.")] = "rootfs",
    platform: Platform = "",
) -> int:
    """Unpack an image's filesystem into a new folder."""
    from img_cli.commands.archives import unpack as act

    return act(name, output, platform)


@app.command()
def copy(
    source: Annotated[str, _word("SOURCE", PLACES)],
    dest: Annotated[str, _word("DEST", "The same.")],
    every: Annotated[bool, _one("--all", "-a", help="Every platform, as one index.")] = False,
    platform: Platform = "",
) -> int:
    """Copy an image between registries, layouts, archives and the store."""
    from img_cli.commands.images import copy as act

    return act(source, dest, every, platform)


@app.command()
def merge(
    name: Annotated[str, _word("NAME", "The index's name in the store.")],
    images: Annotated[list[str], _word("IMAGE...", PLACES)],
    push: Annotated[bool, _one("--push", help="Push it to the registry that its name says.")] = False,
) -> int:
    """Join images for several platforms into one index."""
    from img_cli.commands.images import merge as act

    return act(name, images, push)


@app.command()
def diff(
    first: Annotated[str, _word("A", PLACES)],
    second: Annotated[str, _word("B", "The same.")],
    json: Json = False,
    exit_code: Annotated[bool, _one("--exit-code", help="Exit with 1 if they differ.")] = False,
    platform: Platform = "",
) -> int:
    """Compare two images layer by layer and file by file."""
    from img_cli.commands.images import diff as act

    return act(first, second, json, exit_code, platform)


@app.command()
def verify(name: Annotated[str, _word("IMAGE", PLACES)], json: Json = False) -> int:
    """Check every digest of an image, and that its documents fit."""
    from img_cli.commands.images import verify as act

    return act(name, json)
