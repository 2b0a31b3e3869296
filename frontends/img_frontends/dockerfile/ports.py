"""The words of EXPOSE: ``[[ip:]host:]port[-end][/protocol]``, of which only the container's part counts."""

from __future__ import annotations

import ipaddress

PROTOCOLS = ("tcp", "udp", "sctp")


def exposed(text: str) -> list[str]:
    """One ``port/protocol`` for each port of one word. Raises `ValueError` that says what is wrong with it."""
    host, port = _parts(text)
    numbers, _, protocol = port.partition("/")
    if not numbers:
        raise ValueError("it has no port")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise ValueError(f"the protocol is one of {', '.join(PROTOCOLS)}, not {protocol!r}")
    low, high = _range(numbers)
    if host:
        first, last = _range(host)
        if last - first != high - low and high != low:
            raise ValueError(f"the ranges {host} and {numbers} are not of one length")
    return [f"{number}/{protocol}" for number in range(low, high + 1)]


def _parts(text: str) -> tuple[str, str]:
    """Port of the host (may be empty) and of the container; an address before them is checked and forgotten."""
    rest, colon, port = text.rpartition(":")
    if not colon:
        return "", text
    address, _, host = rest.rpartition(":")
    if address:
        try:
            ipaddress.ip_address(address.removeprefix("[").removesuffix("]"))
        except ValueError:
            raise ValueError(f"{address!r} is no IP address") from None
    return host, port


def _range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    ends = (first, last) if dash else (first, first)
    if not all(end.isascii() and end.isdigit() and int(end) <= 65535 for end in ends):
        raise ValueError(f"{text!r} is no port and no range of ports up to 65535")
    low, high = int(ends[0]), int(ends[1])
    if high < low:
        raise ValueError(f"the range {text} runs backwards")
    return low, high
