"""A table from a list of real prefixes: `prefix [origin-AS]` lines, plain or gzip, grown to today's size.

Lists of this kind come from public route collectors. They lack paths, so each origin gets as many as its number of
prefixes calls for; and old ones are too small, so more-specifics are derived until the table has the wanted size.
Lines that are no prefix, or outside the routed address space, are left out and counted.
"""

from __future__ import annotations

import gzip
import random
import socket
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from arm.model import Family, parse_prefix
from arm.simulate.paths import Paths, mix, public_as
from arm.simulate.shape import LENGTHS4, LENGTHS6, add_more_specifics, counts
from arm.simulate.table import FamilyTable, Table

_SPECIAL4_TEXT: Final = """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
    192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3
"""
_SPECIAL4: Final = tuple(
    (int.from_bytes(packed, "big"), length) for packed, length in map(parse_prefix, _SPECIAL4_TEXT.split())
)
_SPECIAL6: Final = (
    (0x20010000_00000000, 23), (0x20010DB8_00000000, 32), (0x20020000_00000000, 16), (0x3FFF0000_00000000, 20),
)  # fmt: skip
_PREFIXES_PER_PATH: Final = 9


def routed(family: Family, address: int, length: int) -> bool:
    """True if the prefix (kept upper bits as in FamilyTable) neither lies in special space nor contains all of it."""
    bits, special = (32, _SPECIAL4) if family is Family.IPV4 else (64, _SPECIAL6)
    if family is Family.IPV6 and address >> 61 != 1:
        return False
    return all((address ^ other) >> (bits - min(length, size)) for other, size in special)


@dataclass(slots=True)
class Reading:
    """What came of a file."""

    table: Table
    left_out: int
    """Lines that are no prefix, double, or outside the routed address space."""


def _lines(path: Path) -> Iterator[str]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt") as packed:
            yield from packed
    else:
        with path.open() as plain:
            yield from plain


def read_table(
    path: Path, *, ipv4: int | None = None, ipv6: int | None = None, seed: int = 1, share: float = 0.5
) -> Reading:
    """The table in a file; with `ipv4` or `ipv6`, cut or grown to that many prefixes. OSError if it can not be read."""
    families = {family: FamilyTable(family) for family in (Family.IPV4, Family.IPV6)}
    seen: set[tuple[Family, int, int]] = set()
    wanted = {Family.IPV4: ipv4, Family.IPV6: ipv6}
    origins = array("I")
    latest: dict[str, list[int]] = {}  # origin AS -> [path, prefixes it still takes]
    left_out = 0
    for line in _lines(path):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        parsed = _parse(words[0])
        if parsed is None or parsed in seen:
            left_out += 1
            continue
        family, address, length = parsed
        limit = wanted[family]
        if limit is not None and len(families[family]) >= limit:
            continue
        seen.add(parsed)
        origin = words[1] if len(words) > 1 and words[1].isdigit() else ""
        place = latest.setdefault(origin, [0, 0])
        if not place[1]:
            place[:] = len(origins), _PREFIXES_PER_PATH
            origins.append(int(origin) if origin else public_as(mix(seed, len(origins))))
        place[1] -= 1
        families[family].append(address, length, place[0])
    if not origins:
        origins.append(public_as(seed))
    chance = random.Random(seed)
    for family, table in families.items():
        if (limit := wanted[family]) is not None:
            _grow(table, limit, chance, len(origins))
        table.sort_by_path()
    return Reading(Table(families, Paths(seed=seed, origins=origins, share=share)), left_out)


def _parse(text: str) -> tuple[Family, int, int] | None:
    """(family, kept upper bits, length) of a routed prefix without host bits; None for anything else."""
    address, _, tail = text.partition("/")
    family = Family.IPV6 if ":" in address else Family.IPV4
    bits = 32 if family is Family.IPV4 else 64
    try:
        packed = socket.inet_pton(socket.AF_INET if bits == 32 else socket.AF_INET6, address)
        length = int(tail)
    except (OSError, ValueError):
        return None
    if not 0 < length <= bits:
        return None
    value = int.from_bytes(packed[: bits // 8], "big")
    if value & ((1 << (bits - length)) - 1) or any(packed[8:]) or not routed(family, value, length):
        return None
    return family, value, length


def _grow(table: FamilyTable, size: int, chance: random.Random, paths: int) -> None:
    """More-specifics of what is there, the lengths that are furthest behind today's shape getting the most.

    A length that has too few prefixes around it leaves the rest of its share to the most frequent length.
    """
    among = len(table)
    if among >= size:
        return
    taken: dict[int, set[int]] = {}
    for address, length in zip(table.addresses, table.lengths, strict=True):
        taken.setdefault(length, set()).add(address)
    shares = LENGTHS4 if table.family is Family.IPV4 else LENGTHS6
    behind = {length: count - len(taken.get(length, ())) for length, count in counts(size, shares).items()}
    missing = {length: float(count) for length, count in behind.items() if count > 0}
    for length, count in counts(size - among, missing).items():
        add_more_specifics(table, length, count, among, chance, paths, taken.setdefault(length, set()))
    common = max(shares, key=shares.__getitem__)
    add_more_specifics(table, common, size - len(table), among, chance, paths, taken.setdefault(common, set()))
