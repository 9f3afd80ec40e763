"""Forward decay: values are those of the plain formula, after any time, and nothing raises or leaves the floats."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arm.decay import LEAST, RESCALE, Decay, rescaled

DAY = 86400.0
GAPS = (0.0, 0.001, 1.0, 3600.0, DAY, 7 * DAY, 400 * DAY)
CONSTANTS = (0.2, 1.0, 2.0, 10.0, 60.0, 600.0, 3600.0)


class Sum:
    """One sum, kept as the module says."""

    def __init__(self, t: float, now: float = 0.0) -> None:
        self.decay = Decay(t, now)
        self.weighted = 0.0

    def add(self, amount: float, now: float) -> None:
        self.weighted = rescaled(self.weighted, self.decay.advance(now)) + amount * self.decay.weight

    def value(self, now: float) -> float:
        return self.weighted * self.decay.scale(now)


@given(
    t=st.sampled_from(CONSTANTS),
    steps=st.lists(
        st.tuples(st.sampled_from(GAPS) | st.floats(0, 400 * DAY), st.floats(0, 1e15)), min_size=1, max_size=40
    ),
    later=st.sampled_from(GAPS),
)
@example(t=0.2, steps=[(0.0, 1.0), (400 * DAY, 1.0)], later=400 * DAY)
@example(t=3600.0, steps=[(0.0, 1.0), (30 * DAY, 0.0), (0.001, 5.0)], later=1.0)
def test_a_sum_is_what_the_plain_formula_gives_after_any_gap(
    t: float, steps: list[tuple[float, float]], later: float
) -> None:
    some, now, past = Sum(t), 0.0, []
    for passed, amount in steps:
        now += passed
        some.add(amount, now)
        past.append((now, amount))
        assert 1.0 <= some.decay.weight <= math.exp(RESCALE)
        assert some.weighted == 0.0 or some.weighted >= LEAST or amount * some.decay.weight < LEAST
    now += later
    plain = sum(amount * math.exp((at - now) / t) for at, amount in past)
    assert some.value(now) == pytest.approx(plain, rel=1e-6, abs=1e-60)


@pytest.mark.parametrize("t", CONSTANTS)
@pytest.mark.parametrize("passed", GAPS)
def test_reading_after_any_gap_without_an_addition_is_finite_and_changes_nothing(t: float, passed: float) -> None:
    some = Sum(t)
    some.add(1e15, 0.0)
    expected = 1e15 * math.exp(-passed / t)
    assert some.value(passed) == pytest.approx(expected, rel=1e-9, abs=1e-300)
    assert some.value(passed) == pytest.approx(expected, rel=1e-9, abs=1e-300), "read again"
    assert some.value(0.0) == 1e15, "and what it was before is still known"


@pytest.mark.parametrize("back", [0.001, 1.0, 7 * DAY])
def test_a_step_back_of_the_clock_is_no_time_at_all(back: float) -> None:
    some = Sum(2.0, 30 * DAY)
    some.add(1000.0, 30 * DAY)
    some.add(0.0, 30 * DAY + 2.0)
    before = some.value(30 * DAY + 2.0)
    stepped = 30 * DAY + 2.0 - back
    assert some.value(stepped) == before, "read before time is let pass"
    some.add(0.0, stepped)
    assert some.value(stepped) == pytest.approx(before)
    some.add(0.0, stepped + 2.0)
    assert some.value(stepped + 2.0) == pytest.approx(before / math.e)


@given(st.lists(st.floats(-7 * DAY, 400 * DAY), max_size=50))
def test_no_walk_of_the_clock_raises_or_makes_a_weight_out_of_bounds(walk: list[float]) -> None:
    decay, now = Decay(0.2, 0.0), 0.0
    for step in walk:
        now += step
        assert 0.0 <= decay.scale(now) <= 1.0
        assert 0.0 <= decay.advance(now) <= 1.0
        assert 0.99 <= decay.weight <= math.exp(RESCALE)
        assert 0.0 < decay.scale(now) <= 1.01
