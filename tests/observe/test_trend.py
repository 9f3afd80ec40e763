"""The trend: means, spans, gaps, and memory that does not grow."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from fake_arm import NOW_MS, FakeEngine, agent, family_status, status

from arm.model import Family, Hits, ListenerStatus
from arm.observe.board import Board
from arm.observe.trend import COLUMNS, SPANS, point

START = NOW_MS - NOW_MS % 60_000


def board_of(values: list[float], first: int = START) -> Board:
    board = Board(FakeEngine().ask)
    for second, value in enumerate(values):
        families = {Family.IPV4: family_status(hits=Hits(installed=value))}
        board.publish(status(first + 1000 * second, families=families))
    return board


def test_seconds_are_kept_as_they_are() -> None:
    points = board_of([1.0, 2.0, 3.0]).trend()
    assert points.step_ms == 1000
    assert points.times_ms == [START, START + 1000, START + 2000]
    assert points.columns["ipv4.installed"] == [1.0, 2.0, 3.0]


def test_a_coarse_point_is_the_mean_of_its_seconds() -> None:
    board = board_of([float(value) for value in range(25)])
    points = board.trend(span="1h")
    assert points.times_ms == [START, START + 10_000, START + 20_000]
    assert points.columns["ipv4.installed"] == [4.5, 14.5, 22.0]
    assert board.trend(span="24h").columns["ipv4.installed"] == [12.0]


def test_a_column_that_is_not_known_is_none() -> None:
    points = board_of([1.0]).trend()
    assert points.columns["ipv6.installed"] == [None]
    assert points.columns["ipv4.installs"] == [None]  # a rate needs two


def test_after_leaves_out_what_is_known() -> None:
    board = board_of([1.0, 2.0, 3.0])
    assert board.trend(START + 1000).columns["ipv4.installed"] == [3.0]
    assert board.trend(START + 2000).times_ms == []


@pytest.mark.parametrize("span", list(SPANS))
def test_a_span_holds_so_many_points_and_no_more(span: str) -> None:
    step_ms, size = SPANS[span]
    board = Board(FakeEngine().ask)
    for index in range(size + 10):
        board.publish(status(START + index * step_ms))
    points = board.trend(span=span)
    assert len(points.times_ms) == size
    assert points.times_ms[-1] == (START + (size + 9) * step_ms) // step_ms * step_ms
    assert list(points.times_ms) == sorted(set(points.times_ms))


def test_memory_does_not_grow_once_the_spans_are_full() -> None:
    board = Board(FakeEngine().ask)
    one = status()

    def fill(first: int, count: int) -> None:
        for index in range(first, first + count):
            board.publish(replace(one, time_ms=START + index * 60_000))

    fill(0, 1500)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        fill(1500, 1500)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000


def test_rates_are_taken_between_two_statuses() -> None:
    then = status(listener=ListenerStatus(datagrams=100, flow_samples=700, agents=(agent(lost_samples=3),)))
    now = status(
        NOW_MS + 2000,
        listener=ListenerStatus(datagrams=140, flow_samples=1000, kernel_drops=8, agents=(agent(lost_samples=5),)),
        cpu_seconds=12.6,
    )
    values = point(now, then)
    assert values["sflow.datagrams"] == 20
    assert values["sflow.samples"] == 150
    assert values["sflow.dropped"] == 4
    assert values["sflow.lost"] == 1
    assert values["process.cpu"] == pytest.approx(0.05)
    assert values["sflow.rate"] == 1000


def test_a_counter_that_went_back_gives_no_rate() -> None:
    then = status(listener=ListenerStatus(datagrams=100))
    now = status(NOW_MS + 1000, listener=ListenerStatus(datagrams=5))
    assert "sflow.datagrams" not in point(now, then)


def test_a_clock_that_went_back_gives_no_rates() -> None:
    assert "sflow.datagrams" not in point(status(NOW_MS - 5000), status(NOW_MS))


def test_agents_that_are_left_out_do_not_count() -> None:
    agents = (agent("10.0.0.1", counted=False, sampling_rate=7, lost_samples=100), agent())
    values = point(
        status(NOW_MS + 1000, listener=ListenerStatus(agents=agents)),
        status(listener=ListenerStatus(agents=(agent(),))),
    )
    assert values["sflow.rate"] == 1000
    assert values["sflow.lost"] == 0


def test_a_point_names_nothing_but_columns() -> None:
    assert set(point(status(NOW_MS + 1000), status())) == set(COLUMNS)
