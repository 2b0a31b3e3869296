"""The typer application: every command with its options and help."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from img.errors import UsageError
from img_cli import context as surroundings
from img_cli.commands import images_app

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
    backend: Annotated[str, typer.Option("--backend", "-b", help="Taken, and does nothing.", hidden=True)] = "auto",
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
    surroundings.check_stacking(backend)
    if state:
        surroundings.state["root"] = state
    if no_plugins:
        surroundings.state["plugins"] = "none"


def _one(*names: str, help: str) -> Any:
    return typer.Option(*names, help=help)


Words = list[str] | None


@app.command()
def build(
    context: Annotated[str, typer.Argument(metavar="CONTEXT", help="A folder, a URL, or - for standard input.")],
    add_host: Annotated[Words, _one("--add-host", help="HOST:IP for /etc/hosts of every step.")] = None,
    allow: Annotated[Words, _one("--allow", help="Grant security.insecure, network.host or device[=NAME].")] = None,
    annotation: Annotated[Words, _one("--annotation", help="KEY=VALUE annotation of the image.")] = None,
    backend: Annotated[str, _one("--backend", "-b", help="Who runs the steps (see img plugins).")] = "",
    build_arg: Annotated[Words, _one("--build-arg", help="NAME=VALUE for an ARG.")] = None,
    build_context: Annotated[Words, _one("--build-context", help="NAME=folder, URL, docker-image://… …")] = None,
    cache_from: Annotated[Words, _one("--cache-from", help="type=TYPE,… or REF: look results up there.")] = None,
    cache_to: Annotated[Words, _one("--cache-to", help="type=TYPE,…[,mode=max]: keep results there.")] = None,
    cache_mount_from: Annotated[Words, _one("--cache-mount-from", help="Where new cache mounts start from.")] = None,
    cache_mount_to: Annotated[Words, _one("--cache-mount-to", help="Where used cache mounts are kept.")] = None,
    call: Annotated[str, _one("--call", help="Ask instead of building: check, outline, targets, describe.")] = "",
    cgroup_parent: Annotated[str, _one("--cgroup-parent", help="The cgroup that steps run below.")] = "",
    check: Annotated[bool, _one("--check", help="Check the build file instead of building.")] = False,
    cpu_period: Annotated[str, _one("--cpu-period", help="Microseconds in which --cpu-quota counts.")] = "",
    cpu_quota: Annotated[str, _one("--cpu-quota", help="Microseconds of processor time a step has in each.")] = "",
    cpu_shares: Annotated[str, _one("--cpu-shares", "-c", help="The weight of a step beside others (1024).")] = "",
    cpus: Annotated[str, _one("--cpus", help="Processors a step may use, e.g. 1.5.")] = "",
    cpuset_cpus: Annotated[str, _one("--cpuset-cpus", help="Processors by number, e.g. 0-2,7.")] = "",
    cpuset_mems: Annotated[str, _one("--cpuset-mems", help="Memory nodes by number.")] = "",
    expect_cached: Annotated[
        Words, _one("--expect-cached", help="Fail, and say why, if a step like this runs.")
    ] = None,
    file: Annotated[str, _one("--file", "-f", help="The build file (default: Dockerfile in CONTEXT).")] = "",
    frontend: Annotated[str, _one("--frontend", help="Who reads the build file (see img plugins).")] = "",
    iidfile: Annotated[str, _one("--iidfile", help="Write the image's id to this file.")] = "",
    label: Annotated[Words, _one("--label", help="NAME=VALUE label of the image.")] = None,
    load: Annotated[bool, _one("--load", help="Put the image into the store, as -t does.")] = False,
    memory: Annotated[str, _one("--memory", "-m", help="Memory of each step, e.g. 2g.")] = "",
    memory_swap: Annotated[str, _one("--memory-swap", help="Memory and swap of each step together; -1: any.")] = "",
    metadata_file: Annotated[str, _one("--metadata-file", help="Write what was made to this file, as JSON.")] = "",
    network: Annotated[str, _one("--network", help="The network of RUN: host, none or sandbox.")] = "",
    no_cache: Annotated[bool, _one("--no-cache", help="Run every step.")] = False,
    no_cache_filter: Annotated[Words, _one("--no-cache-filter", help="Run every step of these stages.")] = None,
    no_console: Annotated[bool, _one("--no-console", help="Short for --progress plain.")] = False,
    offline: Annotated[bool, _one("--offline", help="Ask no registry and no server: use what the store has.")] = False,
    output: Annotated[Words, _one("--output", "-o", help="type=TYPE,dest=PATH… May be repeated.")] = None,
    pids_limit: Annotated[str, _one("--pids-limit", help="Processes of each step at one time.")] = "",
    platform: Annotated[Words, _one("--platform", help="os/architecture[/variant].")] = None,
    print_: Annotated[str, _one("--print", help="Show the graph instead of building: ir or dot.")] = "",
    progress: Annotated[str, _one("--progress", help="auto, tty, plain, json or quiet.")] = "auto",
    pull: Annotated[
        str, _one("--pull", help="When to ask for bases: missing, always (also without a value), never.")
    ] = "",
    push: Annotated[bool, _one("--push", help="Push the image to the registry that its name says.")] = False,
    quiet: Annotated[bool, _one("--quiet", "-q", help="Print only the image's id.")] = False,
    secret: Annotated[Words, _one("--secret", help="id=ID[,src=FILE|,env=NAME] for RUN --mount=type=secret.")] = None,
    shm_size: Annotated[str, _one("--shm-size", help="Size of /dev/shm in steps, e.g. 128m.")] = "",
    ssh: Annotated[Words, _one("--ssh", help="default, or ID=SOCKET|KEY[,KEY]: for RUN --mount=type=ssh.")] = None,
    step_timeout: Annotated[str, _one("--step-timeout", help="Time of each step, e.g. 10m.")] = "",
    store_max: Annotated[str, _one("--store-max", help="Keep the store below this size, e.g. 20g.")] = "",
    tag: Annotated[Words, _one("--tag", "-t", help="Name the image. May be repeated.")] = None,
    target: Annotated[str, _one("--target", help="The stage to build.")] = "",
    timeout: Annotated[str, _one("--timeout", help="Time of the whole build, e.g. 1h30m.")] = "",
    twice: Annotated[bool, _one("--twice", help="Build two times from nothing, and say what differs.")] = False,
    ulimit: Annotated[Words, _one("--ulimit", help="NAME=SOFT[:HARD] limit of every step.")] = None,
) -> int:
    """Build an image from a build file."""
    given: dict[str, Any] = dict(locals())
    from img_cli.commands.build import build as act

    return act({name: [] if value is None else value for name, value in given.items()})


@app.command()
def lint(
    context: Annotated[str, typer.Argument(metavar="[CONTEXT]", help="The folder with the build file.")] = ".",
    file: Annotated[str, _one("--file", "-f", help="The build file (default: Dockerfile in CONTEXT).")] = "",
    fix: Annotated[bool, _one("--fix", help="Repair what can be repaired without a change to the image.")] = False,
    diff: Annotated[bool, _one("--diff", help="Show what --fix would change, and change nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """Check a build file without building, and repair it."""
    from img_cli.commands.lint import lint as act

    return act(context, file, fix, diff, json)


@app.command()
def convert(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The build file, or - for standard input.")],
    to: Annotated[str, _one("--to", help="dockerfile, yaml, toml or json.")],
    frontend: Annotated[str, _one("--frontend", help="Who reads the file (see img plugins).")] = "",
) -> int:
    """Print a build file in another form that builds the same image."""
    from img_cli.commands.convert import convert as act

    return act(file, to, frontend)


@app.command()
def bake(
    targets: Annotated[list[str] | None, typer.Argument(metavar="[TARGET]...", help="Targets and groups.")] = None,
    allow: Annotated[Words, _one("--allow", help="Grant security.insecure, network.host or device[=NAME].")] = None,
    backend: Annotated[str, _one("--backend", "-b", help="Who runs the steps (see img plugins).")] = "",
    file: Annotated[str, _one("--file", "-f", help="docker-bake.json (or -), a document, or a compose file.")] = "",
    load: Annotated[bool, _one("--load", help="Put the images into the store, as tags do.")] = False,
    metadata_file: Annotated[str, _one("--metadata-file", help="Write what was made to this file, as JSON.")] = "",
    no_cache: Annotated[bool, _one("--no-cache", help="Run every step.")] = False,
    print_: Annotated[bool, _one("--print", help="Show the targets instead of building.")] = False,
    progress: Annotated[str, _one("--progress", help="auto, tty, plain, json or quiet.")] = "auto",
    pull: Annotated[bool, _one("--pull", help="Ask the registry for newer bases.")] = False,
    push: Annotated[bool, _one("--push", help="Push the images to the registries that their names say.")] = False,
    set_: Annotated[Words, _one("--set", help="TARGET.KEY[.NAME]=VALUE, where TARGET may have wildcards.")] = None,
) -> int:
    """Build several targets in one graph."""
    given: dict[str, Any] = {**locals(), "allow": allow or []}
    from img_cli.commands.bake import bake as act

    return act(targets or [], file, set_ or [], print_, given)


@app.command()
def schema() -> int:
    """Print the JSON Schema of img.yaml and img.toml, for editors."""
    from img_cli.commands.convert import schema as act

    return act()


app.registered_commands.extend(images_app.app.registered_commands)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The image: [HOST/]NAME[:TAG|@DIGEST].")],
    platform: Annotated[list[str] | None, typer.Option("--platform", help="os/architecture[/variant].")] = None,
    every: Annotated[bool, typer.Option("--all-platforms", "-a", help="Every platform the image has.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the digest.")] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure-registry", help="Accept plain HTTP, or any certificate.")
    ] = False,
) -> int:
    """Pull an image from a registry into the store."""
    from img_cli.commands.pull import pull as act

    return act(name, platform or [], every, quiet, insecure)


@app.command()
def push(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The image, with its registry: HOST/NAME:TAG.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the digest.")] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure-registry", help="Accept plain HTTP, or any certificate.")
    ] = False,
) -> int:
    """Push an image to the registry that its name says."""
    from img_cli.commands.push import push as act

    return act(name, insecure, quiet)


@app.command()
def login(
    server: Annotated[str, typer.Argument(metavar="[SERVER]", help="The registry (default: Docker Hub).")] = "",
    user: Annotated[str, typer.Option("--username", "-u", help="The user name.")] = "",
    password: Annotated[str, typer.Option("--password", "-p", help="The password; others can see it.")] = "",
    from_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> int:
    """Log in to a registry, and keep the credentials."""
    from img_cli.commands.login import login as act

    return act(server, user, password, from_stdin)


@app.command()
def logout(
    server: Annotated[str, typer.Argument(metavar="[SERVER]", help="The registry (default: Docker Hub).")] = "",
) -> int:
    """Forget the credentials for a registry."""
    from img_cli.commands.login import logout as act

    return act(server)


registry = typer.Typer(name="registry", help="Look into how registries are used.", no_args_is_help=True)
app.add_typer(registry)


@registry.command()
def check(
    name: Annotated[str, typer.Argument(metavar="HOST[/NAME]", help="A registry, or an image's name.")],
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """Show what is used to speak to a registry, and where it fails."""
    from img_cli.commands.registry import check as act

    return act(name, json)


@app.command()
def explain(
    pattern: Annotated[str, typer.Argument(metavar="[STEP]", help="Only steps with this in their title.")] = "",
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """Say why the steps of the last build had to run."""
    from img_cli.commands.explain import explain as act

    return act(pattern, json)


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
    keep: Annotated[
        str, typer.Option("--keep-storage", metavar="SIZE", help="Take the oldest only, until this much is left.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", "-f", help="For scripts of docker's; img never asks.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Every field of each record.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """Remove what no image needs: cached steps, cache mounts, blobs."""
    from img_cli.commands.du import prune as act

    return act(filter or [], all_, verbose, json, keep)


@app.command()
def plugins(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> int:
    """List what is installed, where it comes from, and whether it works here."""
    from img_cli.commands.plugins import plugins as act

    return act(json)


@app.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []},
)
def kaniko(flags: Annotated[list[str] | None, typer.Argument(metavar="[FLAGS]")] = None) -> int:
    """Build from the command line of kaniko's executor."""
    from img_cli.commands.kaniko.command import kaniko as act

    return act(flags or [])


