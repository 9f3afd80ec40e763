"""When a slot changes hands: for a gain that is worth two changes, and never blocked by a route of many slots."""

from __future__ import annotations

import pytest
from test_engine_replay import HOPS, World, config

from arm.core import selection
from arm.core.budget import DEAREST, Payback
from arm.core.queries import Queries
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
    return {p for p, entry in Queries(world.engine).installed(Family.IPV4).items() if entry.kind is Kind.ROUTE}


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


def test_a_swap_that_would_win_less_than_its_changes_are_worth_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arm.core.budget.PAYBACK", 1.75)
    world = started()
    flow(world, dict.fromkeys(range(10), 1))
    before = standing(world)
    assert len(before) == 10
    flow(world, {15: 2})
    assert standing(world) == before
    flow(world, {15: 2})
    assert nth(15) in standing(world)


def test_what_needs_covers_has_to_win_as_much_for_each_of_its_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arm.core.budget.PAYBACK", 3.0)
    world = started()
    flow(world, dict.fromkeys(range(10), 1))
    # Five slots: it takes the place of five samples and has to win fifteen.
    flow(world, {100: 18})
    assert WIDE not in standing(world)
    flow(world, {100: 8})
    assert WIDE in standing(world)


def test_what_a_swap_has_to_win_rises_with_the_swaps_of_late_up_to_a_limit() -> None:
    payback = Payback(100.0)
    calm = payback.samples(100.0)
    for _ in range(60):
        payback.note(100.0)
    busy = payback.samples(100.0)
    assert calm < busy
    assert calm < payback.samples(160.0) < busy
    assert payback.samples(1000.0) == pytest.approx(calm, rel=1e-3)
    for _ in range(100_000):
        payback.note(1000.0)
    assert payback.samples(1000.0) == DEAREST


def test_while_much_is_swapped_the_last_free_slots_are_kept_for_what_is_worth_a_swap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = started()
    flow(world, dict.fromkeys(range(5), 1))
    assert len(standing(world)) == 5
    monkeypatch.setattr(Payback, "lately", lambda payback, now: 60.0)
    monkeypatch.setattr(selection, "_LAST", 1.0)
    flow(world, {7: 1})
    assert nth(7) not in standing(world)
    flow(world, {7: 2})
    assert nth(7) in standing(world)


def test_of_few_slots_none_is_kept_free_for_what_is_worth_a_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    world = started()
    flow(world, dict.fromkeys(range(5), 1))
    monkeypatch.setattr(Payback, "lately", lambda payback, now: 60.0)
    flow(world, {7: 1})
    assert nth(7) in standing(world)


def test_what_finds_the_changes_spent_goes_in_with_the_next_ones_without_another_sample() -> None:
    world = started(churn=4)
    flow(world, dict.fromkeys(range(8), 1))
    assert len(standing(world)) == 4
    world.tick()
    assert standing(world) == {nth(n) for n in range(8)}


def test_of_two_routes_that_are_as_good_the_shorter_goes_in_but_not_for_more_changes() -> None:
    world = started()
    plain, crossed = (bytes([10, 3, 0, 0]), 16), (bytes([10, 4, 0, 0]), 16)
    world.announce(B, [plain, (bytes([10, 3, 1, 0]), 24), crossed, (bytes([10, 4, 1, 0]), 24)])
    world.announce(C, [(bytes([10, 4, 2, 0]), 24)])
    world.traffic({bytes([10, 3, 1, 9]): (1000, 1), bytes([10, 4, 1, 9]): (1000, 1)})
    assert standing(world) == {plain, (bytes([10, 4, 1, 0]), 24)}


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
