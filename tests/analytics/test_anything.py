"""Whatever is asked or sent: a definition is taken or refused with its place, a record is counted; nothing hangs."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fake_arm import FakeEngine
from fed_analytics import Fed
from flask.testing import FlaskClient
from http_xdr import Request, counter_sample, datagram, flow_sample, framed, sockets, uint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arm.analytics.compiler import KEYS
from arm.analytics.functions import _BUILDERS
from arm.analytics.language import LanguageError
from arm.analytics.patterns import Pattern, PatternError
from arm.config import AnalyticsConfig, Config
from arm.observe.board import Board
from arm.simulate.agent import Agent
from arm.web.app import create_app

HEADERS = {"Host": "localhost:8008"}
ODD = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def fed() -> Fed:
    return Fed(AnalyticsConfig(definitions=1000))


@pytest.fixture(scope="module")
def client(fed: Fed) -> Iterator[FlaskClient]:
    app = create_app(Board(FakeEngine().ask), Config(), analytics=fed.analytics)
    with app.test_client() as made:
        yield made


def put(client: FlaskClient, path: str, document: object) -> tuple[int, Any]:
    answer = client.put(path, data=json.dumps(document), headers=HEADERS)
    return answer.status_code, answer.get_json()


KEY = st.sampled_from(sorted(KEYS))
NUMBER = st.integers(0, 300).map(str)
TERM = st.recursive(
    KEY,
    lambda inner: st.tuples(
        st.sampled_from(sorted(_BUILDERS)),
        st.lists(st.one_of(NUMBER, st.sampled_from(["/", ".", "path", "host"]), KEY, inner.map(lambda t: f"[{t}]")),
                 min_size=1, max_size=4),
    ).map(lambda parts: ":".join((parts[0], *parts[1]))),
    max_leaves=6,
)  # fmt: skip
VALUE = st.one_of(NUMBER, st.sampled_from(["10.0.0.1", "a.*", "(a|b)+", "[^x]{2,3}", "::1", '"x y"', "GET"]), st.text(
    max_size=6
))  # fmt: skip
CONDITION = st.recursive(
    st.tuples(TERM, st.sampled_from(["=", "!=", "~", "!~"]), VALUE).map("".join),
    lambda inner: st.tuples(st.sampled_from("&|"), st.lists(inner, min_size=1, max_size=3)).map(
        lambda parts: f"({parts[0].join(parts[1])})"
    ),
    max_leaves=5,
)


@settings(ODD, max_examples=250)
@given(keys=st.lists(TERM, max_size=4).map(",".join), condition=CONDITION | st.just(""))
def test_what_looks_like_a_definition_is_taken_or_refused_at_a_character(
    fed: Fed, client: FlaskClient, keys: str, condition: str
) -> None:
    code, document = put(client, "/flow/odd/json", {"keys": keys, "filter": condition, "value": "frames"})
    assert code in (200, 400), document
    if code == 400 and "position" in document:
        assert document["field"] in ("keys", "filter")
        assert 0 <= document["position"] <= len({"keys": keys, "filter": condition}[document["field"]])
        assert document["at"].endswith("^")
    if code == 200:  # and what was taken is counted without a failure, whatever is in the packets
        before = fed.analytics.failures
        fed.feed(PACKETS)
        assert fed.analytics.failures == before
        assert client.get("/activeflows/ALL/odd/json", headers=HEADERS).status_code == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELD = st.sampled_from(["keys", "value", "filter", "n", "t", "fs", "log", "metric", "byFlow", "timeout", "odd"])


@settings(ODD, max_examples=300)
@given(st.sampled_from(["flow", "threshold", "group"]), st.dictionaries(FIELD, JSON, max_size=5) | JSON)
def test_any_json_is_taken_or_refused(client: FlaskClient, kind: str, document: object) -> None:
    code, said = put(client, f"/{kind}/any/json", document)
    assert code in (200, 400), said
    if code == 400:
        assert said["error"]


@settings(ODD, max_examples=150)
@given(st.binary(max_size=60))
def test_any_body_is_taken_or_refused(client: FlaskClient, body: bytes) -> None:
    for kind in ("flow", "threshold", "group"):
        assert client.put(f"/{kind}/body/json", data=body, headers=HEADERS).status_code in (200, 400)


def test_a_body_that_is_nested_deeply_is_refused(client: FlaskClient) -> None:
    body = b"[" * 30_000 + b"]" * 30_000
    assert client.put("/flow/deep/json", data=body, headers=HEADERS).status_code == 400


WORD = st.text(min_size=1, max_size=12).filter(lambda text: "/" not in text and text not in (".", ".."))
QUERY = st.dictionaries(
    st.sampled_from(["maxFlows", "minValue", "aggMode", "thresholdID", "maxEvents", "eventID", "flowID", "name", "x"]),
    st.one_of(st.integers().map(str), st.floats().map(str), WORD),
    max_size=3,
)


@settings(ODD, max_examples=250)
@given(
    st.sampled_from(["activeflows", "metric", "dump", "flow", "threshold", "group", "events", "flows"]),
    WORD | st.sampled_from(["ALL", "10.0.0.1", "10.0.0.1;::1"]),
    WORD | st.sampled_from(["sum:odd", "odd,max:odd", "any:odd", "q1:ifinoctets"]),
    QUERY,
)
def test_no_question_is_answered_with_an_error_of_the_server(
    client: FlaskClient, kind: str, agents: str, name: str, query: dict[str, str]
) -> None:
    middle = f"/{quote(agents, safe='')}/{quote(name, safe='')}" if kind in ("activeflows", "metric", "dump") else ""
    if kind in ("flow", "threshold", "group"):
        middle = f"/{quote(name, safe='')}"
    answer = client.get(f"/{kind}{middle}/json", query_string=query, headers=HEADERS)
    assert answer.status_code in (200, 400, 404), answer.data
    if answer.status_code != 200:
        assert answer.get_json()["error"]


# --- records ---------------------------------------------------------------------------------------------------------


def _packets() -> list[bytes]:
    agent = Agent(None, rate=10)
    pairs = [(bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), 500), (bytes(15) + b"\1", bytes(15) + b"\2", 1500)]
    made = [bytes(agent.number(built)) for built in agent.prebuild(pairs * 4)]
    records = [Request(url="/a/b?c=d").record(), sockets("192.0.2.1", 80, "192.0.2.2", 5000)]
    made.append(datagram([flow_sample(records, sequence=1, rate=1), flow_sample([], sequence=2, rate=1)]))
    counters = [
        framed(1, bytes(range(88))),
        framed(2003, bytes(range(80))),
        framed(2201, b"".join(map(uint, range(15)))),
        framed(2000, uint(4) + b"host" + bytes(16) + uint(3) + uint(2) + uint(3) + b"6.1\0"),
        framed(2001, uint(1) + uint(1) + uint(1) + bytes(8)),
        framed(4413 << 12 | 3, bytes(144)),
    ]
    made.append(datagram([counter_sample(counters, sequence=1)]))
    return made


PACKETS = _packets()


@settings(ODD, max_examples=400)
@given(st.sampled_from(PACKETS), st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=8),
       st.integers(0, 1500))  # fmt: skip
def test_a_datagram_that_was_tampered_with_is_counted_and_never_a_failure(
    data: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    fed = ALL_KEYS
    octets = bytearray(data)
    for at, value in changes:
        octets[at % len(octets)] = value
    seen = fed.analytics.failures
    fed.feed([bytes(octets[: max(len(octets) - cut, 0)] if cut < 800 else octets)])
    assert fed.analytics.failures == seen


def _all_keys() -> Fed:
    fed = Fed(AnalyticsConfig(definitions=1000, keys=64))
    for name in sorted(KEYS):
        fed.define(f"k{name}", keys=f"null:{name}:none,agent", value="frames")
        fed.define(f"r{name}", keys=f"null:[uri:{name}:path]:none", value="requests", log=True)
    return fed


ALL_KEYS = _all_keys()


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=400))
def test_random_octets_are_no_failure(data: bytes) -> None:
    ALL_KEYS.feed([data, PACKETS[0][:28] + data])
    assert ALL_KEYS.analytics.failures == 0


# --- nothing hangs ---------------------------------------------------------------------------------------------------

NASTY = [
    "(a*)*b",
    "(a|a)*b",
    "(a|aa)+$",
    "(.*a){20}",
    "((a+)+)+b",
    "(a?){100}a{100}",
    "a{255}",
    "(x+x+)+y",
    ".*.*.*.*.*=.*",
]


@pytest.mark.parametrize("text", NASTY)
def test_an_expression_takes_time_in_proportion_to_the_text(text: str) -> None:
    try:
        pattern = Pattern(text)
    except PatternError:
        return  # bounded by being refused
    begin = time.process_time()
    for size in range(100, 1100, 100):
        pattern.matches("a" * size)
    assert time.process_time() - begin < 2.0


@settings(deadline=None, max_examples=100)
@given(st.text(alphabet="ab(|)*+?{1,9}.[]^", max_size=30), st.text(alphabet="ab1", max_size=300))
def test_no_expression_hangs(text: str, subject: str) -> None:
    begin = time.process_time()
    place = 0
    try:
        Pattern(text).matches(subject)
    except PatternError as refused:
        place = refused.at
    assert 0 <= place <= len(text)
    assert time.process_time() - begin < 1.0


def test_a_long_filter_is_refused_quickly() -> None:
    fed = Fed()
    begin = time.process_time()
    for text in ("(" * 2000, "a" * 100_000, "ipsource=" + "1," * 1000, "&".join(["ipprotocol=6"] * 200), "null:" * 400):
        with pytest.raises((LanguageError, ValueError)):
            fed.define("long", filter=text)
    assert time.process_time() - begin < 1.0


def test_definitions_beyond_the_limits_are_refused_with_the_limit(client: FlaskClient, tmp_path: Path) -> None:
    fed = Fed(AnalyticsConfig(definitions=2, keys=3), directory=tmp_path)
    small = create_app(Board(FakeEngine().ask), Config(), analytics=fed.analytics).test_client()
    assert put(small, "/flow/one/json", {"keys": "ipsource"})[0] == 200
    assert put(small, "/flow/two/json", {"keys": "ipsource"})[0] == 200
    code, said = put(small, "/flow/three/json", {"keys": "ipsource"})
    assert (code, "analytics.definitions" in said["error"]) == (400, True)
    code, said = put(small, "/flow/two/json", {"keys": "agent,ipsource,ipdestination,ipprotocol"})
    assert (code, "analytics.keys" in said["error"]) == (400, True)
    assert put(small, "/flow/two/json", {"keys": "ipdestination"})[0] == 200  # in place of the old one


def test_invented_sources_and_flows_do_not_grow_memory() -> None:
    fed = Fed(AnalyticsConfig(flows=50))
    fed.define("pairs", keys="ipsource,ipdestination", value="frames", log=True)
    chance = random.Random(3)
    for number in range(1200):
        agent = Agent(None, rate=1, address=chance.randbytes(4))
        pairs = [(chance.randbytes(4), chance.randbytes(4), 100) for _ in range(7)]
        fed.feed(bytes(agent.number(built)) for built in agent.prebuild(pairs, source_index=number))
        fed.pass_(0.01)
    flow = fed.analytics.flow("pairs")
    assert flow is not None
    assert len(flow.cache) <= 100
    assert flow.cache.marks is not None
    assert len(flow.cache.marks) <= 100
