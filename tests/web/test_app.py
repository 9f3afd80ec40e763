"""What holds for every path: answers, errors, headers, hosts."""

from __future__ import annotations

import gzip
import json
import re
import socket
from dataclasses import replace

import pytest
from fake_arm import NOW_MS, FakeEngine, family_status, status
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from arm import __version__
from arm.config import Config, HttpConfig
from arm.model import Family
from arm.observe.board import Board
from arm.web.app import STATIC, create_app

PATHS = [
    "/version",
    "/metrics",
    "/healthz",
    "/readyz",
    "/arm/status/json",
    "/arm/trend/json",
    "/arm/prefixes/json",
    "/arm/changes/json",
    "/arm/route/10.1.2.3/json",
    "/bgp/topprefixes/127.0.0.1/json",
    "/bgp/topprefixes6/::1/json",
]


def make(engine: FakeEngine | None = None, config: Config | None = None, **more: object) -> FlaskClient:
    board = Board((engine or FakeEngine()).ask)
    board.publish(status(**more))
    return create_app(board, config or Config(), now_ms=lambda: NOW_MS + 200).test_client()


@pytest.fixture
def client() -> FlaskClient:
    return make()


@pytest.mark.parametrize("path", PATHS)
def test_every_path_answers(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    if path.endswith(("/json", "z")):
        assert answer.content_type == "application/json"
        json.loads(answer.text)


@pytest.mark.parametrize("path", [*PATHS, "/nothing", "/static/nothing.js", "/"])
def test_every_answer_carries_the_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert {policy["script-src"], policy["style-src"], policy["connect-src"]} == {"'self'"}
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_answers_are_kept_only_by_who_asked_and_asked_for_again(client: FlaskClient) -> None:
    assert client.get("/arm/status/json").headers["Cache-Control"] == "private, no-cache"


def test_the_version_is_plain_text(client: FlaskClient) -> None:
    assert client.get("/version").text == __version__ + "\n"


@pytest.mark.parametrize("path", ["/nothing", "/arm", "/arm/status", "/arm/status/json/", "/static/../app.py", "/%00"])
def test_an_unknown_path_is_a_json_404(client: FlaskClient, path: str) -> None:
    answer = client.get(path, base_url="http://localhost")
    assert answer.status_code == 404
    assert answer.json == {"status": 404, "error": "there is nothing at this path"}


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_a_method_that_is_not_allowed_is_a_json_405(client: FlaskClient, method: str) -> None:
    answer = client.open("/arm/status/json", method=method.upper())
    assert answer.status_code == 405
    assert answer.json["status"] == 405
    assert "GET" in answer.headers["Allow"]


def test_head_is_get_without_the_body(client: FlaskClient) -> None:
    answer = client.head("/arm/status/json")
    assert answer.status_code == 200
    assert answer.data == b""


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/arm/status/json?x=1", "unknown argument 'x': there are none here"),
        ("/arm/trend/json?after=yesterday", "after='yesterday' is not an integer"),
        ("/arm/trend/json?span=1y", "none of 5m, 1h, 24h"),
        ("/arm/route/10.0.0.1.2/json", "'10.0.0.1.2' is not an IPv4 or IPv6 address"),
        ("/arm/route/10.1.2.3/8/json", "'10.1.2.3/8' has bits set behind its prefix length"),
        ("/arm/route/10.0.0.0/33/json", "'10.0.0.0/33' has no prefix length from 0 to 32"),
        ("/arm/route/" + "1" * 300 + "/json", "longer than 200 characters"),
        ("/arm/prefixes/json?family=ipx", "none of ipv4, ipv6"),
        ("/arm/prefixes/json?maxPrefixes=1001", "an integer from 0 to 1000"),
        ("/arm/changes/json?after=-2", "an integer from -1"),
    ],
)
def test_a_bad_argument_is_a_400_with_a_sentence(client: FlaskClient, path: str, said: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    assert said in answer.json["error"]


def test_a_query_of_absurd_length_is_refused(client: FlaskClient) -> None:
    assert client.get("/arm/status/json?" + "x" * 3000).status_code == 414


def test_the_underscore_that_libraries_add_against_caches_is_let_through(client: FlaskClient) -> None:
    assert client.get("/arm/status/json?_=123").status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8008",
        "localhost:9",
        "LOCALHOST.",
        "[::1]:8008",
        "10.0.0.136",
        "[2001:db8::1]",
        "arm.example",
    ],
)
def test_addresses_and_own_names_are_served(host: str) -> None:
    client = make(config=Config(http=HttpConfig(hosts=("arm.example",))))
    assert client.get("/arm/status/json", headers={"Host": host}).status_code == 200


