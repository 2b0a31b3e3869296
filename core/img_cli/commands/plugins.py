"""``img plugins``."""

from __future__ import annotations

import json as encoder

from img_cli.commands.ls import table
from img_cli.context import open_session


def plugins(json: bool) -> int:
    """Print a table of all offers, or a JSON array."""
    with open_session() as session:
        rows = session.plugins()
    if json:
        documents = [
            {
                "kind": offer.kind,
                "name": offer.name,
                "help": offer.help,
                "target": offer.target,
                "distribution": distribution,
                "version": version,
                "available": None if found is None else found.ok,
                "reason": "" if found is None else found.reason,
                "remedy": "" if found is None else found.remedy,
            }
            for offer, distribution, version, found in rows
        ]
        print(encoder.dumps(documents, indent=2))
        return 0
    lines = [("KIND", "NAME", "FROM", "WHAT")]
    for offer, distribution, version, found in rows:
        what = (
            offer.help if found is None else f"{offer.help}; {'works' if found.ok else 'does not work'}: {found.reason}"
        )
        if found is not None and found.remedy:
            what += f" ({found.remedy})"
        lines.append((offer.kind, offer.name, f"{distribution} {version}".strip(), what))
    table(lines)
    return 0
