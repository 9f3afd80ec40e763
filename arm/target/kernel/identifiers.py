"""The numbers of ARM's nexthop objects.

The number of an object is made from what it stands for, so that a daemon that starts again (or another one of the same
version) comes to the same number for the same next hop and finds its objects, without a file that remembers them:

    bits 31-28   what it is: 0xA a next hop (a group), 0xB a path, 0xC a blackhole, 0xD a claim
    bits 27-20   the low octet of the table's number: instances for several VRFs stay apart
    bits 19-0    a checksum of what it stands for; of two that collide, the later takes the next free number

Tables that agree in the low octet have the same numbers, and two instances would delete each other's objects, routes
included. So the first one claims the numbers by an object that says which table it is for: bits 19-0 of a claim are
bits 27-8 of the table's number. It stays as long as routes may, and nobody uses numbers that another table has claimed.

No other program is known to use these ranges: FRR and the `ip` command count up from 1.
"""

from __future__ import annotations

import zlib
from collections.abc import Container

from arm.model import Family
from arm.target.kernel.messages import Path

GROUP, PATH, BLACKHOLE, CLAIM = 0xA, 0xB, 0xC, 0xD
HASH_BITS = 20


def owner(kind: int, table: int) -> int:
    """The upper twelve bits of the numbers of one kind in one table."""
    return kind << 8 | table & 0xFF


def is_ours(number: int, table: int) -> bool:
    """Whether an object belongs to ARM's instance for a table."""
    return any(number >> HASH_BITS == owner(kind, table) for kind in (GROUP, PATH, BLACKHOLE))


def claim(table: int) -> int:
    """The number of the object that claims the numbers of a table."""
    return owner(CLAIM, table) << HASH_BITS | table >> 8 & (1 << HASH_BITS) - 1


def claimed_by(number: int, table: int) -> int | None:
    """The other table for which an object claims the numbers of `table`; None if it does no such thing."""
    if number >> HASH_BITS != owner(CLAIM, table) or number == claim(table):
        return None
    return (number & (1 << HASH_BITS) - 1) << 8 | table & 0xFF


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
