"""What the choice does, seen from the engine's events: newcomers, swaps, noise, idleness, pins, limits, scores."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_engine_replay import DEFAULT, HOPS, World, config

from arm.config import Config
from arm.core.queries import Queries
from arm.model import (
    Capacity,
    Change,
    Drift,
    Family,
    Feed,
    FeedComplete,
    FeedDown,
    FeedUp,
    Kind,
    NextHopDown,
    NextHopUp,
    Plan,
    Prefix,
    PrefixState,
    Reason,
    TargetDown,
    TargetUp,
    What,
    parse_prefix,
)

A, B, C = HOPS[0], HOPS[1], HOPS[2]


def p(text: str) -> Prefix:
    return parse_prefix(text)


def nth(n: int) -> Prefix:
    return bytes([10, 1, n, 0]), 24


def installed(world: World) -> dict[Prefix, Kind]:
    return {prefix: entry.kind for prefix, entry in Queries(world.engine).installed(Family.IPV4).items()}


def started(base: Config | None = None, routes: int = 20) -> World:
    """Default over A, and `routes` /24 over B."""
    world = World(base or config(slots=10, reserve=0.0))
    world.start(default=A)
    world.announce(B, [nth(n) for n in range(routes)])
    return world


def flow(world: World, octets: dict[int, int], samples: int = 10) -> None:
    world.traffic({bytes([10, 1, n, 9]): (size, samples) for n, size in octets.items()})


def last(world: World) -> list[Change]:
    return list(world.plans[-1].changes)


def test_a_route_with_traffic_goes_in_with_its_first_batch() -> None:
    world = started()
    flow(world, {3: 1000}, samples=1)
    assert installed(world) == {nth(3): Kind.ROUTE}
    assert last(world)[0].reason is Reason.NEW


def test_traffic_that_goes_the_defaults_way_needs_no_slot() -> None:
    world = started()
    world.announce(A, [p("10.2.0.0/24")])
    world.traffic({p("10.2.0.9")[0]: (10**9, 100)})
    assert installed(world) == {}
    assert Queries(world.engine).state_of([p("10.2.0.0/24")]) == [PrefixState.DEFAULT]


def test_a_more_specific_with_the_same_next_hop_rides_along() -> None:
    world = started()
    world.announce(B, [p("10.1.0.0/16")])
    world.traffic({p("10.1.200.1")[0]: (1000, 3)})
    flow(world, {3: 10**6})
    assert installed(world) == {p("10.1.0.0/16"): Kind.ROUTE}
    assert Queries(world.engine).state_of([nth(3)]) == [PrefixState.RIDES]


def test_exceptions_of_a_route_get_covers_before_it() -> None:
    world = started()
    world.announce(B, [p("10.2.0.0/16")])
    world.announce(C, [p("10.2.1.0/24"), p("10.2.2.0/24")])
    world.traffic({p("10.2.9.9")[0]: (1000, 3)})
    kinds = [(change.prefix, change.entry and change.entry.kind) for change in last(world)]
    assert kinds[-1] == (p("10.2.0.0/16"), Kind.ROUTE)
    assert {kind for _, kind in kinds[:-1]} == {Kind.COVER}
    assert Queries(world.engine).state_of([p("10.2.1.0/24")]) == [PrefixState.COVER]
    # The exception gets traffic of its own: the cover becomes its route, in the same slot.
    world.traffic({p("10.2.1.9")[0]: (1000, 3)})
    assert [(c.prefix, c.entry and c.entry.kind) for c in last(world)] == [(p("10.2.1.0/24"), Kind.ROUTE)]


def test_when_slots_are_full_only_significantly_more_traffic_swaps() -> None:
    world = started()
    flow(world, {n: 100_000 + n for n in range(10)}, samples=100)
    assert len(installed(world)) == 10
    world.now += 0.1
    flow(world, {15: 120_000}, samples=1)
    assert nth(15) not in installed(world), "one sample proves nothing"
    flow(world, {16: 400_000}, samples=100)
    assert nth(16) in installed(world)
    assert nth(0) not in installed(world), "the one worth least goes"
    assert [change.reason for change in last(world)] == [Reason.SWAP, Reason.SWAP]
    assert last(world)[0].entry is None, "remove before add at capacity"


def test_noise_between_equals_does_not_churn() -> None:
    world = started(routes=20)
    for step in range(200):
        world.now += 0.5
        flow(world, {n: 1000 * (2 + (step * 7 + n * 3) % 5) for n in range(20)}, samples=2)
    swaps = world.engine.families[Family.IPV4].selection.swaps
    assert len(installed(world)) == 10
    assert swaps <= 4


def test_an_idle_route_stays_until_its_timeout() -> None:
    world = started()
    flow(world, {3: 1000})
    world.tick(15)
    flow(world, {4: 1000})
    assert set(installed(world)) == {nth(3), nth(4)}
    world.tick(10)
    assert set(installed(world)) == {nth(4)}
    assert last(world)[0].reason is Reason.IDLE


def test_without_samples_nothing_idles_out() -> None:
    base = config(slots=10, reserve=0.0)
    world = started(replace(base, sflow=replace(base.sflow, stale=5.0)))
    flow(world, {3: 1000})
    for _ in range(100):
        world.tick(10)
    assert world.engine.frozen
    assert set(installed(world)) == {nth(3)}
    # When samples come again, the time without them does not count as idleness.
    flow(world, {4: 1000})
    world.tick(10)
    assert set(installed(world)) == {nth(3), nth(4)}


def test_policy_pins_excludes_and_limits_lengths() -> None:
    base = config(slots=10, reserve=0.0)
    base = replace(
        base,
        selection=replace(
            base.selection, always=(nth(1),), never=(p("10.1.2.0/23"),), min_prefix_length=16, max_prefix_length=24
        ),
    )
    world = started(base)
    world.announce(B, [p("11.0.0.0/8"), p("10.1.5.128/25")])
    world.tick()
    assert installed(world) == {nth(1): Kind.ROUTE}
    flow(world, {2: 10**6, 3: 10**6, 4: 1000})
    world.traffic({p("11.1.1.1")[0]: (10**6, 10), p("10.1.5.200")[0]: (10**6, 10)})
    assert set(installed(world)) == {nth(1), nth(4)}
    assert Queries(world.engine).state_of([nth(2), p("11.0.0.0/8")]) == [PrefixState.EXCLUDED] * 2
    for _ in range(10):
        world.tick(10)
        flow(world, {4: 1000})
    assert nth(1) in installed(world), "a pinned route does not idle out"


def test_minvalue_keeps_small_prefixes_out() -> None:
    base = config(slots=10, reserve=0.0)
    world = started(replace(base, target=replace(base.target, minvalue=1000.0)))
    flow(world, {1: 9_000, 2: 11_000})
    assert set(installed(world)) == {nth(2)}
    assert "target.minvalue" in Queries(world.engine).explain("10.1.1.1").why


def test_the_reserve_is_left_for_what_bgp_needs() -> None:
    world = started(config(slots=10, reserve=0.2))
    world.announce(B, [p("10.2.0.0/16")])
    world.traffic({p("10.2.9.9")[0]: (10**7, 50)})
    flow(world, dict.fromkeys(range(20), 1000))
    assert len(installed(world)) == 8
    world.announce(C, [p("10.2.1.0/24"), p("10.2.2.0/24")])
    assert len(installed(world)) == 10
    assert installed(world)[p("10.2.1.0/24")] is Kind.COVER
    # No slot is left: the route above comes out rather than sending the third exception the wrong way.
    world.announce(C, [p("10.2.3.0/24")])
    assert p("10.2.0.0/16") not in installed(world)


def test_churn_is_bounded_for_traffic_but_not_for_correctness() -> None:
    world = started(config(slots=50, reserve=0.0, churn=5), routes=40)
    flow(world, dict.fromkeys(range(40), 1000))
    assert len(installed(world)) == 5
    world.tick()
    flow(world, dict.fromkeys(range(40), 1000))
    assert len(installed(world)) == 10
    world.withdraw([nth(n) for n in range(40)])
    assert installed(world) == {}


def test_the_score_is_that_of_the_choice_before_the_interval() -> None:
    world = started()
    flow(world, {1: 1000})
    world.tick()
    first = world.engine.family_status(Family.IPV4).hits
    assert (first.new, first.installed) == (1000, 0)
    assert first.coverage == 0
    flow(world, {1: 3000, 2: 1000})
    world.announce(A, [p("10.2.0.0/24")])
    world.traffic({p("10.2.0.1")[0]: (4000, 4)})
    world.tick()
    second = world.engine.family_status(Family.IPV4).hits
    assert (second.installed, second.new, second.free) == (3000, 1000, 4000)
    assert second.coverage == pytest.approx(7 / 8)


def test_misses_are_told_apart() -> None:
    world = started()
    flow(world, dict.fromkeys(range(10), 10**6), samples=1000)
    flow(world, {12: 100}, samples=1)
    flow(world, {12: 100}, samples=1)
    world.withdraw([DEFAULT])
    world.traffic({bytes([99, 0, 0, 1]): (500, 1)})
    world.tick()
    hits = world.engine.family_status(Family.IPV4).hits
    assert hits.no_slot == 100
    assert hits.new == 10 * 10**6 + 100
    assert hits.no_route == 500


def test_a_smaller_hardware_takes_out_what_is_worth_least() -> None:
    world = started()
    flow(world, {n: 1000 * (n + 1) for n in range(10)})
    world.send(Capacity(Family.IPV4, 4, None, "test"))
    world.tick()
    assert set(installed(world)) == {nth(6), nth(7), nth(8), nth(9)}
    world.send(Capacity(Family.IPV4, None, None, "test"))
    flow(world, {1: 1000})
    assert nth(1) in installed(world)


def test_nothing_is_planned_before_the_table_is_complete() -> None:
    world = World(config())
    world.send(TargetUp())
    world.send(FeedUp(world.feed))
    world.announce(A, [DEFAULT])
    world.announce(B, [nth(1)])
    flow(world, {1: 10**6})
    world.tick()
    assert world.plans == []
    world.send(FeedComplete(world.feed, Family.IPV4))
    assert world.plans[-1].complete == {Family.IPV4}
    flow(world, {1: 10**6})
    assert set(installed(world)) == {nth(1)}


def test_what_was_chosen_before_a_restart_is_in_the_first_plan() -> None:
    world = World(config())
    family = world.engine.families[Family.IPV4]
    family.selection.recall(nth(2), 10_000.0, 30.0, chosen=True, now=0.0)
    family.selection.recall(nth(3), 5_000.0, 20.0, chosen=False, now=0.0)
    world.send(FeedUp(world.feed))
    world.announce(A, [DEFAULT])
    world.announce(B, [nth(2), nth(3)])
    world.send(TargetUp())
    world.send(FeedComplete(world.feed, Family.IPV4))
    assert [change.prefix for change in last(world)] == [nth(2)]
    assert world.plans[-1].complete == {Family.IPV4}
    assert family.selection.averages.rate(nth(3), 0.0) == pytest.approx(5000)


def test_what_stood_in_the_reserve_is_there_again_after_a_restart() -> None:
    base = config(slots=10, reserve=0.3)
    wide = p("10.2.0.0/16")
    exceptions = [p("10.2.1.0/24"), p("10.2.2.0/24")]

    def taught(world: World) -> World:
        world.announce(B, [wide])
        world.announce(C, exceptions)
        return world

    world = started(base)
    world.announce(B, [wide])
    flow(world, {n: 1000 * n for n in range(1, 7)})
    world.traffic({p("10.2.9.9")[0]: (10, 3)})
    assert len(installed(world)) == 7, "all but the reserve"
    world.announce(C, exceptions)
    before = installed(world)
    assert len(before) == 9
    again = World(base)
    for row in world.engine.memory(99)[Family.IPV4]:
        prefix, rate, samples, chosen = row
        again.engine.families[Family.IPV4].selection.recall(prefix, rate, samples, chosen=chosen, now=0.0)
    again.send(FeedUp(again.feed, frozenset({Family.IPV4})))
    again.announce(A, [DEFAULT])
    again.announce(B, [nth(n) for n in range(20)])
    taught(again)
    again.send(TargetUp())
    again.send(FeedComplete(again.feed, Family.IPV4))
    assert installed(again) == before


def test_what_has_carried_nothing_since_a_restart_is_chosen_after_the_next_one_as_well() -> None:
    world = started()
    rows = [(nth(2), 0.0, 0.0, True), (nth(4), 500.0, 3.0, True)]
    for _ in range(3):
        again = World(world.config)
        for prefix, rate, samples, chosen in rows:
            again.engine.families[Family.IPV4].selection.recall(prefix, rate, samples, chosen=chosen, now=0.0)
        again.start(default=A)
        again.announce(B, [nth(n) for n in range(20)])
        again.tick()
        assert set(installed(again)) == {nth(2), nth(4)}
        rows = again.engine.memory(99)[Family.IPV4]
        assert [row[::3] for row in rows if row[3]] == [(nth(4), True), (nth(2), True)]


def test_killed_again_before_the_table_is_there_it_still_knows_what_was_chosen() -> None:
    rows = [(nth(2), 10_000.0, 30.0, True), (nth(4), 0.0, 0.0, True), (nth(3), 20_000.0, 20.0, False)]
    engine = World(config()).engine
    for prefix, rate, samples, chosen in rows:
        engine.families[Family.IPV4].selection.recall(prefix, rate, samples, chosen=chosen, now=0.0)
    engine.tick(60.0)
    known = engine.memory(100)[Family.IPV4]
    assert [(prefix, chosen) for prefix, _, _, chosen in known] == [(prefix, chosen) for prefix, _, _, chosen in rows]


def test_who_keeps_the_choice_is_told_of_each_turn_with_what_it_is_worth() -> None:
    world = started()
    flow(world, {1: 1000})
    assert world.engine.take_turns() == []  # nobody has asked for them
    world.engine.keep_turns()
    world.announce(B, [p("10.2.0.0/16")])
    world.announce(C, [p("10.2.1.0/24")])
    world.traffic({p("10.2.9.9")[0]: (1000, 3)})
    # the cover for 10.2.1.0/24 goes with its route
    ((prefix, rate, samples, chosen),) = world.engine.take_turns()
    assert (prefix, chosen) == (p("10.2.0.0/16"), True)
    assert (rate, samples) > (0.0, 0.0)
    assert world.engine.take_turns() == []
    world.announce(C, [p("10.2.0.0/16")])  # another next hop is no turn
    assert world.engine.take_turns() == []
    world.withdraw([p("10.2.0.0/16")])  # it is still chosen, and awaited
    assert world.engine.take_turns() == []
    flow(world, {2: 1000})
    assert [row[::3] for row in world.engine.take_turns()] == [(nth(2), True)]
    for _ in range(3):
        world.tick(10.0)
        flow(world, {2: 1000})
    # the one is idle, the other has been away for too long
    assert [row[::3] for row in world.engine.take_turns()] == [(nth(1), False), (p("10.2.0.0/16"), False)]


def test_a_target_that_comes_back_is_told_everything_longest_first() -> None:
    world = started()
    world.announce(B, [p("10.2.0.0/16")])
    world.announce(C, [p("10.2.1.0/24")])
    world.traffic({p("10.2.9.9")[0]: (1000, 3)})
    world.send(TargetDown("test"))
    world.hardware.clear()
    flow(world, {5: 1000})
    world.send(TargetUp(epoch=7))
    plan: Plan = world.plans[-1]
    assert plan.epoch == 7
    assert plan.complete == {Family.IPV4, Family.IPV6}
    lengths = [change.prefix[1] for change in plan.changes]
    assert lengths == sorted(lengths, reverse=True)
    assert {change.prefix for change in plan.changes} == set(installed(world))


def test_a_next_hop_that_can_not_be_reached_takes_its_routes_out_until_it_is_back() -> None:
    world = started()
    flow(world, {1: 1000, 2: 1000})
    world.send(NextHopDown(B, "no neighbour"))
    assert installed(world) == {}
    flow(world, {1: 1000})
    assert installed(world) == {}
    assert "can not be reached" in Queries(world.engine).explain("10.1.1.1").why
    world.send(NextHopUp(B))
    flow(world, {1: 1000})
    assert set(installed(world)) == {nth(1)}


def test_a_route_that_something_else_took_out_is_not_believed_to_stand() -> None:
    world = started()
    world.announce(B, [p("10.2.0.0/16")])
    world.announce(C, [p("10.2.1.0/24")])
    world.traffic({p("10.2.9.9")[0]: (1000, 3)})
    del world.hardware[p("10.2.1.0/24")]
    world.send(Drift(p("10.2.1.0/24"), "removed by another program", installed=False))
    assert p("10.2.0.0/16") not in installed(world), "its exception is gone, so it must go as well"


def test_a_session_that_comes_back_with_half_the_table_is_held_back_and_reported() -> None:
    world = World(config(slots=50))
    world.start(default=A)
    many = [(bytes([10, n >> 8, n & 255, 0]), 24) for n in range(4000)]
    world.announce(B, many)
    world.traffic({bytes([10, 15, 100, 1]): (1000, 5)})
    world.send(FeedDown(world.feed, "test", 90.0))
    world.feed = Feed("reflector", "127.0.0.1", 2, 65000, "192.0.2.9")
    world.send(FeedUp(world.feed))
    world.announce(A, [DEFAULT])
    world.announce(B, many[:2000])
    world.send(FeedComplete(world.feed, Family.IPV4))
    world.tick()
    status = world.engine.family_status(Family.IPV4)
    assert status.rib_prefixes == 4001
    assert any("came back without 2,000" in problem.text for problem in world.engine.problems())
    # What it does teach after all is no longer missing, and the rest goes when most of it is there.
    world.announce(B, many[2000:3500])
    world.tick()
    assert world.engine.family_status(Family.IPV4).rib_prefixes == 3501
    assert world.engine.problems() == ()


def test_a_session_that_stays_away_loses_its_routes_after_its_time() -> None:
    world = started()
    flow(world, {1: 1000})
    world.send(FeedDown(world.feed, "test", 15.0))
    world.tick(14)
    assert installed(world) == {nth(1): Kind.ROUTE}
    world.table.clear()
    world.tick(2)
    assert installed(world) == {}
    assert world.engine.family_status(Family.IPV4).rib_prefixes == 0


def test_explanations_name_the_reason() -> None:
    world = started()
    flow(world, {1: 1000})
    explain = Queries(world.engine).explain
    assert (explain("10.1.1.1").state, explain("10.1.1.1").prefix) == (PrefixState.INSTALLED, nth(1))
    assert explain("10.1.2.0/24").state is PrefixState.IDLE
    assert explain("192.0.2.1").state is PrefixState.DEFAULT
    assert [route.prefix for route in explain("10.1.1.1").covering] == [nth(1), DEFAULT]
    assert explain("10.1.1.1").since_ms == 1_000_000
    with pytest.raises(ValueError, match="not an IPv4 or IPv6"):
        explain("nonsense")


def test_the_change_log_tells_what_and_why() -> None:
    world = started()
    flow(world, {1: 1000})
    world.announce(C, [nth(1)])
    world.withdraw([nth(1)])
    told = [(record.what, record.reason) for record in world.engine.changes(0)]
    assert told == [
        (What.INSTALLED, Reason.NEW), (What.REPLACED, Reason.NEXT_HOP), (What.REMOVED, Reason.WITHDRAWN)
    ]  # fmt: skip
    assert [record.what for record in world.engine.changes(2)] == [What.REMOVED]
