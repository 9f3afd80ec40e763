"""Averages: what forward decay gives is what an exponential average of the past would give."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arm.core.traffic import Averages
from arm.model import COUNT_BITS, parse_prefix

PREFIX = parse_prefix("192.0.2.0/24")


def packed(octets: int, samples: int) -> int:
    return octets << COUNT_BITS | samples


@given(st.lists(st.tuples(st.floats(0.01, 40), st.integers(0, 10**9), st.integers(0, 50)), min_size=1, max_size=60))
def test_rate_and_samples_are_exponential_averages(steps: list[tuple[float, int, int]]) -> None:
    averages, now, past = Averages(10.0, 0.0), 0.0, []
    for seconds, octets, samples in steps:
        now += seconds
        averages.add({PREFIX: packed(octets, samples)}, 0, now)
        past.append((now, octets, samples))
    rate = sum(octets * math.exp((at - now) / 10) for at, octets, _ in past) / 10
    count = sum(samples * math.exp((at - now) / 10) for at, _, samples in past)
    assert averages.rate(PREFIX, now) == pytest.approx(rate, rel=1e-6, abs=1e-6)
    assert averages.count(PREFIX, now) == pytest.approx(count, rel=1e-6, abs=1e-6)


def test_a_steady_rate_is_met_and_survives_the_moves_of_the_landmark() -> None:
    averages = Averages(10.0, 0.0)
    for second in range(1, 5001):
        averages.add({PREFIX: packed(1000, 1)}, 500, float(second))
    # Sums at the end of each second stand for the second before: 5 % above the average over the whole of it.
    assert averages.rate(PREFIX, 5000.0) == pytest.approx(1000 * 0.1 / (1 - math.exp(-0.1)), rel=1e-9)
    assert averages.total * averages.scale(5000.0) == pytest.approx(1500 * 0.1 / (1 - math.exp(-0.1)), rel=1e-9)


def test_a_seeded_prefix_has_the_rate_it_was_given() -> None:
    averages = Averages(10.0, 0.0)
    averages.seed(PREFIX, 12345.0, 6.0, 100.0)
    assert averages.rate(PREFIX, 100.0) == pytest.approx(12345)
    assert averages.count(PREFIX, 100.0) == pytest.approx(6)


def test_idle_prefixes_are_forgotten_and_busy_ones_are_not() -> None:
    averages, busy = Averages(10.0, 0.0), parse_prefix("198.51.100.0/24")
    averages.add({PREFIX: packed(10**6, 1), busy: packed(10, 1)}, 0, 0.0)
    averages.add({busy: packed(10, 1)}, 0, 200.0)
    averages.forget_idle(200.0)
    assert list(averages.bytes) == [busy]
    assert list(averages.samples) == [busy]
