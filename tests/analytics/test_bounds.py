"""What users define and what they are answered is bounded, and what was taken is there after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_arm import FakeEngine
from fed_analytics import Fed
from flask.testing import FlaskClient
from http_xdr import counter_sample, datagram
from test_counter_metrics import interface

from arm.analytics import memory, queries
from arm.config import AnalyticsConfig, Config
from arm.observe.board import Board
from arm.web.app import create_app

LARGE = {"all": [f"10.{n >> 8}.{n & 255}.0/24" for n in range(3800)]}
"""A group of nearly the 64 KB that a request may have."""


def client_of(fed: Fed) -> FlaskClient:
    return create_app(Board(FakeEngine().ask), Config(), analytics=fed.analytics).test_client()


def put(client: FlaskClient, path: str, document: object) -> tuple[int, Any]:
    answer = client.put(path, json=document, headers={"Host": "localhost"})
    return answer.status_code, answer.get_json()


def test_all_definitions_together_are_no_larger_than_what_is_read_again(tmp_path: Path) -> None:
    fed = Fed(AnalyticsConfig(definitions=1000), directory=tmp_path)
    client = client_of(fed)
    taken = 0
    # as the names of members, some characters take six times their size in the file
    while (said := put(client, f"/group/g{taken}/json", {**LARGE, "\u20ac" * 64: []}))[0] == 200:
        taken += 1
    assert said[0] == 400
    assert f"{memory.MOST_OCTETS} octets" in said[1]["error"]
    assert 50 < taken < 1000
    assert put(client, "/group/g0/json", {**LARGE, "\u20ac" * 64: []})[0] == 200, "anew, in its own place"
    assert client.delete("/group/g1/json", headers={"Host": "localhost"}).status_code == 204
    assert put(client, "/group/other/json", LARGE)[0] == 200, "what is deleted makes room"
    again = Fed(AnalyticsConfig(definitions=1000), directory=tmp_path)
    assert set(again.analytics.groups) == set(fed.analytics.groups)
    assert (tmp_path / "analytics.json").stat().st_size < 2 * memory.MOST_OCTETS


def test_an_answer_with_too_many_values_is_refused_and_says_how_to_ask_for_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fed = Fed()
    client = client_of(fed)
    for source in range(20):
        sample = counter_sample([interface(1000, 1)], sequence=1, source=source)
        fed.feed([datagram([sample], agent=f"10.0.0.{source % 2 + 1}")])
    monkeypatch.setattr(queries, "MOST_READINGS", 100)
    answer = client.get("/dump/ALL/ALL/json", headers={"Host": "localhost"})
    assert (answer.status_code, "name the metrics" in answer.get_json()["error"]) == (400, True)
    for fewer in ("/dump/ALL/ifspeed/json", "/dump/10.0.0.1/ifspeed,ifoperstatus/json"):
        found = client.get(fewer, headers={"Host": "localhost"})
        assert found.status_code == 200
        assert len(found.get_json()) == 20
