"""HTTP requests in real XDR form: the web analytics of the articles answer what the requests say."""

from __future__ import annotations

import random
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest
from fed_analytics import Fed
from http_xdr import METHODS, Request, datagram, flow_sample, framed, sockets, uint
from hypothesis import given, settings
from hypothesis import strategies as st

from arm.analytics import http

RATE = 10
T = 10.0

WEB = {
    "image_bytes": {"value": "resp_bytes", "t": T, "filter": "httpmimetype~image/.*"},
    "games_reqs": {"value": "requests", "t": T, "filter": "uri:httpurl:path~/games/.*"},
    "slow_reqs": {"keys": "httpurl", "value": "duration", "t": T, "n": 5},
    "err_reqs": {
        "keys": "httpurl,httpstatus",
        "value": "requests",
        "t": T,
        "n": 5,
        "filter": "range:httpstatus:400=true",
    },
}
REQUESTS = [
    Request(url="/login.php", method="POST", duration=117_009, resp_bytes=700),
    Request(url="/games/animals.php?level=2", duration=7_413, resp_bytes=9_000),
    Request(url="/games/", duration=900, resp_bytes=1_500),
    Request(url="/gamesome/", duration=800, resp_bytes=1_500),
    Request(url="/logo.png", mimetype="image/png", duration=90, resp_bytes=20_000),
    Request(url="/photo.jpg", mimetype="image/jpeg", duration=400, resp_bytes=150_000, protocol=1000),
    Request(url="/gone", status=404, duration=60, resp_bytes=300),
    Request(url="/broken", status=500, duration=5_000, resp_bytes=100),
    Request(url="http://www.example.com/games/x", referer="http://example.net/search?q=1", status=302),
]


def served(count: int, seed: int) -> list[Request]:
    return random.Random(seed).choices(REQUESTS, k=count)


def true_rate(requests: list[tuple[float, Request]], now: float, value: str, wanted: object) -> float:
    """The moving average by its definition, sample by sample, with the sampling rate."""
    import math

    total = 0.0
    for at, request in requests:
        if wanted(request):  # type: ignore[operator]
            amount = 1 if value == "requests" else getattr(request, value)
            total += RATE * amount / T * math.exp(-(now - at) / T)
    return total


@pytest.mark.parametrize("old", [False, True])
def test_the_definitions_of_the_web_analytics_answer_what_the_requests_say(old: bool) -> None:
    fed = Fed()
    for name, document in WEB.items():
        fed.define(name, **document)
    seen: list[tuple[float, Request]] = []
    number = 0
    for round_ in range(60):
        fed.pass_(0.5)
        batch = served(20, round_)
        seen += [(fed.now, request) for request in batch]
        for at in range(0, len(batch), 4):
            number += 1
            fed.feed(
                [
                    datagram(
                        [
                            flow_sample([each.old_record() if old else each.record()], sequence=number + n, rate=RATE)
                            for n, each in enumerate(batch[at : at + 4])
                        ],
                        sequence=number,
                    )
                ]
            )

    def rate(value: str, wanted: object) -> object:
        return pytest.approx(true_rate(seen, fed.now, value, wanted), rel=1e-9)

    assert fed.metric("sum:image_bytes") == rate("resp_bytes", lambda r: r.mimetype.startswith("image/"))
    games = {"/games/animals.php?level=2", "/games/", "http://www.example.com/games/x"}
    assert fed.metric("sum:games_reqs") == rate("requests", lambda r: r.url in games)
    slow = {url: rate("duration", lambda r, url=url: r.url == url) for url in {r.url for r in REQUESTS}}
    assert fed.top("slow_reqs") == dict(sorted(slow.items(), key=lambda item: -item[1].expected)[:5])  # type: ignore[attr-defined]
    errors = {f"{r.url},{r.status}": rate("requests", lambda s, r=r: s == r) for r in REQUESTS if r.status >= 400}
    assert fed.top("err_reqs") == errors
    assert fed.analytics.flows.malformed == 0


