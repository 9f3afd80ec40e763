"""Traffic by country: sums that can be done by hand, and filters that keep to a country."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_arm import NO_ROUTE, NOW_MS, FakeEngine, status
from flask.testing import FlaskClient

from arm.config import Config, GeoConfig
from arm.model import parse_prefix
from arm.observe.board import Board
from arm.simulate.mmdb import write
from arm.web.app import create_app

COUNTRIES = {
    "10.1.0.0/16": "DE",
    "10.2.0.0/15": "JP",
    "10.128.0.0/9": "AU",
    "192.0.2.0/24": "BR",
    "2001:db8::/33": "DE",
    "2001:db8:8000::/33": "DE",
}
"""10.0.0.0/8 is of AU for half of it only, so of nobody; 198.51.100.0/24 is in no country."""


def client(country: str | None) -> FlaskClient:
    board = Board(FakeEngine().ask)
    board.publish(status())
    return create_app(board, Config(geo=GeoConfig(country=country)), now_ms=lambda: NOW_MS + 200).test_client()


@pytest.fixture
def known(tmp_path: Path) -> FlaskClient:
    path = tmp_path / "countries.mmdb"
    path.write_bytes(write([(parse_prefix(text), code) for text, code in COUNTRIES.items()], description="test"))
    return client(str(path))


def test_destinations_add_up_over_both_families_and_say_how_they_travel(known: FlaskClient) -> None:
    document = known.get("/arm/countries/json").json
    assert (document["ready"], document["problem"], document["direction"]) == (True, None, "destination")
    rows = {row["country"]: row for row in document["countries"]}
    # 10.1.0.0/16 (installed) and 10.1.2.0/24 (no slot), 2001:db8::/32 and 2001:db8:1::/48
    assert rows["DE"]["bytes_per_second"] == pytest.approx(500 + 200 + 10 + 30)
    assert rows["DE"]["hardware_bytes_per_second"] == pytest.approx(500)
    assert rows["DE"]["default_bytes_per_second"] == pytest.approx(240)
    assert rows["DE"]["prefixes"] == 4
    assert rows["JP"]["bytes_per_second"] == pytest.approx(300)
    assert rows["BR"]["hardware_bytes_per_second"] == pytest.approx(50)
    assert rows[None]["bytes_per_second"] == pytest.approx(1000 + 5 + NO_ROUTE)
    total = document["total_bytes_per_second"]
    assert total == pytest.approx(sum(row["bytes_per_second"] for row in document["countries"]))
    assert sum(row["share"] for row in document["countries"]) == pytest.approx(1)
    assert list(rows) == ["DE", "JP", "BR", None]


@pytest.mark.parametrize("word", ["source", "ingress"])
def test_sources_have_countries_but_no_way(known: FlaskClient, word: str) -> None:
    document = known.get(f"/arm/countries/json?direction={word}").json
    rows = {row["country"]: row for row in document["countries"]}
    assert document["direction"] == "source"
    assert {country: row["bytes_per_second"] for country, row in rows.items()} == pytest.approx({"BR": 70, "JP": 30})
    assert rows["BR"]["hardware_bytes_per_second"] is None


def test_prefixes_and_paths_are_filtered_by_country(known: FlaskClient) -> None:
    found = known.get("/arm/prefixes/json?country=de").json
    assert [row["prefix"] for row in found["prefixes"]] == ["10.1.0.0/16", "10.1.2.0/24"]
    assert found["matching"] == 2
    paths = known.get("/arm/traffic/json?by=aspath&country=DE").json
    assert [(one["key"], one["bytes_per_second"]) for one in paths["keys"]] == [("64510-4200000001", 700)]
    assert known.get("/arm/traffic/json?by=aspath&country=BR").json["keys"][0]["bytes_per_second"] == 50
    assert known.get("/arm/prefixes/json?country=CH").json["prefixes"] == []


@pytest.mark.parametrize("wrong", ["country=Germany", "country=d1", "country="])
def test_what_is_no_country_code_is_refused(known: FlaskClient, wrong: str) -> None:
    answer = known.get(f"/arm/prefixes/json?{wrong}")
    assert answer.status_code == 400
    assert "ISO 3166-1" in answer.json["error"]


def test_without_a_file_the_answer_says_what_to_do_and_nothing_else_suffers() -> None:
    without = client(None)
    document = without.get("/arm/countries/json").json
    assert (document["ready"], document["database"]) == (False, None)
    assert "[geo] country" in document["problem"]
    assert [row["country"] for row in document["countries"]] == [None]
    assert without.get("/arm/prefixes/json").status_code == 200
    refused = without.get("/arm/prefixes/json?country=DE")
    assert refused.status_code == 404
    assert "[geo] country" in refused.json["error"]


def test_a_damaged_file_is_no_error_page(tmp_path: Path) -> None:
    path = tmp_path / "countries.mmdb"
    path.write_bytes(b"\0" * 5000)
    damaged = client(str(path))
    document = damaged.get("/arm/countries/json").json
    assert not document["ready"]
    assert "is not a readable MMDB" in document["problem"]
    assert damaged.get("/arm/status/json").status_code == 200
