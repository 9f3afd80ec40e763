"""selection.always: what it names goes its own way in hardware, whatever else is set; where it does not, it is said."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from test_engine_replay import DEFAULT, HOPS, World, config, perform, random_step, tiny
from test_reconfigure import reconfigure, with_selection, with_slots
from test_selection import A, B, C, flow, installed, last, nth, p, started

from arm.config import Config
from arm.core.queries import Queries
from arm.model import Applied, Capacity, Family, Kind, NextHopDown, NextHopUp, Prefix, Reason, mask

AROUND = p("10.1.0.0/16")


def pinning(*prefixes: Prefix, slots: int = 4, reserve: float = 0.0, churn: int = 1000) -> Config:
    return with_selection(config(slots=slots, reserve=reserve, churn=churn, idle_timeout=86_400.0), always=prefixes)


def pin(world: World, *prefixes: Prefix) -> None:
    reconfigure(world, with_selection(world.engine.config, always=prefixes))


def problems(world: World) -> list[str]:
    return [problem.text for problem in world.engine.problems()]


def full(world: World) -> World:
    """Ten busy routes want the slots."""
    flow(world, {n: 1000 * n for n in range(1, 11)})
    return world


def test_a_reload_makes_room_in_full_hardware() -> None:
    world = full(started(pinning(slots=4)))
    assert installed(world).keys() == {nth(n) for n in (7, 8, 9, 10)}
    pin(world, nth(15))
    assert installed(world).keys() == {nth(n) for n in (8, 9, 10, 15)}, "the route worth least leaves"
    assert [(c.prefix, c.reason) for c in last(world)] == [
        (nth(7), Reason.ROOM_FOR_PINNED),
        (nth(15), Reason.PINNED),
    ]
    assert problems(world) == []


def test_a_route_that_the_table_has_later_makes_room_within_a_second() -> None:
    world = full(started(pinning(p("10.7.0.0/24"))))
    world.tick()
    assert problems(world) == ["selection.always names 10.7.0.0/24, but the table has no such route."]
    world.announce(C, [p("10.7.0.0/24")])
    world.tick()
    assert p("10.7.0.0/24") in installed(world)
    assert problems(world) == []


def test_room_is_made_for_its_exceptions_as_well() -> None:
    world = started(pinning(AROUND, slots=4), routes=0)
    world.announce(C, [p(f"10.9.{n}.0/24") for n in range(4)])
    world.traffic({p(f"10.9.{n}.1")[0]: (1000 * (n + 1), 9) for n in range(4)})
    assert len(installed(world)) == 4
    world.announce(B, [AROUND])
    world.announce(C, [nth(1), nth(2)])
    world.tick()
    assert installed(world) == {
        AROUND: Kind.ROUTE, nth(1): Kind.COVER, nth(2): Kind.COVER, p("10.9.3.0/24"): Kind.ROUTE
    }  # fmt: skip


def test_it_is_back_within_a_second_when_a_new_exception_found_no_slot() -> None:
    world = started(pinning(AROUND, slots=3), routes=0)
    world.announce(B, [AROUND])
    world.tick()
    world.announce(C, [p("10.9.0.0/24"), p("10.9.1.0/24")])
    world.traffic({p("10.9.0.1")[0]: (1000, 9), p("10.9.1.1")[0]: (500, 9)})
    assert len(installed(world)) == 3
    world.announce(C, [nth(1)])
    assert AROUND not in installed(world), "the rule comes first"
    world.tick()
    assert installed(world) == {AROUND: Kind.ROUTE, nth(1): Kind.COVER, p("10.9.0.0/24"): Kind.ROUTE}


def test_the_change_rate_does_not_hold_it_up() -> None:
    world = started(pinning(slots=10, churn=1))
    for _ in range(12):
        full(world)
        world.tick()
    assert len(installed(world)) == 10
    pin(world, *(nth(n) for n in range(11, 19)))
    assert installed(world).keys() >= {nth(n) for n in range(11, 19)}


def test_no_traffic_pushes_it_out() -> None:
    world = started(pinning(nth(15), nth(16), slots=2))
    world.tick()
    for _ in range(20):
        flow(world, dict.fromkeys(range(10), 10**9), samples=1000)
        world.tick()
    assert installed(world).keys() == {nth(15), nth(16)}


def test_it_leaves_the_reserve_alone_as_long_as_others_can_make_room() -> None:
    world = full(started(pinning(slots=10, reserve=0.2)))
    assert len(installed(world)) == 8
    pin(world, nth(15), nth(16))
    assert len(installed(world)) == 8
    pin(world, *(nth(n) for n in range(10, 20)))
    assert installed(world).keys() == {nth(n) for n in range(10, 20)}


def test_of_several_that_do_not_all_fit_the_first_of_the_list_stand() -> None:
    world = full(started(pinning(slots=3)))
    wanted = [nth(15), nth(4), nth(16), nth(1), nth(12)]
    pin(world, *wanted)
    assert installed(world).keys() == set(wanted[:3])
    assert problems(world) == [
        f"selection.always names {name}, but it needs 1 slots with its exceptions, and what the list names before it "
        "leaves 0 of 3. Raise [target] prefixes if the hardware has room, or shorten the list."
        for name in ("10.1.1.0/24", "10.1.12.0/24")
    ]
    assert "what the list names before it leaves 0 of 3" in Queries(world.engine).explain("10.1.12.0/24").why


def test_the_order_of_the_list_counts_and_not_who_was_there_first() -> None:
    world = started(pinning(p("10.7.0.0/24"), nth(1), nth(2), slots=2))
    world.tick()
    assert installed(world).keys() == {nth(1), nth(2)}
    world.announce(B, [p("10.7.0.0/24")])
    world.tick()
    assert installed(world).keys() == {p("10.7.0.0/24"), nth(1)}
    world.withdraw([p("10.7.0.0/24")])
    for _ in range(10):
        world.tick()
    assert installed(world).keys() == {nth(1), nth(2)}, "what had no room is tried again every ten seconds"


def test_one_that_needs_too_many_does_not_keep_later_ones_out() -> None:
    world = started(pinning(AROUND, nth(3), nth(4), slots=4))
    world.announce(C, [AROUND])
    world.tick()
    assert installed(world).keys() == {nth(3), nth(4)}
    assert [text for text in problems(world) if "more than 4 slots" in text]


def test_in_hardware_that_shrinks_pinned_routes_are_the_last_to_go() -> None:
    world = started(pinning(nth(15), nth(16), nth(17), slots=10))
    world.tick()
    full(world)
    assert len(installed(world)) == 10
    for slots, left in ((5, {10, 9, 15, 16, 17}), (3, {15, 16, 17}), (2, {15, 16}), (1, {15}), (0, set())):
        world.send(Capacity(Family.IPV4, slots, None, "test"))
        world.tick()
        assert installed(world).keys() == {nth(n) for n in left}
    world.send(Capacity(Family.IPV4, None, None, "test"))
    for _ in range(10):
        world.tick()
    assert installed(world).keys() >= {nth(15), nth(16), nth(17)}


@pytest.mark.parametrize("settings", [
    {"never": (AROUND,)}, {"min_prefix_length": 25}, {"max_prefix_length": 20}
])  # fmt: skip
def test_it_stands_whatever_else_is_set(settings: dict[str, object]) -> None:
    base = pinning(nth(15))
    base = replace(with_selection(base, **settings), target=replace(base.target, prefixes=4, minvalue=1e12))
    world = started(base)
    world.tick()
    assert installed(world).keys() == {nth(15)}
    world.withdraw([nth(15)])
    world.announce(B, [nth(15)])
    world.tick()
    assert installed(world).keys() == {nth(15)}


def test_it_needs_no_slot_where_the_default_goes_its_way() -> None:
    world = full(started(pinning(nth(15))))
    world.announce(A, [nth(15)])
    world.tick()
    assert nth(15) not in installed(world)
    assert problems(world) == []
    world.announce(C, [DEFAULT])
    world.tick()
    assert nth(15) in installed(world)


def test_it_needs_no_slot_where_it_rides_along_and_has_one_as_soon_as_it_does_not() -> None:
    world = started(pinning(nth(15), slots=2), routes=0)
    world.announce(B, [AROUND, nth(15)])
    world.traffic({p("10.1.200.1")[0]: (1000, 9)})
    world.tick()
    assert installed(world).keys() == {AROUND}
    assert problems(world) == []
    world.announce(C, [p("10.9.0.0/24"), p("10.9.1.0/24")])
    world.traffic({p("10.9.0.1")[0]: (10**6, 900), p("10.9.1.1")[0]: (10**6, 900)})
    # Two busy routes push the one around out, and in the same plan it has a slot of its own again.
    assert nth(15) in installed(world)
    assert AROUND not in installed(world)


def test_a_cover_in_its_place_becomes_its_route() -> None:
    world = started(pinning(AROUND, slots=3), routes=0)
    world.announce(B, [AROUND])
    world.announce(C, [nth(1), p("10.1.1.128/25")])
    world.tick()
    assert installed(world) == {AROUND: Kind.ROUTE, nth(1): Kind.COVER}
    pin(world, AROUND, nth(1))
    assert installed(world) == {AROUND: Kind.ROUTE, nth(1): Kind.ROUTE}


def test_routes_inside_it_that_will_ride_along_make_room() -> None:
    world = started(pinning(slots=2))
    flow(world, {1: 1000, 2: 2000})
    world.announce(B, [AROUND])
    pin(world, AROUND)
    assert installed(world).keys() == {AROUND}
    (chosen,) = [one for one in world.engine.memory(99)[Family.IPV4] if one[3]]
    assert chosen[2] == pytest.approx(20, rel=0.05), "the samples of both are its own now"
    rates = Queries(world.engine).traffic_snapshot(Family.IPV4, "destination")
    assert Queries(world.engine).served(Family.IPV4)[AROUND] == pytest.approx(sum(rates.rates.values()) * rates.scale)


def test_a_next_hop_that_can_not_be_reached_is_said() -> None:
    world = started(pinning(nth(15)))
    world.tick()
    world.send(NextHopDown(B, "no neighbour"))
    world.tick()
    assert installed(world) == {}
    assert problems(world) == ["selection.always names 10.1.15.0/24, but its next hop 192.0.2.2 can not be reached."]
    world.send(NextHopUp(B))
    world.tick()
    assert installed(world).keys() == {nth(15)}
    assert problems(world) == []


def test_what_the_target_refuses_is_said_and_tried_again() -> None:
    world = started(pinning(nth(15)))
    plan = world.engine.tick(1.0)
    assert plan is not None
    world.engine.handle(Applied(plan.number, 0, [(plan.changes[0], "no space left")]), 1.0)
    assert problems(world) == ["selection.always names 10.1.15.0/24, but the target has refused it; it is tried again."]
    tried = [plan for second in range(2, 200) if (plan := world.engine.tick(float(second))) is not None]
    assert [change.prefix for change in tried[0].changes] == [nth(15)]
    assert problems(world) == []


def test_without_samples_it_goes_in_all_the_same() -> None:
    world = full(started(pinning(slots=4)))
    world.tick(3600.0)
    assert world.engine.frozen
    pin(world, nth(15))
    assert nth(15) in installed(world)


def test_a_long_list_that_can_not_stand_is_told_in_few_sentences() -> None:
    world = started(pinning(*(p(f"10.8.{n}.0/24") for n in range(50)), slots=60))
    world.tick()
    texts = problems(world)
    assert len(texts) == 11
    assert "names 40 more IPv4 prefixes that do not stand" in texts[-1]


# --- any table, any traffic ---------------------------------------------------------------------------------------


def around(short: Prefix, long: Prefix) -> bool:
    return short[1] <= long[1] and mask(long[0], short[1]) == short[0]


def goes_its_way(world: World, prefix: Prefix) -> bool:
    """True if an installed route, or none and the default, sends the prefix to the next hop that the table says."""
    hop = world.table[prefix]
    entries = [q for q in world.hardware if around(q, prefix)]
    if not entries:
        return world.default() == hop
    entry = world.hardware[max(entries, key=lambda q: q[1])]
    return entry.next_hop == hop


def exceptions(world: World, prefix: Prefix) -> set[Prefix]:
    """All entries that a route may need below it: at most one for each more-specific that goes elsewhere."""
    inside = sorted((q for q in world.table if q != prefix and around(prefix, q)), key=lambda q: q[1])
    found: set[Prefix] = set()
    for q in inside:
        above = max((o for o in found if around(o, q)), key=lambda o: o[1], default=prefix)
        if world.table[q] != world.table[above] and (above == prefix or world.default() is None):
            found.add(q)
    return found


def fitting(world: World, always: tuple[Prefix, ...], slots: int, dead: set[bytes]) -> list[Prefix]:
    """Those that certainly fit beside those named before them: this counts rather too many slots than too few."""
    found: list[Prefix] = []
    entries: set[Prefix] = set()
    for prefix in always:
        hop = world.table.get(prefix)
        if hop is None or hop in dead or hop == world.default():
            continue
        more = entries | {prefix} | exceptions(world, prefix)
        # One that does not fit by this count may fit by a better one, and then later ones may not.
        if len(more) > slots:
            break
        entries = more
        found.append(prefix)
    return found


@pytest.mark.parametrize("slots", [1, 2, 3, 5, 8, 16])
@pytest.mark.parametrize("default", [HOPS[0], None])
def test_once_it_is_calm_all_that_fit_go_their_way(slots: int, default: bytes | None) -> None:
    seen = 0
    for seed in range(60):
        rng = random.Random(f"{seed} {slots} {default!r}")
        base = config(slots, reserve=rng.choice((0.0, 0.3)), churn=rng.choice((1, 1000)), idle_timeout=86_400.0)
        world = World(base)
        world.start(default=default)
        dead: set[bytes] = set()
        room = slots
        for _ in range(rng.choice((20, 80))):
            kind = rng.random()
            if kind < 0.1:
                names = tuple(dict.fromkeys(tiny(rng) for _ in range(rng.choice((1, 2, 6)))))
                known = sorted(world.table.keys() - {DEFAULT})
                names += tuple(q for q in rng.sample(known, min(len(known), 3)) if q not in names)
                world.apply(world.engine.reconfigure(with_selection(world.engine.config, always=names), world.now))
            elif kind < 0.15:
                room = rng.randint(0, slots)
                world.send(Capacity(Family.IPV4, room, None, "test"))
            elif kind < 0.2 and default is not None:
                hop = rng.choice(HOPS[:3])
                world.send(NextHopUp(hop) if hop in dead else NextHopDown(hop, "test"))
                dead ^= {hop}
            else:
                step = random_step(rng)
                if step[0] not in ("bounce", "retarget", "pin", "pin known") and (
                    step[0] != "default" or default is not None
                ):
                    perform(world, step)
        for _ in range(12):
            world.tick()
        assert len(world.hardware) <= room
        always = tuple(world.engine.config.selection.always)
        for prefix in fitting(world, always, room, dead):
            assert goes_its_way(world, prefix), (seed, prefix)
            seen += 1
        told = " ".join(problems(world))
        for prefix in always:
            name = f"names {prefix[0][0]}.{prefix[0][1]}.{prefix[0][2]}.{prefix[0][3]}/{prefix[1]},"
            assert (name in told) != (prefix in world.table and goes_its_way(world, prefix)), (seed, prefix, told)
        before = len(world.plans)
        for _ in range(25):
            world.tick()
        moved = {c.reason for plan in world.plans[before:] for c in plan.changes}
        assert not moved & {Reason.PINNED, Reason.ROOM_FOR_PINNED}, (seed, moved)
    assert seen > 5


def test_slots_may_change_by_a_reload() -> None:
    world = full(started(pinning(nth(15), nth(16), slots=4)))
    world.tick()
    reconfigure(world, with_slots(world.engine.config, 1))
    assert installed(world).keys() == {nth(15)}
