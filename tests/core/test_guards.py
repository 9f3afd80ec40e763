"""The guards hold back what may be a fault, and never what BGP needs; misses are told apart by cause."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from test_engine_replay import DEFAULT, HOPS, World, config

from arm.core.queries import Queries
from arm.core.watermark import STEP, WINDOW, Watermark
from arm.model import Family, Feed, FeedComplete, FeedDown, FeedUp, Hits, Kind, NextHopDown, Prefix, parse_prefix

A, B, C = HOPS[0], HOPS[1], HOPS[2]
MANY = 4000


def nth(n: int) -> Prefix:
    return bytes([10, n >> 8, n & 255, 0]), 24


def installed(world: World) -> dict[Prefix, Kind]:
    return {prefix: entry.kind for prefix, entry in Queries(world.engine).installed(Family.IPV4).items()}


def flow(world: World, octets: dict[int, int], samples: int = 10) -> None:
    world.traffic({nth(n)[0][:3] + b"\x09": (size, samples) for n, size in octets.items()})


def started(routes: int, slots: int = 10) -> World:
    base = config(slots=slots, reserve=0.0)
    world = World(replace(base, sflow=replace(base.sflow, stale=5.0)))
    world.start(default=A)
    world.announce(B, [nth(n) for n in range(routes)])
    return world


def alarms(world: World) -> list[str]:
    return [f"{problem.severity.value} {problem.where}: {problem.text}" for problem in world.engine.problems()]


# --- no samples ----------------------------------------------------------------------------------------------------


def test_without_samples_the_choice_is_frozen_and_bgp_is_followed_at_once() -> None:
    world = started(20)
    world.announce(B, [parse_prefix("10.9.0.0/16")])
    world.traffic({bytes([10, 9, 200, 1]): (50_000, 20)})
    flow(world, dict.fromkeys(range(6), 10_000))
    before = set(installed(world))
    for _ in range(20):
        world.tick(60.0)
        world.traffic({})
    assert world.engine.frozen
    assert set(installed(world)) == before
    # Another next hop, a withdrawal, an exception: each is answered by the plan of its own event.
    world.announce(C, [nth(1)])
    assert Queries(world.engine).installed(Family.IPV4)[nth(1)].next_hop == C
    world.withdraw([nth(2)])
    assert nth(2) not in installed(world)
    world.announce(C, [parse_prefix("10.9.1.0/24")])
    assert installed(world)[parse_prefix("10.9.1.0/24")] is Kind.COVER
    world.send(NextHopDown(B, "no neighbour"))
    assert set(installed(world)) == {nth(1)}


def test_the_first_samples_after_a_silence_choose_again() -> None:
    world = started(20)
    flow(world, dict.fromkeys(range(4), 10_000))
    for _ in range(10):
        world.tick()
    assert world.engine.frozen
    flow(world, {7: 10_000})
    assert not world.engine.frozen
    assert nth(7) in installed(world)


# --- the table -----------------------------------------------------------------------------------------------------


def returned_with_half(world: World) -> None:
    """The session comes back, and says End-of-RIB after half of what it taught before."""
    world.send(FeedDown(world.feed, "test", 90.0))
    world.feed = Feed("reflector", "127.0.0.1", world.feed.generation + 1, 65000, "192.0.2.9")
    world.send(FeedUp(world.feed))
    world.announce(A, [DEFAULT])
    world.announce(B, [nth(n) for n in range(MANY // 2)])
    world.send(FeedComplete(world.feed, Family.IPV4))


def test_while_a_shrunken_table_is_held_back_what_bgp_says_is_followed_at_once() -> None:
    world = started(MANY, slots=50)
    flow(world, dict.fromkeys((5, 6, 3000, 3001), 10_000))
    returned_with_half(world)
    world.tick()
    assert {nth(3000), nth(3001)} <= set(installed(world)), "what was not taught again is kept"
    assert any(text.startswith("error table: reflector came back without") for text in alarms(world))
    world.announce(C, [nth(5)])
    assert Queries(world.engine).installed(Family.IPV4)[nth(5)].next_hop == C
    world.withdraw([nth(6)])
    assert nth(6) not in installed(world)
    world.announce(C, [nth(3000)])
    assert Queries(world.engine).installed(Family.IPV4)[nth(3000)].next_hop == C
    world.table.pop(nth(3001))
    world.withdraw([nth(3001)])
    assert nth(3001) not in installed(world)


def test_a_table_that_is_withdrawn_comes_out_at_once_and_is_reported() -> None:
    world = started(MANY, slots=50)
    flow(world, dict.fromkeys(range(0, MANY, 100), 10_000))
    world.tick()
    assert alarms(world) == []
    for start in range(0, MANY // 2, 500):
        world.withdraw([nth(n) for n in range(start, start + 500)])
        assert not any(start <= (prefix[0][1] << 8 | prefix[0][2]) < start + 500 for prefix in installed(world))
        world.tick()
    assert len(installed(world)) == MANY // 200
    (alarm,) = alarms(world)
    assert alarm.startswith("error table: The IPv4 table has 2,000 routes fewer")
    world.announce(B, [nth(n) for n in range(MANY // 2)])
    world.tick()
    assert alarms(world) == []


def test_a_loss_is_reported_for_its_time_and_a_slow_or_small_one_never() -> None:
    quick, slow, small = Watermark(), Watermark(), Watermark()
    reported = []
    for second in range(int(WINDOW) + 60):
        size = 10_000 if second < 10 else 7_000
        quick.mark(size, float(second))
        reported.append(bool(quick.loss(size)))
        size = 10_000 - second * 2
        slow.mark(size, float(second))
        assert not slow.loss(size)
        size = 1_500 if second < 10 else 600
        small.mark(size, float(second))
        assert not small.loss(size)
    assert not any(reported[:10])
    assert sum(reported) == pytest.approx(WINDOW, abs=2 * STEP)


# --- scores --------------------------------------------------------------------------------------------------------


def hits_of(world: World) -> dict[str, float]:
    world.tick()
    hits = world.engine.family_status(Family.IPV4).hits
    names = ("installed", "free", "new", "removed", "no_slot", "excluded", "no_route")
    return {name: value for name in names if (value := getattr(hits, name))}


def test_every_cause_of_a_miss_has_its_own_count() -> None:
    base = config(slots=4, reserve=0.0)
    world = World(replace(base, selection=replace(base.selection, never=(nth(9),))))
    world.start(default=A)
    world.announce(B, [nth(n) for n in range(20)])
    flow(world, dict.fromkeys(range(4), 10**6), samples=1000)
    assert hits_of(world) == {"new": 4e6}
    flow(world, {0: 500, 12: 100, 9: 70}, samples=1)
    world.announce(A, [nth(15)])
    flow(world, {12: 100, 15: 30}, samples=1)
    world.withdraw([DEFAULT])
    world.traffic({bytes([99, 0, 0, 1]): (500, 1)})
    world.announce(A, [DEFAULT])
    found = hits_of(world)
    assert found == {"installed": 500, "new": 100, "no_slot": 100, "excluded": 70, "free": 30, "no_route": 500}
    # Taken out: by BGP, which then teaches it anew while all other slots are wanted.
    world.withdraw([nth(2)])
    flow(world, {5: 10**6}, samples=1000)
    assert nth(5) in installed(world)
    world.announce(B, [nth(2)])
    hits_of(world)
    flow(world, {2: 300}, samples=1)
    assert hits_of(world) == {"removed": 300}


def test_the_error_of_the_score_holds_the_truth_in_95_of_100_measurements() -> None:
    chance = random.Random(1)
    for truth, samples in ((0.9, 40), (0.9, 1000), (0.99, 300), (0.5, 25)):
        held = 0
        for _ in range(1000):
            hit = sum(chance.random() < truth for _ in range(samples))
            hits = Hits(installed=float(hit), no_slot=float(samples - hit), samples=samples)
            assert hits.coverage is not None
            assert hits.coverage_error is not None
            # Wilson's interval lies around a value drawn towards one half.
            middle = (hits.coverage + 1.96**2 / samples / 2) / (1 + 1.96**2 / samples)
            held += abs(truth - middle) <= hits.coverage_error
        assert 920 <= held <= 985
    assert Hits(installed=1.0).coverage_error is None
