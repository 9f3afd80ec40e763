"""The truth: a table with next hops, and the destinations that have traffic.

Invariants: every destination is an address whose longest match in the table is its home, and no two made-up ones have
the same home at the start. The longest match here is a probe of one dictionary for each prefix length; it shares no
code with the engine that it is to judge.
"""

from __future__ import annotations

import heapq
import random
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from arm.model import DEFAULT_PREFIX, Attributes, Event, Family, Feed, FeedComplete, FeedUp, Prefix, RoutesLearned
from arm.simulate.paths import mix
from arm.simulate.table import FamilyTable

DEFAULT_HOP: Final = 0
"""The number of the default route's next hop: the upstream that wins most prefixes."""
_PORTION: Final = 20_000
_CLUSTERED: Final = 1.0
"""How much the popularity of an origin counts beside a prefix's own."""


def next_hops(count: int) -> list[bytes]:
    """So many next hops, packed."""
    return [bytes([192, 0, 2, 1 + number]) for number in range(count)]


def hops_by_path(paths: Sequence[int], count: int, seed: int) -> array[int]:
    """A next hop for each prefix by its path; the k-th of `count` upstreams wins 1/k as many as the first."""
    edges = list(accumulate(1 / (k + 1) for k in range(count)))
    chosen: dict[int, int] = {}
    result = array("B")
    for path in paths:
        hop = chosen.get(path)
        if hop is None:
            hop = chosen[path] = bisect_left(edges, mix(seed ^ 0x40B5, path) / 2**64 * edges[-1])
        result.append(hop)
    return result


class World:
    """Table, next hops and destinations."""

    def __init__(self, table: FamilyTable, hops: array[int], *, seed: int) -> None:
        """`hops` has the number of a next hop for each place of the table, below 255."""
        self.table = table
        self.hops = hops
        self.seed = seed
        self.next_hops = next_hops(max(hops, default=0) + 1)
        self.feed = Feed("reflector", "127.0.0.1", 1, 65000, "192.0.2.254")
        self.attributes = [Attributes(self.feed, hop, b"") for hop in self.next_hops]
        self._places: dict[int, dict[int, int]] = {}
        for place, (address, length) in enumerate(zip(table.addresses, table.lengths, strict=True)):
            self._places.setdefault(length, {})[address >> (32 - length)] = place
        self._lengths = sorted(self._places, reverse=True)
        self.addresses: list[int] = []
        """Destinations in the order of their addresses."""
        self.packed: list[bytes] = []
        self.homes: list[int] = []
        """Place in the table of each destination's longest match; -1 if it has no route now."""
        self.weights: list[float] = []
        """Share of the traffic of each destination, before anything moves."""

    def match(self, address: int) -> int:
        """Place of the longest match of an address; -1 for none but the default."""
        for length in self._lengths:
            place = self._places[length].get(address >> (32 - length))
            if place is not None:
                return place
        return -1

    def prefix(self, place: int) -> Prefix:
        """The prefix at a place of the table."""
        return self.table.prefix(place)

    def hop(self, destination: int) -> bytes:
        """Next hop that packets to a destination must take."""
        home = self.homes[destination]
        return self.next_hops[self.hops[home] if home >= 0 else DEFAULT_HOP]

    def populate(self, active: int, *, exponent: float, flattening: float, dormant: int = 0) -> None:
        """Choose the destinations: popular origins have more of them, and popularity follows Zipf-Mandelbrot.

        `dormant` more have no traffic of their own; flash crowds wake them.
        """
        chance = random.Random(self.seed ^ 0xAC7)
        popularity = [chance.random() for _ in range(max(self.table.paths, default=0) + 1)]
        draw = chance.random
        scored = heapq.nlargest(
            active + dormant,
            ((_CLUSTERED * popularity[path] + draw(), place) for place, path in enumerate(self.table.paths)),
        )
        sleeping = set(chance.sample(range(len(scored)), min(dormant, len(scored))))
        found: dict[int, tuple[int, float]] = {}
        rank = 0
        for number, (_, place) in enumerate(scored):
            address = self._address_in(place, chance, found)
            if address is None:
                continue
            weight = 0.0
            if number not in sleeping:
                rank += 1
                weight = (rank + flattening) ** -exponent
            found[self.match(address)] = address, weight
        whole = sum(weight for _, weight in found.values()) or 1.0
        for home, (address, weight) in sorted(found.items(), key=lambda item: item[1][0]):
            self.addresses.append(address)
            self.packed.append(address.to_bytes(4, "big"))
            self.homes.append(home)
            self.weights.append(weight / whole)

    def place(self, packed: Sequence[bytes]) -> None:
        """Take these addresses (packed, in ascending order) as destinations, as a recording has them."""
        for address in packed:
            number = int.from_bytes(address, "big")
            self.addresses.append(number)
            self.packed.append(address)
            self.homes.append(self.match(number))
            self.weights.append(0.0)

    def _address_in(self, place: int, chance: random.Random, found: dict[int, tuple[int, float]]) -> int | None:
        network, room = self.table.addresses[place], 32 - self.table.lengths[place]
        for _ in range(4):
            address = network | chance.getrandbits(room) if room else network
            if self.match(address) not in found:
                return address
        return None

    def inside(self, prefix: Prefix) -> range:
        """The destinations inside a prefix."""
        low = int.from_bytes(prefix[0], "big")
        high = low + (1 << (32 - prefix[1]))
        return range(bisect_left(self.addresses, low), bisect_left(self.addresses, high))

    # --- as BGP tells it ---------------------------------------------------------------------------------------------

    def learn(self) -> Iterator[Event]:
        """What a reflector's session says from its start to the end of the table."""
        yield FeedUp(self.feed, frozenset({Family.IPV4}))
        yield RoutesLearned(self.feed, [(self.attributes[DEFAULT_HOP], [DEFAULT_PREFIX[Family.IPV4]])])
        by_hop: dict[int, list[Prefix]] = {}
        for place, hop in enumerate(self.hops):
            portion = by_hop.setdefault(hop, [])
            portion.append(self.prefix(place))
            if len(portion) >= _PORTION:
                yield RoutesLearned(self.feed, [(self.attributes[hop], by_hop.pop(hop))])
        for hop, rest in by_hop.items():
            yield RoutesLearned(self.feed, [(self.attributes[hop], rest)])
        yield FeedComplete(self.feed, Family.IPV4)

    def change(self, place: int, hop: int) -> tuple[RoutesLearned, range]:
        """Give a route another next hop; the event that tells so, and the destinations it may concern."""
        self.hops[place] = hop
        prefix = self.prefix(place)
        return RoutesLearned(self.feed, [(self.attributes[hop], [prefix])]), self.inside(prefix)

    def withdraw(self, place: int) -> tuple[RoutesLearned, range]:
        """Take a route out of the table."""
        prefix = self.prefix(place)
        self._places[prefix[1]].pop(self.table.addresses[place] >> (32 - prefix[1]), None)
        return RoutesLearned(self.feed, [(None, [prefix])]), self._rehome(prefix)

    def restore(self, place: int) -> tuple[RoutesLearned, range]:
        """Put it back."""
        prefix = self.prefix(place)
        self._places[prefix[1]][self.table.addresses[place] >> (32 - prefix[1])] = place
        return RoutesLearned(self.feed, [(self.attributes[self.hops[place]], [prefix])]), self._rehome(prefix)

    def _rehome(self, prefix: Prefix) -> range:
        concerned = self.inside(prefix)
        for destination in concerned:
            self.homes[destination] = self.match(self.addresses[destination])
        return concerned
