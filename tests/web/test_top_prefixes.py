"""The top prefixes query: every argument, with values added up by hand from the table of fake_arm."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from fake_arm import DESTINATIONS, VIA_A, VIA_B, FakeEngine, nearest, status
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from arm.config import Config
from arm.model import Attributes, Family, TrafficSnapshot, format_prefix
from arm.observe.board import Board
from arm.web.app import create_app
from arm.web.topprefixes import Query, rank, top

PATH = "/bgp/topprefixes/127.0.0.1/json"
BY_TRAFFIC = [
    ("10.0.0.0/8", 1000.0),
    ("10.1.0.0/16", 500.0),
    ("10.2.0.0/16", 300.0),
    ("10.1.2.0/24", 200.0),
    ("192.0.2.0/24", 50.0),
    ("198.51.100.0/24", 5.0),
]
TOTAL = 2100.0


@pytest.fixture
def client() -> FlaskClient:
    board = Board(FakeEngine().ask)
    board.publish(status())
    return create_app(board, Config()).test_client()


def listed(client: FlaskClient, query: str = "", path: str = PATH) -> list[tuple[str, float]]:
    answer = client.get(path + query)
    assert answer.status_code == 200, answer.text
    return [(entry["prefix"], entry["value"]) for entry in answer.json["topPrefixes"]]


def test_an_answer_has_every_field_that_users_of_sflow_rt_read(client: FlaskClient) -> None:
    answer = client.get(PATH + "?maxPrefixes=2").json
    assert answer == {
        "as": 65136,
        "direction": "destination",
        "id": "10.0.0.136",
        "learnedPrefixesAdded": 11,
        "learnedPrefixesRemoved": 3,
        "nPrefixes": 8,
        "pushedPrefixesAdded": 0,
        "pushedPrefixesRemoved": 0,
        "startTime": 1_799_999_900_000,
        "state": "established",
        "topPrefixes": [
            {
                "aspath": "64500-64501",
                "communities": "65134:1,65134:20",
                "localpref": 100,
                "med": 1,
                "nexthop": "10.0.0.134",
                "origin": "IGP",
                "prefix": "10.0.0.0/8",
                "value": 1000.0,
            },
            {
                "aspath": "64510-4200000001",
                "communities": "65134:1,65134:20",
                "localpref": None,
                "med": None,
                "nexthop": "10.0.0.135",
                "origin": "IGP",
                "prefix": "10.1.0.0/16",
                "value": 500.0,
            },
        ],
        "valuePercentCoverage": pytest.approx(100 * 1500 / TOTAL),
        "valueTopPrefixes": 1500.0,
        "valueTotal": TOTAL,
    }


def test_prefixes_come_by_falling_traffic(client: FlaskClient) -> None:
    assert listed(client) == BY_TRAFFIC


def test_the_total_counts_traffic_without_a_route(client: FlaskClient) -> None:
    answer = client.get(PATH).json
    assert answer["valueTopPrefixes"] == 2055.0
    assert answer["valueTotal"] == 2100.0
    assert answer["valuePercentCoverage"] == pytest.approx(97.857142857)


def test_max_prefixes_cuts_the_list(client: FlaskClient) -> None:
    assert listed(client, "?maxPrefixes=3") == BY_TRAFFIC[:3]
    assert listed(client, "?maxPrefixes=0") == []


def test_min_value_is_a_threshold_that_must_be_exceeded(client: FlaskClient) -> None:
    assert listed(client, "?minValue=50") == BY_TRAFFIC[:4]
    assert listed(client, "?minValue=49.9") == BY_TRAFFIC[:5]


def test_min_prefix_leaves_out_shorter_prefixes(client: FlaskClient) -> None:
    assert listed(client, "?minPrefix=8") == BY_TRAFFIC
    assert listed(client, "?minPrefix=9") == BY_TRAFFIC[1:]
    assert [prefix for prefix, _ in listed(client, "?minPrefix=17")] == [
        "10.1.2.0/24",
        "192.0.2.0/24",
        "198.51.100.0/24",
    ]


@pytest.mark.parametrize("name", ["source", "ingress"])
def test_ingress_ranks_by_where_packets_come_from(client: FlaskClient, name: str) -> None:
    answer = client.get(f"{PATH}?direction={name}").json
    assert answer["direction"] == "source"
    assert [(entry["prefix"], entry["value"]) for entry in answer["topPrefixes"]] == [
        ("192.0.2.0/24", 70.0),
        ("10.2.0.0/16", 30.0),
    ]
    assert (answer["valueTopPrefixes"], answer["valueTotal"], answer["valuePercentCoverage"]) == (100.0, 100.0, 100.0)


@pytest.mark.parametrize("name", ["destination", "egress"])
def test_egress_ranks_by_where_packets_go(client: FlaskClient, name: str) -> None:
    answer = client.get(f"{PATH}?direction={name}").json
    assert answer["direction"] == "destination"
    assert len(answer["topPrefixes"]) == 6


def test_include_covered_lists_more_specifics_without_traffic(client: FlaskClient) -> None:
    answer = client.get(PATH + "?includeCovered=true").json["topPrefixes"]
    assert [(entry["prefix"], entry["value"], entry.get("parentprefix")) for entry in answer] == [
        ("10.0.0.0/8", 1000.0, None),
        ("10.1.0.0/16", 500.0, "10.0.0.0/8"),
        ("10.2.0.0/16", 300.0, "10.0.0.0/8"),
        ("10.1.2.0/24", 200.0, "10.1.0.0/16"),
        ("192.0.2.0/24", 50.0, None),
        ("198.51.100.0/24", 5.0, None),
        ("10.1.3.0/24", 0.0, "10.1.0.0/16"),
    ]


def test_include_covered_ignores_the_threshold_for_what_is_covered(client: FlaskClient) -> None:
    assert [prefix for prefix, _ in listed(client, "?includeCovered=true&minValue=400")] == [
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.2.0.0/16",
        "10.1.2.0/24",
        "10.1.3.0/24",
    ]


def test_covered_prefixes_count_towards_the_most(client: FlaskClient) -> None:
    # 10.0.0.0/8 is followed by what it covers, in address order, before the next by rank.
    assert listed(client, "?includeCovered=true&maxPrefixes=3") == [
        ("10.0.0.0/8", 1000.0),
        ("10.1.0.0/16", 500.0),
        ("10.1.2.0/24", 200.0),
    ]


def test_prune_covered_folds_a_prefix_into_a_listed_one_with_the_same_next_hop(client: FlaskClient) -> None:
    # 10.2/16 goes where 10/8 goes, 10.1.2/24 where 10.1/16 goes.
    assert listed(client, "?pruneCovered=true") == [
        ("10.0.0.0/8", 1300.0),
        ("10.1.0.0/16", 700.0),
        ("192.0.2.0/24", 50.0),
        ("198.51.100.0/24", 5.0),
    ]


def test_pruning_loses_no_traffic(client: FlaskClient) -> None:
    assert client.get(PATH + "?pruneCovered=true").json["valueTopPrefixes"] == 2055.0


def test_pruning_makes_room_for_prefixes_of_lower_rank(client: FlaskClient) -> None:
    assert listed(client, "?pruneCovered=true&maxPrefixes=3") == [
        ("10.0.0.0/8", 1300.0),
        ("10.1.0.0/16", 700.0),
        ("192.0.2.0/24", 50.0),
    ]


def test_a_covered_prefix_with_another_next_hop_than_its_parent_survives_pruning(client: FlaskClient) -> None:
    # 10.1.3/24 goes where 10/8 goes, but 10.1/16 between them does not.
    assert listed(client, "?pruneCovered=true&includeCovered=true") == [
        ("10.0.0.0/8", 1300.0),
        ("10.1.0.0/16", 700.0),
        ("192.0.2.0/24", 50.0),
        ("198.51.100.0/24", 5.0),
        ("10.1.3.0/24", 0.0),
    ]


def test_ipv6_has_its_own_query(client: FlaskClient) -> None:
    path = "/bgp/topprefixes6/::1/json"
    assert listed(client, path=path) == [("2001:db8:1::/48", 30.0), ("2001:db8::/32", 10.0)]
    answer = client.get(path).json
    assert (answer["nPrefixes"], answer["valueTotal"]) == (2, 40.0)
    assert listed(client, "?minPrefix=33", path) == [("2001:db8:1::/48", 30.0)]


def test_the_target_is_a_router_that_taught_nothing_and_was_taught(client: FlaskClient) -> None:
    answer = client.get("/bgp/topprefixes/10.0.0.136/json?maxPrefixes=0").json
    assert (answer["nPrefixes"], answer["learnedPrefixesAdded"]) == (0, 0)
    assert (answer["pushedPrefixesAdded"], answer["pushedPrefixesRemoved"]) == (5, 2)


@pytest.mark.parametrize("spelling", ["0:0:0:0:0:0:0:1", "::1"])
def test_a_router_is_found_by_address_not_by_spelling(client: FlaskClient, spelling: str) -> None:
    assert client.get(f"/bgp/topprefixes6/{spelling}/json").status_code == 200


@pytest.mark.parametrize("router", ["10.9.9.9", "bird", "2001:db8::9", "%00"])
def test_an_unknown_router_is_told_which_there_are(client: FlaskClient, router: str) -> None:
    answer = client.get(f"/bgp/topprefixes/{router}/json")
    assert answer.status_code == 404
    assert answer.json["status"] == 404
    assert "127.0.0.1, ::1, 10.0.0.136" in answer.json["error"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("maxPrefixes=-1", "an integer from 0 to 200000"),
        ("maxPrefixes=1e3", "an integer from 0 to 200000"),
        ("maxPrefixes=", "an integer from 0 to 200000"),
        ("maxPrefixes=200001", "an integer from 0 to 200000"),
        ("maxPrefixes=٣", "an integer from 0 to 200000"),
        ("maxPrefixes=5&maxPrefixes=6", "given 2 times"),
        ("minValue=nan", "a number of at least 0"),
        ("minValue=inf", "a number of at least 0"),
        ("minValue=-1", "a number of at least 0"),
        ("minPrefix=33", "an integer from 0 to 32"),
        ("direction=up", "none of destination, egress, source, ingress"),
        ("includeCovered=maybe", "neither true nor false"),
        ("pruneCovered=2", "neither true nor false"),
        ("maxPrefix=5", "unknown argument 'maxPrefix'"),
        ("minValue=" + "1" * 300, "longer than 200 characters"),
    ],
)
def test_a_bad_argument_is_refused_with_a_sentence(client: FlaskClient, query: str, said: str) -> None:
    answer = client.get(f"{PATH}?{query}")
    assert answer.status_code == 400
    assert said in answer.json["error"]


@pytest.mark.parametrize("value", ["true", "True", "yes", "1"])
def test_flags_are_read_as_people_write_them(client: FlaskClient, value: str) -> None:
    assert len(listed(client, f"?pruneCovered={value}")) == 4


def test_without_traffic_coverage_is_zero() -> None:
    board = Board(FakeEngine(destinations={}).ask)
    board.publish(status())
    answer = create_app(board, Config()).test_client().get("/bgp/topprefixes6/::1/json").json
    assert (answer["topPrefixes"], answer["valueTotal"], answer["valuePercentCoverage"]) == ([], 0.0, 0.0)


def test_a_prefix_whose_route_is_gone_is_not_listed() -> None:
    board = Board(FakeEngine(destinations={**DESTINATIONS, "203.0.113.0/24": 9000.0}).ask)
    board.publish(status())
    client = create_app(board, Config()).test_client()
    assert listed(client, "?maxPrefixes=2") == BY_TRAFFIC[:1]


PREFIXES = st.builds(
    lambda value, length: f"10.{value >> length << length & 255}.0.0/{16 - min(length, 8)}",
    st.integers(0, 255),
    st.integers(0, 8),
)


@given(
    table=st.dictionaries(PREFIXES, st.sampled_from([VIA_A, VIA_B]), max_size=12),
    rates=st.lists(st.integers(1, 1000), min_size=12, max_size=12),
    most=st.integers(0, 14),
    include=st.booleans(),
    prune=st.booleans(),
)
def test_any_answer_keeps_its_promises(
    table: Mapping[str, Attributes], rates: list[int], most: int, include: bool, prune: bool
) -> None:
    active = {prefix: float(rate) for prefix, rate in zip(list(table)[::2], rates, strict=False)}
    board = Board(FakeEngine(table, active, {}).ask)
    query = Query(Family.IPV4, max_prefixes=most, include_covered=include, prune_covered=prune)
    entries, _ = top(board, query)
    listed_ = [format_prefix(entry.prefix) for entry in entries]
    hops = {format_prefix(entry.prefix): entry.route.attributes.next_hop for entry in entries}
    values = {format_prefix(entry.prefix): entry.value for entry in entries}
    assert len(set(listed_)) == len(listed_) <= most
    assert list(values.values()) == sorted(values.values(), reverse=True)
    assert sum(values.values()) <= sum(active.values())
    if most >= len(table):
        assert sum(values.values()) == pytest.approx(sum(active.values()))
    for entry in entries:
        text = format_prefix(entry.prefix)
        parent = nearest(text, listed_)
        if include:
            assert parent == (None if entry.parent is None else format_prefix(entry.parent))
        if prune and parent is not None:
            assert hops[parent] != hops[text]
    if not include and not prune:
        assert listed_ == sorted(active, key=lambda text: (-active[text], _order(text)))[:most]


def _order(text: str) -> tuple[bytes, int]:
    address, _, length = text.partition("/")
    return bytes(int(part) for part in address.split(".")), int(length)


@given(
    rates=st.dictionaries(
        st.tuples(st.binary(min_size=4, max_size=4), st.integers(0, 32)),
        st.sampled_from([0.0, 1.0, 1.5, 2.0, 700.0]),
        max_size=60,
    ),
    count=st.none() | st.integers(0, 70),
    min_value=st.sampled_from([0.0, 1.0, 3.0]),
    min_prefix=st.integers(0, 33),
)
def test_the_ranking_is_by_rate_and_then_by_address(
    rates: dict[tuple[bytes, int], float], count: int | None, min_value: float, min_prefix: int
) -> None:
    snapshot = TrafficSnapshot(Family.IPV4, "destination", rates, rates, 2.0, sum(rates.values()) * 2)
    wanted = [p for p, rate in rates.items() if rate * 2 > min_value and p[1] >= min_prefix]
    naive = sorted(wanted, key=lambda prefix: (-rates[prefix], prefix))
    assert rank(snapshot, count=count, min_value=min_value, min_prefix=min_prefix) == naive[:count]
