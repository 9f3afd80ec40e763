"""The documents of the API: status, trend, route, prefixes, changes, health."""

from __future__ import annotations

import re

import pytest
from fake_arm import NOW_MS, FakeEngine, family_status, session, status
from flask.testing import FlaskClient

from arm.config import Config
from arm.model import ChangeRecord, Family, Hits, PrefixState, Reason, SessionState, What, parse_prefix
from arm.observe.board import Board
from arm.web.app import STATIC, create_app


def make(engine: FakeEngine | None = None, **more: object) -> FlaskClient:
    board = Board((engine or FakeEngine()).ask)
    board.publish(status(**more))
    return create_app(board, Config(), now_ms=lambda: NOW_MS + 200).test_client()


@pytest.fixture
def client() -> FlaskClient:
    return make()


def test_status_has_the_families_apart_with_their_shares(client: FlaskClient) -> None:
    document = client.get("/arm/status/json").json
    ipv4 = document["families"]["ipv4"]
    assert (ipv4["rib_prefixes"], ipv4["slots_used"], ipv4["capacity"]) == (8, 3, 100)
    assert ipv4["coverage"] == pytest.approx(0.9)
    assert ipv4["bytes_per_second"] == pytest.approx(1000.0)
    assert ipv4["default_path_bytes_per_second"] == pytest.approx(400.0)
    assert document["families"]["ipv6"]["rib_prefixes"] == 2
    assert document["health"]["level"] == "ok"
    assert document["sessions"][0]["state"] == "established"
    assert document["sflow"]["agents"][0]["sampling_rate"] == 1000


def test_coverage_of_a_minute_is_by_traffic_not_by_seconds() -> None:
    board = Board(FakeEngine().ask)
    for second, hits in enumerate([Hits(installed=900.0, new=100.0), Hits(no_slot=100.0)]):
        families = {Family.IPV4: family_status(hits=hits)}
        board.publish(status(NOW_MS + 1000 * second, families=families))
    client = create_app(board, Config(), now_ms=lambda: NOW_MS + 1000).test_client()
    ipv4 = client.get("/arm/status/json").json["families"]["ipv4"]
    assert ipv4["coverage"] == 0.0
    assert ipv4["coverage_60s"] == pytest.approx(900 / 1100)


def test_coverage_comes_with_its_sampling_error() -> None:
    board = Board(FakeEngine().ask)
    for second in range(2):
        hits = Hits(installed=900.0, new=100.0, samples=200)
        board.publish(status(NOW_MS + 1000 * second, families={Family.IPV4: family_status(hits=hits)}))
    client = create_app(board, Config(), now_ms=lambda: NOW_MS + 1000).test_client()
    ipv4 = client.get("/arm/status/json").json["families"]["ipv4"]
    assert ipv4["coverage_error"] == pytest.approx(1.96 * (0.9 * 0.1 / 200) ** 0.5, rel=0.02)
    assert ipv4["coverage_60s_error"] == pytest.approx(1.96 * (0.9 * 0.1 / 400) ** 0.5, rel=0.02)


def test_without_traffic_coverage_is_unknown_not_zero() -> None:
    client = make(families={Family.IPV4: family_status(hits=Hits())})
    ipv4 = client.get("/arm/status/json").json["families"]["ipv4"]
    assert ipv4["coverage"] is None
    assert ipv4["coverage_60s"] is None
    assert ipv4["coverage_error"] is None


def test_trend_gives_what_is_later_than_after() -> None:
    board = Board(FakeEngine().ask)
    for second in range(5):
        board.publish(status(NOW_MS + 1000 * second))
    client = create_app(board, Config()).test_client()
    document = client.get(f"/arm/trend/json?after={NOW_MS + 2000}").json
    assert document["times_ms"] == [NOW_MS + 3000, NOW_MS + 4000]
    assert document["columns"]["ipv4.installed"] == [600.0, 600.0]
    assert client.get("/arm/trend/json?span=1h").json["step_ms"] == 10_000


def test_a_route_tells_why_and_names_all_that_cover_it(client: FlaskClient) -> None:
    document = client.get("/arm/route/10.1.2.3/json").json
    assert document["prefix"] == "10.1.2.0/24"
    assert [route["prefix"] for route in document["covering"]] == [
        "10.1.2.0/24",
        "10.1.0.0/16",
        "10.0.0.0/8",
        "0.0.0.0/0",
    ]
    assert document["entry"] == {"prefix": "10.1.0.0/16", "kind": "route", "nexthop": "10.0.0.135"}
    assert document["why"]
    assert document["bytes_per_second"] == 200.0
    assert document["error_percent"] == pytest.approx(196 / 20**0.5)


