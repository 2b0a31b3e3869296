"""Which way a command line goes: straight to ``build`` if the table knows it all, else through typer."""

from __future__ import annotations


def run(arguments: list[str]) -> int:
    """Run a command line; returns the exit code. Raises `ImgError`."""
    if arguments[:1] == ["build"]:
        from img_cli.options import parse_build

        options = parse_build(arguments[1:])
        if options is not None:
            from img_cli.commands.build import build

            return build(**options)
    from img_cli.commands.app import run_app

    return run_app(arguments)
