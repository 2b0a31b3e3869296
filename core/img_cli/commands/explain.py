"""``img explain``: why the steps of the last build had to run."""

from __future__ import annotations

import json as encoder

from img.errors import ImgError
from img.solver.explain import last
from img_cli.context import open_session
from img_cli.outcome import printable


def explain(pattern: str, json: bool) -> int:
    """Print each step that ran with its reason, root causes first marked, or a JSON array."""
    with open_session() as session:
        found = last(session.store)
    if found is None:
        raise ImgError("nothing was built on this store yet", hint="img build, and then img build again")
    name, slots, ran = found
    shown = [one for one in ran if pattern.lower() in one.title.lower()]
    if json:
        rows = [{"step": one.title, "why": one.why, "root": one.root} for one in shown]
        print(encoder.dumps({"build": name.split("\n")[0], "steps": len(slots), "ran": rows}, indent=2))
        return 0
    print(f"{printable(name.split(chr(10))[0])}: {len(ran)} of {len(slots)} steps ran")
    for one in shown:
        print(f"{'*' if one.root else ' '} {printable(one.title)}\n      {printable(one.why)}")
    return 0
