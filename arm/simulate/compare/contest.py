"""Who chooses: ARM's own engine, and the safe table that other ways of choosing are played with.

A contestant sees what a switch sees: BGP events and samples. It answers with changes in the order in which they are to
be made.

The published baselines say which prefixes they want, not how to keep the more-specifics of those right. `SafeTable`
makes them safe with ARM's planner, and in their favour: what goes the default's way or rides along takes no slot.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from arm.config import Config
from arm.core.engine import Engine
from arm.core.fib import Fib
from arm.core.plan import Planner
from arm.core.rib import Rib
from arm.model import (
    Applied,
    Change,
    Entry,
    Event,
    Family,
    FeedComplete,
    Kind,
    Plan,
    Prefix,
    Reason,
    RoutesLearned,
    TargetUp,
    Traffic,
    TrafficBatch,
)
from arm.simulate.compare.world import DEFAULT_HOP, World


class Contestant(Protocol):
    """One way of choosing, with its state."""

    name: str
    cpu: float
    """Seconds of CPU that it has taken."""

    def learn(self, event: Event, now: float) -> Sequence[Change]:
        """What to change because the table has."""
        ...

    def observe(self, seen: Mapping[bytes, int], seconds: float, now: float, *, choose: bool) -> Sequence[Change]:
        """What to change after the samples of the last `seconds`; nothing need be chosen yet without `choose`."""
        ...


class Arm:
    """The real engine."""

    def __init__(self, slots: int, now: float, *, config: Config | None = None, name: str = "arm") -> None:
        base = config or Config()
        self.engine = Engine(replace(base, target=replace(base.target, prefixes=slots, prefixes6=0)), now, 0)
        self.name = name
        self.cpu = 0.0
        self.engine.handle(TargetUp(families=frozenset({Family.IPV4})), now)

    def learn(self, event: Event, now: float) -> Sequence[Change]:
        before = time.process_time()
        plan = self.engine.handle(event, now)
        self.cpu += time.process_time() - before
        return self._made(plan, now)

    def observe(self, seen: Mapping[bytes, int], seconds: float, now: float, *, choose: bool) -> Sequence[Change]:
        before = time.process_time()
        batch = TrafficBatch(destinations4=dict(seen), samples=len(seen))
        plans = (self.engine.handle(Traffic(batch, seconds), now), self.engine.tick(now))
        self.cpu += time.process_time() - before
        return [change for plan in plans for change in self._made(plan, now)]

    def _made(self, plan: Plan | None, now: float) -> Sequence[Change]:
        """The changes of a plan, which this hardware makes at once."""
        if plan is None:
            return ()
        self.engine.handle(Applied(plan.number, len(plan.changes)), now)
        return plan.changes

    def estimates(self, world: World) -> list[float]:
        """What the engine expects each destination's home to carry, in a unit of its own."""
        worth = self.engine.families[Family.IPV4].selection.worth
        return [worth(world.prefix(home)) if home >= 0 else 0.0 for home in world.homes]


class Matcher:
    """Longest matches of samples, found once for all who share a Rib: what one of them found serves the others."""

    def __init__(self, rib: Rib) -> None:
        self._rib = rib
        self._seen: Mapping[bytes, int] | None = None
        self._found: dict[Prefix, int] = {}
        self.cost = 0.0
        """Seconds of CPU that the last samples took; each one who uses them owes all of it."""

    def __call__(self, seen: Mapping[bytes, int]) -> Mapping[Prefix, int]:
        """Packed sums by prefix; until the next call with other samples the same object."""
        if seen is not self._seen:
            before = time.process_time()
            self._seen, self._found = seen, {}
            self._rib.add_up(seen, self._found, remember=True)
            self.cost = time.process_time() - before
        return self._found


class SafeTable:
    """A hardware table that takes wishes, and keeps the rule for them. Several of them may share one Rib."""

    def __init__(self, rib: Rib, world: World, slots: int, matcher: Matcher | None = None) -> None:
        self.rib = rib
        self.matches = matcher or Matcher(rib)
        self.fib = Fib(Family.IPV4)
        self.planner = Planner(rib, self.fib, slots)
        self.planner.default_changed(world.attributes[DEFAULT_HOP])
        self._default = world.next_hops[DEFAULT_HOP]

    def learn(self, event: Event) -> Sequence[Change]:
        """Follow a change of the table, which the shared Rib has taken in already."""
        if isinstance(event, RoutesLearned):
            for _, prefixes in event.updates:
                for prefix in prefixes:
                    self.planner.route_changed(prefix, self.rib.winner(prefix))
        return self.fib.take()[0]

    def needs_a_slot(self, prefix: Prefix) -> bool:
        """False for what follows the default, rides along, or stands."""
        winner = self.rib.winner(prefix)
        return winner is not None and winner.next_hop != self._default and not self.planner.needs_no_slot(prefix)

    def is_route(self, prefix: Prefix) -> bool:
        """True if a route stands at exactly this prefix."""
        entry: Entry | None = self.fib.entries.get(prefix)
        return entry is not None and entry.kind is Kind.ROUTE

    def install(self, prefix: Prefix) -> bool:
        """Put it in, if it fits with what it needs."""
        return self.planner.install(prefix, Reason.NEW, self.planner.free)

    def withdraw(self, prefix: Prefix) -> None:
        """Take it out."""
        if self.is_route(prefix):
            self.planner.withdraw(prefix, Reason.SWAP)

    def converge(self, ranked: Sequence[Prefix], keep: Iterable[Prefix] = ()) -> None:
        """Hold the first of `ranked` that fit, most wanted first, and of the rest only what is in `keep`."""
        wanted = set(ranked).union(keep)
        for prefix in [p for p, e in self.fib.entries.items() if e.kind is Kind.ROUTE and p not in wanted]:
            self.withdraw(prefix)
        last = len(ranked)
        for n, prefix in enumerate(ranked):
            if n >= last:
                break
            if self.is_route(prefix) or not self.needs_a_slot(prefix):
                continue
            while not self.install(prefix):
                last -= 1
                if last <= n:
                    break
                self.withdraw(ranked[last])

    def take(self) -> Sequence[Change]:
        """The changes since the last call."""
        return self.fib.take()[0]


def load(rib: Rib, world: World) -> None:
    """Fill a shared Rib."""
    for event in world.learn():
        share(rib, event)


def share(rib: Rib, event: Event) -> None:
    """Let a shared Rib take in a change of the table."""
    if isinstance(event, RoutesLearned):
        for attributes, prefixes in event.updates:
            if attributes is None:
                rib.withdraw(event.feed, prefixes, [], ())
            else:
                rib.announce(attributes, prefixes, [], ())
    elif isinstance(event, FeedComplete):
        return
