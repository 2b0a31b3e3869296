"""What this package offers."""

from __future__ import annotations

from collections.abc import Iterable

import img

img_contract = 1


@img.hookimpl
def img_offers() -> Iterable[img.Offer]:
    """One reporter: ``--progress dots``."""
    return [img.Offer("reporter", "dots", "one character a step", "img_dots.reporter:DotsReporter")]
