"""Questions about many prefixes: what they would cost, what installed routes carry, how long they have stood."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_engine_replay import HOPS, config
from test_selection import flow, nth, p, started

from arm.core.queries import Queries
from arm.model import Family

A, B = HOPS[0], HOPS[1]


def test_a_route_costs_itself_and_its_exceptions_and_nothing_the_defaults_way() -> None:
    world = started(routes=0)
    world.announce(B, [p("10.0.0.0/8"), p("10.1.2.0/24")])
    world.announce(A, [p("10.1.0.0/16"), p("10.9.0.0/16")])
    asked = [p(text) for text in ("10.0.0.0/8", "10.1.2.0/24", "10.1.0.0/16", "0.0.0.0/0", "192.0.2.0/24")]
    assert Queries(world.engine).slot_costs(asked) == [3, 1, 0, 0, None]


def test_what_policy_excludes_has_no_price() -> None:
    base = config(slots=10, reserve=0.0)
    world = started(replace(base, selection=replace(base.selection, never=(p("10.1.0.0/16"),))), routes=1)
    assert Queries(world.engine).slot_costs([nth(0)]) == [None]


def test_installed_routes_tell_what_they_carry_and_how_long_they_have_stood() -> None:
    world = started()
    flow(world, {1: 5000, 2: 1000})
    served = Queries(world.engine).served(Family.IPV4)
    assert served.keys() == {nth(1), nth(2)}
    assert served[nth(1)] == pytest.approx(5 * served[nth(2)])
    assert Queries(world.engine).seconds_installed([nth(1), nth(3)]) == [pytest.approx(0, abs=5), None]
    assert len(Queries(world.engine).installed_seconds(Family.IPV4)) == 2
    assert Queries(world.engine).installed_seconds(Family.IPV6) == []
