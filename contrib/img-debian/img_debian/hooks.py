"""What this package offers. Imports nothing heavy: it is read whenever offers are listed."""

from __future__ import annotations

from collections.abc import Iterable

import img

img_contract = 1


@img.hookimpl
def img_offers() -> Iterable[img.Offer]:
    """One source: ``deb://SUITE?…``."""
    return [img.Offer("source", "deb", "base images from the Debian archive", "img_debian.source:DebianSource")]


@img.hookimpl
def img_settings() -> Iterable[img.Setting]:
    """Where packages are fetched from. None of it is part of the image: what the archive signed is."""
    archive = "http://deb.debian.org/debian"
    return [
        img.Setting("debian_mirror", "the mirror that deb:// fetches from", "IMG_DEBIAN_MIRROR", archive),
        img.Setting(
            "debian_security_mirror",
            "the mirror that deb:// fetches security updates from",
            "IMG_DEBIAN_SECURITY_MIRROR",
            f"{archive}-security",
        ),
        img.Setting(
            "debian_keyring",
            "the keys that the archive must be signed with",
            "IMG_DEBIAN_KEYRING",
            "/usr/share/keyrings/debian-archive-keyring.gpg",
        ),
    ]
