"""Which way a command line goes: straight to ``build`` if the table knows it all, else through typer."""

from __future__ import annotations

from img.errors import UsageError


def run(arguments: list[str]) -> int:
    """Run a command line; returns the exit code. Raises `ImgError`."""
    from img_cli.options import command_at

    at = command_at(arguments)
    if arguments[at : at + 1] == ["build"]:
        from img_cli.options import parse_build, plain_switches, refused

        options = parse_build(arguments[1:]) if at == 0 else None
        if options is not None:
            from img_cli.commands.build import build

            return build(options)
        if found := refused(arguments[at:]):
            raise UsageError(f"img build has no {found[0]}: {found[1]}", hint="leave it out")
        arguments = [*arguments[:at], *plain_switches(arguments[at:])]
    from img_cli.commands.app import run_app

    return run_app(arguments)
