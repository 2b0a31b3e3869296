"""The typer application: every command with its options and help."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from img.errors import UsageError
from img_cli import context as surroundings

app = typer.Typer(
    name="img",
    help="Build, list and push OCI container images without a daemon and without root.",
    no_args_is_help=True,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)


def run_app(arguments: list[str]) -> int:
    """Run a command line through typer; returns the exit code. Raises `ImgError`; its complaints become `UsageError`."""
    command: Any = typer.main.get_command(app)
    try:
        result = command.main(args=arguments, prog_name="img", standalone_mode=False)
    except Exception as error:
        # typer brings a click of its own, whose errors are known by what they can do
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())
            return 2
        raise UsageError(_said(error), hint=_hint(error)) from None
    return result if isinstance(result, int) else 0


def _said(error: Any) -> str:
    text: str = error.format_message().rstrip(".")
    if text.startswith("No such command"):
        return f"{text.split(' ', 3)[3]} is not an img command"
    return text[:1].lower() + text[1:]


def _hint(error: Any) -> str:
    path = error.ctx.command_path if getattr(error, "ctx", None) else "img"
    return f"see '{path} --help'"


@app.callback()
def options(
    state: Annotated[str, typer.Option("--state", "-s", help="The store's folder, instead of IMG_ROOT.")] = "",
    debug: Annotated[bool, typer.Option("--debug", "-d", help="Show tracebacks of internal errors.")] = False,
    no_plugins: Annotated[bool, typer.Option("--no-plugins", help="Use only what img brings itself.")] = False,
    version: Annotated[bool, typer.Option("--version", "-v", help="Show the version.", is_eager=True)] = False,
) -> None:
    """What goes for every command."""
    if version:
        from img._version import VERSION

        print(f"img {VERSION}")
        raise typer.Exit
    if state:
        surroundings.state["root"] = state
    if no_plugins:
        surroundings.state["plugins"] = "none"


@app.command()
def build(
    context: Annotated[str, typer.Argument(metavar="CONTEXT", help="The folder to build from.")],
    file: Annotated[str, typer.Option("--file", "-f", help="The build file (default: Dockerfile in CONTEXT).")] = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", "-t", help="Name the image. May be repeated.")] = None,
    build_arg: Annotated[list[str] | None, typer.Option("--build-arg", help="NAME=VALUE for an ARG.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="NAME=VALUE label of the image.")] = None,
    target: Annotated[str, typer.Option("--target", help="The stage to build.")] = "",
    platform: Annotated[list[str] | None, typer.Option("--platform", help="os/architecture[/variant].")] = None,
    output: Annotated[list[str] | None, typer.Option("--output", "-o", help="type=TYPE,dest=PATH…")] = None,
    progress: Annotated[str, typer.Option("--progress", help="auto, tty, plain, json or quiet.")] = "auto",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every step.")] = False,
    pull: Annotated[bool, typer.Option("--pull", help="Ask the registry for newer bases.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the digest.")] = False,
    backend: Annotated[str, typer.Option("--backend", "-b", help="Who runs the steps (see img plugins).")] = "",
    frontend: Annotated[str, typer.Option("--frontend", help="Who reads the build file (see img plugins).")] = "",
    print_: Annotated[str, typer.Option("--print", help="Show the graph instead of building: ir or dot.")] = "",
    network: Annotated[str, typer.Option("--network", help="The network of RUN: host or none.")] = "",
) -> int:
    """Build an image from a Dockerfile."""
    from img_cli.commands.build import build as act

    return act(
        context,
        file,
        tag or [],
        build_arg or [],
        label or [],
        target,
        platform or [],
        output or [],
        progress,
        no_cache,
        pull,
        quiet,
        backend,
        frontend,
        print_,
        network,
    )


@app.command()
def ls(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> int:
    """List the images in the store."""
    from img_cli.commands.ls import ls as act

    return act(json)


@app.command()
def push(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The image, with its registry: HOST/NAME:TAG.")],
) -> int:
    """Push an image to the registry that its name says."""
    from img_cli.commands.push import push as act

    return act(name)


@app.command()
def du(
    filter: Annotated[list[str] | None, typer.Option("--filter", "-f", help="FIELD=VALUE; may be repeated.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Every field of each record.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """Show what takes room in the store."""
    from img_cli.commands.du import du as act

    return act(filter or [], verbose, json)


@app.command()
def prune(
    filter: Annotated[list[str] | None, typer.Option("--filter", help="FIELD=VALUE; may be repeated.")] = None,
    all_: Annotated[bool, typer.Option("--all", "-a", help="Also unpacked layers of images.")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="For scripts of docker's; img never asks.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Every field of each record.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """Remove what no image needs: cached steps, cache mounts, blobs."""
    from img_cli.commands.du import prune as act

    return act(filter or [], all_, verbose, json)


@app.command()
def plugins(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> int:
    """List what is installed, where it comes from, and whether it works here."""
    from img_cli.commands.plugins import plugins as act

    return act(json)


@app.command()
def version() -> None:
    """Show the version."""
    from img._version import VERSION

    print(f"img {VERSION}")


def _offered() -> None:
    """Add the commands that other packages offer."""
    from img.plugin.registry import Registry

    registry = Registry.discover(surroundings.disabled())
    for offer, _ in registry.offers("command"):
        app.command(name=offer.name, help=offer.help)(_loading(registry, offer.name))


def _loading(registry: Any, name: str) -> Any:
    return registry.load("command", name)


if any(argument not in ("build", "du", "ls", "prune", "push", "plugins", "version") for argument in sys.argv[1:2]):
    _offered()
