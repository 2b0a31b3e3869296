"""`img.build`: one call for the common case. `img.Session` is for everything else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from img.ir.state import State
from img.plan import Answers
from img.ports import Reporter
from img.session import BuildResult, Options, Session
from img.settings import default_root


def build(
    state: State,
    *,
    root: str | Path = "",
    tag: str | Sequence[str] = (),
    outputs: Sequence[Mapping[str, str]] = (),
    platform: str = "",
    no_cache: bool = False,
    settings: Mapping[str, str] | None = None,
    observers: Sequence[Reporter] = (),
) -> BuildResult:
    """Build `state` and put it into the store under `tag`, or wherever `outputs` say.

    `root` is the store's folder; empty means the one the command line uses (``IMG_ROOT`` and so on). Raises
    `img.ImgError`.
    """
    from img.oci.platform import host_platform

    tags = (tag,) if isinstance(tag, str) else tuple(tag)
    options = Options(tags=tags, outputs=tuple(outputs), no_cache=no_cache)
    contexts = {name: Path(path) for name, path in state.contexts.items()}
    with Session(Path(root) if root else default_root(os.environ), settings) as session:
        definition = state.definition(Answers(session.engine), platform or str(host_platform()))
        return session.build_definition(definition, options, contexts, observers)
