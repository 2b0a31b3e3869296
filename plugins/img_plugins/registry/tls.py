"""TLS contexts from what the configuration trusts."""

from __future__ import annotations

import ssl

from img.errors import RegistryError
from img_plugins.registry.hosts.model import Trust


def context(trust: Trust) -> ssl.SSLContext:
    """The system's authorities and those of `trust`, and our own certificate. Raises `RegistryError` naming the file."""
    made = ssl.create_default_context()
    for name in trust.ca:
        try:
            made.load_verify_locations(name)
        except OSError as error:
            raise RegistryError(f"{name} is not a PEM file of certificates: {_reason(error)}") from error
    if trust.cert:
        try:
            made.load_cert_chain(trust.cert, trust.key, password=lambda: b"")
        except OSError as error:
            raise RegistryError(
                f"{trust.cert} with {trust.key} is not a client certificate: {_reason(error)}",
                hint="both are PEM files; the key must not be encrypted",
            ) from error
    if not trust.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def _reason(error: OSError) -> str:
    return str(error.strerror or getattr(error, "reason", "") or error)
