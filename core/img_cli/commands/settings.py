"""``img settings``: every setting with its value and where that comes from."""

from __future__ import annotations

import json as encoder
import os

from img.plugin.registry import Registry
from img_cli.commands.ls import table
from img_cli.config import values
from img_cli.context import disabled, root


def settings(json: bool) -> int:
    """Print a table, or a JSON array."""
    found = values(Registry.discover(disabled(), root()).settings, os.environ)
    if json:
        rows = [
            {"name": v.setting.name, "value": v.value, "from": v.origin or "default", "env": v.setting.env}
            for v in found
        ]
        print(encoder.dumps(rows, indent=2))
        return 0
    header = ("NAME", "VALUE", "FROM", "VARIABLE", "WHAT IT IS")
    lines = [(v.setting.name, v.value or '""', v.origin or "default", v.setting.env, v.setting.help) for v in found]
    table([header, *lines])
    return 0
