"""Averages, estimates and the price of a change after any time, with and without samples: finite, and right."""

from __future__ import annotations

import json
import math

import pytest
from test_engine_replay import config
from test_selection import flow, nth, started

from arm.core.budget import LATELY, Payback
from arm.core.estimate import LONG, MIDDLE, SHORT, Estimates
from arm.core.queries import Queries
from arm.core.traffic import Averages
from arm.model import COUNT_BITS, Family, parse_prefix

DAY = 86400.0
GAPS = (0.0, 0.001, 1.0, 3600.0, DAY, 7 * DAY, 30 * DAY, 400 * DAY)
PREFIX, OTHER = parse_prefix("192.0.2.0/24"), parse_prefix("198.51.100.0/24")


def packed(octets: int, samples: int) -> int:
    return octets << COUNT_BITS | samples


@pytest.mark.parametrize("t", [1.0, 10.0, 3600.0])
@pytest.mark.parametrize("gap", GAPS)
def test_an_average_after_a_gap_is_what_is_left_of_it(t: float, gap: float) -> None:
    averages = Averages(t, 0.0)
    averages.add({PREFIX: packed(10**9, 20)}, 10**6, 1.0)
    left = math.exp(-gap / t)
    rate, count = 1e9 / t, 20.0
    # read before anything has let time pass, and after
    for _ in range(2):
        assert averages.rate(PREFIX, 1.0 + gap) == pytest.approx(rate * left, rel=1e-6, abs=1e-60)
        assert averages.count(PREFIX, 1.0 + gap) == pytest.approx(count * left, rel=1e-6, abs=1e-60)
        assert averages.total * averages.scale(1.0 + gap) == pytest.approx((1e9 + 1e6) / t * left, rel=1e-6, abs=1e-60)
        averages.add({}, 0, 1.0 + gap)
    averages.add({PREFIX: packed(500, 1)}, 0, 1.0 + gap)
    assert averages.rate(PREFIX, 1.0 + gap) == pytest.approx(rate * left + 500 / t)


def test_an_idle_prefix_is_forgotten_after_a_year_of_ticks() -> None:
    averages = Averages(1.0, 0.0)
    averages.add({PREFIX: packed(10**9, 20)}, 0, 0.0)
    for week in range(1, 53):
        averages.add({OTHER: packed(1, 1)}, 0, week * 7 * DAY)
        averages.forget_idle(week * 7 * DAY)
        assert list(averages.bytes) == [OTHER]


def test_sums_that_others_keep_by_the_same_weights_move_with_them() -> None:
    kept = {PREFIX: 0.0}
    averages = Averages(1.0, 0.0, kept)
    for second in range(3000):
        weight = averages.weight(float(second))
        kept[PREFIX] += 700 * weight
        averages.add({PREFIX: packed(700, 1)}, 0, float(second))
    assert kept[PREFIX] == pytest.approx(averages.bytes[PREFIX])


@pytest.mark.parametrize("gap", GAPS)
def test_estimates_after_a_gap_are_finite_and_follow_what_comes_then(gap: float) -> None:
    estimates, now = Estimates(0.0), 0.0
    for step in range(200):
        now = step * 30.0
        estimates.advance(now, ())
        long, middle, short = estimates.weights
        for prefix, samples in ((PREFIX, 3), (OTHER, 1)):
            record = estimates.records.setdefault(prefix, [0.0, 0.0, 0.0, 0.0])
            record[:] = (
                record[0] + samples * long,
                record[1] + samples * middle,
                record[2] + samples * short,
                record[3] + samples * 1000 * long,
            )
        estimates.count(4, 4000)
    known = [estimates.samples(estimates.records[prefix]) for prefix in (PREFIX, OTHER)]
    estimates.advance(now + gap, ())
    for prefix, before in zip((PREFIX, OTHER), known, strict=True):
        record = estimates.records[prefix]
        assert estimates.samples(record) == pytest.approx(max(before * math.exp(-gap / LONG), 0.1), rel=1e-6)
        assert math.isfinite(estimates.worth(record))
        assert estimates.worth(record) >= 0
        if record[0] > 0:
            assert all(math.isfinite(value) for value in estimates.remembered(record))
    assert math.isfinite(estimates.whole)
    assert math.isfinite(estimates.one_sample)
    estimates.count(0, 0)  # a batch of what has no route
    assert math.isfinite(estimates.worth([1.0, 1.0, 1.0, 1.0]))
    # What comes now is judged against what is left: by the hour three to one as before, and after days all of it.
    record = estimates.records[OTHER]
    long, middle, short = estimates.weights
    record[:] = record[0] + 100 * long, record[1] + 100 * middle, record[2] + 100 * short, record[3] + 1e5 * long
    estimates.count(100, 100_000)
    assert estimates.worth(record) > estimates.worth(estimates.records[PREFIX])


def test_each_scale_of_the_estimates_fades_by_its_own_time() -> None:
    estimates = Estimates(0.0)
    record = estimates.records[PREFIX] = [8.0, 8.0, 8.0, 8000.0]
    estimates.count(8, 8000)
    now = 0.0
    for _ in range(60 * 24):
        now += 60.0
        estimates.advance(now, [record])  # told twice, faded once
    for column, t in ((0, LONG), (1, MIDDLE), (2, SHORT)):
        left = record[column] / estimates.weights[column]
        assert left == pytest.approx(8 * math.exp(-now / t), rel=1e-6, abs=1e-60)


@pytest.mark.parametrize("gap", [*GAPS, -1.0, -7 * DAY])
def test_the_price_of_a_change_falls_with_time_and_survives_a_step_of_the_clock(gap: float) -> None:
    payback = Payback(100 * DAY)
    for _ in range(30):
        payback.note(100 * DAY)
    left = 30 * math.exp(-max(gap, 0.0) / LATELY)
    assert payback.lately(100 * DAY + gap) == pytest.approx(left, rel=1e-6, abs=1e-60)
    payback.note(100 * DAY + gap)
    assert payback.lately(100 * DAY + gap) == pytest.approx(left + 1)


def test_what_an_installed_route_carries_is_told_right_for_days() -> None:
    world = started(config(slots=10, reserve=0.0))
    engine = world.engine
    for _ in range(500):
        world.tick(10)
        flow(world, {3: 100_000, 4: 500})
    told = Queries(engine).served(Family.IPV4)
    rates = Queries(engine).traffic_snapshot(Family.IPV4, "destination")
    for n in (3, 4):
        assert told[nth(n)] == pytest.approx(rates.rates[nth(n)] * rates.scale)


@pytest.mark.parametrize("gap", [3600.0, DAY, 30 * DAY, 400 * DAY])
def test_the_choice_survives_any_time_without_samples_and_goes_on_by_what_comes(gap: float) -> None:
    world = started(config(slots=2, reserve=0.0))
    flow(world, {3: 100_000, 4: 90_000}, samples=100)
    world.tick(gap)
    for _ in range(3):
        world.tick(1)
    assert set(Queries(world.engine).installed(Family.IPV4)) == {nth(3), nth(4)}
    world.traffic({bytes([203, 0, 113, 9]): (100, 1)})  # what has no route but the default
    for _ in range(3):
        world.tick(1)
        flow(world, {5: 100_000, 6: 90_000}, samples=100)
    assert set(Queries(world.engine).installed(Family.IPV4)) == {nth(5), nth(6)}
    json.dumps(list(Queries(world.engine).served(Family.IPV4).values()), allow_nan=False)
