"""Outputs ``type=buildkit,exporter=…``: exporters of the daemon itself, for results that need not come back.

Attributes are the daemon's own (``name``, ``push``, ``compression``, …). What ``oci``, ``docker`` and ``tar`` send is
written to ``dest``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from img.errors import UsageError
from img.ir.definition import Definition, Target
from img.ports import Export, Exported, Host
from img.whole import whole_file
from img_plugins.backends.buildkit.lower import Graph
from img_plugins.backends.buildkit.serve import Offered
from img_plugins.backends.buildkit.solve import CONFIG, Job, has_containerd, run

FILES = ("oci", "docker", "tar")
"""Exporters that send one file."""
KEPT = ("image", "moby")
"""Exporters that put the image somewhere themselves."""


class OwnExporter:
    """Offered as the exporter ``buildkit``, so that its name is known; the backend does the work."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def export(self, exports: Sequence[Export], attrs: Mapping[str, str]) -> Exported:
        raise UsageError("--output type=buildkit is for builds on a BuildKit", hint="add --backend buildkit")


def checked(definition: Definition, attrs: Mapping[str, str]) -> None:
    """Raises `UsageError` for what can't be asked of a daemon's exporters."""
    kind = attrs.get("exporter", "")
    if kind not in (*FILES, *KEPT):
        what = f"has no exporter {kind!r}" if kind else "needs exporter=…"
        raise UsageError(f"--output type=buildkit {what}", hint=f"{', '.join((*KEPT, *FILES))}; or -o type=local")
    if kind in FILES and not attrs.get("dest"):
        raise UsageError(f"--output type=buildkit,exporter={kind} needs dest=…", hint="dest=- is standard output")
    if kind in KEPT and "dest" in attrs:
        raise UsageError(f"--output type=buildkit,exporter={kind} takes no dest: the image stays with the daemon")
    if len(definition.targets) != 1:
        raise UsageError("--output type=buildkit takes one platform at a time", hint="use -o type=registry or type=oci")


def export(job: Job, target: Target, graph: Graph, offered: Offered, attrs: Mapping[str, str]) -> Exported:
    """Have the daemon export a target. Raises `StepFailed`, `BackendError`, `UsageError`, `Cancelled`."""
    how = {name: value for name, value in attrs.items() if name not in ("type", "exporter", "dest", CONFIG)}
    kind, dest = attrs["exporter"], attrs.get("dest", "")
    if kind != "tar":
        how[CONFIG] = json.dumps(target.config)
    if job.client.address.docker and kind != "tar" and not has_containerd(job.client):
        what = f"the exporter {kind} of this dockerd has no way to be given an image's configuration"
        hint = "let the result come back: -o type=docker,dest=- … | docker load, or -o type=registry"
        raise UsageError(what, hint=hint)
    if kind not in FILES:
        facts = _facts(run(job, graph, offered, kind, how))
        return Exported(f"{how.get('name') or 'an image without a name'} {_digest(facts)} in BuildKit", facts)
    with whole_file(dest) as write:

        def receive(chunks: Iterable[bytes]) -> None:
            for data in chunks:
                write(data)

        offered.receive = receive
        facts = _facts(run(job, graph, offered, kind, how))
    return Exported(f"{dest} {_digest(facts)}".rstrip(), facts)


def _facts(answer: Mapping[str, str]) -> dict[str, Any]:
    """What a daemon answers, by the names that it has for them; the descriptor comes as JSON in base64."""
    facts: dict[str, Any] = dict(answer)
    described = answer.get("containerimage.descriptor")
    if described:
        facts["containerimage.descriptor"] = json.loads(base64.b64decode(described))
    return facts


def _digest(facts: Mapping[str, Any]) -> str:
    return str(facts.get("containerimage.digest", ""))
