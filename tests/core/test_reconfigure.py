"""A running engine follows another configuration, by steps that keep the rule."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from test_engine_replay import HOPS, World, config, perform, random_step
from test_selection import flow, installed, nth, p, started

from arm.config import Config
from arm.model import Capacity, Family


def with_selection(base: Config, **values: Any) -> Config:
    return replace(base, selection=replace(base.selection, **values))


def with_slots(base: Config, slots: int) -> Config:
    return replace(base, target=replace(base.target, prefixes=slots))


def reconfigure(world: World, new: Config) -> None:
    world.apply(world.engine.reconfigure(new, world.now))
    world.tick()


def test_fewer_slots_take_out_what_is_worth_least() -> None:
    world = started()
    flow(world, {n: 1000 * n for n in range(1, 9)})
    reconfigure(world, with_slots(world.engine.config, 3))
    assert installed(world).keys() == {nth(n) for n in (6, 7, 8)}


def test_more_slots_are_filled_by_the_next_samples() -> None:
    world = started(config(slots=2, reserve=0.0))
    flow(world, dict.fromkeys(range(1, 6), 1000))
    assert len(installed(world)) == 2
    world.capacity = 5
    reconfigure(world, with_slots(world.engine.config, 5))
    flow(world, dict.fromkeys(range(1, 6), 1000))
    assert len(installed(world)) == 5


def test_what_the_hardware_told_still_limits_a_larger_configuration() -> None:
    world = started(config(slots=4, reserve=0.0))
    world.send(Capacity(Family.IPV4, 3, 0, "switchd"))
    reconfigure(world, with_slots(world.engine.config, 100))
    flow(world, dict.fromkeys(range(1, 9), 1000))
    assert len(installed(world)) == 3


def test_a_prefix_that_is_never_to_have_a_slot_comes_out() -> None:
    world = started()
    flow(world, {1: 1000, 2: 1000})
    reconfigure(world, with_selection(world.engine.config, never=(p("10.1.2.0/23"),)))
    assert installed(world).keys() == {nth(1)}
    reconfigure(world, with_selection(world.engine.config, never=()))
    flow(world, {2: 1000})
    assert installed(world).keys() == {nth(1), nth(2)}


def test_a_pinned_prefix_goes_in_without_traffic_and_may_go_once_it_is_not_pinned() -> None:
    world = started(config(slots=1, reserve=0.0))
    reconfigure(world, with_selection(world.engine.config, always=(nth(7),)))
    flow(world, {1: 1000})
    assert installed(world).keys() == {nth(7)}
    reconfigure(world, with_selection(world.engine.config, always=()))
    flow(world, {1: 1000}, samples=1000)
    assert installed(world).keys() == {nth(1)}


def test_lengths_that_are_no_longer_allowed_come_out() -> None:
    world = started()
    world.announce(HOPS[1], [p("10.7.0.0/16")])
    world.traffic({p("10.7.0.1")[0]: (1000, 5)})
    flow(world, {1: 1000})
    reconfigure(world, with_selection(world.engine.config, max_prefix_length=20))
    assert installed(world).keys() == {p("10.7.0.0/16")}


@pytest.mark.parametrize("seed", range(40))
def test_the_rule_holds_while_the_configuration_changes(seed: int) -> None:
    rng = random.Random(seed)
    world = World(config(slots=12))
    world.start()
    for _ in range(60):
        if rng.random() < 0.2:
            new = with_slots(world.engine.config, rng.randint(1, 12))
            prefixes = tuple(rng.sample(sorted(world.table), min(2, len(world.table))))
            lists = {rng.choice(("always", "never")): prefixes, "max_prefix_length": rng.choice((12, 16, 32))}
            world.apply(world.engine.reconfigure(with_selection(new, **lists), world.now))
        else:
            perform(world, random_step(rng))
