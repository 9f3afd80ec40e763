"""Routes of a session that has gone, or has come back with less, leave the table and the hardware when they should."""

from __future__ import annotations

from test_engine_replay import DEFAULT, HOPS, World, config
from test_guards import MANY, installed, nth

from arm.model import FAMILIES, Family, Feed, FeedComplete, FeedDown, FeedUp, Kind, parse_prefix

A, B = HOPS[0], HOPS[1]
V4, V6 = Family.IPV4, Family.IPV6
ONLY6 = frozenset({V6})


def started(routes: int = 20) -> World:
    world = World(config(slots=50))
    world.start(default=A)
    world.announce(B, [nth(n) for n in range(routes)])
    world.traffic({nth(1)[0][:3] + b"\x09": (1000, 5)})
    assert installed(world) == {nth(1): Kind.ROUTE}
    return world


def down(world: World, retain: float = 90.0, lost: frozenset[Family] = frozenset()) -> None:
    world.send(FeedDown(world.feed, "test", retain, lost))


def back(
    world: World, families: frozenset[Family] = frozenset(FAMILIES), lost: frozenset[Family] = frozenset()
) -> None:
    world.feed = Feed("reflector", "127.0.0.1", world.feed.generation + 1, 65000, "192.0.2.9")
    world.send(FeedUp(world.feed, families, lost))


def routes(world: World, family: Family = V4) -> int:
    return world.engine.family_status(family).rib_prefixes


def test_a_family_that_a_session_comes_back_without_goes_at_once() -> None:
    world = started()
    down(world)
    world.tick(10)
    assert installed(world) == {nth(1): Kind.ROUTE}
    world.table.clear()
    back(world, ONLY6)
    assert routes(world) == 0
    assert world.hardware == {}


def test_a_family_that_a_session_comes_back_without_does_not_take_another_sessions_routes_along() -> None:
    world = started()
    other = Feed("reflector6", "::1", 1, 65000, "192.0.2.9")
    world.send(FeedUp(other))
    world.feed, mine = other, world.feed
    world.announce(B, [nth(1), nth(30)])
    world.feed = mine
    down(world)
    world.table = {nth(1): B, nth(30): B}
    back(world, ONLY6)
    assert routes(world) == 2
    assert installed(world) == {nth(1): Kind.ROUTE}


def test_what_a_peer_has_lost_goes_at_once_and_the_other_family_stays() -> None:
    world = started()
    world.announce(bytes(15) + b"\1", [parse_prefix("2001:db8::/32")])
    del world.table[parse_prefix("2001:db8::/32")]
    world.table.clear()
    down(world, lost=frozenset({V4}))
    assert (routes(world), routes(world, V6)) == (0, 1)
    assert world.hardware == {}
    back(world, lost=frozenset({V6}))
    assert routes(world, V6) == 0


def test_what_a_restarted_peer_has_not_kept_goes_before_it_teaches_anew() -> None:
    world = started()
    down(world)
    world.table.clear()
    back(world, lost=frozenset({V4}))
    assert (routes(world), world.hardware) == (0, {})


def test_a_session_that_goes_again_before_it_has_taught_everything_does_not_prolong_what_it_left_before() -> None:
    world = started()
    down(world, retain=60.0)
    for _ in range(3):
        world.tick(15)
        back(world)
        world.announce(A, [DEFAULT])
        world.announce(B, [nth(5)])
        down(world, retain=60.0)
        assert routes(world) == 21
    world.tick(14)
    assert routes(world) == 21
    assert world.engine.kept_routes() == {"reflector": 46.0}
    world.table = {DEFAULT: A, nth(5): B}
    world.tick(2)
    assert routes(world) == 2, "60 s after the first loss; what was taught since stays"
    assert installed(world) == {}
    world.table.clear()
    world.tick(45)
    assert routes(world) == 0
    assert world.engine.kept_routes() == {}


def test_what_a_session_is_still_to_teach_does_not_go_while_it_teaches() -> None:
    world = started()
    down(world, retain=60.0)
    world.tick(55)
    back(world)
    world.tick(55)
    assert installed(world) == {nth(1): Kind.ROUTE}
    world.announce(A, [DEFAULT])
    world.announce(B, [nth(n) for n in range(20)])
    world.send(FeedComplete(world.feed, V4))
    assert routes(world) == 21


def test_what_is_held_back_is_not_held_back_anew_by_every_loss() -> None:
    world = started(MANY)
    hold = float(world.config.bgp.restart_time)
    started_at = world.now
    down(world, retain=30.0)
    while world.now < started_at + hold + 60 and routes(world) > MANY // 2 + 1:
        back(world)
        world.announce(A, [DEFAULT])
        world.announce(B, [nth(n) for n in range(MANY // 2)])
        if world.now >= started_at + hold:  # a loss or the tick may be what drops it
            world.table = {DEFAULT: A, **{nth(n): B for n in range(MANY // 2)}}
        world.send(FeedComplete(world.feed, V4))
        assert any("came back without" in problem.text for problem in world.engine.problems()) or routes(world) == 2001
        world.tick(7)
        down(world, retain=30.0)
        world.tick(1)
    assert routes(world) == MANY // 2 + 1
    assert started_at + hold <= world.now <= started_at + hold + 20
