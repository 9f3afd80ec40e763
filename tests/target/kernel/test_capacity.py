"""How the number of routes that fit follows what the hardware says and refuses."""

import itertools

from arm.model import Capacity, Family
from arm.target.kernel.capacity import LONGEST_PROBE_SECONDS, PROBE_SECONDS, REFUSALS, CapacityEstimate, Reading


def known(estimate):
    news = estimate.news()
    assert isinstance(news, Capacity)
    return news.slots, news.source


def test_that_nothing_is_known_is_said_once():
    estimate = CapacityEstimate(Family.IPV4, ceiling=10000)
    assert known(estimate) == (None, "")
    assert estimate.news() is None


def test_what_is_free_can_become_arms_but_for_a_little_headroom():
    estimate = CapacityEstimate(Family.IPV4, ceiling=10000)
    estimate.read(Reading(used=6000, maximum=10000, source="switchd"), own=5000)
    assert known(estimate) == (5000 + 4000 - 100, "switchd")
    assert estimate.news() is None


def test_a_shared_table_in_which_a_route_costs_two_has_room_for_half():
    estimate = CapacityEstimate(Family.IPV6, ceiling=10000)
    estimate.read(Reading(used=0, maximum=1000, source="switchd", cost=2), own=0)
    assert known(estimate) == (495, "switchd")


numbers = itertools.count()


def some():
    """A prefix that was not there before."""
    return next(numbers).to_bytes(4, "big"), 32


def refuse(estimate, now, held, times=REFUSALS):
    for _ in range(times):
        estimate.refused(now, held, some())


def test_refusals_in_a_row_shrink_to_what_fitted_and_a_slow_probe_grows_it_up_to_the_configured_number():
    estimate = CapacityEstimate(Family.IPV4, ceiling=7500)
    refuse(estimate, 100.0, 7300)
    assert known(estimate) == (7300, "refused")
    assert "beyond 7,300 were refused" in estimate.remark()
    estimate.tick(100.0 + PROBE_SECONDS - 1)
    assert estimate.news() is None
    estimate.tick(100.0 + PROBE_SECONDS)
    assert known(estimate) == (7373, "refused")
    estimate.tick(100.0 + 2 * PROBE_SECONDS)
    assert known(estimate) == (None, "")
    assert estimate.remark() == ""


def test_learning_ends_at_the_number_that_is_configured_by_now():
    estimate = CapacityEstimate(Family.IPV4, ceiling=7400)
    refuse(estimate, 100.0, 7300)
    assert known(estimate) == (7300, "refused")
    estimate.ceiling = 20000
    estimate.tick(100.0 + PROBE_SECONDS)
    estimate.tick(100.0 + 2 * PROBE_SECONDS)
    assert known(estimate) == (7519, "refused")
    assert "of the 20,000 configured" in estimate.remark()


def test_a_route_that_finds_no_place_while_others_do_does_not_make_the_table_full():
    estimate = CapacityEstimate(Family.IPV4, ceiling=10000)
    assert known(estimate) == (None, "")
    for held in range(99, 9900, 99):
        estimate.refused(1.0, held, some())
        estimate.held(held)
    for _ in range(50):  # changes in a table that stays as large
        estimate.refused(2.0, 9899, some())
        estimate.held(9900)
    assert estimate.news() is None


def test_routes_that_are_refused_time_and_again_do_not_make_the_table_full():
    estimate = CapacityEstimate(Family.IPV4, ceiling=10000)
    assert known(estimate) == (None, "")
    unlucky = [some() for _ in range(REFUSALS - 1)]
    for _ in range(10):
        for prefix in unlucky:
            estimate.refused(1.0, 9000, prefix)
    assert estimate.news() is None
    estimate.refused(1.0, 9000, some())
    assert known(estimate) == (9000, "refused")


def test_an_unlucky_route_in_a_table_that_was_full_once_does_not_shrink_it_further():
    estimate = CapacityEstimate(Family.IPV4, ceiling=10000)
    refuse(estimate, 0.0, 7300, 40)
    estimate.news()
    for held in (7154, 7150, 7153, 7154):
        estimate.refused(10.0, held, some())
    assert estimate.news() is None


def test_a_table_that_gets_smaller_is_followed():
    estimate = CapacityEstimate(Family.IPV4, ceiling=10000)
    refuse(estimate, 0.0, 7300)
    refuse(estimate, 1.0, 5000)
    assert known(estimate) == (5000, "refused")


def test_probes_that_fail_come_ever_more_rarely_and_those_that_find_room_every_minute_again():
    estimate = CapacityEstimate(Family.IPV4, ceiling=100_000)
    now, gaps, asked = 0.0, [], 0
    refuse(estimate, now, 7300)
    estimate.news()
    for _ in range(10):
        began = now
        while (news := estimate.news()) is None:
            now += 1.0
            estimate.tick(now)
        assert news.slots == 7373
        gaps.append(now - began)
        refuse(estimate, now, 7300)
        asked += REFUSALS
        estimate.news()
    assert gaps == sorted(gaps)
    assert gaps[-1] == LONGEST_PROBE_SECONDS
    sizes = []
    while estimate.learned is not None:
        sizes.append(estimate.learned)
        estimate.held(estimate.learned)
        now += PROBE_SECONDS if len(sizes) > 2 else LONGEST_PROBE_SECONDS
        estimate.tick(now)
    steps = [after - before for before, after in itertools.pairwise(sizes)]
    assert steps == [73 << n for n in range(len(steps))]  # ever larger, up to the ceiling


def test_the_lower_of_what_is_said_and_what_was_learned_counts():
    estimate = CapacityEstimate(Family.IPV4, ceiling=10000)
    estimate.read(Reading(used=0, maximum=10000, source="switchd"), own=0)
    refuse(estimate, 0.0, 7300)
    assert known(estimate) == (7300, "refused")
    estimate.read(Reading(used=7300, maximum=8000, source="switchd"), own=6000)
    assert known(estimate) == (6000 + 700 - 80, "switchd")


def test_a_late_word_of_the_hardware_never_makes_more_of_a_table_than_it_holds():
    estimate = CapacityEstimate(Family.IPV4, ceiling=100_000)
    estimate.read(Reading(used=50, maximum=10000, source="sflow"), own=5000)  # these went in since
    assert known(estimate) == (9900, "sflow")
