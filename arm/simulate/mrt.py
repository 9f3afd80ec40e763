"""A table from an MRT dump (RFC 6396), as public route collectors and BIRD's `mrt` protocol write it: IPv4 unicast.

A dump has the routes of many peers. `count` of them, those with the most routes, are taken as the upstreams; of a
prefix the route with the shortest AS path wins (RFC 4271, 9.1.2.2), and of equals the upstream with more routes.

Only TABLE_DUMP_V2 is read (section 4.3), with or without ADD-PATH (RFC 8050). `MrtError` is all that escapes from bytes
that are something else.
"""

from __future__ import annotations

import bz2
import gzip
import struct
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

from arm.model import Family
from arm.simulate.table import FamilyTable
from arm.simulate.tablefile import routed

_TABLE_DUMP_V2: Final = 13
_PEERS: Final = 1
_IPV4: Final = {2: False, 8: True}
"""Subtypes of IPv4 unicast routes: whether entries have a path identifier."""
_AS_PATH: Final = 2
_MOST: Final = 64 * 1024 * 1024
_NO_PATH: Final = 255


class MrtError(ValueError):
    """The file is not a table dump, or it is damaged."""


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if path.suffix == ".bz2":
        return cast(IO[bytes], bz2.open(path, "rb"))
    return path.open("rb")


def records(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """(type, subtype, message) of each record; OSError if it can not be read."""
    with _open(path) as file:
        while head := file.read(12):
            if len(head) < 12:
                raise MrtError(f"{path} ends inside a record")
            _, kind, subtype, length = struct.unpack(">IHHI", head)
            if length > _MOST:
                raise MrtError(f"{path} has a record of {length} octets")
            body = file.read(length)
            if len(body) < length:
                raise MrtError(f"{path} ends inside a record")
            yield kind, subtype, body


def _path_length(attributes: bytes) -> int:
    """ASes in the AS_PATH (an AS_SET counts one); `_NO_PATH` without one."""
    at = 0
    while at + 3 <= len(attributes):
        flags, kind, length = attributes[at], attributes[at + 1], attributes[at + 2]
        at += 3
        if flags & 0x10:
            length = length << 8 | attributes[at]
            at += 1
        if kind == _AS_PATH:
            end, ases = at + length, 0
            while at + 2 <= end:
                segment, count = attributes[at], attributes[at + 1]
                ases += 1 if segment == 1 else count
                at += 2 + 4 * count
            return min(ases, _NO_PATH - 1)
        at += length
    return _NO_PATH


def _routes(body: bytes, *, add_path: bool) -> tuple[int, int, list[tuple[int, int]]]:
    """(address, length, [(peer, AS path length)]) of a RIB record."""
    length = body[4]
    if length > 32:
        raise MrtError(f"an IPv4 prefix of length {length}")
    octets = (length + 7) // 8
    address = int.from_bytes(body[5 : 5 + octets].ljust(4, b"\0"), "big")
    address = address >> (32 - length) << (32 - length)
    at = 5 + octets
    (count,) = struct.unpack_from(">H", body, at)
    at += 2
    found = []
    for _ in range(count):
        (peer,) = struct.unpack_from(">H", body, at)
        at += 10 if add_path else 6
        (size,) = struct.unpack_from(">H", body, at)
        at += 2
        found.append((peer, _path_length(body[at : at + size])))
        at += size
    return address, length, found


def read_mrt(path: Path, count: int) -> tuple[FamilyTable, array[int]]:
    """The table that `count` upstreams make together, and the number of the winning upstream of each place.

    MrtError if the file is no table dump. Prefixes outside the routed address space are left out. The file is read
    twice: once to see which peers have most routes.
    """
    try:
        return _read(path, count)
    except (struct.error, IndexError, EOFError, gzip.BadGzipFile) as error:
        raise MrtError(f"{path} is damaged: {error}") from None


def _read(path: Path, count: int) -> tuple[FamilyTable, array[int]]:
    routes: Counter[int] = Counter()
    for kind, subtype, body in records(path):
        if kind == _TABLE_DUMP_V2 and subtype in _IPV4:
            _, _, found = _routes(body, add_path=_IPV4[subtype])
            routes.update({peer for peer, _ in found})
    if not routes:
        raise MrtError(f"{path} has no IPv4 routes (TABLE_DUMP_V2)")
    rank = {peer: n for n, (peer, _) in enumerate(routes.most_common(count))}
    table, hops = FamilyTable(Family.IPV4), array("B")
    for kind, subtype, body in records(path):
        if kind != _TABLE_DUMP_V2 or subtype not in _IPV4:
            continue
        address, length, found = _routes(body, add_path=_IPV4[subtype])
        offers = [(size, rank[peer]) for peer, size in found if peer in rank]
        if offers and length and routed(Family.IPV4, address, length):
            _, hop = min(offers)
            table.append(address, length, len(table))
            hops.append(hop)
    return table, hops