@app.command()
def doctor(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> int:
    """Say how RUN works on this machine, what is missing for better ways, and what would unlock each."""
    from img_cli.commands.doctor import doctor as act

    return act(json)


plugin = typer.Typer(name="plugin", help="Write and try plugins.", no_args_is_help=True)
app.add_typer(plugin)


@plugin.command()
def new(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="frontend, backend, source, exporter, cache or reporter.")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is offered by; the package is img-NAME.")],
    dir: Annotated[str, typer.Option("--dir", help="The new folder (default: img-NAME).")] = "",
) -> int:
    """Write a whole plugin package that passes its tests."""
    from img_cli.commands.plugin import new as act

    return act(kind, name, dir)


@plugin.command(context_settings={"ignore_unknown_options": True})
def test(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="An installed package, or a folder with one.")] = ".",
    words: Annotated[list[str] | None, typer.Argument(metavar="[PYTEST OPTIONS]...", help="For pytest.")] = None,
) -> int:
    """Run the conformance suite over a plugin."""
    from img_cli.commands.plugin import test as act

    return act(name, words or [])


contexts = typer.Typer(name="context", help="Look at a build context.", no_args_is_help=True)
app.add_typer(contexts)


@contexts.command("ls")
def context_ls(
    context: Annotated[str, typer.Argument(metavar="CONTEXT", help="A folder, a URL, or - for standard input.")],
    file: Annotated[str, _one("--file", "-f", help="The build file, whose own ignore file counts.")] = "",
    why: Annotated[str, _one("--why", help="Say which rule decides about this path.")] = "",
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """List what a build would see of a context."""
    from img_cli.commands.context import ls as act

    return act(context, file, why, json)


@app.command()
def settings(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> int:
    """List every setting, its value, and where that comes from."""
    from img_cli.commands.settings import settings as act

    return act(json)


@app.command()
def version() -> None:
    """Show the version."""
    from img._version import VERSION

    print(f"img {VERSION}")
