"""``img build``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from img.errors import Cancelled, StoreError, UsageError
from img_cli.context import open_session

AUTO = "auto"


def build(given: Mapping[str, Any]) -> int:
    """Build what the options `given`, by parameter name, ask for, and say what came of it. Raises `ImgError`."""
    from img_cli.commands.call import answered, parse_call
    from img_cli.commands.request import request_of, settings_of
    from img_cli.commands.warned import Warned

    progress, quiet = given["progress"], given["quiet"]
    request = request_of(given)
    call = parse_call(given["call"], given["check"])
    with open_session(settings_of(given)) as session:
        stop_on_signals(session)
        if given["print_"]:
            return show_graph(session, request, given["print_"])
        if call:
            return answered(session, request, call)
        progress = chosen("quiet" if quiet else "plain" if given["no_console"] and progress == AUTO else progress)
        reporter = reporter_of(session.registry, progress)
        if given["twice"]:
            from img_cli.commands.twice import twice

            return twice(session, request, reporter)
        warned = Warned()
        try:
            result = session.build(request, [reporter(session.engine), warned])
        finally:
            if progress not in ("json", "quiet"):
                warned.show(sys.stderr)
    _files(result, given)
    told(result, request, quiet)
    return 0


def _files(result: Any, given: Mapping[str, Any]) -> None:
    """``--iidfile`` and ``--metadata-file``, written whole or not at all."""
    if given["iidfile"]:
        write_file(given["iidfile"], image_id(result))
    if given["metadata_file"]:
        import json

        write_file(given["metadata_file"], json.dumps(result.facts, indent=2) + "\n")


def image_id(result: Any) -> str:
    """What docker calls the image's id: the digest of its configuration, or of the index if there are several."""
    facts = result.facts
    return str(facts.get("containerimage.config.digest") or facts.get("containerimage.digest") or "")


def write_file(name: str, text: str) -> None:
    """Write a small file, whole or not at all (`img.whole`). Raises `UsageError`."""
    from img.whole import whole_file

    try:
        with whole_file("./-" if name == "-" else name) as write:
            write(text.encode("utf-8"))
    except StoreError as error:
        raise UsageError(str(error), hint=error.hint) from error


def told(result: Any, request: Any, quiet: bool) -> None:
    """The last words: what was built, or that nothing was kept."""
    if quiet:
        print(image_id(result))
        return
    for name, digest in result.images:
        print(f"Successfully built {name}\n{digest}", file=sys.stderr)
    for line in result.lines:
        if not said(line, result.images):
            print(f"Successfully exported {line}", file=sys.stderr)
    if not request.tags and not request.outputs:
        print(
            "warning: no output was asked for: the result is only in the cache; name it with -t, or write it with -o",
            file=sys.stderr,
        )


def said(line: str, images: Sequence[tuple[str, str]]) -> bool:
    """Whether a line of an output says no more than which images are now in the store."""
    from img.oci.reference import Reference

    names, _, digest = line.rpartition(" ")
    stored = {Reference.parse(name).familiar for name, found in images if found == digest}
    return bool(stored) and stored.issuperset(names.split(", "))


def reporter_of(registry: Any, name: str) -> Any:
    """What is offered as the reporter `name`. Raises `UsageError` naming what there is."""
    known = registry.names("reporter")
    if name not in known:
        raise UsageError(f"there is no progress {name!r}", hint=f"one of {', '.join((AUTO, *known))}")
    return registry.load("reporter", name)


def chosen(progress: str) -> str:
    """The reporter's name; ``auto`` is the live display on a terminal."""
    if progress != AUTO:
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
