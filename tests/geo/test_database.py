"""What an MMDB says of an address and of a prefix; whatever the octets are, nothing but DatabaseError comes out."""

from __future__ import annotations

import ipaddress
import random

import maxminddb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arm.geo.database import Database, DatabaseError, _code
from arm.model import Prefix, format_prefix, parse_address, parse_prefix
from arm.simulate.mmdb import write

CODES = ("DE", "FR", "US", "JP", "BR")


def networks(seed: int, count: int) -> list[tuple[Prefix, str]]:
    """Networks of both families that do not overlap."""
    chance = random.Random(seed)
    first = chance.sample(range(1, 224), count)
    found = [(parse_prefix(f"{octet}.0.0.0/{chance.randint(8, 20)}"), chance.choice(CODES)) for octet in first]
    return found + [
        (parse_prefix(f"{0x2400 + number:x}::/{chance.randint(16, 48)}"), chance.choice(CODES))
        for number in range(count)
    ]


@given(st.integers(0, 1000), st.integers(1, 30))
@settings(max_examples=20, deadline=None)
def test_every_address_has_the_country_of_the_network_it_is_in(seed: int, count: int) -> None:
    written = networks(seed, count)
    database = Database(write(written, description=""))
    for prefix, country in written:
        network = ipaddress.ip_network(format_prefix(prefix))
        for address in (network[0], network[-1]):
            assert database.country(address.packed) == country
        beyond = network[-1] + 1
        if not any(beyond in ipaddress.ip_network(format_prefix(other)) for other, _ in written):
            assert database.country(beyond.packed) is None
        assert database.country_of_prefix(prefix) == country


def test_the_format_is_that_of_the_reference_reader(tmp_path) -> None:
    written = networks(1, 20)
    (tmp_path / "x.mmdb").write_bytes(write(written, description="text", built=1_700_000_000))
    with maxminddb.open_database(tmp_path / "x.mmdb", maxminddb.MODE_AUTO) as reader:
        read = {str(network): record["country"]["iso_code"] for network, record in reader}
        assert reader.metadata().build_epoch == 1_700_000_000
    assert read == {format_prefix(prefix): country for prefix, country in written}


def test_a_prefix_in_several_countries_counts_for_the_one_that_has_more_than_half() -> None:
    database = Database(
        write([(parse_prefix("10.0.0.0/9"), "DE"), (parse_prefix("10.128.0.0/10"), "FR")], description="")
    )
    assert database.country_of_prefix(parse_prefix("10.0.0.0/8")) is None
    assert database.country_of_prefix(parse_prefix("10.0.0.0/9")) == "DE"
    halves = [
        (parse_prefix("10.0.0.0/9"), "DE"),
        (parse_prefix("10.128.0.0/10"), "DE"),
        (parse_prefix("10.192.0.0/10"), "FR"),
    ]
    assert Database(write(halves, description="")).country_of_prefix(parse_prefix("10.0.0.0/8")) == "DE"


def test_an_ipv4_file_has_no_ipv6_countries_and_that_is_no_damage() -> None:
    database = Database(write([(parse_prefix("10.0.0.0/8"), "DE")], description=""))
    database._both = False
    assert database.country(parse_address("2001:db8::1")) is None
    assert database.damaged == 0


@pytest.mark.parametrize(
    ("record", "country"),
    [
        ({"country": {"iso_code": "DE"}, "registered_country": {"iso_code": "US"}}, "DE"),
        ({"country": "DE"}, "DE"),
        ({"country_code": "de"}, "DE"),
        ({"registered_country": {"iso_code": "US"}}, "US"),
        ({"country": {"names": {"en": "Germany"}}}, None),
        ({"country": {"iso_code": "DEU"}}, None),
        ({"autonomous_system_number": 1}, None),
        ("DE", None),
        (None, None),
    ],
)
def test_records_of_the_layouts_in_use_are_understood(record: object, country: str | None) -> None:
    assert _code(record) == country


WHOLE = write(networks(3, 40), description="whole")


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_is_damaged_nothing_but_a_database_error_comes_out(data: st.DataObject) -> None:
    raw = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(0, 8))):
        # the metadata stand at the end, and matter most
        place = data.draw(st.one_of(st.integers(0, len(raw) - 1), st.integers(len(raw) - 220, len(raw) - 1)))
        raw[place] = data.draw(st.integers(0, 255))
    try:
        database = Database(bytes(raw[: data.draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw))))]))
    except DatabaseError:
        return
    for prefix, _ in networks(3, 40):
        assert database.country(prefix[0]) is None or len(database.country(prefix[0]) or "") == 2
        database.country_of_prefix(prefix)
