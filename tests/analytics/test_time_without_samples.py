"""Definitions live for as long as the daemon does, whatever their samples do: none for hours, days or a year."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from fake_arm import FakeEngine
from fed_analytics import Fed
from http_xdr import Request, datagram, flow_sample
from test_counter_metrics import interface, told

from arm.analytics import queries
from arm.analytics.sample import VALUES
from arm.config import AnalyticsConfig, Config
from arm.observe.board import Board
from arm.simulate.agent import Agent
from arm.web.app import create_app

DAY = 86400.0
GAPS = (0.0, 0.001, 1.0, 3600.0, DAY, 7 * DAY, 400 * DAY)
CONSTANTS = (0.2, 1.0, 2.0, 60.0, 600.0)
ONE, OTHER = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
KINDS: tuple[dict[str, Any], ...] = (
    *({"keys": "ipsource", "value": value} for value in ("bytes", "frames")),
    *({"keys": "httpurl", "value": value} for value in VALUES),
    {"keys": "", "value": "bytes"},
    {"keys": "ipsource,ipdestination,stack", "log": True},
    {"keys": "prefix:ipsource:.:2,mask:ipdestination:24", "value": "frames", "log": True},
    {"keys": "ipsource", "filter": "ipsource=192.0.2.1"},
    {"keys": "ipsource", "filter": "ipsource=203.0.113.77"},
    {"keys": "ipsource", "filter": "(ipdestination~198.*|tcpdestinationport!=80)&direction=ingress"},
)


def defined(fed: Fed, t: float, names: str = "f") -> list[str]:
    """A definition of every kind, and thresholds for each: of single flows and of the whole, low and high."""
    made = []
    for number, document in enumerate(KINDS):
        made.append(f"{names}{number}")
        fed.define(made[-1], t=t, **document)
        for by_flow in (True, False):
            for value in (0, 1, 10**30):
                threshold = {"metric": made[-1], "byFlow": by_flow, "value": value, "timeout": 0}
                fed.analytics.put_threshold(f"{made[-1]}.{by_flow}.{len(str(value))}", threshold)
    return made


def packets(times: int = 1) -> list[bytes]:
    agent = Agent(None, rate=100)
    some = [bytes(agent.number(each)) for _ in range(times) for each in agent.prebuild([(ONE, OTHER, 1000)])]
    return [*some, datagram([flow_sample([Request(url="/a").record()], sequence=1, rate=100)])]


def looked_at(fed: Fed, names: list[str]) -> None:
    """Everything that can be read is strict JSON with values that are not negative."""
    for name in names:
        assert all(value >= 0 for value in fed.top(name).values())
        (answer,) = queries.metric(fed.analytics, "ALL", f"sum:{name}")
        assert answer.get("metricValue", 0.0) >= 0
    documents = [queries.state(fed.analytics), queries.dump(fed.analytics, "ALL", "ALL")]
    documents += [[dict(entry) for entry in fed.analytics.events.after(-1, 1000, 0.0)]]
    json.dumps(documents, allow_nan=False)


@pytest.mark.parametrize("t", CONSTANTS)
@pytest.mark.parametrize("sampled", [False, True])
def test_a_definition_lives_over_gaps_of_any_length(t: float, sampled: bool) -> None:
    fed = Fed(AnalyticsConfig(definitions=1000))
    names = defined(fed, t)
    for gap in (*GAPS, *GAPS):
        if sampled:
            fed.feed(packets())
        looked_at(fed, names)
        fed.now += gap
        looked_at(fed, names)  # before anything has let time pass
        fed.step()
        looked_at(fed, names)
    fed.pass_(DAY)
    fed.pass_(DAY)
    assert all(fed.top(name) == {} for name in names), "nothing is left of what has been idle for a day"
    assert all(fed.metric(f"sum:{name}") is None for name in names)
    assert fed.analytics.failures == 0


@pytest.mark.parametrize("t", CONSTANTS)
@pytest.mark.parametrize("gap", GAPS)
def test_a_value_after_a_gap_is_what_is_left_of_it_and_what_came_then(t: float, gap: float) -> None:
    fed = Fed()
    fed.define("sent", keys="ipsource", value="frames", t=t)
    fed.feed(packets(times=40))
    fed.now += gap
    left = 40 * 100 / t * math.exp(-gap / t)
    assert fed.top("sent").get("192.0.2.1", 0.0) == pytest.approx(left, rel=1e-6, abs=1e-9)
    fed.step()
    assert fed.top("sent").get("192.0.2.1", 0.0) == pytest.approx(left, rel=1e-6, abs=0.1)
    fed.feed(packets(times=10))
    assert fed.top("sent")["192.0.2.1"] == pytest.approx(left + 10 * 100 / t, rel=1e-6, abs=0.1)


def test_two_hours_of_seconds_with_twenty_definitions_that_nothing_matches() -> None:
    fed = Fed()
    for n in range(20):
        fed.define(f"rare{n}", keys="ipsource", filter=f"ipsource=203.0.113.{n}", t=(0.2, 1, 2, 10, 600)[n % 5])
        fed.analytics.put_threshold(f"over{n}", {"metric": f"rare{n}", "value": n, "byFlow": bool(n & 1)})
    for second in range(7200):
        fed.pass_(1.0)
        if second % 600 == 599:
            fed.feed(packets())  # which none of them wants
    assert queries.state(fed.analytics)["samples"] > 0
    assert fed.analytics.failures == 0
    fed.define("all", keys="ipsource", value="frames")
    fed.feed(packets())
    assert fed.top("all")["192.0.2.1"] == pytest.approx(100 / 2)


@pytest.mark.parametrize("t", [0.2, 2.0, 600.0])
def test_a_threshold_makes_an_event_after_a_year_of_silence(t: float) -> None:
    fed = Fed()
    fed.define("sent", keys="ipsource", value="frames", t=t)
    fed.analytics.put_threshold("any", {"metric": "sent", "value": 5, "byFlow": True})
    fed.analytics.put_threshold("whole", {"metric": "sent", "value": 5})
    for _ in range(400):
        fed.pass_(DAY)
    fed.now += 1
    fed.feed(packets(times=50))
    told_of = [dict(entry) for entry in fed.analytics.events.after(-1, 100, 0.0)]
    assert {entry["thresholdID"] for entry in told_of} == {"any", "whole"}
    assert all(entry["value"] == pytest.approx(50 * 100 / t) for entry in told_of if entry["thresholdID"] == "any")


def test_a_flow_that_ended_in_a_gap_is_told_once_with_its_own_times() -> None:
    fed = Fed()
    fed.define("pairs", keys="ipsource,ipdestination", value="frames", t=1, log=True)
    fed.feed(packets(times=3))
    start = int(fed.now * 1000)
    for _ in range(3):
        fed.pass_(7 * DAY)
    ended = [dict(entry) for entry in fed.analytics.ended.after(-1, 100, 0.0)]
    assert [(entry["flowKeys"], entry["start"], entry["end"]) for entry in ended] == [
        ("192.0.2.1,198.51.100.7", start, start)
    ]


def test_a_metric_of_counters_is_forgotten_in_a_gap_and_no_rate_is_made_over_it() -> None:
    fed = Fed()
    fed.analytics.put_threshold("busy", {"metric": "ifinoctets", "value": 0, "timeout": 0})
    for sequence in (1, 2):
        told(fed, [interface(1000 * sequence, 1)], sequence=sequence)
        fed.pass_(10)
    assert fed.metric("ifinoctets") == 100.0
    fed.pass_(400 * DAY)
    fed.pass_(1)
    assert fed.metric("ifinoctets") is None
    client = create_app(Board(FakeEngine().ask), Config(), analytics=fed.analytics).test_client()
    assert client.get("/metrics/json", headers={"Host": "localhost"}).get_json() == {}
