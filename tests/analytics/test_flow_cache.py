"""The bound of the flow cache: nothing too high, nothing lower than it says, and memory that does not grow."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from arm.analytics.cache import FlowCache

SOURCE = (b"\x0a\0\0\1", 1)


def keyed(flow: object) -> tuple[object, ...]:
    return (SOURCE, flow)


def add(cache: FlowCache, keys: list[tuple[object, ...]], amounts: list[float], now: float) -> None:
    cache.add(keys, amounts, cache.weight(now), {SOURCE: sum(amounts)})


@settings(max_examples=150, deadline=None)
@given(
    capacity=st.integers(1, 8),
    samples=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 1000), st.floats(0, 3)), max_size=300),
)
@example(capacity=1, samples=[(0, 1000, 0.0), *[(n + 1, 50 if n & 1 else 1, 0.0) for n in range(120)]])
def test_a_value_is_never_too_high_and_too_low_by_a_share_of_the_total(
    capacity: int, samples: list[tuple[int, int, float]]
) -> None:
    now, t = 50.0, 2.0
    cache = FlowCache(t, capacity, now)
    true: dict[int, float] = {}
    for flow, amount, passed in samples:
        now += passed
        true = {each: value * math.exp(-passed / t) for each, value in true.items()}
        true[flow] = true.get(flow, 0.0) + amount / t
        add(cache, [keyed(flow)], [amount], now)
        assert len(cache) <= 2 * capacity
    total = sum(true.values())
    slack = 1e-9 * (1 + total)
    found = {key[1]: weight * cache.scale(now) for key, weight in cache.flows()}
    bound = cache.error(now)
    assert bound <= total / (capacity + 1) + slack
    for flow, value in true.items():
        assert value - bound - slack <= found.get(flow, 0.0) <= value + slack
        if value > total / (capacity + 1) + slack:
            assert flow in found
    assert sum(cache.totals(now).values()) == pytest.approx(total, abs=slack)


def test_as_many_flows_as_the_configuration_says_are_exact() -> None:
    cache = FlowCache(2.0, 100, 0.0)
    keys = [keyed(n) for n in range(200)]
    add(cache, keys, [float(n + 1) for n in range(200)], 0.0)
    assert cache.dropped == 0
    assert cache.error(0.0) == 0.0
    assert [cache.get(key) for key in keys] == [float(n + 1) for n in range(200)]


def test_elephants_stay_among_any_number_of_mice() -> None:
    chance = random.Random(1)
    cache = FlowCache(10.0, 200, 0.0)
    now = 0.0
    for _ in range(400):
        now += 0.05
        keys = [keyed("elephant")] * 5 + [keyed(chance.random()) for _ in range(95)]
        add(cache, keys, [1.0] * 100, now)
    value = cache.get(keyed("elephant")) * cache.scale(now)
    true = 5 / 0.05 * (1 - math.exp(-now / 10.0))
    assert len(cache) <= 400
    assert true - cache.error(now) <= value <= true * 1.01
    assert cache.error(now) < 0.2 * value
    assert max(cache.flows(), key=lambda item: item[1])[0] == keyed("elephant")


def test_averages_hold_for_days() -> None:
    cache = FlowCache(1.0, 10, 0.0)
    for hour in range(100):
        now = hour * 3600.0
        add(cache, [keyed("a")], [500.0], now)
        assert cache.get(keyed("a")) * cache.scale(now) == pytest.approx(500.0)
        cache.sweep(now + 60, 2.0)
        assert len(cache) == 0
