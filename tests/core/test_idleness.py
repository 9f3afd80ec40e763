"""A quarter of the choice that falls silent together stays and is reported; correctness does not wait for it."""

from __future__ import annotations

from dataclasses import replace

from test_engine_replay import HOPS, World

from arm.config import Config
from arm.core.idleness import WINDOW, Idleness
from arm.model import Family, Kind, Prefix

A, B = HOPS[0], HOPS[1]
TIMEOUT = 50.0
ROUTES = 800


class Crowd(World):
    """Disjoint routes over one next hop: nothing to judge, and too many to judge them all after each change."""

    def wrong(self) -> set[int]:
        return set()


def nth(n: int) -> Prefix:
    return bytes([10, n >> 8, n & 255, 0]), 24


def started() -> World:
    """Eight hundred installed routes that have just had traffic."""
    base = Config()
    world = Crowd(
        replace(
            base,
            selection=replace(base.selection, reserve=0.0, idle_timeout=TIMEOUT),
            target=replace(base.target, prefixes=1000),
        )
    )
    world.start(default=A)
    world.announce(B, [nth(n) for n in range(ROUTES)])
    flow(world, range(ROUTES))
    assert len(installed(world)) == ROUTES
    return world


def flow(world: World, numbers: range) -> None:
    world.traffic({bytes([10, n >> 8, n & 255, 1]): (1000, 1) for n in numbers})


def installed(world: World) -> dict[Prefix, Kind]:
    return {prefix: entry.kind for prefix, entry in world.engine.families[Family.IPV4].fib.entries.items()}


def play(world: World, seconds: int, numbers: range) -> None:
    for _ in range(seconds):
        flow(world, numbers)
        world.tick()


def silent(world: World) -> list[str]:
    return [problem.text for problem in world.engine.problems() if "no traffic any more" in problem.text]


def test_a_few_idle_routes_leave() -> None:
    world = started()
    play(world, 70, range(150, ROUTES))
    assert set(installed(world)) == {nth(n) for n in range(150, ROUTES)}
    assert silent(world) == []


def test_more_than_a_quarter_that_falls_silent_together_stays_and_is_reported() -> None:
    world = started()
    play(world, 70, range(300, ROUTES))
    assert len(installed(world)) == ROUTES
    (told,) = silent(world)
    assert told.startswith("300 of 800 installed IPv4 routes")
    play(world, 20, range(ROUTES))
    assert silent(world) == []


def test_a_withdrawal_of_what_is_held_back_comes_out_at_once() -> None:
    world = started()
    play(world, 70, range(300, ROUTES))
    world.withdraw([nth(n) for n in range(300)])
    assert set(installed(world)) == {nth(n) for n in range(300, ROUTES)}


def test_losses_add_up_until_the_window_is_over() -> None:
    idleness = Idleness(0.0)
    assert idleness.allows(200, 1000, 10.0)
    assert not idleness.allows(60, 800, 20.0)
    assert idleness.held == 60
    assert idleness.allows(60, 800, 20.0 + WINDOW)
    assert idleness.held == 0
