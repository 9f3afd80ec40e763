"""The engine alone: full table, 100,000 active prefixes, samples of 100 Gb/s; CPU per second, against a full sort.

Samples and their choice, every deadline and clean-up of a simulated minute; what it takes to read sockets and to write
routes is measured elsewhere (`steady`). The peer does once a second, and exactly, what every top-N policy does: it
looks each address up, adds up a 10 s average, and sorts all active prefixes. It does not keep the rule.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from _tables import Figure, show

from arm.config import Config
from arm.core.engine import Engine
from arm.core.rib import Rib
from arm.core.traffic import Averages
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
    RoutesLearned,
    TargetUp,
    Traffic,
    TrafficBatch,
)
from arm.simulate.compare.world import hops_by_path
from arm.simulate.popularity import cumulative_weights, draw_destinations
from arm.simulate.shape import synthetic_table
from arm.simulate.table import Table

SAMPLING, LARGE, SMALL = 10_000, 1460, 80
BATCHES = 20
"""A second, as the daemon looks at its samples."""
HOPS = 8
GOAL = 0.050


def learn(engine: Engine, table: Table, feed: Feed) -> None:
    """The whole table, its next hops by path."""
    engine.handle(TargetUp(), 0.0)
    engine.handle(FeedUp(feed), 0.0)
    for family in FAMILIES:
        entries = table.families[family]
        width = 4 if family is Family.IPV4 else 16
        attributes = [Attributes(feed, bytes([254, *[0] * (width - 2), 1 + hop]), b"") for hop in range(HOPS)]
        by_hop: dict[int, list[Prefix]] = {0: [DEFAULT_PREFIX[family]]}
        for place, hop in enumerate(hops_by_path(entries.paths, HOPS, 1)):
            by_hop.setdefault(hop, []).append(entries.prefix(place))
        engine.handle(RoutesLearned(feed, [(attributes[hop], some) for hop, some in by_hop.items()]), 0.0)
        engine.handle(FeedComplete(feed, family), 0.0)


class Samples:
    """Draws batches; each active destination comes once in the first one."""

    def __init__(self, table: Table, active: int, seed: int) -> None:
        self._chance = random.Random(seed)
        self._addresses = [destination.address for destination in draw_destinations(table, active, seed)]
        self._edges = cumulative_weights(len(self._addresses))

    def first(self) -> TrafficBatch:
        return self._batch(self._addresses)

    def some(self, count: int) -> TrafficBatch:
        return self._batch(self._chance.choices(self._addresses, cum_weights=self._edges, k=count))

    def _batch(self, addresses: Sequence[bytes]) -> TrafficBatch:
        batch, draw = TrafficBatch(samples=len(addresses)), self._chance.random
        for address in addresses:
            seen = batch.destinations4 if len(address) == 4 else batch.destinations6
            octets = SAMPLING * (LARGE if draw() < 0.8 else SMALL)
            seen[address] = seen.get(address, 0) + (octets << COUNT_BITS | 1)
        return batch


class FullSort:
    """The peer: a 10 s average of everything, sorted every second."""

    def __init__(self, ribs: dict[Family, Rib], slots: int) -> None:
        self._ribs, self._slots = ribs, slots
        self._averages = {family: Averages(10.0, 0.0) for family in FAMILIES}

    def second(self, batches: Sequence[TrafficBatch], now: float) -> None:
        """Take in a second's samples, then rank."""
        for family in FAMILIES:
            match, averages = self._ribs[family].match, self._averages[family]
            for batch in batches:
                seen: Counter[Prefix] = Counter()
                addresses = batch.destinations4 if family is Family.IPV4 else batch.destinations6
                for address, packed in addresses.items():
                    prefix = match(address)
                    if prefix is not None:
                        seen[prefix] += packed
                averages.add(seen, 0, now)
            heapq.nlargest(self._slots, averages.bytes.items(), key=lambda item: item[1])


def main(argv: Sequence[str]) -> int:
    """Print the table; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench tick", description=__doc__)
    parser.add_argument("--slots", type=int, default=10_000, help="for each family")
    parser.add_argument("--active", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=1_056, help="samples a second: 100 Gb/s at 1:10,000")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--history", type=int, default=600, help="seconds of samples before anything is measured")
    parser.add_argument("--quick", action="store_true", help="a small table, five seconds, no goals")
    options = parser.parse_args(argv)
    if options.quick:
        options.slots, options.active, options.seconds, options.history = 500, 5_000, 5, 60
    table = synthetic_table(ipv4=40_000, ipv6=10_000) if options.quick else synthetic_table()
    samples = Samples(table, options.active, 1)
    base = Config()
    config = replace(base, target=replace(base.target, prefixes=options.slots, prefixes6=options.slots))
    engine = Engine(config, 0.0, 0)
    learn(engine, table, Feed("reflector", "", 1, 65000, "192.0.2.9"))
    peer = FullSort({family: engine.families[family].rib for family in FAMILIES}, options.slots)
    gc.freeze()
    now = 1.0
    first = samples.first()
    engine.handle(Traffic(first, 1.0), now)
    peer.second([first], now)
    for _ in range(options.history // 30):
        now += 30.0
        history = samples.some(options.rate * 30)
        engine.handle(Traffic(history, 30.0), now)
        engine.tick(now)
        peer.second([history], now)
    ours: list[float] = []
    theirs: list[float] = []
    changed = sum(family.fib.added + family.fib.removed for family in engine.families.values())
    for _ in range(options.seconds):
        batches = [samples.some(options.rate // BATCHES) for _ in range(BATCHES)]
        began = time.process_time()
        for batch in batches:
            now += 1.0 / BATCHES
            engine.handle(Traffic(batch, 1.0 / BATCHES), now)
        engine.tick(now)
        between = time.process_time()
        peer.second(batches, now)
        ours.append(between - began)
        theirs.append(time.process_time() - between)
    changed = sum(family.fib.added + family.fib.removed for family in engine.families.values()) - changed
    active = sum(engine.family_status(family).active_prefixes for family in FAMILIES)
    mean, sort = sum(ours) / len(ours), sum(theirs) / len(theirs)

    def goal(met: bool) -> bool | None:
        return None if options.quick else met

    known = sum(len(family.selection.estimates) for family in engine.families.values())
    print(
        f"{active:,} prefixes in the short average, {known:,} in the estimates, {changed / len(ours):.1f} changes/s\n"
    )
    return show(
        f"{len(table):,} prefixes, {options.active:,} active, {options.slots:,} slots each, {options.rate:,} samples/s",
        "full sort",
        [
            Figure("CPU, mean", "ms/s", mean * 1000, sort * 1000, "< 50", goal(mean < GOAL)),
            Figure("CPU, worst second", "ms/s", max(ours) * 1000, max(theirs) * 1000),
        ],
    )