def test_every_key_of_a_request_through_a_proxy_is_told() -> None:
    request = Request(
        url="/a/b.html?x=1", referer="http://r.example/", xff="203.0.113.1", authuser="pp", method="PUT", status=201
    )
    records = [
        request.record(),
        sockets("192.0.2.80", 443, "198.51.100.9", 50123),
        sockets("10.1.0.1", 34567, "10.2.0.2", 8080, proxy=True),
    ]
    six = [
        request.record(),
        sockets("2001:db8::80", 443, "2001:db8:1::9", 50123),
        sockets("fd00::1", 34567, "fd00::2", 8080, proxy=True),
    ]
    expected = {
        "protocol": "6",
        "serveraddress": "192.0.2.80",
        "serverport": "443",
        "clientaddress": "198.51.100.9",
        "clientport": "50123",
        "proxyprotocol": "6",
        "proxyserveraddress": "10.2.0.2",
        "proxyserverport": "8080",
        "proxyclientaddress": "10.1.0.1",
        "proxyclientport": "34567",
        "httpmethod": "PUT",
        "httpprotocol": "1001",
        "httphost": "www.example.com",
        "httpuseragent": "curl/7.88",
        "httpxff": "203.0.113.1",
        "httpauthuser": "pp",
        "httpmimetype": "text/html",
        "httpurl": "/a/b.html?x=1",
        "httpreferer": "http://r.example/",
        "httpstatus": "201",
    }
    other = {
        "serveraddress6": "2001:db8::80",
        "clientaddress6": "2001:db8:1::9",
        "proxyserveraddress6": "fd00::2",
        "proxyclientaddress6": "fd00::1",
    }
    fed = Fed()
    for name in (*expected, *other):
        fed.define(name, keys=name, value="requests")
    for value in ("bytes", "req_bytes", "resp_bytes", "duration", "frames"):
        fed.define(f"all_{value}", value=value)
    fed.feed([datagram([flow_sample(records, sequence=1, rate=1), flow_sample(six, sequence=2, rate=1)])])
    assert {name: list(fed.top(name)) for name in expected} == {name: [value] for name, value in expected.items()}
    assert {name: list(fed.top(name)) for name in other} == {name: [value] for name, value in other.items()}
    values = {value: fed.metric(f"sum:all_{value}") for value in ("bytes", "req_bytes", "resp_bytes", "duration")}
    assert values == {"bytes": 1100.0, "req_bytes": 100.0, "resp_bytes": 1000.0, "duration": 500.0}
    assert fed.metric("sum:all_frames") is None  # a request is no packet


TEXT = st.text(max_size=40).filter(lambda text: len(text.encode()) <= 32)
REQUEST = st.builds(
    Request,
    method=st.sampled_from(sorted(METHODS)),
    protocol=st.integers(0, 2**32 - 1),
    url=st.text(max_size=80).filter(lambda text: len(text.encode()) <= 255),
    host=TEXT,
    referer=TEXT,
    useragent=TEXT,
    xff=TEXT,
    authuser=TEXT,
    mimetype=TEXT,
    req_bytes=st.integers(0, 2**63),
    resp_bytes=st.integers(0, 2**63),
    duration=st.integers(0, 2**32 - 1),
    status=st.integers(0, 999),
)


@settings(max_examples=150, deadline=None)
@given(REQUEST)
def test_what_the_specification_writes_is_read_back(request: Request) -> None:
    found: dict[str, object] = {}
    http.read(found, 2206, request.record()[8:])  # type: ignore[arg-type]
    texts = {f"http{name}": getattr(request, name) for name in ("url", "host", "referer", "useragent", "xff")}
    texts |= {"httpauthuser": request.authuser, "httpmimetype": request.mimetype}
    assert {name: found.get(name, "") for name in texts} == texts
    assert (found["httpmethod"], found["httpprotocol"]) == (request.method, request.protocol)
    assert (found["req_bytes"], found["resp_bytes"]) == (request.req_bytes, request.resp_bytes)
    assert (found["duration"], found["httpstatus"]) == (request.duration, request.status)


def test_a_record_that_lies_about_a_length_is_counted_and_gives_no_key() -> None:
    fed = Fed()
    fed.define("urls", keys="httpurl", value="requests")
    whole = Request(url="/whole").record()
    lying = framed(2206, uint(2) + uint(1001) + uint(4_000_000_000) + b"/..." + bytes(60))
    cut = framed(2206, Request(url="/cut").record()[8:60])
    long = Request(url="/" * 256).record()  # of at most 255, by the specification
    samples = [flow_sample([each], sequence=n, rate=1) for n, each in enumerate((lying, cut, long, whole))]
    fed.feed([datagram(samples)])
    assert list(fed.top("urls")) == ["/whole"]
    assert fed.analytics.flows.malformed == 3


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_finds_the_records_where_they_are() -> None:
    records = [Request(url="/x" * n).record() for n in range(1, 4)]
    records += [Request().old_record(), sockets("192.0.2.1", 80, "192.0.2.2", 5000), sockets("::1", 80, "::2", 5000)]
    payload = datagram([flow_sample([each], sequence=n + 1, rate=40 + n) for n, each in enumerate(records)])
    text = "".join(f"{offset:06x} {payload[offset : offset + 16].hex(' ')}\n" for offset in range(0, len(payload), 16))
    pcap = subprocess.run(
        ["text2pcap", "-q", "-u", "40000,6343", "-", "-"], input=text.encode(), capture_output=True, check=True
    ).stdout
    command = ["tshark", "-n", "-r", "-", "-d", "udp.port==6343,sflow", "-T", "pdml"]
    answer = subprocess.run(command, input=pcap, capture_output=True, check=True).stdout

    def told(name: str) -> list[int]:
        return [
            int(each.get("show", ""), 0) for each in ElementTree.fromstring(answer).iter() if each.get("name") == name
        ]

    assert told("sflow.flow_sample.sampling_rate") == [40 + n for n in range(len(records))]
    assert told("sflow.flow_sample.source_id_class") == [3] * len(records)
    assert told("sflow.flow_sample.index") == [80] * len(records)
    assert told("sflow_245.flow_record_format") == [2206, 2206, 2206, 2201, 2100, 2101]
    assert told("sflow_5.flow_data_length") == [len(each) - 8 for each in records]
