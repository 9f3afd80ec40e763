"""The machine's clock is set while ARM runs: every time that is shown follows it, and no duration changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fake_arm import NOW_MS, FakeEngine, agent, session, status
from test_openapi import OPERATIONS, analytics

from arm.config import Config
from arm.model import ChangeRecord, ListenerStatus, Reason, What, parse_prefix
from arm.observe.board import Board
from arm.observe.switch import SwitchReport
from arm.walltime import WallTime
from arm.web.app import create_app

YEARS = 50 * 365 * 86400
NO_MOMENTS = {"step_ms", "built_ms"}


class Machine:
    """An ARM with something of everything, whose clock can be set. Its moments lie within ten minutes."""

    def __init__(self) -> None:
        self.set_by = 0
        self.seconds = 0
        wall = WallTime(monotonic=lambda: self.seconds, wall=lambda: NOW_MS / 1000 + self.seconds + self.set_by)
        engine = FakeEngine()
        engine.log.append(ChangeRecord(1, NOW_MS - 300_000, parse_prefix("10.1.0.0/16"), What.INSTALLED, Reason.NEW))
        self.board = Board(engine.ask, wall=wall)
        self.board.switch.reports = lambda: (  # type: ignore[method-assign]
            SwitchReport("10.0.0.1", time_ms=NOW_MS - 1000, load=(0.1, 0.2, 0.3)),
        )
        self.client = create_app(self.board, Config(), analytics=analytics(), now_ms=wall.steady_ms).test_client()
        self.publish()

    def publish(self, seconds: int = 5) -> None:
        for _ in range(seconds):
            self.seconds += 1
            self.board.publish(
                status(
                    NOW_MS + self.seconds * 1000,
                    started_ms=NOW_MS - 60_000,
                    sessions=(session(since_ms=NOW_MS - 30_000),),
                    listener=ListenerStatus(datagrams=1, agents=(agent(last_seen_ms=NOW_MS + self.seconds * 1000),)),
                )
            )

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code < 400, (path, answer.data)
        return answer.json if answer.is_json else answer.get_data(as_text=True)

    @property
    def now_ms(self) -> int:
        return NOW_MS + (self.seconds + self.set_by) * 1000


def moments(document: Any, path: str = "") -> Iterator[tuple[str, int]]:
    """Every moment in a document with where it stands."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from moments(value, f"{path}.{name}")
    elif isinstance(document, list):
        for value in document:
            yield from moments(value, path)
    elif isinstance(document, int):
        name = path.rpartition(".")[2]
        if (name.endswith("_ms") or name in ("timestamp", "start", "end", "startTime")) and name not in NO_MOMENTS:
            yield path, document


def paths() -> list[str]:
    fill = {"query": "10.1.2.3", "name": "pairs", "router": "127.0.0.1"}
    return sorted(
        re.sub(r"\{(\w+)\}", lambda found: fill.get(found[1], "ALL"), path)
        for path, method in OPERATIONS
        if method.upper() == "GET"
    )


@pytest.mark.parametrize("by", [YEARS, -3600])
def test_every_moment_of_every_answer_follows_the_clock(by: int) -> None:
    machine = Machine()
    machine.set_by = by
    machine.publish()
    seen = set()
    for path in paths():
        answer = machine.client.get(path)
        if answer.status_code != 200 or not answer.is_json:
            continue
        for where, moment in moments(answer.json):
            assert abs(moment - machine.now_ms) <= 600_000, (path, where, moment)
            seen.add(where.rpartition(".")[2])
    assert seen == {
        "time_ms", "started_ms", "since_ms", "last_seen_ms", "times_ms", "timestamp", "start", "end", "startTime"
    }  # fmt: skip
    page = machine.get("/metrics")
    found = re.findall(r"^(arm_\w+_seconds)(?:\{.*\})? (\d{9,}(?:\.\d+)?(?:e\+\d+)?)$", page, re.MULTILINE)
    assert {name for name, _ in found} == {
        "arm_start_time_seconds", "arm_status_time_seconds", "arm_bgp_session_since_seconds",
        "arm_sflow_agent_last_seen_seconds",
    }  # fmt: skip
    for name, value in found:
        assert abs(float(value) - machine.now_ms / 1000) <= 600, name


@pytest.mark.parametrize("by", [YEARS, -3600])
def test_no_rate_no_age_and_no_verdict_changes_when_the_clock_is_set(by: int) -> None:
    machine, left_alone = Machine(), Machine()
    machine.set_by = by
    for one in (machine, left_alone):
        one.publish()

    def told(one: Machine) -> Any:
        document = one.get("/arm/status/json")
        ages = [document["time_ms"] - document["started_ms"], document["time_ms"] - document["sessions"][0]["since_ms"]]
        return document["health"], document["process"], document["families"], ages, one.get("/arm/cache/json")

    assert told(machine) == told(left_alone)
    assert machine.get("/healthz") == left_alone.get("/healthz")


@pytest.mark.parametrize("by", [YEARS, -3600])
def test_who_follows_the_trend_gets_all_points_anew(by: int) -> None:
    machine = Machine()
    last = machine.get("/arm/trend/json")["times_ms"][-1]
    machine.set_by = by
    machine.publish(1)
    times = machine.get(f"/arm/trend/json?after={last}")["times_ms"]
    assert len(times) == 6
    assert machine.get(f"/arm/trend/json?after={times[-2]}")["times_ms"] == times[-1:]
