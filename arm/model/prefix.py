"""Prefixes, addresses and their texts.

A prefix is a plain tuple of its packed network address and its length: `(b"\\x0a\\x00\\x00\\x00", 8)`. Four octets
mean IPv4, sixteen IPv6. It is what the prefix tree (pytricia) takes and gives, it is hashable, and it costs no
conversion between the wire and the table. Host bits are always zero: the codecs clear them.
"""

from __future__ import annotations

import enum
import socket
from collections.abc import Mapping
from typing import TypeAlias

Prefix: TypeAlias = tuple[bytes, int]
"""Packed network address (4 or 16 octets, host bits zero) and prefix length in bits."""


class Family(enum.IntEnum):
    """Address family, numbered as the AFI of RFC 4760."""

    IPV4 = 1
    IPV6 = 2

    @property
    def bits(self) -> int:
        """Length of an address in bits."""
        return 32 if self is Family.IPV4 else 128

    @property
    def label(self) -> str:
        """Name for people: IPv4 or IPv6."""
        return "IPv4" if self is Family.IPV4 else "IPv6"


FAMILIES = (Family.IPV4, Family.IPV6)
DEFAULT_PREFIX: Mapping[Family, Prefix] = {Family.IPV4: (bytes(4), 0), Family.IPV6: (bytes(16), 0)}


def family_of(prefix: Prefix) -> Family:
    """Family of a prefix, from the length of its address."""
    return Family.IPV4 if len(prefix[0]) == 4 else Family.IPV6


def format_address(packed: bytes) -> str:
    """Text of a packed address; an IPv6 next hop of 32 octets (RFC 2545) shows as `global%link-local`."""
    if len(packed) == 32:
        return f"{format_address(packed[:16])}%{format_address(packed[16:])}"
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def format_prefix(prefix: Prefix) -> str:
    """Text of a prefix, such as `192.0.2.0/24`."""
    return f"{format_address(prefix[0])}/{prefix[1]}"


def format_bit_rate(bytes_per_second: float) -> str:
    """A rate as people read it, in bits: `1.23 Gb/s`."""
    rate = bytes_per_second * 8
    for unit in ("", "k", "M", "G", "T"):
        # 999.5 would be rounded to four digits
        if rate < 999.5 or unit == "T":
            return f"{rate:.3g} {unit}b/s"
        rate /= 1000
    raise AssertionError("the last unit takes everything")


def mask(packed: bytes, length: int) -> bytes:
    """The packed address with all bits behind the first `length` cleared."""
    size = len(packed)
    host = size * 8 - length
    return (int.from_bytes(packed, "big") >> host << host).to_bytes(size, "big")


def parse_address(text: str) -> bytes:
    """Packed form of an IPv4 or IPv6 address; ValueError if it is neither."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, UnicodeError):
        raise ValueError(f"{text!r} is not an IPv4 or IPv6 address") from None


def parse_prefix(text: str) -> Prefix:
    """Prefix of `address/length`, or of a plain address as a host prefix; ValueError otherwise, and for host bits."""
    address, slash, tail = text.partition("/")
    packed = parse_address(address)
    bits = len(packed) * 8
    if not slash:
        return packed, bits
    if not (tail.isascii() and tail.isdigit()) or len(tail) > 3 or int(tail) > bits:
        raise ValueError(f"{text!r} has no prefix length from 0 to {bits}")
    length = int(tail)
    if mask(packed, length) != packed:
        raise ValueError(f"{text!r} has bits set behind its prefix length")
    return packed, length


def contains(outer: Prefix, inner: Prefix) -> bool:
    """True if `inner` is `outer` or lies inside it."""
    return outer[1] <= inner[1] and len(outer[0]) == len(inner[0]) and mask(inner[0], outer[1]) == outer[0]
