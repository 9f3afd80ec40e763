"""Where simulated traffic goes: an active set of destinations, of which few are very popular and most are not.

Popularity follows the Zipf-Mandelbrot law, weight(rank) = 1 / (rank + flattening) ** exponent, which is what traffic
per prefix looks like on real links: a few prefixes carry half, thousands carry the rest.

Invariants: the same table, size and seed give the same destinations in the same order of popularity in every process.
Each destination is an address inside its prefix, never its network address; two destinations are never of the same
prefix, though an address may lie in a more-specific of it as well.
"""

from __future__ import annotations

import random
from itertools import accumulate
from typing import Final, NamedTuple

from arm.model import FAMILIES, Family
from arm.simulate.table import Table

EXPONENT: Final = 1.1
FLATTENING: Final = 8.0


class Destination(NamedTuple):
    """A prefix of the table and an address in it."""

    family: Family
    place: int
    """Of its prefix in the table."""
    address: bytes
    """Packed."""


def draw_destinations(table: Table, count: int, seed: int, *, ipv6_share: float = 0.2) -> list[Destination]:
    """An active set, most popular first; `ipv6_share` of it (or what the table has) are IPv6 addresses."""
    chance = random.Random(seed)
    wanted = {Family.IPV6: min(round(count * ipv6_share), len(table.families[Family.IPV6]))}
    wanted[Family.IPV4] = min(count - wanted[Family.IPV6], len(table.families[Family.IPV4]))
    drawn: list[Destination] = []
    for family in FAMILIES:
        entries = table.families[family]
        for index in chance.sample(range(len(entries)), wanted[family]):
            length = entries.lengths[index]
            host = chance.getrandbits(family.bits - length) or 1 if length < family.bits else 0
            network = int.from_bytes(entries.packed(entries.addresses[index]), "big")
            drawn.append(Destination(family, index, (network | host).to_bytes(family.bits // 8, "big")))
    chance.shuffle(drawn)
    return drawn


def cumulative_weights(count: int, *, exponent: float = EXPONENT, flattening: float = FLATTENING) -> list[float]:
    """Zipf-Mandelbrot weights of ranks 1 to `count`, added up as random.choices takes them."""
    return list(accumulate((rank + flattening) ** -exponent for rank in range(1, count + 1)))
