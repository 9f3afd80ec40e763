"""A 100 Gb/s port sampled 1 in 10,000, with its slots full: both families, known true rates, and the engine.

Every destination has a /24 (or /48) of its own; popularity follows Zipf-Mandelbrot, as the simulator's does. Samples
are drawn from the true rates, so what the choice carries is judged by what it does not see.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import accumulate

from arm.config import Config
from arm.core.engine import Engine
from arm.core.queries import Queries
from arm.model import (
    COUNT_BITS,
    DEFAULT_PREFIX,
    FAMILIES,
    Attributes,
    Family,
    Feed,
    FeedComplete,
    FeedUp,
    Prefix,
    PrefixState,
    Remembered,
    RoutesLearned,
    TargetUp,
    Traffic,
    TrafficBatch,
)

SAMPLES = 1056
"""A second, both families together: 100 Gb/s of packets of 1,184 octets on average."""
SAMPLING = 10_000
HOPS = 4
_LARGE, _SMALL, SCANNING = (SAMPLING * octets << COUNT_BITS | 1 for octets in (1460, 80, 64))
"""Packed sums of one sampled packet."""


def prefix_of(family: Family, number: int) -> Prefix:
    """Prefix of a destination; they do not nest."""
    if family is Family.IPV4:
        return (20 << 24 | number << 8).to_bytes(4, "big"), 24
    return (0x2001 << 112 | number << 80).to_bytes(16, "big"), 48


def address_in(prefix: Prefix) -> bytes:
    """The address of the prefix that has traffic."""
    return prefix[0][:-1] + b"\x07"


class Crowd:
    """Destinations and the engine. Half of the samples are IPv6."""

    def __init__(self, seed: int, *, slots: int, table: int, active: int) -> None:
        """`slots`, `table` and `active` are for each family."""
        base = Config()
        self.chance = random.Random(seed)
        self.now = 0.0
        self.table, self.active = table, active
        self.config = replace(base, target=replace(base.target, prefixes=slots, prefixes6=slots))
        self.engine = Engine(self.config, 0.0, 0)
        self.engine.handle(TargetUp(), 0.0)
        self.learn()
        self.places = {f: self.chance.sample(range(table), active) for f in FAMILIES}
        self._addresses = {f: [address_in(prefix_of(f, place)) for place in self.places[f]] for f in FAMILIES}
        self._edges = list(accumulate((rank + 8.0) ** -1.1 for rank in range(active)))
        self.extra: dict[Prefix, float] = {}
        """Samples per second that further destinations get."""

    def learn(self) -> None:
        """The full table, from a session that has just come up."""
        feed = Feed("reflector", "", 1, 65000, "192.0.2.9")
        self.engine.handle(FeedUp(feed), self.now)
        for family in FAMILIES:
            hops = [bytes([192, 0, 2, 1 + n]).rjust(4 if family is Family.IPV4 else 16, b"\xfe") for n in range(HOPS)]
            default, *others = (Attributes(feed, hop, b"") for hop in hops)
            told: list[tuple[Attributes | None, list[Prefix]]] = [(default, [DEFAULT_PREFIX[family]])]
            told += [
                (attributes, [prefix_of(family, place) for place in range(n, self.table, HOPS - 1)])
                for n, attributes in enumerate(others)
            ]
            self.engine.handle(RoutesLearned(feed, told), self.now)
            self.engine.handle(FeedComplete(feed, family), self.now)

    def restart(self, recalled: Iterable[Remembered], target: TargetUp, away: float) -> None:
        """A new engine, `away` seconds later, with what the last one left; what the daemon does at its start."""
        self.now += away
        self.engine = Engine(self.config, self.now, 0)
        for prefix, rate, samples, chosen in recalled:
            family = Family.IPV4 if len(prefix[0]) == 4 else Family.IPV6
            self.engine.families[family].selection.recall(prefix, rate, samples, chosen=chosen, now=self.now)
        self.engine.handle(target, self.now)
        self.learn()

    def drift(self, share: float) -> None:
        """Another time of the day: so many of the destinations change their rank with another one."""
        for family in FAMILIES:
            places, addresses = self.places[family], self._addresses[family]
            for one in self.chance.sample(range(self.active), round(self.active * share)):
                other = self.chance.randrange(self.active)
                places[one], places[other] = places[other], places[one]
                addresses[one], addresses[other] = addresses[other], addresses[one]

    def batch(self, seconds: float) -> TrafficBatch:
        """What is sampled in so many seconds."""
        chance, batch = self.chance, TrafficBatch()
        draw = chance.random
        for family in FAMILIES:
            seen = batch.destinations4 if family is Family.IPV4 else batch.destinations6
            count = self._poisson(SAMPLES / len(FAMILIES) * seconds)
            for address in chance.choices(self._addresses[family], cum_weights=self._edges, k=count):
                seen[address] = seen.get(address, 0) + (_LARGE if draw() < 0.8 else _SMALL)
            batch.samples += count
        for prefix, rate in self.extra.items():
            for _ in range(self._poisson(rate * seconds)):
                self.add(batch, prefix)
        return batch

    def add(self, batch: TrafficBatch, prefix: Prefix, packed: int | None = None) -> None:
        """One sampled packet to the prefix: large or small, as they come, unless its packed sum is given."""
        seen = batch.destinations4 if len(prefix[0]) == 4 else batch.destinations6
        address = address_in(prefix)
        seen[address] = seen.get(address, 0) + (packed or (_LARGE if self.chance.random() < 0.8 else _SMALL))
        batch.samples += 1

    def _poisson(self, mean: float) -> int:
        if mean > 50:
            return max(0, round(self.chance.gauss(mean, mean**0.5)))
        count, at = 0, self.chance.expovariate(1.0)
        while at < mean:
            count += 1
            at += self.chance.expovariate(1.0)
        return count

    def play(self, seconds: float, batch: TrafficBatch | None = None) -> TrafficBatch:
        """Let so much time pass, with one batch at its end, and a tick on each full second."""
        batch = batch or self.batch(seconds)
        before, self.now = self.now, self.now + seconds
        self.engine.handle(Traffic(batch, seconds), self.now)
        if int(self.now + 1e-6) > int(before + 1e-6):
            self.engine.tick(self.now)
        return batch

    def warm_up(self, seconds: float) -> None:
        """A history, in coarse steps as the simulator's."""
        for _ in range(int(seconds // 30)):
            self.play(30.0)

    def limit_churn(self, changes: int) -> None:
        """Allow so few changes a second."""
        config = replace(self.config, selection=replace(self.config.selection, churn=changes))
        self.engine.reconfigure(config, self.now)

    def full(self) -> bool:
        """True if all slots but the reserve are taken."""
        return all(self.engine.families[f].selection.free <= 0 for f in FAMILIES)

    def carries(self, prefix: Prefix) -> bool:
        """True if a route stands at the prefix."""
        return Queries(self.engine).state_of([prefix]) == [PrefixState.INSTALLED]

    def coverage(self) -> Mapping[Family, float]:
        """Share of the true traffic of each family that is in hardware."""
        found = {}
        for family in FAMILIES:
            states = Queries(self.engine).state_of([prefix_of(family, place) for place in self.places[family]])
            last = 0.0
            carried = 0.0
            for edge, state in zip(self._edges, states, strict=True):
                carried += (edge - last) * (state in (PrefixState.INSTALLED, PrefixState.RIDES, PrefixState.DEFAULT))
                last = edge
            found[family] = carried / self._edges[-1]
        return found