def test_the_machines_own_name_is_served(client: FlaskClient) -> None:
    assert client.get("/version", headers={"Host": socket.gethostname()}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8008", "127.0.0.1.evil.example", "[::1", "", "a b", "::1"]
)
def test_a_page_under_a_foreign_name_reads_nothing(client: FlaskClient, host: str) -> None:
    answer = client.get("/arm/status/json", headers={"Host": host})
    assert answer.status_code == 421
    assert "[http] hosts" in answer.json["error"]
    assert "families" not in answer.text


def test_long_answers_are_compressed_for_those_who_can_read_it(client: FlaskClient) -> None:
    plain = client.get("/arm/status/json")
    packed = client.get("/arm/status/json", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.data) < len(plain.data) / 2
    assert json.loads(gzip.decompress(packed.data)) == plain.json
    refused = client.get("/arm/status/json", headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in refused.headers


def test_before_the_first_status_every_reader_is_told_to_come_back() -> None:
    client = create_app(Board(FakeEngine().ask), Config()).test_client()
    for path in PATHS:
        if path in ("/version", "/arm/prefixes/json", "/arm/changes/json", "/arm/route/10.1.2.3/json"):
            continue
        answer = client.get(path)
        assert answer.status_code == 503, path
        assert answer.headers["Retry-After"] == "1"
        assert "starting" in answer.json["error"]


def test_a_busy_engine_is_a_503_that_says_so() -> None:
    engine = FakeEngine()

    def busy(question: object) -> object:
        raise TimeoutError

    engine.ask = busy  # type: ignore[method-assign, assignment]
    answer = make(engine).get("/arm/route/10.0.0.1/json")
    assert answer.status_code == 503
    assert "busy" in answer.json["error"]


def test_a_bug_is_a_500_without_its_insides() -> None:
    engine = FakeEngine()
    engine.explain = lambda query: 1 // 0  # type: ignore[method-assign, assignment, return-value]
    answer = make(engine).get("/arm/route/10.0.0.1/json")
    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text
    assert answer.json["status"] == 500


# --- the page -------------------------------------------------------------------------------------------------------


def test_the_page_has_nothing_that_its_policy_forbids(client: FlaskClient) -> None:
    page = client.get("/").text
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|https?://(?!www\.w3\.org)", page)
    for tag in re.findall(r"<script[^>]*>", page):
        assert "src=" in tag


def test_every_file_that_the_page_names_is_served(client: FlaskClient) -> None:
    names = re.findall(r'(?:src|href)="(/static/[^"]+)"', client.get("/").text)
    assert names
    built = {"uplot.js", "uplot.css"}  # copied at build time, the page does without them
    for name in names:
        if name.rsplit("/", 1)[1] not in built:
            assert client.get(name).status_code == 200, name


def test_scripts_are_served_as_modules_need_them(client: FlaskClient) -> None:
    for path in STATIC.glob("*.js"):
        assert client.get(f"/static/{path.name}").mimetype == "text/javascript"


# --- nothing breaks it ----------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        "maxPrefixes",
        "minValue",
        "direction",
        "minPrefix",
        "includeCovered",
        "pruneCovered",
        "family",
        "after",
        "span",
        "_",
    ]
)
VALUES = st.one_of(
    st.sampled_from(["true", "0", "1", "5", "-1", "source", "ipv6", "5m", "1e9", "0x10", "९", "NaN", "", "1_0"]),
    st.text(max_size=20),
)


@settings(max_examples=200)
@given(path=st.sampled_from(PATHS), query=st.dictionaries(NAMES | st.text(max_size=5), VALUES, max_size=4))
def test_no_query_is_a_500(path: str, query: dict[str, str]) -> None:
    answer = make().get(path, query_string=query)
    assert answer.status_code in (200, 400, 414)
    if answer.status_code != 200:
        assert answer.json["error"]


@settings(max_examples=200)
@given(tail=st.text(max_size=30), base=st.sampled_from(["/a", "/arm/route/", "/bgp/topprefixes/", "/static/"]))
def test_no_path_is_a_500(base: str, tail: str) -> None:
    answer = make().get(base + tail + "/json", base_url="http://localhost")
    assert answer.status_code in (200, 400, 404)


def test_a_family_that_is_not_published_is_not_an_error() -> None:
    one = replace(status(), families={Family.IPV4: family_status()})
    board = Board(FakeEngine().ask)
    board.publish(one)
    client = create_app(board, Config()).test_client()
    assert client.get("/bgp/topprefixes6/::1/json").json["nPrefixes"] == 0
    assert client.get("/metrics").status_code == 200
