"""A hot prefix finds its slot within two seconds though all are taken; a scan of the whole table wins next to none."""

from __future__ import annotations

import pytest
from crowd import SAMPLES, SCANNING, Crowd, address_in, prefix_of

from arm.core.queries import Queries
from arm.model import COUNT_MASK, FAMILIES, Family, Prefix, TrafficBatch

SLOTS = 10_000
SECONDS = 2.0


@pytest.fixture(scope="module", params=[1, 2])
def crowd(request: pytest.FixtureRequest) -> Crowd:
    """Ten thousand slots for each family, all taken, after ten minutes of traffic to twice as many destinations."""
    crowd = Crowd(request.param, slots=SLOTS, table=40_000, active=22_000)
    crowd.warm_up(600.0)
    assert crowd.full()
    return crowd


def quiet(crowd: Crowd, family: Family, count: int) -> list[Prefix]:
    """Prefixes of the table that have had no traffic."""
    busy = set(crowd.places[family])
    idle = [place for place in range(crowd.table) if place not in busy]
    return [prefix_of(family, place) for place in crowd.chance.sample(idle, count)]


def samples_of(batch: TrafficBatch, prefix: Prefix) -> int:
    seen = batch.destinations4 if len(prefix[0]) == 4 else batch.destinations6
    return seen.get(address_in(prefix), 0) & COUNT_MASK


@pytest.mark.parametrize("churn", [2000, 20])
def test_a_prefix_three_standard_errors_above_the_weakest_is_in_within_two_seconds(crowd: Crowd, churn: int) -> None:
    crowd.limit_churn(churn)
    clear = 0
    for number in range(20):
        family = FAMILIES[number % 2]
        (hot,) = quiet(crowd, family, 1)
        weakest = crowd.engine.families[family].selection.weakest_rate(crowd.now)
        assert weakest is not None
        marginal = weakest / Queries(crowd.engine).traffic_snapshot(family, "destination").total * SAMPLES
        # From hardly to clearly above: 3 to 5 standard errors at the mean of what two seconds bring.
        crowd.extra = {hot: (9 + number) / SECONDS}
        count = 0
        for _ in range(round(SECONDS * 10)):
            count += samples_of(crowd.play(0.1), hot)
        if count - marginal * SECONDS >= 3 * count**0.5:
            clear += 1
            assert crowd.carries(hot), f"{count} samples in two seconds, the weakest route has {marginal:.4f} a second"
        crowd.extra = {}
    assert clear >= 14


def test_a_scan_over_the_whole_table_costs_at_most_one_point_of_coverage(crowd: Crowd) -> None:
    crowd.limit_churn(2000)
    before = crowd.coverage()
    least = dict(before)
    order = [prefix_of(family, place) for family in FAMILIES for place in range(crowd.table)]
    crowd.chance.shuffle(order)
    # All of it once in a minute: more samples than all other traffic gives.
    each = len(order) // 60
    assert each > SAMPLES
    for second in range(60):
        batch = crowd.batch(1.0)
        for prefix in order[second * each : (second + 1) * each]:
            crowd.add(batch, prefix, SCANNING)
        crowd.play(1.0, batch)
        if second % 20 == 19:
            least = {family: min(least[family], share) for family, share in crowd.coverage().items()}
    for _ in range(5):
        crowd.play(1.0)
    after = crowd.coverage()
    for family in FAMILIES:
        assert min(least[family], after[family]) >= before[family] - 0.01
