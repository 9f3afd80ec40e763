"""The documents behind the views: traffic, filters, cache, capacity, differences, resources, configuration."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from fake_arm import HOP_A, HOP_B, NOW_MS, FakeEngine, family_status, status
from flask.testing import FlaskClient

from arm.config import Config, HttpConfig, ReflectorConfig
from arm.model import ChangeRecord, Distribution, Family, Hits, Reason, What, parse_prefix
from arm.observe.board import Board
from arm.sflow.records import CounterSample, Datagram, Record
from arm.web.app import create_app


def make(engine: FakeEngine | None = None, config: Config | None = None, **more: object) -> tuple[FlaskClient, Board]:
    board = Board((engine or FakeEngine()).ask)
    board.publish(status(**more))
    return create_app(board, config or Config(), now_ms=lambda: NOW_MS + 200).test_client(), board


@pytest.fixture
def client() -> FlaskClient:
    return make()[0]


def listed(client: FlaskClient, query: str) -> list[str]:
    answer = client.get(f"/arm/prefixes/json?{query}")
    assert answer.status_code == 200, answer.text
    return [row["prefix"] for row in answer.json["prefixes"]]


# --- prefixes ------------------------------------------------------------------------------------------------------


def test_prefixes_of_an_as_are_those_with_it_anywhere_in_the_path(client: FlaskClient) -> None:
    assert listed(client, "as=64501") == ["10.0.0.0/8", "10.2.0.0/16", "198.51.100.0/24"]
    assert listed(client, "as=64510") == ["10.1.0.0/16", "10.1.2.0/24", "192.0.2.0/24"]
    assert listed(client, "as=1") == []
    # its last two octets are another number, which is in no path
    assert listed(client, "as=4200000001") == ["10.1.0.0/16", "10.1.2.0/24", "192.0.2.0/24"]
    assert listed(client, f"as={4200000001 & 0xFFFF}") == []


def test_filters_add_up_and_keep_the_rank_by_traffic(client: FlaskClient) -> None:
    document = client.get("/arm/prefixes/json?as=64510&within=10.0.0.0/8").json
    assert [(row["prefix"], row["rank"]) for row in document["prefixes"]] == [("10.1.0.0/16", 2), ("10.1.2.0/24", 4)]
    assert (document["active"], document["matching"]) == (6, 2)


def test_prefixes_are_filtered_by_next_hop_and_by_state(client: FlaskClient) -> None:
    assert listed(client, f"nexthop={HOP_B}") == ["10.1.0.0/16", "10.1.2.0/24", "192.0.2.0/24"]
    assert listed(client, "state=installed") == ["10.1.0.0/16", "192.0.2.0/24"]
    assert listed(client, "state=no+slot") == ["10.1.2.0/24"]
    assert listed(client, "within=2001:db8::/32") == []
    assert listed(client, "family=ipv6&within=2001:db8:1::/48") == ["2001:db8:1::/48"]


def test_what_has_left_a_state_since_the_list_was_made_is_not_listed_in_it() -> None:
    engine = FakeEngine()
    client, board = make(engine)
    assert listed(client, "state=no+slot") == ["10.1.2.0/24"]
    engine.entries[parse_prefix("10.1.2.0/24")] = engine.entries[parse_prefix("10.1.0.0/16")]
    board.publish(status(NOW_MS + 1000))
    assert listed(client, "state=no+slot") == []


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("sort=prefix", "10.0.0.0/8"),
        ("sort=prefix&order=desc", "198.51.100.0/24"),
        ("sort=traffic&order=asc", "198.51.100.0/24"),
        ("sort=length", "10.0.0.0/8"),
        ("sort=length&order=desc", "198.51.100.0/24"),
        ("sort=nexthop&order=desc", "192.0.2.0/24"),
        ("sort=aspath", "10.0.0.0/8"),
        ("sort=state", "10.0.0.0/8"),
        ("sort=since", "10.1.0.0/16"),
    ],
)
def test_every_order_begins_with_what_it_should(client: FlaskClient, query: str, first: str) -> None:
    everything = listed(client, query)
    assert everything[0] == first
    assert len(everything) == 6


def test_pages_of_a_filtered_list_follow_each_other(client: FlaskClient) -> None:
    whole = listed(client, "sort=prefix")
    assert listed(client, "sort=prefix&maxPrefixes=2&offset=2") == whole[2:4]


def test_a_row_says_since_when_it_is_in_hardware(client: FlaskClient) -> None:
    rows = {row["prefix"]: row for row in client.get("/arm/prefixes/json").json["prefixes"]}
    assert rows["10.1.0.0/16"]["since_ms"] == NOW_MS - 5000
    assert rows["10.0.0.0/8"]["since_ms"] is None


@pytest.mark.parametrize(
    "query",
    [
        "sort=colour", "order=up", "state=good", "as=x", "as=-1", "nexthop=here", "nexthop=", "within=10.0.0.1/8",
        "within=",
    ],
)  # fmt: skip
def test_a_filter_that_can_not_be_is_refused_with_a_sentence(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/arm/prefixes/json?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json["error"]


# --- traffic -------------------------------------------------------------------------------------------------------


def test_traffic_adds_up_by_as_peer_path_and_next_hop(client: FlaskClient) -> None:
    def sums(by: str, more: str = "") -> dict[str, tuple[float, float, int]]:
        rows = client.get(f"/arm/traffic/json?by={by}{more}").json["keys"]
        return {row["key"]: (row["bytes_per_second"], row["right_bytes_per_second"], row["prefixes"]) for row in rows}

    assert sums("as") == {"64501": (1305.0, 1305.0, 3), "4200000001": (750.0, 550.0, 3)}
    assert sums("peer") == {"64500": (1305.0, 1305.0, 3), "64510": (750.0, 550.0, 3)}
    assert sums("aspath").keys() == {"64500-64501", "64510-4200000001"}
    assert sums("nexthop") == {HOP_A: (1305.0, 1305.0, 3), HOP_B: (750.0, 550.0, 3)}
    assert sums("as", "&direction=source") == {"4200000001": (70.0, 70.0, 1), "64501": (30.0, 30.0, 1)}


def test_traffic_lists_the_busiest_keys_and_how_many_there_are(client: FlaskClient) -> None:
    document = client.get("/arm/traffic/json?by=as&maxKeys=1").json
    assert [row["key"] for row in document["keys"]] == ["64501"]
    assert document["number"] == 2
    assert document["total_bytes_per_second"] == pytest.approx(2100.0)


# --- cache ---------------------------------------------------------------------------------------------------------


def test_the_cache_has_hits_misses_by_cause_lifetimes_and_reasons() -> None:
    engine = FakeEngine()
    old, new = NOW_MS - 3_600_000, NOW_MS - 1000
    engine.log += [
        ChangeRecord(1, old, parse_prefix("10.1.0.0/16"), What.INSTALLED, Reason.NEW),
        ChangeRecord(2, new, parse_prefix("10.1.0.0/16"), What.INSTALLED, Reason.NEW),
        ChangeRecord(3, new, parse_prefix("10.2.0.0/16"), What.INSTALLED, Reason.NEW),
        ChangeRecord(4, new, parse_prefix("10.2.0.0/16"), What.REMOVED, Reason.IDLE),
        ChangeRecord(5, new, parse_prefix("2001:db8::/32"), What.REMOVED, Reason.IDLE),
    ]
    hits = Hits(installed=600.0, free=200.0, no_slot=150.0, new=50.0)
    client, _ = make(engine, families={Family.IPV4: family_status(hits=hits), Family.IPV6: family_status()})
    document = client.get("/arm/cache/json").json
    assert document["hit_ratio_60s"] == pytest.approx(0.8)
    assert document["traffic_60s"]["no_slot"] == 150.0
    assert document["seconds_in_hardware"]["entries"] == [0, 3, 0, 0, 0, 0, 0, 0]
    assert document["changes"] == [
        {"what": "installed", "reason": "new", "count": 2},
        {"what": "removed", "reason": "idle", "count": 1},
    ]
    assert document["changes_seconds"] == 600


# --- capacity ------------------------------------------------------------------------------------------------------


def test_capacity_fills_slots_by_what_gives_most_for_each_with_exceptions_paid() -> None:
    client, _ = make()
    document = client.get("/arm/capacity/json").json
    points = {point["slots"]: point["coverage"] for point in document["estimate"]}
    # 1305 of 2100 goes the default's way; 10.1.0.0/16 (500) costs 2 for its exception, 10.1.2.0/24 (200) and
    # 192.0.2.0/24 (50) cost 1 each, so the order is 250, 200 and 50 for a slot.
    assert points[0] == pytest.approx(1305 / 2100)
    assert points[1] == pytest.approx(1305 / 2100)
    assert points[2] == pytest.approx(1805 / 2100)
    assert points[5] == pytest.approx(2055 / 2100)
    assert document["slots_for_all"] == 4
    assert document["excluded"] == pytest.approx(45 / 2100)
    assert document["now"] == {
        "capacity": 100,
        "slots_used": 3,
        "coverage_60s": pytest.approx(0.9),
        "estimate": pytest.approx(2055 / 2100),
    }


def test_capacity_without_traffic_is_unknown() -> None:
    client, _ = make(FakeEngine(destinations={}))
    document = client.get("/arm/capacity/json?family=ipv6").json
    assert document["estimate"] == []
    assert document["slots_for_all"] is None


# --- differences ---------------------------------------------------------------------------------------------------


def test_the_difference_is_the_busiest_outside_and_the_idlest_inside(client: FlaskClient) -> None:
    document = client.get("/arm/diff/json").json
    assert [(row["prefix"], row["bytes_per_second"], row["state"]) for row in document["outside"]] == [
        ("10.1.2.0/24", 200.0, "no slot")
    ]
    assert document["outside"][0]["why"] == "10.1.2.0/24 is what it is."
    assert document["outside_bytes_per_second"] == 200.0
    assert [(row["prefix"], row["bytes_per_second"]) for row in document["inside"]] == [
        ("192.0.2.0/24", 50.0),
        ("10.1.0.0/16", 500.0),
    ]
    assert client.get("/arm/diff/json?maxPrefixes=1").json["inside_number"] == 2


# --- resources -----------------------------------------------------------------------------------------------------


def test_resources_have_the_switchs_counters_and_arms_own_times() -> None:
    times = Distribution((0.1, 0.2), (98, 2, 0), 6.0)
    client, board = make(reactions=times)
    tables = Record(4413, 3, struct.pack(">16I", 1, 10, 900, 1000, *[0] * 12))
    board.switch.receive(Datagram(b"\x0a\x00\x00\x88", 0, 1, 1, (CounterSample(2, 1, 1, (tables,)),)))
    document = client.get("/arm/resources/json").json
    assert document["process"]["reactions"] == {
        "number": 100,
        "mean_seconds": 0.06,
        "half_within_seconds": 0.1,
        "p99_within_seconds": 0.2,
    }
    assert document["process"]["ticks"] is None
    (switch,) = document["switch"]
    assert switch["agent"] == "10.0.0.136"
    assert switch["tables"] == [
        {"table": "hosts", "entries": 1, "limit": 10},
        {"table": "ipv4_routes", "entries": 900, "limit": 1000},
    ]
    assert switch["cpu_share"] is None


# --- configuration -------------------------------------------------------------------------------------------------


def test_the_configuration_shows_every_key_and_no_secret() -> None:
    config = Config(
        http=HttpConfig(token="a-token-that-is-secret"),
        reflector=ReflectorConfig(as_=65136, password="hidden"),
    )
    config = replace(config, selection=replace(config.selection, always=(parse_prefix("192.0.2.0/24"),)))
    client, _ = make(config=config)
    answer = client.get("/arm/config/json")
    assert "secret" not in answer.text.replace("Secret that", "")
    assert "hidden" not in answer.text
    keys = {f"{section['section']}.{key['key']}": key for section in answer.json["sections"] for key in section["keys"]}
    assert keys["http.token"]["value"] == "(set)"
    assert keys["reflector.as"] == {**keys["reflector.as"], "value": 65136, "default": False, "used": True}
    assert keys["selection.always"]["value"] == ["192.0.2.0/24"]
    assert keys["target.table"]["used"] is False
    assert keys["sflow.t"]["unit"] == "seconds"


def test_the_configuration_that_is_shown_follows_a_reload() -> None:
    before = Config()
    after = replace(before, selection=replace(before.selection, min_prefix_length=9))
    inforce = [before]
    board = Board(FakeEngine().ask)
    board.publish(status())
    client = create_app(board, before, current=lambda: inforce[0]).test_client()

    def shown() -> dict[str, object]:
        (section,) = [one for one in client.get("/arm/config/json").json["sections"] if one["section"] == "selection"]
        (key,) = [key for key in section["keys"] if key["key"] == "min_prefix_length"]
        return {"value": key["value"], "default": key["default"]}

    assert shown() == {"value": before.selection.min_prefix_length, "default": True}
    inforce[0] = after
    assert shown() == {"value": 9, "default": False}
