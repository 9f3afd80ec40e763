"""How the number of routes that fit follows what the hardware says and refuses."""

from arm.model import Capacity, Family
from arm.target.kernel.capacity import LONGEST_PROBE_SECONDS, PROBE_SECONDS, CapacityEstimate, Reading


def known(estimate):
    news = estimate.news()
    assert isinstance(news, Capacity)
    return news.slots, news.source


def test_nothing_is_said_while_nothing_is_known():
    assert CapacityEstimate(Family.IPV4, ceiling=10000).news() is None


def test_what_is_free_can_become_arms_but_for_a_little_headroom():
    estimate = CapacityEstimate(Family.IPV4, ceiling=10000)
    estimate.read(Reading(used=6000, maximum=10000, source="switchd"), own=5000)
    assert known(estimate) == (5000 + 4000 - 100, "switchd")
    assert estimate.news() is None


def test_a_shared_table_in_which_a_route_costs_two_has_room_for_half():
    estimate = CapacityEstimate(Family.IPV6, ceiling=10000)
    estimate.read(Reading(used=0, maximum=1000, source="switchd", cost=2), own=0)
    assert known(estimate) == (495, "switchd")


def test_a_refusal_shrinks_to_what_fitted_and_a_slow_probe_grows_it_up_to_the_configured_number():
    estimate = CapacityEstimate(Family.IPV4, ceiling=7400)
    estimate.refused(100.0, 7300)
    assert known(estimate) == (7300, "refused")
    estimate.tick(100.0 + PROBE_SECONDS - 1)
    assert estimate.news() is None
    estimate.tick(100.0 + PROBE_SECONDS)
    assert known(estimate) == (7373, "refused")
    estimate.tick(100.0 + 2 * PROBE_SECONDS)
    assert known(estimate) == (None, "")


def test_probes_that_fail_come_ever_more_rarely():
    estimate = CapacityEstimate(Family.IPV4, ceiling=100_000)
    now, gaps = 0.0, []
    estimate.refused(now, 7300)
    estimate.news()
    for _ in range(10):
        asked = now
        while (news := estimate.news()) is None:
            now += 1.0
            estimate.tick(now)
        assert news.slots == 7373
        gaps.append(now - asked)
        estimate.refused(now, 7300)
        estimate.news()
    assert gaps == sorted(gaps)
    assert gaps[-1] == LONGEST_PROBE_SECONDS


def test_the_lower_of_what_is_said_and_what_was_learned_counts():
    estimate = CapacityEstimate(Family.IPV4, ceiling=10000)
    estimate.read(Reading(used=0, maximum=10000, source="switchd"), own=0)
    estimate.refused(0.0, 7300)
    assert known(estimate) == (7300, "refused")
    estimate.read(Reading(used=7300, maximum=8000, source="switchd"), own=6000)
    assert known(estimate) == (6000 + 700 - 80, "switchd")
