"""A bug that one definition runs into ends neither the daemon nor the other definitions, and is told to who asks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_arm import FakeEngine
from fed_analytics import Fed, restarted
from flask.testing import FlaskClient
from polling import until
from test_service import datagrams

from arm.config import Config
from arm.observe.board import Board
from arm.web.app import create_app


def fails(*_: object, **__: object) -> Any:
    raise OverflowError("math range error")


def break_sweep(fed: Fed, name: str) -> None:
    """As if the upkeep of a definition had a bug."""
    fed.analytics.flows.active[name].cache.sweep = fails  # type: ignore[method-assign]


def break_judging(fed: Fed, name: str) -> None:
    """As if a definition's thresholds had one."""
    fed.analytics.flows.active[name].cache.flows = fails  # type: ignore[method-assign]


def client_of(fed: Fed) -> FlaskClient:
    return create_app(Board(FakeEngine().ask), Config(), analytics=fed.analytics).test_client()


def ask(client: FlaskClient, path: str) -> tuple[int, Any]:
    answer = client.get(path, headers={"Host": "localhost"})
    return answer.status_code, answer.get_json()


def put_aside(client: FlaskClient) -> Any:
    return ask(client, "/analyzer/json")[1]["putAside"]


def two(fed: Fed) -> None:
    for name in ("bad", "good"):
        fed.define(name, keys="ipsource", value="frames", t=10, log=True)
        fed.analytics.put_threshold(f"{name}.over", {"metric": name, "value": 1, "byFlow": True, "timeout": 0})


def test_a_flow_whose_upkeep_fails_is_put_aside_with_its_reason_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fed = Fed()
    client = client_of(fed)
    two(fed)
    assert put_aside(client) == {"flows": {}, "thresholds": {}}
    break_sweep(fed, "bad")
    with caplog.at_level(logging.ERROR):
        for _ in range(10):
            fed.feed(datagrams(1))
            fed.pass_(1.0)
    assert put_aside(client) == {"flows": {"bad": "OverflowError: math range error"}, "thresholds": {}}
    told = [record for record in caplog.records if "put aside" in record.message]
    assert len(told) == 1, "told once, not every second"
    assert "name=bad" in told[0].message
    code, said = ask(client, "/activeflows/ALL/bad/json")
    assert code == 503
    assert "bad was put aside (OverflowError: math range error)" in said["error"]
    assert ask(client, "/metric/ALL/bad/json") == (200, [{"metricName": "bad", "metricN": 0}])
    assert ask(client, "/flow/bad/json")[1]["keys"] == "ipsource", "it is still defined"
    assert fed.top("good")["192.0.2.1"] > 0
    assert {dict(entry)["metric"] for entry in fed.analytics.events.after(-1, 100, 0.0)} >= {"good"}


def test_a_threshold_that_can_not_be_judged_is_put_aside_and_the_others_are_judged() -> None:
    fed = Fed()
    client = client_of(fed)
    two(fed)
    break_judging(fed, "bad")
    fed.feed(datagrams(1))
    fed.pass_(1.0)
    assert put_aside(client) == {"flows": {}, "thresholds": {"bad.over": "OverflowError: math range error"}}
    assert [dict(entry)["thresholdID"] for entry in fed.analytics.events.after(-1, 100, 0.0)] == ["good.over"]
    assert fed.top("bad") == fed.top("good") != {}, "the flow itself still counts"


@pytest.mark.parametrize("break_", [break_sweep, break_judging])
def test_what_was_put_aside_works_again_when_it_is_defined_anew_or_after_a_restart(
    tmp_path: Path, break_: Callable[[Fed, str], None]
) -> None:
    fed = Fed(directory=tmp_path)
    client = client_of(fed)
    two(fed)
    break_(fed, "bad")
    fed.pass_(1.0)
    assert any(put_aside(client).values())
    again = restarted(tmp_path)
    two(fed)
    for each in (fed, again):
        each.feed(datagrams(1))
        each.pass_(1.0)
        assert put_aside(client_of(each)) == {"flows": {}, "thresholds": {}}
        assert each.top("bad") == each.top("good") != {}
        assert len(each.analytics.events.after(-1, 100, 0.0)) == 2


def test_samples_on_which_one_definition_fails_are_counted_by_the_others() -> None:
    fed = Fed()
    two(fed)
    fed.analytics.flows.active["bad"].cache.add = fails  # type: ignore[method-assign]
    fed.feed(datagrams(3))
    assert fed.top("good") == {"192.0.2.1": pytest.approx(3 * 100 / 10)}
    assert fed.analytics.failures > 0


def test_the_thread_goes_on_after_a_definitions_bug() -> None:
    failed: list[BaseException] = []
    fed = Fed(on_failure=failed.append)
    two(fed)
    break_sweep(fed, "bad")
    fed.analytics.start()
    try:
        fed.now += 10
        until(lambda: fed.analytics.flows.active["bad"].fault is not None)
        fed.analytics._receive(datagrams(1)[0])
        until(lambda: fed.top("good") != {})
    finally:
        fed.analytics.stop()
    assert failed == []
