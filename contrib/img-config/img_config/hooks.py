"""What this package offers."""

from __future__ import annotations

from collections.abc import Iterable

import img

img_contract = 1


@img.hookimpl
def img_offers() -> Iterable[img.Offer]:
    """One exporter: ``--output type=config``."""
    return [img.Offer("exporter", "config", "the configuration as JSON", "img_config.exporter:ConfigExporter")]
