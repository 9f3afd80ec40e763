"""The numbers of ARM's nexthop objects.

The number of an object is made from what it stands for, so that a daemon that starts again (or another one of the same
version) comes to the same number for the same next hop and finds its objects, without a file that remembers them:

    bits 31-28   what it is: 0xA a next hop (a group), 0xB a path, 0xC a blackhole
    bits 27-20   the low octet of the table's number: instances for several VRFs stay apart
    bits 19-0    a checksum of what it stands for; of two that collide, the later takes the next free number

No other program is known to use these ranges: FRR and the `ip` command count up from 1.
"""

from __future__ import annotations

import zlib
from collections.abc import Container

from arm.model import Family
from arm.target.kernel.messages import Path

GROUP, PATH, BLACKHOLE = 0xA, 0xB, 0xC
HASH_BITS = 20


def owner(kind: int, table: int) -> int:
    """The upper twelve bits of the numbers of one kind in one table."""
    return kind << 8 | table & 0xFF


def is_ours(number: int, table: int) -> bool:
    """Whether an object belongs to ARM's instance for a table."""
    return any(number >> HASH_BITS == owner(kind, table) for kind in (GROUP, PATH, BLACKHOLE))


def kind_of(number: int) -> int:
    """GROUP, PATH or BLACKHOLE for an object of ARM's."""
    return number >> 28


def preferred(kind: int, table: int, what: bytes) -> int:
    """The number of an object, as long as nothing else has it."""
    return owner(kind, table) << HASH_BITS | zlib.crc32(what) & (1 << HASH_BITS) - 1


def pick(kind: int, table: int, what: bytes, taken: Container[int]) -> int:
    """The number of an object, next to the preferred one if that is taken."""
    number = preferred(kind, table, what)
    top = number >> HASH_BITS << HASH_BITS
    while number in taken:
        number = top | (number + 1) & (1 << HASH_BITS) - 1
    return number


def describe_next_hop(family: Family, next_hop: bytes) -> bytes:
    """What a group's number is made from: the family of the routes, and their BGP next hop."""
    return bytes([family]) + next_hop


def describe_path(path: Path) -> bytes:
    """What a path's number is made from."""
    return path.interface.to_bytes(4, "big") + path.gateway
