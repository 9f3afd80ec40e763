"""One or several next hops in one value."""

from __future__ import annotations

from collections.abc import Iterable

from arm.model.prefix import format_address

NEXT_HOP_SLOT = 33
"""Octets that each of several next hops takes in their joined form: its length, then itself padded with zeros to 32."""


def join_next_hops(next_hops: Iterable[bytes]) -> bytes:
    """One value for the next hops of several paths (RFC 7911): the same set gives the same octets.

    A single next hop stays as it is (4, 16 or 32 octets). Two or more are sorted and put into slots of 33 octets, a
    length that no single next hop has, since plain joining could not tell two IPv6 next hops from one of 32 octets.
    """
    distinct = sorted(set(next_hops))
    if len(distinct) == 1:
        return distinct[0]
    return b"".join(bytes([len(hop)]) + hop.ljust(NEXT_HOP_SLOT - 1, b"\0") for hop in distinct)


def split_next_hops(next_hop: bytes) -> tuple[bytes, ...]:
    """The next hops in a value that `join_next_hops` made."""
    if not next_hop or len(next_hop) % NEXT_HOP_SLOT:
        return (next_hop,)
    slots = (next_hop[at : at + NEXT_HOP_SLOT] for at in range(0, len(next_hop), NEXT_HOP_SLOT))
    return tuple(slot[1 : 1 + slot[0]] for slot in slots)


def format_next_hop(next_hop: bytes) -> str:
    """Text of one or several next hops, separated by commas."""
    return ",".join(format_address(hop) for hop in split_next_hops(next_hop))
