"""Thresholds make events and ended flows make entries, once each; readers who wait get them, and survive a restart."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_arm import HOP_B, VIA_A, VIA_B, FakeEngine, status
from fed_analytics import Fed, restarted
from flask.testing import FlaskClient
from http_xdr import Request, datagram, flow_sample
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polling import until
from test_counter_metrics import http, interface, told

from arm import __version__
from arm.analytics.journal import Journal
from arm.config import AnalyticsConfig, Config
from arm.model import Route, parse_prefix
from arm.observe.board import Board
from arm.simulate.agent import Agent
from arm.web.app import create_app

ONE, OTHER, THIRD = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7]), bytes([203, 0, 113, 9])
TABLE = {"192.0.2.0/24": VIA_A, "198.51.100.0/24": VIA_B}


def client_of(fed: Fed) -> FlaskClient:
    board = Board(FakeEngine().ask)
    board.publish(status())
    return create_app(board, Config(), analytics=fed.analytics).test_client()


def get(client: FlaskClient, path: str) -> Any:
    answer = client.get(path, headers={"Host": "localhost"})
    assert answer.status_code == 200, answer.data
    return answer.get_json()


def packets(fed: Fed, *pairs: tuple[bytes, bytes, int], times: int = 1) -> None:
    agent = Agent(None, rate=100)
    fed.feed(bytes(agent.number(built)) for _ in range(times) for built in agent.prebuild(pairs))


def events(fed: Fed, after: int = -1) -> list[dict[str, Any]]:
    return [dict(entry) for entry in fed.analytics.events.after(after, 100, 0.0)]


def test_a_flow_that_rises_above_makes_one_event_until_it_has_been_below() -> None:
    fed = Fed()
    fed.define("pairs", keys="ipsource,ipdestination", value="frames", t=1)
    fed.analytics.put_threshold("many", {"metric": "pairs", "value": 1000, "byFlow": True, "timeout": 2})
    packets(fed, (ONE, OTHER, 100), times=5)
    packets(fed, (ONE, THIRD, 100), times=20)
    fed.pass_(0.3)
    (event,) = events(fed)
    assert event["flowKey"] == "192.0.2.1,203.0.113.9"
    assert event["value"] == pytest.approx(2000 * 2.718281828**-0.3)
    assert (event["threshold"], event["metric"], event["thresholdID"]) == (1000, "pairs", "many")
    assert (event["agent"], event["dataSource"], event["eventID"]) == ("10.0.0.1", "1", 0)
    assert event["timestamp"] == int(fed.now * 1000)
    for _ in range(5):
        packets(fed, (ONE, THIRD, 100), times=20)
        fed.pass_(0.3)
    assert len(events(fed)) == 1  # it stayed above
    fed.pass_(3.5)  # and now below, for longer than the timeout
    fed.pass_(2.5)
    packets(fed, (ONE, THIRD, 100), times=20)
    fed.pass_(0.3)
    assert [event["eventID"] for event in events(fed)] == [1, 0]


def test_a_flow_that_swings_around_the_value_makes_no_flood_of_events() -> None:
    fed = Fed()
    fed.define("pairs", keys="ipsource,ipdestination", value="frames", t=1)
    fed.analytics.put_threshold("many", {"metric": "pairs", "value": 1000, "byFlow": True, "timeout": 5})
    for _ in range(4):  # above, and below for a second or two
        packets(fed, (ONE, THIRD, 100), times=20)
        fed.pass_(0.3)
        fed.pass_(1)
        fed.pass_(1)
    assert len(events(fed)) == 1


def test_a_metric_of_counters_above_its_value_makes_an_event_where_the_filter_fits() -> None:
    fed = Fed()
    fed.analytics.put_threshold("busy", {"metric": "ifinoctets", "value": 50, "filter": {"ifspeed": [10**9, "100"]}})
    fed.analytics.put_threshold("slow", {"metric": "ifinoctets", "value": 50, "filter": {"ifspeed": "7"}})
    for sequence in (1, 2):
        told(fed, [interface(1000 * sequence, 1)], sequence=sequence)
        fed.pass_(10)
    (event,) = events(fed)
    assert (event["thresholdID"], event["value"], event["dataSource"]) == ("busy", 100.0, "3")


def test_a_threshold_on_a_flow_as_a_whole_adds_up_all_its_flows() -> None:
    fed = Fed()
    fed.define("all", keys="ipdestination", value="frames", t=10)
    fed.analytics.put_threshold("total", {"metric": "all", "value": 25})
    packets(fed, (ONE, OTHER, 100), times=2)
    fed.pass_(0.3)
    assert events(fed) == []
    packets(fed, (ONE, THIRD, 100), times=2)
    fed.pass_(0.3)
    (event,) = events(fed)
    assert "flowKey" not in event


def test_a_flow_that_is_logged_is_told_with_its_course_when_it_has_ended() -> None:
    fed = Fed()
    fed.define("pairs", keys="ipsource,ipdestination", value="bytes", t=1, log=True)
    client = client_of(fed)
    start = fed.now
    for _ in range(10):
        packets(fed, (ONE, OTHER, 1000))
        fed.pass_(0.5)
    assert get(client, "/flows/json?name=pairs") == []
    fed.pass_(6)
    fed.pass_(1)
    (flow,) = get(client, "/flows/json?name=pairs&maxFlows=5&timeout=1&flowID=-1")
    assert (flow["flowKeys"], flow["value"]) == ("192.0.2.1,198.51.100.7", 10 * 1000 * 100)
    assert flow["start"] == pytest.approx(start * 1000, abs=2)
    assert flow["end"] == pytest.approx((start + 4.5) * 1000, abs=2)
    assert get(client, "/flows/json?name=other") == []


# --- long polls ------------------------------------------------------------------------------------------------------


def waiting(look: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(look()))
    thread.start()
    return thread, found


def test_who_waits_is_woken_by_what_it_waits_for() -> None:
    journal = Journal("eventID")
    journal.add({"thresholdID": "a"})
    thread, found = waiting(lambda: journal.after(0, 10, 30.0, lambda entry: entry["thresholdID"] == "a"))
    journal.add({"thresholdID": "b"})
    journal.add({"thresholdID": "a", "value": 1})
    thread.join(10)
    assert found == [[{"thresholdID": "a", "value": 1, "eventID": 2}]]


def test_a_wait_ends_with_its_time_or_with_the_daemon() -> None:
    journal = Journal("eventID")
    begin = time.monotonic()
    assert journal.after(-1, 10, 0.2) == []
    assert time.monotonic() - begin >= 0.2
    thread, found = waiting(lambda: journal.after(-1, 10, 60.0))
    journal.close()
    thread.join(10)
    assert found == [[]]


def test_newest_come_first_and_only_those_after_the_number_handed_back() -> None:
    journal = Journal("eventID", kept=5)
    journal.add(*({"n": n} for n in range(8)))
    assert [entry["n"] for entry in journal.after(-1, 100, 0.0)] == [7, 6, 5, 4, 3]
    assert [entry["n"] for entry in journal.after(5, 100, 0.0)] == [7, 6]
    assert [entry["n"] for entry in journal.after(-1, 2, 0.0)] == [7, 6]
    assert journal.after(7, 100, 0.0) == []
    # a number of an earlier run, that this one has not given out
    assert [entry["n"] for entry in journal.after(500, 100, 0.0)] == [7, 6, 5, 4, 3]


def test_only_so_many_may_wait_at_a_time() -> None:
    fed = Fed(AnalyticsConfig(clients=1))
    app = create_app(Board(FakeEngine().ask), Config(), analytics=fed.analytics)
    thread, found = waiting(lambda: client_of_wait(app, "/events/json?timeout=60").status_code)

    def refused() -> bool:
        return client_of_wait(app, "/events/json?timeout=0").status_code == 503

    try:
        until(refused, 10, "the second is refused")
    finally:
        fed.analytics.events.close()
        thread.join(10)
    assert found == [200]


@pytest.mark.parametrize("path", ["/events/json?timeout=60", "/flows/json?timeout=60", "/flowkeys/json"])
def test_whatever_waits_is_among_those_that_may(path: str) -> None:
    fed = Fed(AnalyticsConfig(clients=1))
    app = create_app(Board(FakeEngine().ask), Config(), analytics=fed.analytics)
    thread, found = waiting(lambda: client_of_wait(app, "/events/json?timeout=60").status_code)
    try:
        until(lambda: client_of_wait(app, "/events/json?timeout=0").status_code == 503)
        began = time.monotonic()
        refused = client_of_wait(app, path)
        assert time.monotonic() - began < 0.9, "who is refused does not wait"
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        packets(fed, (ONE, OTHER, 100))  # noted, since somebody has asked for keys
        if path == "/flowkeys/json":
            assert "ipsource" in client_of_wait(app, path).json, "what is known is told without waiting"
    finally:
        fed.analytics.events.close()
        thread.join(10)
        fed.analytics.ended.close()
    assert found == [200]
    assert client_of_wait(app, path).status_code == 200, "the place is free again"


def client_of_wait(app: Any, path: str) -> Any:
    return app.test_client().get(path, headers={"Host": "localhost"})


# --- the other paths -------------------------------------------------------------------------------------------------


def test_the_paths_of_the_articles_answer_with_their_fields() -> None:
    fed = Fed(lookup=lambda addresses: [best(each) for each in addresses])
    client = client_of(fed)
    fed.define("image_bytes", value="resp_bytes", t=10, filter="httpmimetype~image/.*")
    fed.define("path", keys="mask:ipsource,bgpsourceas,ipdestination,bgpdestinationaspath,bgpnexthop", value="frames")
    for sequence in (1, 2):
        told(fed, [http({1: 400 * sequence, 3: 100 * sequence}, {})], sequence=sequence)
        fed.pass_(10)
    image = Request(url="/a.png", mimetype="image/png", resp_bytes=5000).record()
    fed.feed([datagram([flow_sample([image], sequence=1, rate=10)])])
    packets(fed, (ONE, OTHER, 100))
    get_, post = get(client, "/metric/ALL/sum:http_method_get,sum:http_method_post/json")
    assert (get_["metricName"], get_["metricValue"], get_["metricN"]) == ("sum:http_method_get", 40.0, 1)
    assert (post["metricName"], post["metricValue"]) == ("sum:http_method_post", 10.0)
    (images,) = get(client, "/metric/ALL/sum:image_bytes/json")
    assert images["metricValue"] == pytest.approx(5000.0)
    (row,) = get(client, "/activeflows/ALL/path/json?maxFlows=5&minValue=1&aggMode=sum")
    assert row | {"value": round(row["value"], 9)} == {
        "agent": "10.0.0.1", "dataSource": "1", "flowN": 1, "value": 50.0,
        "key": f"192.0.2.0/24,64501,198.51.100.7,64510-4200000001,{HOP_B}",
    }  # fmt: skip
    dumped = get(client, "/dump/10.0.0.150/http_method_get;image_bytes/json".replace(";", ","))
    assert {(each["metricName"], each["agent"], each["dataSource"]) for each in dumped} == {
        ("http_method_get", "10.0.0.150", "3"),
        ("image_bytes", "10.0.0.150", "3.80"),
    }
    assert {each["metricName"] for each in get(client, "/dump/ALL/ALL/json")} >= {"http_method_get", "path"}
    assert set(get(client, "/metrics/json")) >= {"http_method_get", "http_requests", "image_bytes", "path"}
    assert get(client, "/metric/10.9.9.9/http_method_get/json") == [{"metricName": "http_method_get", "metricN": 0}]
    agents = get(client, "/agents/json")
    assert all("sFlowFlowSamples" in each for each in agents.values())
    assert __version__ in client.get("/version", headers={"Host": "localhost"}).get_data(as_text=True)


def best(address: bytes) -> Route | None:
    """The longest match among three prefixes."""
    for text, attributes in TABLE.items():
        prefix = parse_prefix(text)
        if prefix[0][:3] == address[:3]:
            return Route(prefix, attributes)
    return None


def test_flow_keys_are_those_that_samples_have() -> None:
    fed = Fed(lookup=lambda addresses: [best(each) for each in addresses])
    fed.analytics.watch_keys()
    packets(fed, (ONE, OTHER, 100), times=30)
    packets(fed, (ONE, OTHER, 100), times=30)
    keys = get(client_of(fed), "/flowkeys/json")
    assert {"ipsource", "ipdestination", "udpsourceport", "macsource", "bgpsourceas", "bgpdestinationaspath"} <= set(
        keys
    )
    assert not {"tcpsourceport", "httpurl", "vlan"} & set(keys)


def test_a_sample_waits_for_the_route_and_is_given_up_when_the_engine_has_no_time() -> None:
    busy = [True]

    def lookup(addresses: Any) -> list[Route | None]:
        if busy[0]:
            raise TimeoutError("the engine is busy")
        return [best(each) for each in addresses]

    fed = Fed(lookup=lookup)
    fed.define("networks", keys="mask:ipsource,bgpdestinationas", value="frames")
    packets(fed, (ONE, OTHER, 100))
    assert fed.top("networks") == {}
    assert fed.analytics.flows.unresolved == 1
    busy[0] = False
    packets(fed, (ONE, OTHER, 100))
    assert fed.top("networks") == {"192.0.2.0/24,4200000001": 50.0}
    packets(fed, (THIRD, OTHER, 100))  # the table has no route for this one: not a flow of the definition
    assert set(fed.top("networks")) == {"192.0.2.0/24,4200000001"}


def test_definitions_thresholds_and_groups_survive_a_restart(tmp_path: Path) -> None:
    fed = Fed(directory=tmp_path)
    client = client_of(fed)
    flow = {"keys": "group:ipsource:sites,ipdestination", "value": "frames", "t": 7, "n": 3, "fs": "_", "log": True}
    threshold = {"metric": "f", "value": 12.5, "byFlow": True, "timeout": 3, "filter": {"ifspeed": ["100"]}}
    group = {"own": ["192.0.2.0/24", "2001:db8::/32"]}
    for kind, name, document in (("group", "sites", group), ("flow", "f", flow), ("threshold", "t", threshold)):
        put = client.put(f"/{kind}/{name}/json", json=document, headers={"Host": "localhost"})
        assert put.status_code == 200
    client.put("/flow/gone/json", json=flow, headers={"Host": "localhost"})
    client.delete("/flow/gone/json", headers={"Host": "localhost"})
    again = restarted(tmp_path)
    other = client_of(again)
    for path in ("/flow/json", "/threshold/json", "/group/json"):
        assert get(other, path) == get(client, path)
        assert len(get(other, path)) == 1
    packets(again, (ONE, OTHER, 100))
    assert list(again.top("f")) == ["own_198.51.100.7"]


def test_a_file_of_definitions_that_is_damaged_is_kept_aside_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    aside = tmp_path / "analytics.json.damaged-1"
    for text in ("{", "[]", '{"flows": {"x": {"keys": "nonsense"}, "ok": {"keys": "ipsource"}}, "groups": 7}', "\0"):
        (tmp_path / "analytics.json").write_text(text)
        fed = restarted(tmp_path)
        assert set(fed.analytics.flows.active) == ({"ok"} if "ok" in text else set())
        assert caplog.records
        assert aside.read_text() == text
        caplog.clear()
        fed.define("new", keys="ipsource", value="bytes")  # writes the file anew
        assert aside.read_text() == text
        assert set(restarted(tmp_path).analytics.flows.active) == {"new"} | ({"ok"} if "ok" in text else set())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["flows", "thresholds", "groups", "odd"]),
        st.dictionaries(st.sampled_from(["a", "", "b/c", "x" * 80]), JSON | st.fixed_dictionaries(
            {}, optional={"keys": JSON, "value": JSON, "filter": JSON, "n": JSON, "t": JSON, "metric": JSON, "a": JSON}
        ), max_size=3) | JSON,
    )
)  # fmt: skip
def test_any_json_in_the_file_of_definitions_is_taken_up_or_kept_aside(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, object]
) -> None:
    directory = tmp_path_factory.mktemp("state")
    (directory / "analytics.json").write_text(json.dumps(document))
    restarted(directory)
    assert (directory / "analytics.json").exists()
