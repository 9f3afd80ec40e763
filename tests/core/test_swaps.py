"""When a slot changes hands: for a gain that is worth two changes, and never blocked by a route of many slots."""

from __future__ import annotations

from test_engine_replay import HOPS, World, config

from arm.model import Family, Kind, Prefix

A, B, C = HOPS[0], HOPS[1], HOPS[2]
WIDE = bytes([10, 2, 0, 0]), 16


def nth(n: int) -> Prefix:
    return bytes([10, 1, n, 0]), 24


def started(churn: int = 1000) -> World:
    """Ten slots; routes of one slot each, and one that needs four covers."""
    world = World(config(slots=10, reserve=0.0, churn=churn))
    world.start(default=A)
    world.announce(B, [nth(n) for n in range(20)])
    world.announce(B, [WIDE])
    world.announce(C, [(bytes([10, 2, n, 0]), 24) for n in (8, 16, 24, 32)])
    return world


def flow(world: World, samples: dict[int, int]) -> None:
    """So many samples of 1,000 octets for each n-th route; 100 is the wide one."""
    world.traffic(
        {bytes([10, 2, 1, 9] if n == 100 else [10, 1, n, 9]): (1000 * count, count) for n, count in samples.items()}
    )


def standing(world: World) -> set[Prefix]:
    return {p for p, entry in world.engine.installed(Family.IPV4).items() if entry.kind is Kind.ROUTE}


def test_a_route_of_many_slots_that_carries_more_than_a_newcomer_does_not_keep_it_out() -> None:
    world = started()
    flow(world, {100: 40} | dict.fromkeys(range(5), 10))
    assert standing(world) == {WIDE} | {nth(n) for n in range(5)}
    for _ in range(3):
        world.tick()
    flow(world, {7: 30})
    assert nth(7) in standing(world)


def test_it_leaves_where_its_slots_are_worth_more_to_others() -> None:
    world = started()
    flow(world, {100: 10} | dict.fromkeys(range(5), 20))
    flow(world, {5: 20})
    assert standing(world) == {nth(n) for n in range(6)}


def test_a_swap_that_would_win_less_than_its_two_changes_are_worth_is_not_made() -> None:
    world = started()
    flow(world, dict.fromkeys(range(10), 1))
    before = standing(world)
    assert len(before) == 10
    flow(world, {15: 2})
    assert standing(world) == before
    flow(world, {15: 2})
    assert nth(15) in standing(world)


def test_a_burst_does_not_wait_for_the_budget_and_the_debt_is_paid_before_others_change() -> None:
    world = started(churn=4)
    for group in (range(4), range(4, 8), range(8, 10)):
        flow(world, dict.fromkeys(group, 2))
        world.tick()
    assert len(standing(world)) == 10
    flow(world, {10: 20, 11: 20, 12: 20})
    # Two swaps are what a second allows; the third is above the weakest by three standard errors.
    assert {nth(10), nth(11), nth(12)} <= standing(world)
    before = standing(world)
    flow(world, {13: 8})
    assert standing(world) == before, "above the weakest, but not by three standard errors"
    world.tick(3.0)
    flow(world, {13: 1})
    assert nth(13) in standing(world)
