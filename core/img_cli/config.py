"""Settings as the command line has them: `img.ambient` does it, for programs too."""

from __future__ import annotations

from img.ambient import Value, config_file, values

__all__ = ["Value", "config_file", "values"]
