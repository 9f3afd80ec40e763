"""The engine does not wait for its target; when all answers are in, both hold the same, whatever failed or was lost."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat
from multiprocessing import get_context

import pytest
from late_targets import LateBird, LateKernel, LateTarget, show

from arm.bgp.messages import path_attributes
from arm.config import Config
from arm.core.engine import Engine
from arm.core.queries import Queries
from arm.model import (
    COUNT_BITS,
    DEFAULT_PREFIX,
    Attributes,
    Family,
    Feed,
    FeedComplete,
    FeedUp,
    Plan,
    Prefix,
    RoutesLearned,
    TargetDown,
    TargetUp,
    Traffic,
    TrafficBatch,
    mask,
)

DEFAULT = DEFAULT_PREFIX[Family.IPV4]
FEED = Feed("reflector", "127.0.0.1", 1, 65000, "192.0.2.254")
DEPTH = 4
"""Bits between the block and the longest prefix."""
UNITS = [bytes([10, unit << 4, 0, 0]) for unit in range(1 << DEPTH)]
AROUND = [[(mask(unit, length), length) for length in range(8 + DEPTH, 7, -1)] for unit in UNITS]
"""For each unit, the prefixes that contain it, longest first."""
KINDS: dict[str, type[LateTarget]] = {"kernel": LateKernel, "bird": LateBird}
SEGMENTS = 50
"""Schedules that one world goes through, one after the other."""
PORTION = 10
"""Worlds that one process takes at a time."""
SCHEDULES = int(os.environ.get("ARM_SCHEDULES", "50000" if os.environ.get("CI") else "5000"))
"""Of each kind of target."""

Table = dict[Prefix, bytes]
Routes = Mapping[Prefix, bytes]


class World:
    """Engine, target, and the truth beside them."""

    def __init__(self, kind: str, seed: int) -> None:
        self.chance = random.Random(f"{kind} {seed}")
        base = Config()
        slots = self.chance.choice([3, 5, 8, 20])
        self.engine = Engine(
            replace(
                base,
                target=replace(base.target, prefixes=slots, prefixes6=0),
                selection=replace(base.selection, churn=1000, reserve=self.chance.choice([0.0, 0.3])),
            ),
            0.0,
            0,
        )
        self.now = 0.0
        self.table: Table = {}
        self.tables: dict[int, Table] = {}
        """What the table was when a plan was made, by the plan's number."""
        self.up = False
        """What the engine has heard of the target."""
        self.target = KINDS[kind](self.chance, self.judge)
        self.hops = KINDS[kind].HOPS  # type: ignore[attr-defined]
        self.attributes = {
            hop: Attributes(FEED, hop, path_attributes(as_path=(65001,), next_hop=hop if len(hop) == 4 else None))
            for hop in self.hops
        }
        self.handle(FeedUp(FEED, frozenset({Family.IPV4})))
        self.learn(self.hops[0], [DEFAULT])
        for _ in range(8):
            self.learn(self.chance.choice(self.hops), [self.some()])
        self.handle(FeedComplete(FEED, Family.IPV4))

    # --- events ---

    def handle(self, event: object) -> None:
        self.take(self.engine.handle(event, self.now))  # type: ignore[arg-type]

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.engine.tick(self.now))

    def take(self, plan: Plan | None) -> None:
        if plan is not None:
            self.tables[plan.number] = dict(self.table)
            self.target.apply(plan)

    def deliver(self) -> bool:
        if not self.target.words:
            return False
        word = self.target.words.popleft()
        self.handle(word)
        self.up = isinstance(word, TargetUp) or (self.up and not isinstance(word, TargetDown))
        return True

    def some(self) -> Prefix:
        length = self.chance.randrange(8, 9 + DEPTH)
        return mask(self.chance.choice(UNITS), length), length

    def learn(self, hop: bytes, prefixes: Sequence[Prefix]) -> None:
        self.table.update(dict.fromkeys(prefixes, hop))
        self.handle(RoutesLearned(FEED, [(self.attributes[hop], prefixes)]))

    def withdraw(self, prefixes: Sequence[Prefix]) -> None:
        for prefix in prefixes:
            self.table.pop(prefix, None)
        self.handle(RoutesLearned(FEED, [(None, prefixes)]))

    def traffic(self) -> None:
        batch = TrafficBatch()
        for unit in self.chance.sample(UNITS, 4):
            samples = self.chance.randrange(1, 30)
            batch.destinations4[unit[:3] + b"\x07"] = samples * 1000 << COUNT_BITS | samples
            batch.samples += samples
        self.handle(Traffic(batch, 0.1))

    def step(self) -> None:
        what = self.chance.random()
        if what < 0.22:
            self.target.work()
        elif what < 0.44:
            self.deliver()
        elif what < 0.62:
            self.learn(self.chance.choice(self.hops), [self.some() for _ in range(self.chance.choice([1, 1, 3]))])
        elif what < 0.70:
            known = sorted(prefix for prefix in self.table if prefix != DEFAULT)
            self.withdraw([self.chance.choice(known)] if known else [self.some()])
        elif what < 0.86:
            self.traffic()
        elif what < 0.94:
            self.tick(self.chance.choice([0.1, 1.0, 31.0]))
        elif what < 0.97:
            self.target.disturb()
        else:
            self.learn(self.chance.choice(self.hops[:3]), [DEFAULT])

    # --- judgement ---

    def judge(self, plan: Plan, before: Routes, after: Routes) -> None:
        """One operation may make nothing wrong that was right, by the table for which the plan was made."""
        table = self.tables[plan.number]
        dead = self.target.dead
        worse = wrong(table, after, dead) - wrong(table, before, dead)
        assert not worse, f"plan {plan.number}: {worse} {show(table)} {show(before)} {show(after)}"

    def run(self, steps: int) -> None:
        """One schedule, then all answers."""
        self.target.refusing = self.chance.choice([0.0, 0.0, 0.3])
        for _ in range(steps):
            self.step()
            if not self.target.words and self.engine.in_flight == 0 and self.up and not self.target.waits:
                self.compare()
        self.target.settle()
        self.drain()
        self.compare()
        self.target.refusing = 0.0
        for _ in range(40):
            self.tick(31.0)
            self.drain()
        self.compare()
        left = wrong(self.table, self.target.hardware, ())
        assert not left, f"{left} {show(self.table)} {show(self.target.hardware)}"

    def drain(self) -> None:
        moved = True
        while moved:
            moved = False
            while self.target.work():
                moved = True
            while self.deliver():
                moved = True

    def compare(self) -> None:
        """Nothing is in flight: the books are the hardware."""
        books = {prefix: entry.next_hop for prefix, entry in Queries(self.engine).installed(Family.IPV4).items()}
        assert books == self.target.hardware, (show(books), show(self.target.hardware))


