"""Who follows the table by what it was told lately knows it as well as who asks for all of it."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_engine_replay import HOPS, STEPS, World, config, perform, prefix_of

from arm.core import relearned
from arm.core.queries import Queries
from arm.core.relearned import MOST, Relearned
from arm.model import Attributes, Feed, Prefix

FEED = Feed("reflector", "127.0.0.1", 1, 65000, "192.0.2.1")

SESSION_STEPS = st.one_of(STEPS, st.tuples(st.just("look")), st.tuples(st.just("look")))


class Follower:
    """Knows the routes of all prefixes that were ever announced, and asks only for those again that it must."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.number = -1
        self.known: dict[Prefix, Attributes | None] = {}
        self.asked = 0

    def look(self, prefixes: set[Prefix]) -> None:
        engine = self.world.engine
        self.number, told = engine.relearned(self.number)
        if told is None:
            self.known.clear()
        for prefix in told or ():
            self.known.pop(prefix, None)
        unknown = sorted(prefixes - self.known.keys())
        self.asked += len(unknown)
        for prefix, route in zip(unknown, Queries(engine).routes(unknown), strict=True):
            self.known[prefix] = None if route is None else route.attributes


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(SESSION_STEPS, min_size=5, max_size=50), most=st.sampled_from([1, 5, 20_000]))
def test_no_changed_route_is_missed(steps: list[tuple[object, ...]], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relearned, "MOST", most)
        world = World(config())
    world.start()
    follower = Follower(world)
    ever = set(world.table)
    for step in (*steps, ("look",)):
        if step != ("look",):
            perform(world, step)
            ever |= set(world.table)
            continue
        follower.look(ever)
        routes = Queries(world.engine).routes(sorted(ever))
        true = {p: None if r is None else r.attributes for p, r in zip(sorted(ever), routes, strict=True)}
        assert follower.known == true


def test_only_what_was_told_is_asked_for_again() -> None:
    world = World(config())
    world.start()
    prefixes = [prefix_of(number, 16) for number in range(200)]
    world.announce(HOPS[1], prefixes)
    follower = Follower(world)
    follower.look(set(prefixes))
    assert follower.asked == 200
    world.announce(HOPS[2], prefixes[:3])
    world.withdraw(prefixes[3:4])
    follower.look(set(prefixes))
    assert follower.asked == 204
    follower.look(set(prefixes))
    assert follower.asked == 204


def test_what_is_kept_is_bounded() -> None:
    relearned = Relearned(most=10)
    for number in range(1000):
        relearned.note([(None, [prefix_of(number, 24), prefix_of(number, 16)])])
    assert relearned.number == 2000
    assert relearned.since(1989) is None
    latest = [(prefix_of(number, 24), prefix_of(number, 16)) for number in range(995, 1000)]
    assert relearned.since(1990) == tuple(prefix for both in latest for prefix in both)
    assert relearned.since(1999) == latest[-1][1:]
    assert relearned.since(2000) == ()
    assert relearned.since(-1) is None
    relearned.note([(None, [prefix_of(number, 24) for number in range(11)])])
    assert relearned.since(2000) is None
    assert relearned.since(2011) == ()


def test_who_has_seen_nothing_since_all_may_have_changed_asks_for_everything() -> None:
    relearned = Relearned()
    relearned.note([(None, [prefix_of(1, 24)])])
    before = relearned.number
    relearned.forget()
    relearned.note([(None, [prefix_of(2, 24)])])
    assert relearned.since(before) is None
    assert relearned.since(before + 1) == (prefix_of(2, 24),)


def test_what_is_kept_costs_two_megabytes() -> None:
    """Ordinary changes come one by one, each with attributes of its own, and what is told here holds none of them."""
    relearned = Relearned()
    tracemalloc.start()
    try:
        for number in range(2 * MOST):
            prefix = (number.to_bytes(4, "big"), 32)
            relearned.note([(Attributes(FEED, bytes(4), bytes(200)), [prefix])])
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(relearned.since(relearned.number - MOST) or ()) == MOST
    assert taken < 3_000_000
