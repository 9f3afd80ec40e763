"""What a second costs follows what happens in it, not the size of the table: counted in steps of the interpreter."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from types import FrameType
from typing import Any

import pytest
from crowd import Crowd, prefix_of

from arm.core.queries import Queries
from arm.model import Family, Route, RoutesLearned

SMALL, LARGE = 4_000, 64_000


def steps(what: Callable[[], object]) -> int:
    """Instructions of the interpreter that it takes: the same in every run, on every machine."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        what()
    finally:
        sys.settrace(before)
    return count


def a_second(crowd: Crowd) -> Callable[[], object]:
    """Ten batches and a tick, a clean-up among ten of them."""
    batches = [crowd.batch(0.1) for _ in range(10)]

    def run() -> None:
        for batch in batches:
            crowd.play(0.1, batch)

    return run


def crowd_of(table: int) -> Crowd:
    crowd = Crowd(3, slots=500, table=table, active=3_000)
    crowd.warm_up(120.0)
    assert crowd.full()
    return crowd


def test_a_second_of_samples_and_ticks_costs_the_same_with_a_table_of_sixteen_times_the_size() -> None:
    small, large = (sum(steps(a_second(crowd)) for _ in range(11)) for crowd in (crowd_of(SMALL), crowd_of(LARGE)))
    assert small > 100_000
    assert large == pytest.approx(small, rel=0.1)


def test_a_change_of_one_route_costs_the_same_with_a_table_of_sixteen_times_the_size() -> None:
    found = []
    for size in (SMALL, LARGE):
        crowd = crowd_of(size)
        prefixes = [prefix_of(Family.IPV4, place) for place in crowd.places[Family.IPV4][:100]]
        routes = [route for route in Queries(crowd.engine).routes(prefixes) if route is not None]

        def change(crowd: Crowd = crowd, routes: list[Route] = routes) -> None:
            for one, other in pairwise(routes):
                for attributes in (other.attributes, None):
                    updates = [(attributes, [one.prefix])]
                    crowd.engine.handle(RoutesLearned(other.attributes.feed, updates), crowd.now)

        found.append(steps(change))
    assert found[0] > 10_000
    assert found[1] == pytest.approx(found[0], rel=0.1)


def test_the_count_sees_a_walk_of_the_table() -> None:
    crowd = crowd_of(SMALL)
    assert steps(lambda: sum(1 for _ in crowd.engine.families[Family.IPV4].rib)) > SMALL
