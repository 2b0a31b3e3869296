"""``img pull``."""

from __future__ import annotations

from collections.abc import Sequence

from img.errors import UsageError
from img.settings import human
from img_cli.commands.build import chosen, stop_on_signals
from img_cli.commands.ls import size
from img_cli.context import open_session


def pull(name: str, platform: Sequence[str], every: bool, quiet: bool, insecure: bool) -> int:
    """Pull, and print the registry's digest and the size."""
    from img.oci.reference import Reference

    if platform and every:
        raise UsageError("--platform and --all-platforms exclude each other")
    reference = Reference.parse(name)
    platforms = [one for text in platform for one in text.split(",") if one]
    with open_session({"insecure_registries": reference.registry if insecure else ""}) as session:
        stop_on_signals(session)
        reporter = session.engine.registry.load("reporter", "quiet" if quiet else chosen("auto"))
        if not quiet:
            print(f"Pulling {reference.familiar}...", flush=True)
        descriptor = session.pull(name, platforms, every, [reporter(session.engine)])
        total = size(session.store, descriptor.digest, descriptor.media_type)
    print(descriptor.digest if quiet else f"Pulled: {descriptor.digest}\nSize: {human(total)}")
    return 0
