"""What the target refused is left alone for ever longer, by everything that would need an entry there."""

from __future__ import annotations

import pytest

from arm.core.backoff import FIRST, LONGEST, Backoff
from arm.core.fib import Fib
from arm.core.plan import Planner
from arm.core.rib import Rib
from arm.model import Attributes, Family, Feed, parse_address, parse_prefix

P, INSIDE, BESIDE = parse_prefix("10.0.0.0/8"), parse_prefix("10.1.0.0/16"), parse_prefix("10.2.0.0/16")
FEED = Feed("reflector", "127.0.0.1", 1, 65000, "192.0.2.1")
DEFAULT, VIA_B, VIA_C = (Attributes(FEED, parse_address(f"192.0.2.{n}"), b"") for n in range(3))


def test_each_refusal_doubles_the_wait_up_to_the_longest() -> None:
    backoff, now, waits = Backoff(), 0.0, []
    for _ in range(8):
        due = backoff.refused(P, now)
        waits.append(due - now)
        assert backoff.refused(P, due - 1) == due  # it went along with something else
        now = due + 5
        backoff.clean(now)
    assert waits == [min(FIRST * 2**n, LONGEST) for n in range(8)]


def test_what_kept_its_place_for_long_begins_anew() -> None:
    backoff = Backoff()
    due = backoff.refused(P, backoff.refused(P, 0.0) + 1)
    later = due + LONGEST + 1
    assert backoff.refused(P, later) == later + FIRST
    backoff.refused(P, later + FIRST)
    later += 3 * FIRST + LONGEST + 1
    backoff.clean(later)
    assert backoff.refused(P, later) == later + FIRST


@pytest.mark.parametrize("barred", [INSIDE, BESIDE])
def test_nothing_is_planned_that_needs_an_entry_where_one_was_refused(barred) -> None:
    rib = Rib(Family.IPV4)
    rib.load(FEED, [(DEFAULT, [parse_prefix("0.0.0.0/0")]), (VIA_B, [P]), (VIA_C, [INSIDE])])
    planner = Planner(rib, Fib(Family.IPV4), 100)
    planner.default_changed(rib.default())
    planner.barred.add(barred)
    assert planner.install(P, "new", 10) is (barred is BESIDE)
    if barred is BESIDE:
        rib.announce(VIA_C, [BESIDE], [], planner.fib.entries)
        planner.route_changed(BESIDE, rib.winner(BESIDE))
        assert planner.fib.entries.keys() == set()  # its exception finds no place: the route comes out
