"""Tables of the Internet's shape: made from nothing, or grown from a list of real prefixes.

Shape means: how prefix lengths are distributed (six of ten IPv4 prefixes are /24), how many prefixes are more-specifics
of others and how many of those go elsewhere than the prefix around them, how many prefixes share a path (nine). These
decide how hard it is to choose routes for a small hardware table.

Invariant: nothing outside `ROUTED`, the address space in which the Internet has routes. Reserved, private, loopback,
documentation, benchmarking and multicast space stay out (RFC 6890).
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Mapping
from typing import Final

from arm.model import Family
from arm.simulate.paths import Paths, mix, public_as
from arm.simulate.table import FamilyTable, Table

PREFIXES_PER_PATH: Final = 9.36
"""1,050,000 IPv4 prefixes came with 112,201 distinct AS paths."""

LENGTHS4: Final[Mapping[int, float]] = {
    8: 0.0016, 9: 0.0013, 10: 0.004, 11: 0.010, 12: 0.029, 13: 0.058, 14: 0.11, 15: 0.2, 16: 1.35, 17: 0.83, 18: 1.4,
    19: 2.5, 20: 4.3, 21: 5.2, 22: 11.0, 23: 10.2, 24: 61.9, 25: 0.2, 26: 0.15, 27: 0.13, 28: 0.12, 29: 0.12, 30: 0.1,
    32: 0.1,
}  # fmt: skip
LENGTHS6: Final[Mapping[int, float]] = {
    20: 0.008, 22: 0.008, 24: 0.03, 26: 0.02, 27: 0.02, 28: 0.2, 29: 3.0, 30: 0.7, 31: 0.4, 32: 11.5, 33: 2.3, 34: 2.0,
    35: 1.2, 36: 4.5, 37: 0.7, 38: 1.2, 39: 0.8, 40: 7.0, 41: 0.6, 42: 1.5, 43: 0.7, 44: 8.0, 45: 1.0, 46: 2.5, 47: 2.2,
    48: 47.0, 56: 0.4, 64: 0.5,
}  # fmt: skip
"""Per cent of the prefixes that have each length."""

MORE_SPECIFIC: Final[Mapping[Family, float]] = {Family.IPV4: 0.52, Family.IPV6: 0.55}
"""Share of the prefixes that lie inside another one."""
_OWN_PATH: Final = 0.5
"""Share of the more-specifics that have a path of their own; half of those have another next hop."""
_WITHOUT: Final = {0, 10, 100, 127, 169, 172, 192, 198, 203}
"""First octets below 224 in which special space lies: a made-up table needs none of them."""
_BINS: Final[Mapping[Family, tuple[tuple[int, int], ...]]] = {
    Family.IPV4: tuple((octet << 24, (octet + 1) << 24) for octet in range(1, 224) if octet not in _WITHOUT),
    Family.IPV6: tuple((top << 48, (top + 16) << 48) for top in (0x2400, 0x2600, 0x2800, 0x2A00, 0x2C00)),
}
"""(first, end) of the blocks that top-level prefixes are cut from."""


def counts(total: int, shares: Mapping[int, float]) -> dict[int, int]:
    """Prefixes for each length that add up to `total`; the most frequent length takes what rounding leaves."""
    whole = sum(shares.values())
    result = {length: int(total * share / whole) for length, share in sorted(shares.items())}
    result[max(shares, key=shares.__getitem__)] += total - sum(result.values())
    return result


def synthetic_table(*, ipv4: int = 1_050_000, ipv6: int = 240_000, seed: int = 1, share: float = 0.5) -> Table:
    """A made-up table with these numbers of prefixes; `share` of the paths are won by the upstream of slot 1."""
    size = max(2, round((ipv4 + ipv6) / PREFIXES_PER_PATH))
    origins = array("I", (public_as(mix(seed ^ 0xA5, path // 3 * 2 + (path % 3 > 1))) for path in range(size)))
    chance = random.Random(seed)
    families: dict[Family, FamilyTable] = {}
    for family, total, shares in ((Family.IPV4, ipv4, LENGTHS4), (Family.IPV6, ipv6, LENGTHS6)):
        table = families[family] = FamilyTable(family)
        _fill(table, counts(total, shares), chance, size)
        table.sort_by_path()
    return Table(families, Paths(seed=seed, origins=origins, share=share))


def _fill(table: FamilyTable, wanted: Mapping[int, int], chance: random.Random, paths: int) -> None:
    """Top-level prefixes, longest blocks first so that they pack without gaps, each length with its more-specifics."""
    bins = [list(edges) for edges in _BINS[table.family]]
    nested_share = MORE_SPECIFIC[table.family]
    draw = chance.random
    for length, count in wanted.items():
        size = 1 << (table.bits - length)
        shorter, taken = len(table), set[int]()
        nested = int(count * nested_share * min(1.0, (length - 7) / 9))
        top_level = count - add_more_specifics(table, length, nested, shorter, chance, paths, taken)
        crowded_out = 0
        for _ in range(top_level):
            edges = bins[int(draw() * len(bins))]
            if edges[0] + size > edges[1]:
                edges = next((other for other in bins if other[0] + size <= other[1]), edges)
                if edges[0] + size > edges[1]:
                    crowded_out += 1
                    continue
            # A power well above one gives a few origins thousands of prefixes and most of them one or two.
            table.append(edges[0], length, int(paths * draw() ** 2.2))
            edges[0] += size
        add_more_specifics(table, length, crowded_out, shorter, chance, paths, taken)


def add_more_specifics(
    table: FamilyTable, length: int, count: int, among: int, chance: random.Random, paths: int, taken: set[int]
) -> int:
    """Add `count` prefixes of one length inside the first `among` prefixes of the table; how many found a place.

    `taken` holds the addresses of prefixes of this length that are in the table already.
    """
    if not among:
        return 0
    draw = chance.random
    addresses, lengths, routes = table.addresses, table.lengths, table.paths
    shift, added = table.bits - length, 0
    for _ in range(count * 8):
        if added >= count:
            break
        parent = int(draw() * among)
        room = length - lengths[parent]
        if room <= 0:
            continue
        address = addresses[parent] | int(draw() * (1 << room)) << shift
        if address in taken:
            continue
        taken.add(address)
        path = routes[parent]
        if draw() < _OWN_PATH:
            path = int(paths * draw() ** 2.2) if draw() < 0.5 else (path + 1 + int(draw() * 2)) % paths
        table.append(address, length, path)
        added += 1
    return added
