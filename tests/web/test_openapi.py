"""The OpenAPI file and the running server say the same: every answer is as described, for right and wrong questions."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator

import pytest
from fake_arm import NOW_MS, FakeEngine, status
from hypothesis import HealthCheck, given, settings

from arm.analytics import Analytics
from arm.config import AnalyticsConfig, Config
from arm.model import ChangeRecord, Reason, What, parse_prefix
from arm.observe.board import Board
from arm.simulate.agent import Agent
from arm.web.app import STATIC, create_app
from arm.web.server import Server

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

DOCUMENT = json.loads((STATIC / "openapi.json").read_text())
METHODS = ("get", "put", "delete")
OPERATIONS = sorted(
    (path, method.upper()) for path, item in DOCUMENT["paths"].items() for method in METHODS if method in item
)


class Tap:
    """A listener that hands nothing on."""

    def tap(self, callback: Callable[[bytes], None] | None, *, counters_only: bool = False) -> None:
        pass


def analytics() -> Analytics:
    """Analytics with one definition of each kind, whose long polls end at once."""
    made = Analytics(AnalyticsConfig(definitions=10_000), Tap(), lambda some: [None] * len(some), local_as=65000)
    made.put_flow("pairs", {"keys": "ipsource,ipdestination", "value": "bytes", "log": True})
    made.put_threshold("busy", {"metric": "pairs", "value": 1000, "filter": {"ifspeed": [10**9]}})
    made.put_group("sites", {"private": ["10.0.0.0/8"]})
    agent = Agent(None, rate=100)
    packet = (bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7]), 1000)
    for built in agent.prebuild([packet] * 70):
        made._receive(bytes(agent.number(built)))
    while made.step(made.clock()):
        pass
    made.events.add(
        {
            "thresholdID": "busy",
            "metric": "pairs",
            "threshold": 1000.0,
            "value": 2000.0,
            "agent": "10.0.0.1",
            "dataSource": "1",
            "timestamp": NOW_MS,
        }
    )
    made.ended.add(
        {
            "name": "pairs",
            "agent": "10.0.0.1",
            "dataSource": "1",
            "flowKeys": "192.0.2.1,198.51.100.7",
            "value": 7e6,
            "start": NOW_MS,
            "end": NOW_MS + 1000,
        }
    )
    made.events.close()
    made.ended.close()
    return made


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    engine = FakeEngine()
    engine.log.append(ChangeRecord(1, NOW_MS, parse_prefix("10.1.0.0/16"), What.INSTALLED, Reason.NEW))
    board = Board(engine.ask)
    for second in range(3):
        board.publish(status(NOW_MS + second * 1000))
    sock = socket.create_server(("127.0.0.1", 0))
    app = create_app(board, Config(), analytics=analytics(), now_ms=lambda: NOW_MS + 2200)
    server = Server(app, [sock])
    server.start()
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    server.stop()


def test_every_path_and_method_of_the_server_is_described() -> None:
    rules = create_app(Board(FakeEngine().ask), Config(), analytics=analytics()).url_map.iter_rules()
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    pages = {("/", "GET"), ("/static/{filename}", "GET"), ("/openapi.json", "GET")}
    assert served - pages == set(OPERATIONS)


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_answers_are_as_described(url: str, path: str, method: str, mode: str) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operation = schema[path][method]
    if mode == "negative" and not (operation.query or operation.path_parameters or operation.body):
        pytest.skip("nothing to ask wrongly")

    @settings(max_examples=20, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
    def ask(case: object) -> None:
        # What is wrong about an empty list of values can not be seen in a query, so that refusals are tested elsewhere;
        # and flow keys and filters are a language of their own, of which the schema only knows that it is text.
        checks = ["negative_data_rejection"] + (["positive_data_acceptance"] if method == "PUT" else [])
        excluded = [schemathesis.checks.CHECKS.get_one(name) for name in checks]
        case.call_and_validate(base_url=url, excluded_checks=excluded)  # type: ignore[attr-defined]

    ask()


KNOWN = [
    ("/flow/{name}/json", {"name": "pairs"}),
    ("/threshold/{name}/json", {"name": "busy"}),
    ("/group/{name}/json", {"name": "sites"}),
    ("/activeflows/{agents}/{name}/json", {"agents": "ALL", "name": "pairs"}),
    ("/metric/{agents}/{metrics}/json", {"agents": "ALL", "metrics": "sum:pairs,pairs,nothing"}),
    ("/dump/{agents}/{metrics}/json", {"agents": "ALL", "metrics": "ALL"}),
    ("/arm/route/{query}/json", {"query": "10.1.2.3"}),
    ("/bgp/topprefixes/{router}/json", {"router": "127.0.0.1"}),
    ("/bgp/topprefixes6/{router}/json", {"router": "127.0.0.1"}),
]


@pytest.mark.parametrize(("path", "names"), KNOWN)
def test_what_is_known_is_answered_as_described(url: str, path: str, names: dict[str, str]) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    answer = schema[path]["GET"].Case(path_parameters=names).call_and_validate(base_url=url)
    assert answer.status_code == 200
    assert answer.json()
