"""What happens between a target that comes up and the table that is complete: both count when the choice is made."""

from __future__ import annotations

import pytest

from arm.config import Config, TargetConfig
from arm.core.engine import Engine
from arm.core.queries import Queries
from arm.model import (
    DEFAULT_PREFIX,
    Attributes,
    Change,
    Drift,
    Family,
    Feed,
    FeedComplete,
    FeedUp,
    NextHopDown,
    NextHopUp,
    Reason,
    RoutesLearned,
    TargetDown,
    TargetUp,
    parse_address,
    parse_prefix,
)

FEED = Feed("reflector", "127.0.0.1", 1, 65000, "192.0.2.1")
HOPS = [parse_address(f"192.0.2.{number}") for number in range(3)]
P, Q = parse_prefix("10.0.0.0/8"), parse_prefix("198.51.100.0/24")


@pytest.fixture
def engine() -> Engine:
    """It has heard of routes, and not yet of their end."""
    made = Engine(Config(target=TargetConfig(kind="kernel")), 0.0, 0)
    made.handle(FeedUp(FEED), 0.0)
    for hop, prefix in zip(HOPS, (DEFAULT_PREFIX[Family.IPV4], P, Q), strict=True):
        made.handle(RoutesLearned(FEED, [(Attributes(FEED, hop, b""), [prefix])]), 0.0)
    made.handle(TargetUp({P: HOPS[1], Q: HOPS[2]}, epoch=1), 0.0)
    return made


def complete(engine: Engine) -> tuple[Change, ...]:
    plan = engine.handle(FeedComplete(FEED, Family.IPV4), 1.0)
    assert plan is not None
    return plan.changes


def test_what_was_found_and_is_right_stays_as_it_is(engine: Engine) -> None:
    assert complete(engine) == ()
    assert Queries(engine).installed(Family.IPV4).keys() == {P, Q}


def test_what_was_found_and_is_lost_before_the_table_is_there_does_not_count(engine: Engine) -> None:
    engine.handle(Drift(P, "replaced by a route of protocol 4", installed=False), 0.5)
    assert complete(engine) == ()
    assert Queries(engine).installed(Family.IPV4).keys() == {Q}


def test_what_leads_to_a_next_hop_that_is_down_comes_out(engine: Engine) -> None:
    engine.handle(NextHopDown(HOPS[1], "no carrier"), 0.5)
    assert [(change.prefix, change.entry) for change in complete(engine)] == [(P, None)]


def test_a_target_that_comes_up_anew_says_anew_what_it_cannot_reach(engine: Engine) -> None:
    engine.handle(NextHopDown(HOPS[1], "no carrier"), 0.5)
    engine.handle(TargetDown("an answer was lost"), 0.6)
    engine.handle(TargetUp({Q: HOPS[2]}, epoch=2), 0.7)
    complete(engine)
    assert engine.families[Family.IPV4].planner.install(P, Reason.PINNED, 10)
    engine.handle(NextHopUp(HOPS[1]), 2.0)
