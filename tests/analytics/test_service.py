"""What the analytics ask of the rest of ARM: nothing without a definition, and little while the engine is at work."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from fed_analytics import Fed, Tap
from polling import until

from arm.analytics import Analytics, service
from arm.config import AnalyticsConfig
from arm.simulate.agent import Agent

ONE, OTHER = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])


def datagrams(count: int) -> list[bytes]:
    agent = Agent(None, rate=100, per_datagram=1)
    built = agent.prebuild([(ONE, OTHER, 1000)] * count)
    return [bytes(agent.number(each)) for each in built]


def test_only_datagrams_with_counters_are_asked_for_while_nothing_is_defined() -> None:
    tap = Tap()
    analytics = Analytics(AnalyticsConfig(), tap, lambda some: [None] * len(some), local_as=65000)
    analytics.start()
    try:
        assert tap.counters_only
        analytics.put_flow("pairs", {"keys": "ipsource"})
        assert not tap.counters_only
        analytics.delete("flow", "pairs")
        assert tap.counters_only
        analytics.watch_keys()
        assert not tap.counters_only
    finally:
        analytics.stop()
    assert tap.callback is None


def test_datagrams_beyond_the_queue_are_counted_and_the_others_stand_for_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fed = Fed(AnalyticsConfig(queue=50))
    fed.define("pairs", keys="ipsource,ipdestination", value="frames", t=5)
    with caplog.at_level(logging.WARNING):
        for _ in range(200):  # ten times as many as the queue takes before it is emptied
            for data in datagrams(100):
                fed.analytics._receive(data)
            fed.pass_(0.2)
    assert fed.analytics.dropped == 200 * 50
    # 100 samples of one in 100 five times a second; the first second is counted without knowing of the drops
    assert fed.top("pairs")["192.0.2.1,198.51.100.7"] == pytest.approx(100 * 100 * 5, rel=0.1)
    assert any("can not keep up" in record.message for record in caplog.records)


def test_the_analytics_stand_still_while_the_engine_works_but_not_for_ever() -> None:
    working = threading.Event()
    looked: list[float] = []

    def busy() -> bool:
        looked.append(time.monotonic())
        return working.is_set()

    fed = Fed(busy=busy)
    fed.define("pairs", keys="ipsource", value="frames")
    fed.feed(datagrams(20))
    calm = len(looked)
    working.set()
    fed.feed(datagrams(20))  # and it does come to an end
    assert len(looked) - calm > 2 * calm
    assert fed.analytics.flows.samples == 40
    assert fed.top("pairs")["192.0.2.1"] == pytest.approx(40 * 100 / 2)


def test_nothing_is_counted_until_the_engine_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_PATIENCE", 60.0)
    counted: list[int] = []

    def busy() -> bool:
        counted.append(fed.analytics.flows.samples)
        return len(counted) < 6

    fed = Fed(busy=busy)
    fed.define("pairs", keys="ipsource", value="frames")
    fed.feed(datagrams(20))
    assert counted[:6] == [0] * 6
    assert fed.analytics.flows.samples == 20


def test_the_engine_is_waited_for_less_when_the_queue_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_PATIENCE", 60.0)
    monkeypatch.setattr(service, "_LESS_PATIENCE", 0.001)
    first = 64  # datagrams in a batch
    fed = Fed(AnalyticsConfig(queue=2 * first), busy=lambda: fed.analytics.flows.samples < first)
    fed.define("pairs", keys="ipsource", value="frames")
    began = time.monotonic()
    fed.feed(datagrams(2 * first))
    assert fed.analytics.flows.samples == 2 * first
    assert time.monotonic() - began < 30


def test_the_thread_counts_what_the_listener_hands_over() -> None:
    tap = Tap()
    analytics = Analytics(AnalyticsConfig(), tap, lambda some: [None] * len(some), local_as=65000)
    analytics.put_flow("pairs", {"keys": "ipsource", "value": "frames", "t": 600})
    analytics.start()
    try:
        assert tap.callback is not None
        for data in datagrams(30):
            tap.callback(data)
        until(lambda: analytics.flows.samples == 30, 10, "the samples are counted")
    finally:
        analytics.stop()
    assert analytics.dropped == analytics.failures == 0


def test_a_mistake_of_the_program_on_one_datagram_is_counted_and_the_next_is_not_touched(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fed = Fed()
    fed.define("pairs", keys="ipsource", value="frames")
    read = fed.analytics.flows.read
    answers = iter([RuntimeError("a bug"), None, None])

    def once(data: bytes, factor: float) -> object:
        problem = next(answers)
        if problem is not None:
            raise problem
        return read(data, factor)

    monkeypatch.setattr(fed.analytics.flows, "read", once)
    fed.feed(datagrams(3))
    assert fed.analytics.failures == 1
    assert fed.top("pairs")["192.0.2.1"] == pytest.approx(2 * 100 / 2)
    assert any("analytics failed" in record.message for record in caplog.records)
