"""``img build``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from img.errors import Cancelled, UsageError
from img_cli.context import open_session

PROGRESS = ("auto", "tty", "plain", "json", "quiet")


def build(
    context: str,
    file: str,
    tag: Sequence[str],
    build_arg: Sequence[str],
    label: Sequence[str],
    target: str,
    platform: Sequence[str],
    output: Sequence[str],
    progress: str,
    no_cache: bool,
    pull: bool,
    quiet: bool,
    backend: str,
    frontend: str,
    print_: str,
    network: str,
) -> int:
    """Build, and say what came of it. Raises `ImgError`."""
    from img.request import Request

    if progress not in PROGRESS:
        raise UsageError(f"there is no progress {progress!r}", hint=f"one of {', '.join(PROGRESS)}")
    for name in (context, file):
        if name == "-":
            raise UsageError("building from standard input is not supported yet", hint="name a folder and a file")
    if context.startswith(("http://", "https://", "git@", "git://")):
        raise UsageError("building from a URL is not supported yet", hint="clone it, and name the folder")
    if network not in ("", "default", "host", "none"):
        raise UsageError(f"--network can't be {network!r}", hint="host or none")
    request = Request(
        context=context,
        file=file,
        tags=tuple(tag),
        args=pairs(build_arg, "--build-arg", from_environment=True),
        labels=pairs(label, "--label"),
        target=target,
        platforms=tuple(name for text in platform for name in text.split(",") if name),
        outputs=tuple(parse_output(text) for text in output),
        no_cache=no_cache,
        pull=pull,
        backend=backend,
        frontend=frontend,
    )
    with open_session({"network": "" if network == "default" else network}) as session:
        stop_on_signals(session)
        if print_:
            return show_graph(session, request, print_)
        reporter = session.engine.registry.load("reporter", chosen("quiet" if quiet else progress))
        result = session.build(request, [reporter(session.engine)])
    told(result, request, quiet)
    return 0


def told(result: Any, request: Any, quiet: bool) -> None:
    """The last words: what was built, or that nothing was kept."""
    if quiet:
        for _, digest in result.images[:1]:
            print(digest)
        return
    for name, digest in result.images:
        print(f"Successfully built {name}\n{digest}", file=sys.stderr)
    if not result.images:
        for line in result.lines:
            print(f"Successfully exported {line}", file=sys.stderr)
    if not request.tags and not request.outputs:
        print(
            "warning: no output was asked for: the result is only in the cache; name it with -t, or write it with -o",
            file=sys.stderr,
        )


def chosen(progress: str) -> str:
    """The reporter's name; ``auto`` is the live display on a terminal."""
    if progress != "auto":
        return progress
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    return "tty" if sys.stderr.isatty() and not dumb else "plain"


def stop_on_signals(session: Any) -> None:
    """Ctrl-C and SIGTERM cancel the build; a second Ctrl-C does not wait for it to end well."""

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        session.cancel()
        if not session.engine.busy:
            raise Cancelled

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def show_graph(session: Any, request: Any, what: str) -> int:
    """``--print``: the graph instead of a build."""
    definition = session.definition(request)
    if what == "ir":
        from img.ir.wire import dump

        sys.stdout.write(dump(definition))
    elif what == "dot":
        from img.ir.draw import dot

        sys.stdout.write(dot(definition))
    else:
        raise UsageError(f"--print can't show {what!r}", hint="ir or dot")
    return 0


def pairs(words: Sequence[str], flag: str, from_environment: bool = False) -> dict[str, str]:
    """``name=value`` words. A bare name takes its value from the environment, and is dropped if that has none."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not (equals or from_environment):
            raise UsageError(f"invalid {flag} value {word!r}", hint=f"{flag} NAME=VALUE")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def parse_output(text: str) -> dict[str, str]:
    """``type=…,dest=…`` (comma-separated, quoted as CSV); a bare path is ``type=local``, ``-`` a tar on stdout."""
    import csv

    if text == "-":
        _refuse_terminal()
        return {"type": "tar", "dest": "-"}
    if "=" not in text:
        return {"type": "local", "dest": text}
    attrs: dict[str, str] = {}
    for field in next(csv.reader([text]), []):
        name, equals, value = field.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"invalid --output {text!r}: {field!r} is not name=value", hint="type=oci,dest=image.tar")
        attrs[name.strip().lower()] = value
    if "type" not in attrs:
        raise UsageError(f"--output {text!r} has no type", hint="type=oci,dest=image.tar")
    if attrs.get("dest") == "-":
        _refuse_terminal()
    return attrs


def _refuse_terminal() -> None:
    if sys.stdout.isatty():
        raise UsageError("cowardly refusing to write an archive to a terminal", hint="redirect it, or give dest=FILE")
