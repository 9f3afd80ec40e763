"""Histograms of times, the log's summary, and the one sentence about a session that is down."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import pytest
from fake_arm import NOW_MS, session, status

from arm.model import SessionState, Severity
from arm.observe.distribution import Histogram, quantile
from arm.observe.health import assess
from arm.observe.summary import Summary, one_line


def test_a_bound_belongs_to_its_bucket_and_what_is_beyond_to_the_last() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.add(seconds)
    copy = histogram.copy()
    assert copy.counts == (2, 1, 1)
    assert copy.total == pytest.approx(7.65)
    histogram.add(0.01)
    assert copy.counts == (2, 1, 1)


def test_a_quantile_is_the_bound_that_so_many_stayed_within() -> None:
    histogram = Histogram((0.1, 1.0))
    assert quantile(histogram.copy(), 0.5) is None
    for seconds in [0.05] * 98 + [0.5, 9.0]:
        histogram.add(seconds)
    assert quantile(histogram.copy(), 0.5) == 0.1
    assert quantile(histogram.copy(), 0.99) == 1.0
    assert quantile(histogram.copy(), 1.0) is None


def test_the_service_manager_gets_one_line() -> None:
    assert re.search(r"^IPv4: [1-9][0-9,]* prefixes, [0-9,]+ of [0-9,]+ slots", one_line(status()))
    assert "\n" not in one_line(status())
    assert one_line(replace(status(), families={})) == "learning the table"


def test_the_log_gets_a_summary_each_minute_of_what_happened_since(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    summary = Summary()
    now = status()
    families = {family: replace(one, added=one.added + 7) for family, one in now.families.items()}
    for second, published in ((0, now), (30, now), (60, replace(now, families=families))):
        summary.publish(replace(published, time_ms=NOW_MS + second * 1000))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert "family=ipv4 table=8 active=6 slots=3/100 coverage=0.900 added=7 removed=0" in lines[0]
    assert lines[2].startswith("summary sessions=3/3 samples=0")


def test_a_session_that_is_down_with_its_routes_kept_is_told_in_one_sentence() -> None:
    down = status(
        sessions=(session(state=SessionState.ACTIVE, reason="hold timer expired"),), kept_routes={"reflector": 88.4}
    )
    problems = assess(down, now_ms=NOW_MS).problems
    (told,) = [problem for problem in problems if problem.where == "bgp"]
    assert "is active (hold timer expired); its routes are kept for 88 s more. Check" in told.text
    assert told.severity is Severity.ERROR