def match(unit: int, routes: Routes) -> bytes | None:
    for prefix in AROUND[unit]:
        if (hop := routes.get(prefix)) is not None:
            return hop
    return None


def wrong(table: Table, hardware: Routes, dead: Collection[bytes]) -> set[int]:
    """Units whose packets go neither to their next hop nor the default's way; routes over what is dead go that way."""
    default = table.get(DEFAULT)
    found = set()
    for unit in range(len(UNITS)):
        hop = match(unit, hardware)
        if hop is not None and hop not in dead and hop not in (default, match(unit, table) or default):
            found.add(unit)
    return found


def run(kind: str, seeds: range) -> int:
    """Go through the schedules of these seeds; how many they were."""
    logging.disable(logging.CRITICAL)
    for seed in seeds:
        world = World(kind, seed)
        for segment in range(SEGMENTS):
            try:
                world.run(world.chance.randrange(4, 25))
            except AssertionError as error:
                raise AssertionError(f"{kind} seed {seed} schedule {segment}: {error}") from error
    return len(seeds) * SEGMENTS


@pytest.mark.parametrize("kind", KINDS)
def test_books_and_hardware_agree_when_all_answers_are_in(kind: str) -> None:
    worlds = SCHEDULES // SEGMENTS
    portions = [range(first, min(first + PORTION, worlds)) for first in range(0, worlds, PORTION)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        assert sum(pool.map(run, repeat(kind), portions)) == SCHEDULES
