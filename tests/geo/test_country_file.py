"""The file of countries: found, missing, damaged, replaced while it is read, and what that costs."""

from __future__ import annotations

import gc
import logging
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from polling import until

from arm.geo import Countries
from arm.model import parse_address, parse_prefix
from arm.simulate.mmdb import write

NETWORKS = {"10.0.0.0/8": "DE", "192.0.2.0/24": "JP", "2001:db8::/32": "FR"}
ADDRESS = parse_address("10.1.2.3")


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def mmdb(country: str = "DE", more: int = 0) -> bytes:
    networks = [(parse_prefix(text), country if code == "DE" else code) for text, code in NETWORKS.items()]
    networks += [(parse_prefix(f"20.{number >> 8}.{number & 255}.0/24"), "US") for number in range(more)]
    return write(networks, description="for a test", built=1_700_000_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "countries.mmdb"


def replaced(path: Path, raw: bytes) -> None:
    """As package managers and download scripts do it: written aside, then put in place at once."""
    aside = path.with_suffix(".new")
    aside.write_bytes(raw)
    aside.replace(path)


def later(clock: Clock) -> None:
    clock.now += 1.0


def test_addresses_and_prefixes_have_the_country_of_the_file(path: Path) -> None:
    path.write_bytes(mmdb())
    countries = Countries(str(path))
    assert countries.country(ADDRESS) == "DE"
    assert countries.country(parse_address("2001:db8:7::1")) == "FR"
    assert countries.country(parse_address("11.0.0.1")) is None
    of = countries.of_prefixes()
    assert [of(parse_prefix(text)) for text in ("10.1.0.0/16", "192.0.2.128/25", "0.0.0.0/0")] == ["DE", "JP", None]
    state = countries.state()
    assert (state.ready, state.problem, state.built_ms) == (True, None, 1_700_000_000_000)
    assert state.description == "for a test"


def test_without_a_path_there_are_none_and_it_says_which_key_to_set() -> None:
    countries = Countries(None)
    assert not countries.configured
    assert countries.country(ADDRESS) is None
    assert countries.of_prefixes()(parse_prefix("10.0.0.0/8")) is None
    assert "[geo] country" in (countries.state().problem or "")


def no_file(path: Path) -> None:
    path.unlink(missing_ok=True)


def a_directory(path: Path) -> None:
    path.mkdir()


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (no_file, "can not be read (no such file or directory)"),
    "a directory": (a_directory, "can not be read"),
    "empty": (lambda path: path.write_bytes(b""), "is not a readable MMDB"),
    "text": (lambda path: path.write_text("countries"), "is not a readable MMDB"),
    "cut off": (lambda path: path.write_bytes(mmdb(more=500)[:3000]), "is not a readable MMDB"),
    "overwritten": (lambda path: path.write_bytes(_overwritten(mmdb(more=500))), "is damaged"),
    "of something else": (
        lambda path: path.write_bytes(mmdb().replace(b"\x48iso_code", b"\x48asn_code")),
        "which has no countries",
    ),
}


def _overwritten(raw: bytes) -> bytes:
    """Every record of the tree leads beyond the file; the metadata are right."""
    end = raw.index(bytes(16))
    return b"\xfe" * end + raw[end:]


@pytest.mark.parametrize("how", WRONG)
def test_a_file_that_can_not_be_used_is_explained_once_and_nothing_is_raised(
    path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    make, said = WRONG[how]
    make(path)
    clock = Clock()
    countries = Countries(str(path), clock=clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert countries.country(ADDRESS) is None
            later(clock)
    state = countries.state()
    assert not state.ready
    assert said in (state.problem or "")
    assert str(path) in (state.problem or "")
    assert len(caplog.records) == 1


def test_a_file_that_comes_later_and_one_that_takes_its_place_are_read_within_a_second(path: Path) -> None:
    clock = Clock()
    countries = Countries(str(path), clock=clock)
    assert countries.country(ADDRESS) is None
    path.write_bytes(mmdb())
    assert countries.country(ADDRESS) is None
    later(clock)
    assert countries.country(ADDRESS) == "DE"
    replaced(path, mmdb("AT"))
    later(clock)
    assert countries.country(ADDRESS) == "AT"
    # written over in place, as cp does
    path.write_bytes(mmdb("CH", more=10))
    later(clock)
    assert countries.country(ADDRESS) == "CH"


def test_a_damaged_or_missing_successor_leaves_the_old_countries_and_says_so(path: Path) -> None:
    clock = Clock()
    path.write_bytes(mmdb())
    countries = Countries(str(path), clock=clock)
    assert countries.country(ADDRESS) == "DE"
    replaced(path, mmdb("AT", more=500)[:3000])
    later(clock)
    assert countries.country(ADDRESS) == "DE"
    state = countries.state()
    assert state.ready
    assert "is not a readable MMDB" in (state.problem or "")
    path.unlink()
    later(clock)
    assert countries.country(ADDRESS) == "DE"
    assert "no such file" in (countries.state().problem or "")
    replaced(path, mmdb("AT"))
    later(clock)
    assert countries.country(ADDRESS) == "AT"
    assert countries.state().problem is None


def test_the_file_is_replaced_while_threads_read_and_nothing_leaks(path: Path) -> None:
    """Each replacement becomes visible to readers that never pause, none sees an error, and nothing of it stays."""
    path.write_bytes(mmdb())
    ticks = Clock()
    countries = Countries(str(path), clock=ticks)
    assert countries.country(ADDRESS) == "DE"
    wrong: list[object] = []
    stop = threading.Event()
    allowed = {"DE", "AT", "CH"}

    def read() -> None:
        of = countries.of_prefixes
        while not stop.is_set():
            for number in range(50):
                found = countries.country(bytes([10, 1, number, 3])), of()(parse_prefix(f"10.{number}.0.0/16"))
                if not allowed.issuperset(found):
                    wrong.append(found)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    dropped: list[weakref.ref[object]] = []
    try:
        files = len(os.listdir("/proc/self/fd"))
        for turn in range(12):
            country = ("AT", "CH")[turn % 2]
            dropped.append(weakref.ref(countries._database))
            if turn % 3 == 0:
                path.write_bytes(b"half of it")
                later(ticks)
            replaced(path, mmdb(country, more=turn * 20))

            def seen(wanted: str = country) -> bool:
                later(ticks)
                return countries.country(ADDRESS) == wanted

            until(seen, what=f"replacement {turn}")
        assert len(os.listdir("/proc/self/fd")) <= files + 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    gc.collect()
    assert [one() for one in dropped if one() is not None] == []
