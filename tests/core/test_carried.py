"""What an installed route carries with all that rides along: each sample is counted once, at one route.

`Ledger` is an account of its own: it knows the samples, the plans and the hardware, nothing of how the engine counts.
"""

from __future__ import annotations

import math
import random

import pytest
from test_engine_replay import World, config, perform, random_step
from test_selection import B, flow, installed, nth, p, started

from arm.core.queries import Queries
from arm.model import COUNT_BITS, Event, Family, Kind, Plan, Prefix, Reason, Traffic, mask

AROUND = p("10.1.0.0/16")


def served(world: World) -> dict[Prefix, float]:
    return dict(Queries(world.engine).served(Family.IPV4))


def rate_of(world: World, prefix: Prefix) -> float:
    """Bytes per second of the prefix itself."""
    snapshot = Queries(world.engine).traffic_snapshot(Family.IPV4, "destination")
    return snapshot.rates.get(prefix, 0.0) * snapshot.scale


def closest(prefixes: dict[Prefix, float], at: Prefix) -> Prefix | None:
    around = [q for q in prefixes if q[1] <= at[1] and mask(at[0], q[1]) == q[0]]
    return max(around, key=lambda q: q[1], default=None)


class Ledger(World):
    """Bytes per second by installed route, from the moment at which it went in, with what it took over."""

    carried: dict[Prefix, float]
    at: float

    def send(self, event: Event) -> None:
        self.pass_time()
        if isinstance(event, Traffic):
            for address, packed in event.batch.destinations4.items():
                entry = closest(dict.fromkeys(self.hardware, 0.0), (address, 32))
                if entry is not None and self.hardware[entry].kind is Kind.ROUTE:
                    self.carried[entry] += (packed >> COUNT_BITS) / self.config.sflow.t
        super().send(event)

    def tick(self, seconds: float = 1.0) -> None:
        self.now += seconds
        self.pass_time()
        self.apply(self.engine.tick(self.now))

    def pass_time(self) -> None:
        if not hasattr(self, "carried"):
            self.carried, self.at = {}, self.now
        faded = math.exp((self.at - self.now) / self.config.sflow.t)
        self.carried = {prefix: rate * faded for prefix, rate in self.carried.items()}
        self.at = self.now

    def apply(self, plan: Plan | None) -> None:
        super().apply(plan)
        for change in plan.changes if plan is not None else ():
            is_route = change.entry is not None and change.entry.kind is Kind.ROUTE
            if is_route and change.prefix not in self.carried:
                self.carried[change.prefix] = rate_of(self, change.prefix)
            elif not is_route and change.prefix in self.carried:
                rate = self.carried.pop(change.prefix)
                above = closest(self.carried, change.prefix)
                if change.reason is Reason.RIDES and above is not None:
                    self.carried[above] += rate


@pytest.mark.parametrize("seed", range(60))
def test_each_sample_counts_at_one_installed_route(seed: int) -> None:
    rng = random.Random(seed)
    world = Ledger(config(rng.choice((5, 12, 64)), churn=rng.choice((2, 4, 1000)), idle_timeout=86_400.0))
    world.start()
    for _ in range(150):
        step = random_step(rng)
        # After a retarget, and for what is pinned, it starts anew with what is known of each prefix.
        if step[0] not in ("retarget", "pin", "pin known"):
            perform(world, step)
            assert served(world) == pytest.approx(world.carried, rel=1e-6, abs=1e-3)


def test_what_comes_back_and_rides_along_in_the_same_tick_is_counted_once() -> None:
    world = started(config(slots=10, reserve=0.0, churn=2))
    flow(world, {1: 8000})
    world.withdraw([nth(1)])
    flow(world, {5: 4000, 2: 1000})  # the second one finds no change left
    world.announce(B, [AROUND])
    world.announce(B, [nth(1)])
    assert installed(world).keys() == {nth(5)}
    world.tick()
    # nth(1) comes back; then the route around it goes in for nth(2), and both installed ones ride along.
    assert installed(world).keys() == {AROUND}
    assert served(world) == pytest.approx({AROUND: rate_of(world, nth(1)) + rate_of(world, nth(5))})
    (chosen,) = [one for one in world.engine.memory(1000)[Family.IPV4] if one[3]]
    assert chosen[0] == AROUND
    assert chosen[2] == pytest.approx(30, rel=0.05), "three prefixes of ten samples"


def test_what_a_route_carries_is_right_after_days() -> None:
    base = config(slots=10, reserve=0.0, idle_timeout=86_400.0)
    world = started(base)
    for _ in range(1000):
        world.tick(base.sflow.t)
        flow(world, {1: 1000})
        assert served(world) == pytest.approx({nth(1): rate_of(world, nth(1))})