@pytest.mark.parametrize("query", ["10.1.0.0/16", "10.1.0.0%2F16"])
def test_a_route_is_found_by_prefix(client: FlaskClient, query: str) -> None:
    assert client.get(f"/arm/route/{query}/json").json["prefix"] == "10.1.0.0/16"


def test_a_route_that_the_table_does_not_have_is_an_answer_not_an_error(client: FlaskClient) -> None:
    document = client.get("/arm/route/2001:db9::1/json").json
    assert (document["prefix"], document["covering"], document["entry"]) == (None, [], None)


def test_prefixes_come_ranked_with_their_state_and_error(client: FlaskClient) -> None:
    document = client.get("/arm/prefixes/json?maxPrefixes=2&offset=1").json
    assert [(row["rank"], row["prefix"], row["state"]) for row in document["prefixes"]] == [
        (2, "10.1.0.0/16", "installed"),
        (3, "10.2.0.0/16", "default"),
    ]
    # 500 bytes/s stand on 500 / 2 / 5 * 2 samples.
    assert document["prefixes"][0]["error_percent"] == pytest.approx(196 / 100**0.5)
    assert (document["active"], document["total_bytes_per_second"]) == (6, 2100.0)


def test_prefixes_of_ipv6_and_of_sources_are_asked_for(client: FlaskClient) -> None:
    ipv6 = client.get("/arm/prefixes/json?family=ipv6").json["prefixes"]
    assert [row["prefix"] for row in ipv6] == ["2001:db8:1::/48", "2001:db8::/32"]
    sources = client.get("/arm/prefixes/json?direction=source").json["prefixes"]
    assert [row["prefix"] for row in sources] == ["192.0.2.0/24", "10.2.0.0/16"]


def test_changes_come_after_a_number_and_the_newest_stay_when_cut() -> None:
    engine = FakeEngine()
    prefix = parse_prefix("10.1.0.0/16")
    engine.log = [ChangeRecord(number, NOW_MS + number, prefix, What.INSTALLED, Reason.NEW) for number in range(1, 6)]
    client = make(engine)
    changes = client.get("/arm/changes/json?after=3").json["changes"]
    assert [change["number"] for change in changes] == [4, 5]
    assert changes[0] == {
        "number": 4,
        "time_ms": NOW_MS + 4,
        "prefix": "10.1.0.0/16",
        "what": "installed",
        "reason": "new",
    }
    for most in (5, 6, 9, 100):  # there are five
        assert len(client.get(f"/arm/changes/json?maxChanges={most}").json["changes"]) == 5
    cut = client.get("/arm/changes/json?maxChanges=2").json["changes"]
    assert [change["number"] for change in cut] == [4, 5]
    assert client.get("/arm/changes/json?maxChanges=0").json["changes"] == []


def test_fifty_readers_of_the_ranking_cost_the_engine_one_copy_of_the_traffic() -> None:
    engine = FakeEngine()
    client = make(engine)
    for _ in range(50):
        client.get("/arm/prefixes/json?maxPrefixes=0")
    assert engine.questions == 1


def test_ready_tells_a_lost_session_and_healthz_does_not_mind() -> None:
    client = make(sessions=(session(state=SessionState.ACTIVE, reason="hold timer expired"),))
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "hold timer expired" in ready.json["problems"][0]["text"]
    assert client.get("/healthz").status_code == 200


def test_a_silent_engine_is_not_healthy() -> None:
    board = Board(FakeEngine().ask)
    board.publish(status())
    client = create_app(board, Config(), now_ms=lambda: NOW_MS + 60_000).test_client()
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert "has not reported for 60 s" in answer.json["problems"][0]["text"]


def test_the_page_has_words_for_every_state_and_every_reason() -> None:
    words = (STATIC / "words.js").read_text()

    def keys(name: str) -> set[str]:
        body = words.split(f"export const {name} = {{")[1].split("\n};")[0]
        return {key.strip('"') for key in re.findall(r'^  ("[^"]+"|\w+):', body, re.MULTILINE)}

    assert keys("STATES") == {state.value for state in PrefixState}
    assert keys("REASONS") == {reason.value for reason in Reason}
