"""The OpenAPI file and the running server say the same: every answer is as described, for right and wrong questions."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator

import pytest
from fake_arm import NOW_MS, FakeEngine, status
from hypothesis import HealthCheck, given, settings

from arm.config import Config
from arm.model import ChangeRecord, parse_prefix
from arm.observe.board import Board
from arm.web.app import STATIC, create_app
from arm.web.server import Server

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

DOCUMENT = json.loads((STATIC / "openapi.json").read_text())
PATHS = sorted(DOCUMENT["paths"])


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    engine = FakeEngine()
    engine.log.append(ChangeRecord(1, NOW_MS, parse_prefix("10.1.0.0/16"), "installed", "new"))
    board = Board(engine.ask)
    for second in range(3):
        board.publish(status(NOW_MS + second * 1000))
    sock = socket.create_server(("127.0.0.1", 0))
    server = Server(create_app(board, Config(), now_ms=lambda: NOW_MS + 2200), [sock])
    server.start()
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    server.stop()


def test_every_path_of_the_server_is_described() -> None:
    rules = create_app(Board(FakeEngine().ask), Config()).url_map.iter_rules()
    served = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule) for rule in rules}
    assert served - {"/", "/static/{filename}", "/openapi.json"} == set(PATHS)


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("path", PATHS)
def test_answers_are_as_described(url: str, path: str, mode: str) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operation = schema[path]["GET"]
    if mode == "negative" and not (operation.query or operation.path_parameters):
        pytest.skip("nothing to ask wrongly")

    @settings(max_examples=20, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
    def ask(case: object) -> None:
        # What is wrong about an empty list of values can not be seen in a query, so that refusals are tested elsewhere.
        excluded = [schemathesis.checks.CHECKS.get_one("negative_data_rejection")]
        case.call_and_validate(base_url=url, excluded_checks=excluded)  # type: ignore[attr-defined]

    ask()
