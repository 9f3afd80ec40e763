"""Who follows the table by what it was told lately knows it as well as who asks for all of it."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_engine_replay import HOPS, STEPS, World, config, perform, prefix_of

from arm.core.relearned import Relearned
from arm.model import Attributes, Prefix

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
        for some in told or ():
            for prefix in some:
                self.known.pop(prefix, None)
        unknown = sorted(prefixes - self.known.keys())
        self.asked += len(unknown)
        for prefix, route in zip(unknown, engine.routes(unknown), strict=True):
            self.known[prefix] = None if route is None else route.attributes


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(SESSION_STEPS, min_size=5, max_size=50), most=st.sampled_from([1, 5, 20_000]))
def test_no_changed_route_is_missed(steps: list[tuple[object, ...]], most: int) -> None:
    world = World(config())
    world.engine._relearned = Relearned(most)
    world.start()
    follower = Follower(world)
    ever = set(world.table)
    for step in (*steps, ("look",)):
        if step != ("look",):
            perform(world, step)
            ever |= set(world.table)
            continue
        follower.look(ever)
        routes = world.engine.routes(sorted(ever))
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
    assert relearned.number == 1000
    assert relearned.since(994) is None
    assert relearned.since(995) == [[prefix_of(number, 24), prefix_of(number, 16)] for number in range(995, 1000)]
    assert relearned.since(1000) == []
    assert relearned.since(-1) is None
    relearned.note([(None, [prefix_of(number, 24) for number in range(11)])])
    assert relearned.since(1000) is None
    assert relearned.since(1001) == []
