"""The best safe choice of a tiny world, by trying every one. It shares no code with the solver that it judges."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from arm.simulate.compare.world import World


def best_by_trying(world: World, rates: Sequence[float], slots: int) -> float:
    """Most bytes per second that at most `slots` entries at prefixes of the table carry without a wrong packet.

    Every prefix may have nothing, its route, or a cover; the rule is checked for every route of the table, with or
    without traffic.
    """
    table, size = world.table, len(world.table)
    inside = [[_contains(table, outer, inner) for outer in range(size)] for inner in range(size)]
    best = 0.0
    for choice in itertools.product((0, 1, 2), repeat=size):
        if sum(map(bool, choice)) > slots:
            continue
        hops: list[int] = []
        for place in range(size):
            around = [other for other in range(size) if choice[other] and inside[place][other]]
            closest = max(around, key=lambda other: table.lengths[other], default=None)
            hops.append(world.hops[closest] if closest is not None and choice[closest] == 1 else -1)
        if any(hop not in (-1, world.hops[place]) for place, hop in enumerate(hops)):
            continue
        carried = 0.0
        for home, rate in zip(world.homes, rates, strict=True):
            sent = 0 if home < 0 or hops[home] < 0 else hops[home]
            if sent == (world.hops[home] if home >= 0 else 0):
                carried += rate
        best = max(best, carried)
    return best


def _contains(table: object, outer: int, inner: int) -> bool:
    addresses, lengths = table.addresses, table.lengths  # type: ignore[attr-defined]
    return bool(lengths[outer] <= lengths[inner] and not (addresses[outer] ^ addresses[inner]) >> (32 - lengths[outer]))
