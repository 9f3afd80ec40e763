"""Losses are what sequence numbers skip, not what they repeat; and samples are scaled for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sflow_strategies import few

from arm.sflow.sequence import MAX_FACTOR, Sequence, Source

WRAP = 2**32


def feed(series: Sequence, numbers: list[int]) -> None:
    for number in numbers:
        if number == series.expected:
            series.expected = number + 1
        else:
            series.jump(number)


@given(st.integers(0, WRAP - 1), st.lists(st.integers(1, 1000), max_size=50))
@few
def test_every_skipped_number_is_one_loss(first: int, steps: list[int]) -> None:
    series = Sequence(first)
    number = first
    numbers = [number]
    for step in steps:
        number = (number + step) % WRAP
        numbers.append(number)
    feed(series, numbers)
    assert series.lost == sum(step - 1 for step in steps)


def test_numbers_wrap_without_a_loss() -> None:
    series = Sequence(WRAP - 3)
    feed(series, [WRAP - 3, WRAP - 2, WRAP - 1, 0, 1, 2])
    assert series.lost == 0


@pytest.mark.parametrize("again", [0, 1, 900])
def test_a_restart_is_no_loss(again: int) -> None:
    series = Sequence(1_000_000)
    feed(series, [1_000_000, 1_000_001, again, again + 1, again + 2])
    assert series.lost == 0


def test_an_overtaken_number_was_not_lost() -> None:
    series = Sequence(10)
    feed(series, [10, 12, 13, 11, 14])
    assert series.lost == 0


def test_a_repeated_number_is_no_loss() -> None:
    series = Sequence(10)
    feed(series, [10, 10, 11, 11, 11, 12])
    assert series.lost == 0


def run(source: Source, *, intervals: int, samples: int, lost: int, number: int) -> int:
    """Let `samples` come and `lost` be lost in each interval; returns the number to come."""
    for _ in range(intervals):
        for place in range(samples):
            feed(source, [number + (lost if place else 0)])
            number += 1
        number += lost
        source.interval()
    return number


def test_without_losses_a_sample_stands_for_itself() -> None:
    source = Source(5)
    run(source, intervals=20, samples=50, lost=0, number=5)
    assert source.factor == 1.0


@pytest.mark.parametrize(("samples", "lost"), [(100, 25), (100, 100), (50, 150), (1000, 10)])
def test_the_factor_makes_up_for_what_is_lost(samples: int, lost: int) -> None:
    source = Source(0)
    run(source, intervals=60, samples=samples, lost=lost, number=0)
    assert source.factor == pytest.approx((samples + lost) / samples, rel=0.02)


def test_the_factor_is_bounded() -> None:
    source = Source(0)
    run(source, intervals=50, samples=10, lost=100_000, number=0)
    assert source.factor == MAX_FACTOR


def test_the_factor_goes_back_when_losses_end() -> None:
    source = Source(0)
    number = run(source, intervals=30, samples=100, lost=100, number=0)
    assert source.factor > 1.9
    run(source, intervals=30, samples=100, lost=0, number=number)
    assert source.factor == 1.0


def test_a_long_silence_does_not_scale_what_comes_after_it() -> None:
    source = Source(0)
    number = run(source, intervals=5, samples=100, lost=0, number=0)
    for _ in range(30):
        source.interval()
    feed(source, [number + 3000])
    source.interval()
    assert source.lost == 3000
    assert source.factor == 1.0


def test_a_restart_does_not_scale() -> None:
    source = Source(1_000_000)
    run(source, intervals=5, samples=100, lost=0, number=1_000_000)
    run(source, intervals=5, samples=100, lost=0, number=7)
    assert source.factor == 1.0
    assert source.lost == 0
