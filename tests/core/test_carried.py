"""What an installed route carries with all that rides along."""

from __future__ import annotations

import pytest
from test_engine_replay import World, config
from test_selection import flow, nth, started

from arm.model import Family, Prefix


def served(world: World) -> dict[Prefix, float]:
    return dict(world.engine.served(Family.IPV4))


def rate_of(world: World, prefix: Prefix) -> float:
    """Bytes per second of the prefix itself."""
    snapshot = world.engine.traffic_snapshot(Family.IPV4, "destination")
    return snapshot.rates.get(prefix, 0.0) * snapshot.scale


def test_what_a_route_carries_is_right_after_days() -> None:
    base = config(slots=10, reserve=0.0, idle_timeout=86_400.0)
    world = started(base)
    for _ in range(1000):
        world.tick(base.sflow.t)
        flow(world, {1: 1000})
        assert served(world) == pytest.approx({nth(1): rate_of(world, nth(1))})
