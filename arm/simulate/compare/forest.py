"""The best choice that is possible: a program over the prefix tree with a price on each slot.

For a price per slot, each prefix of the tree has a best value for each of three things it may inherit from above: the
default, a route with its own next hop, a route with another one (which other makes no difference: the prefix then has
to be installed or covered anyway). One pass from the leaves to the roots gives the values. The price is searched so
that the slots just suffice.

With V(price) the best value net of slots, V(price) + price x slots is never below what any safe choice can carry, for
any price: that is the upper bound. The choice that belongs to the price is what `Solution` holds.

Only prefixes with destinations inside are visited. All other subtrees are summed up beforehand: below an installed
route, one costs a cover if anything in it has another next hop, else nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from arm.simulate.compare.world import DEFAULT_HOP, World

_MIXED: Final = 255


@dataclass(frozen=True, slots=True)
class Solution:
    """A choice, and what it is worth by the rates it was made for."""

    price: float
    """Bytes per second that the last slot carries."""
    bound: float
    """No safe choice carries more; bytes per second, what the default carries included."""
    value: float
    slots: int
    carried: bytearray
    """For each destination, whether the choice carries it."""


class Forest:
    """The prefix tree of a world, cut down to what has destinations. The world must not change afterwards."""

    def __init__(self, world: World) -> None:
        self._world = world
        table, hops = world.table, world.hops
        size = len(table)
        order = sorted(range(size), key=lambda place: table.addresses[place] << 6 | table.lengths[place])
        parents = _parents(table.addresses, table.lengths, order)
        # What lies in each subtree: one next hop, or a mixture.
        inside = array("B", hops)
        busy = bytearray(size)
        for home in world.homes:
            if home >= 0:
                busy[home] = 1
        for place in reversed(order):
            parent = parents[place]
            if parent >= 0:
                if inside[place] != inside[parent]:
                    inside[parent] = _MIXED
                if busy[place]:
                    busy[parent] = 1
        nodes = [place for place in order if busy[place]]
        number = {place: n for n, place in enumerate(nodes)}
        self._parent = [number[parents[place]] if parents[place] >= 0 else -1 for place in nodes]
        self._default = [hops[place] == DEFAULT_HOP for place in nodes]
        self._same = [parents[place] >= 0 and hops[parents[place]] == hops[place] for place in nodes]
        self._exceptions = [0] * len(nodes)
        """Subtrees without destinations, directly below, that an installed route needs a cover for."""
        for place in order:
            parent = parents[place]
            if not busy[place] and parent >= 0 and busy[parent] and inside[place] != hops[parent]:
                self._exceptions[number[parent]] += 1
        self._node_of = [number[home] if home >= 0 else -1 for home in world.homes]
        self._hint = 0.02
        """The price of the last solution, in mean loads of a slot: where the next search starts."""

    def solve(self, rates: Sequence[float], slots: int, *, rounds: int = 20) -> Solution:
        """The best choice for these rates (bytes per second of each destination)."""
        worth = [0.0] * len(self._parent)
        for node, rate in zip(self._node_of, rates, strict=True):
            if node >= 0:
                worth[node] += rate
        roaming = sum(rate for node, rate in zip(self._node_of, rates, strict=True) if node < 0)
        whole = sum(rates)
        low, high = 0.0, 0.0
        bound = float("inf")
        price = self._hint * whole / max(slots, 1)
        best: tuple[float, float, int] | None = None
        for _ in range(rounds):
            net, used = self._pass(worth, price)
            bound = min(bound, net + price * slots)
            if used > slots:
                low = price
            else:
                high, best = price, (price, net + price * used, used)
                if used > slots * 0.999 or price < whole * 1e-12:
                    break
            # Without both ends of the search it goes on in growing steps.
            price = (low + high) / 2 if low and high else price * 3 if low else price / 3
        while best is None:
            price = price * 3 + whole * 1e-12
            net, used = self._pass(worth, price)
            bound = min(bound, net + price * slots)
            if used <= slots:
                best = price, net + price * used, used
        self._hint = best[0] / whole * max(slots, 1) if best[0] and whole else self._hint
        carried = self._choice(worth, best[0])
        return Solution(best[0], bound + roaming, best[1] + roaming, best[2], carried)

    def _pass(self, worth: Sequence[float], price: float) -> tuple[float, int]:
        """(best value net of slots, slots) at a price."""
        size = len(worth)
        from_default, routed_below = [0.0] * size, [0.0] * size
        slots_default, slots_routed = [0] * size, [0] * size
        parent, same, free, exceptions = self._parent, self._same, self._default, self._exceptions
        total, used = 0.0, 0
        for n in range(size - 1, -1, -1):
            covers = exceptions[n]
            routed = worth[n] + routed_below[n] - price * covers
            routed_slots = slots_routed[n] + covers
            left = from_default[n] + worth[n] if free[n] else from_default[n]
            left_slots = slots_default[n]
            above = parent[n]
            # Inherits the default: left alone, or installed.
            if routed - price > left:
                value, slots = routed - price, routed_slots + 1
            else:
                value, slots = left, left_slots
            if above < 0:
                total += value
                used += slots
                continue
            from_default[above] += value
            slots_default[above] += slots
            if same[n]:
                # Rides along, or is covered.
                if left - price > routed:
                    value, slots = left - price, left_slots + 1
                else:
                    value, slots = routed, routed_slots
            elif routed > left:
                value, slots = routed - price, routed_slots + 1
            else:
                value, slots = left - price, left_slots + 1
            routed_below[above] += value
            slots_routed[above] += slots
        return total, used

    def _choice(self, worth: Sequence[float], price: float) -> bytearray:
        """Which destinations the choice of a price carries: the same values, then the decisions from the top down."""
        size = len(worth)
        lefts, routeds = [0.0] * size, [0.0] * size
        from_default, routed_below = [0.0] * size, [0.0] * size
        parent, same, free, exceptions = self._parent, self._same, self._default, self._exceptions
        for n in range(size - 1, -1, -1):
            routed = routeds[n] = worth[n] + routed_below[n] - price * exceptions[n]
            left = lefts[n] = from_default[n] + worth[n] if free[n] else from_default[n]
            above = parent[n]
            if above >= 0:
                from_default[above] += max(left, routed - price)
                routed_below[above] += max(left - price, routed) if same[n] else max(left, routed) - price
        routes = bytearray(size)
        for n in range(size):
            above = parent[n]
            if above < 0 or not routes[above]:
                routes[n] = routeds[n] - price > lefts[n]
            elif same[n]:
                routes[n] = lefts[n] - price <= routeds[n]
            else:
                routes[n] = routeds[n] > lefts[n]
        return bytearray(node < 0 or routes[node] or free[node] for node in self._node_of)


def _parents(addresses: Sequence[int], lengths: Sequence[int], order: Sequence[int]) -> array[int]:
    """Place of the closest prefix around each one; -1 for none. `order` has parents before what is inside them."""
    parents = array("l", [-1]) * len(addresses)
    stack: list[int] = []
    for place in order:
        address = addresses[place]
        while stack and (address ^ addresses[stack[-1]]) >> (32 - lengths[stack[-1]]):
            stack.pop()
        if stack:
            parents[place] = stack[-1]
        stack.append(place)
    return parents
