"""What was chosen and taken out for no reason of the choice comes back with its route, without a sample."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from test_engine_replay import DEFAULT, World, config
from test_reconfigure import reconfigure, with_selection
from test_selection import A, B, C, flow, installed, last, nth, p, started

from arm.model import Capacity, Family, FeedComplete, FeedUp, Kind, NextHopDown, NextHopUp, Prefix, Reason, TargetUp

Step = Callable[[World], None]

LOSSES: dict[str, tuple[Step, Step]] = {
    "withdrawn": (lambda w: w.withdraw([nth(1), nth(2)]), lambda w: w.announce(B, [nth(1), nth(2)])),
    "with another next hop": (lambda w: w.withdraw([nth(1), nth(2)]), lambda w: w.announce(C, [nth(1), nth(2)])),
    "gone the default's way": (lambda w: w.announce(A, [nth(1), nth(2)]), lambda w: w.announce(B, [nth(1), nth(2)])),
    "the default goes their way": (lambda w: w.announce(B, [DEFAULT]), lambda w: w.announce(A, [DEFAULT])),
    "next hop unreachable": (lambda w: w.send(NextHopDown(B, "no neighbour")), lambda w: w.send(NextHopUp(B))),
}


@pytest.mark.parametrize(("lose", "regain"), LOSSES.values(), ids=LOSSES)
def test_it_is_back_with_the_next_tick(lose: Step, regain: Step) -> None:
    world = started()
    flow(world, {1: 1000, 2: 1000})
    lose(world)
    assert installed(world) == {}
    world.tick()
    assert installed(world) == {}
    regain(world)
    world.tick()
    assert installed(world) == {nth(1): Kind.ROUTE, nth(2): Kind.ROUTE}
    assert {change.reason for change in last(world)} == {Reason.REMEMBERED}


def test_it_comes_back_with_the_exceptions_that_it_needs_now() -> None:
    world = started()
    flow(world, {1: 1000})
    world.withdraw([nth(1)])
    world.announce(C, [p("10.1.1.128/25")])
    world.announce(B, [nth(1)])
    world.tick()
    assert installed(world) == {nth(1): Kind.ROUTE, p("10.1.1.128/25"): Kind.COVER}


def test_it_comes_back_while_there_are_no_samples() -> None:
    world = started()
    flow(world, {1: 1000})
    world.withdraw([nth(1)])
    world.tick(60.0)
    assert world.engine.frozen
    world.announce(B, [nth(1)])
    world.tick()
    assert installed(world) == {nth(1): Kind.ROUTE}


def test_where_no_slot_is_free_it_takes_the_place_of_what_is_worth_clearly_less() -> None:
    world = started(config(slots=3, reserve=0.0))
    flow(world, {1: 10_000, 2: 1000, 3: 10_000}, samples=100)
    world.withdraw([nth(1), nth(2)])
    flow(world, {4: 100, 5: 5000}, samples=100)
    assert installed(world).keys() == {nth(3), nth(4), nth(5)}
    world.announce(B, [nth(1), nth(2)])
    world.tick()
    assert installed(world).keys() == {nth(1), nth(3), nth(5)}
    # what has lost is not awaited any more: it takes no other's place later
    world.tick()
    assert world.engine.families[Family.IPV4].selection.awaited == {}


def test_what_nothing_is_known_of_any_more_is_given_up_where_no_slot_is_free() -> None:
    world = started(config(slots=1, reserve=0.0, churn=2))
    flow(world, {1: 10_000}, samples=100)
    world.withdraw([nth(1), nth(2)])
    world.engine.families[Family.IPV4].selection.recall(nth(2), 0.0, 0.0, chosen=True, now=0.0)
    flow(world, {4: 10}, samples=1)
    world.announce(B, [nth(1), nth(2)])
    world.tick()
    assert installed(world).keys() == {nth(1)}
    assert world.engine.families[Family.IPV4].selection.awaited == {}


def test_without_samples_nothing_is_weighed_against_what_has_the_slots() -> None:
    world = started(config(slots=1, reserve=0.0))
    flow(world, {1: 10_000}, samples=100)
    world.withdraw([nth(1)])
    flow(world, {2: 10}, samples=1)
    world.tick(60.0)
    world.announce(B, [nth(1)])
    world.tick()
    assert installed(world).keys() == {nth(2)}
    world.withdraw([nth(2)])
    world.tick()
    assert installed(world).keys() == {nth(1)}


def test_not_more_come_back_in_a_second_than_changes_may_be_made() -> None:
    world = started(config(slots=40, reserve=0.0, churn=10), routes=40)
    for _ in range(3):
        flow(world, dict.fromkeys(range(30), 1000))
        world.tick()
    assert len(installed(world)) == 30
    world.withdraw([nth(n) for n in range(30)])
    world.announce(B, [nth(n) for n in range(30)])
    counts = []
    for _ in range(3):
        world.tick()
        counts.append(len(installed(world)))
    assert counts == [10, 20, 30]


def test_what_the_choice_itself_took_out_does_not_come_back() -> None:
    world = started()
    flow(world, {1: 1000, 2: 1000})
    reconfigure(world, with_selection(world.engine.config, never=(nth(1),)))
    world.withdraw([nth(2)])
    reconfigure(world, with_selection(world.engine.config, never=(nth(2),)))
    world.withdraw([nth(1)])
    world.announce(B, [nth(1), nth(2)])
    world.tick()
    assert installed(world) == {}


def test_after_the_idle_timeout_it_is_forgotten() -> None:
    world = started()
    flow(world, {1: 1000, 2: 1000})
    world.withdraw([nth(1)])
    for _ in range(3):
        world.tick(10.0)
        flow(world, {2: 1000})
    world.announce(B, [nth(1)])
    world.tick()
    assert installed(world) == {nth(2): Kind.ROUTE}
    assert [prefix for prefix, _, _, chosen in world.engine.memory(10)[Family.IPV4] if chosen] == [nth(2)]


def test_what_has_been_away_longest_is_given_up_when_it_is_too_much() -> None:
    world = started(config(slots=5, reserve=0.0), routes=40)
    world.engine.keep_turns()
    for first in range(0, 40, 5):
        world.tick()
        some = range(first, first + 5)
        flow(world, dict.fromkeys(some, 1000))
        assert installed(world).keys() == {nth(n) for n in some}
        world.withdraw([nth(n) for n in some])
    world.engine.take_turns()
    world.tick()
    world.tick()
    assert world.engine.families[Family.IPV4].selection.awaited.keys() == {nth(n) for n in range(30, 40)}
    # who keeps the choice hears of it
    assert [row[::3] for row in world.engine.take_turns()] == [(nth(n), False) for n in range(30)]


def rebooted(world: World) -> World:
    """The engine anew, with a table that has nothing but the default route yet."""
    after = World(config(slots=10, reserve=0.0))
    for prefix, rate, samples, chosen in world.engine.memory(100)[Family.IPV4]:
        after.engine.families[Family.IPV4].selection.recall(prefix, rate, samples, chosen=chosen, now=0.0)
    after.send(TargetUp())
    after.send(FeedUp(after.feed))
    after.announce(A, [DEFAULT])
    after.send(FeedComplete(after.feed, Family.IPV4))
    return after


def test_after_a_reboot_the_choice_is_back_with_the_table_that_comes_late() -> None:
    world = started()
    flow(world, {1: 1000, 2: 3000})
    after = rebooted(world)
    assert installed(after) == {}
    after.tick(60.0)
    # killed while it waits, it still knows: and so on
    after = rebooted(rebooted(after))
    after.announce(B, [nth(n) for n in range(20)])
    after.tick()
    assert installed(after) == {nth(1): Kind.ROUTE, nth(2): Kind.ROUTE}


def test_after_a_restart_what_rides_along_is_not_awaited() -> None:
    after = World(config(slots=10, reserve=0.0))
    selection = after.engine.families[Family.IPV4].selection
    for prefix in (p("10.1.0.0/16"), nth(1), nth(2)):
        selection.recall(prefix, 1000.0, 10.0, chosen=True, now=0.0)
    after.announce(A, [DEFAULT])
    after.send(FeedUp(after.feed))
    after.announce(A, [DEFAULT, nth(2)])
    after.announce(B, [p("10.1.0.0/16"), nth(1)])
    after.send(FeedComplete(after.feed, Family.IPV4))
    after.send(TargetUp())
    assert installed(after) == {p("10.1.0.0/16"): Kind.ROUTE, nth(2): Kind.COVER}
    assert selection.awaited.keys() == {nth(2)}


def test_a_family_without_slots_awaits_nothing() -> None:
    base = config(slots=3, reserve=0.0)
    world = started(replace(base, target=replace(base.target, prefixes=3)))
    flow(world, {1: 1000})
    world.capacity = 3
    world.send(Capacity(Family.IPV4, 0, None, "test"))
    world.withdraw([nth(1)])
    world.announce(B, [nth(1)])
    world.tick()
    assert installed(world) == {}
    assert world.engine.families[Family.IPV4].selection.awaited == {}


@pytest.mark.parametrize("slots", [1, 2, 4, 8])
def test_a_table_that_flaps_for_hours_leaves_nothing_wrong_and_nothing_behind(slots: int) -> None:
    for seed in range(30):
        rng = random.Random(f"{seed} {slots}")
        world = started(config(slots=slots, reserve=0.0, churn=rng.choice([1, 2, 5]), idle_timeout=86_400.0), routes=12)
        world.engine.keep_turns()
        kept: dict[Prefix, bool] = {}
        for _ in range(60):
            some = rng.sample(range(12), rng.randrange(1, 8))
            match rng.randrange(6):
                case 0 | 1:
                    flow(world, {n: rng.randrange(1, 10_000) for n in some}, samples=rng.choice([1, 2, 60]))
                case 2:
                    world.withdraw([nth(n) for n in some])
                case 3:
                    world.announce(rng.choice([A, B, B, C]), [nth(n) for n in some])
                case 4:
                    world.tick()
                case _:  # long enough for what had a sample or two to be forgotten
                    for _ in range(8):
                        world.now += 600.0
                        flow(world, {12: 1}, samples=1)
                        world.tick(10.0)
            kept |= {prefix: chosen for prefix, _, _, chosen in world.engine.take_turns()}
            selection = world.engine.families[Family.IPV4].selection
            assert not selection.awaited.keys() & selection.served.keys()
            # who wrote down every turn knows what is chosen
            chosen = {prefix for prefix, is_chosen in kept.items() if is_chosen}
            assert chosen == selection.awaited.keys() | selection.served.keys()
