"""How plugins say what they offer, and how offers are found. Only `scan` and `specs` know pluggy."""

from img.plugin.contract import CONTRACT

__all__ = ["CONTRACT"]
