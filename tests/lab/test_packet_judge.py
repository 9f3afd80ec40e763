"""The judge of packets knows right from wrong: it must, for a test of the switch rests on it."""

from __future__ import annotations

import json
from array import array
from pathlib import Path

import pytest
from packet_judge import NEVER, Judge, Told, default_ranks

from arm.model import FAMILIES, Family, parse_address
from arm.simulate.paths import Paths
from arm.simulate.table import FamilyTable, Table

SECOND = 1_000_000_000
START = 100 * SECOND


@pytest.fixture
def table() -> Table:
    """20.0.0.0/8 goes to one peer, and 20.1.0.0/16 inside it to the other; both paths are found by trying."""
    families = {family: FamilyTable(family) for family in FAMILIES}
    paths = Paths(seed=1, origins=array("I", range(1, 41)), share=0.5)
    to_a = next(path for path in range(40) if paths.best(path) == 0)
    to_b = next(path for path in range(40) if paths.best(path) == 1)
    families[Family.IPV4].append(20 << 24, 8, to_b)
    families[Family.IPV4].append(20 << 24 | 1 << 16, 16, to_a)
    return Table(families, paths)


def judge(table: Table, tmp_path: Path, journal_b: list[dict[str, object]]) -> Judge:
    up = [{"at": START, "session": "up"}, {"at": START, "session": "complete"}]
    for letter, lines in (("a", up), ("b", [*up, *journal_b])):
        (tmp_path / letter).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Judge(table, {letter: Told.read(tmp_path / letter) for letter in "ab"}, default_ranks("a"))


def test_the_longest_match_decides_and_the_default_is_right_as_well(table: Table, tmp_path: Path) -> None:
    says = judge(table, tmp_path, [])
    now = START + SECOND
    assert says.wants(parse_address("20.9.9.9"), now) == {"b"}
    assert says.allowed(parse_address("20.9.9.9"), now) == {"a", "b"}
    assert says.allowed(parse_address("20.1.9.9"), now) == {"a"}
    assert says.allowed(parse_address("30.0.0.1"), now) == {"a"}


def test_a_packet_to_a_peer_that_never_was_right_is_wrong_for_ever(table: Table, tmp_path: Path) -> None:
    says = judge(table, tmp_path, [])
    assert says.lag(parse_address("20.1.9.9"), "b", START + SECOND, START + SECOND) == NEVER
    assert says.lag(parse_address("20.1.9.9"), "a", START + SECOND, START + SECOND) == 0


def test_a_packet_after_a_change_is_late_by_the_time_since_the_change(table: Table, tmp_path: Path) -> None:
    changed = START + 10 * SECOND
    says = judge(table, tmp_path, [{"at": changed, "prefix": "20.0.0.0/8", "rank": None}])
    address = parse_address("20.9.9.9")
    assert says.allowed(address, changed) == {"a"}
    assert says.lag(address, "b", changed - SECOND, changed - SECOND // 2) == 0
    assert says.lag(address, "b", changed - SECOND, changed + SECOND) == 0
    assert says.lag(address, "b", changed + SECOND // 4, changed + SECOND) == 0.25


def test_a_new_more_specific_takes_its_part(table: Table, tmp_path: Path) -> None:
    changed = START + 10 * SECOND
    says = judge(table, tmp_path, [{"at": changed, "prefix": "20.1.9.0/24", "rank": [5, 0]}])
    assert says.wants(parse_address("20.1.9.9"), changed - 1) == {"a"}
    assert says.wants(parse_address("20.1.9.9"), changed) == {"b"}
    assert says.wants(parse_address("20.1.8.9"), changed) == {"a"}


def test_while_a_session_comes_up_its_routes_may_be_there_or_not(table: Table, tmp_path: Path) -> None:
    down, up, complete = (START + n * SECOND for n in (10, 20, 25))
    says = judge(
        table,
        tmp_path,
        [
            {"at": down, "session": "down"},
            {"at": up, "session": "up"},
            {"at": complete, "session": "complete"},
        ],
    )
    address = parse_address("20.9.9.9")
    assert says.wants(address, down) == {"a"}
    assert says.wants(address, up) == {"a", "b"}
    assert says.wants(address, complete) == {"b"}
    assert says.lag(address, "b", down + 3 * SECOND, down + 3 * SECOND) == 3


def test_the_default_that_moves_to_another_peer_is_right_from_then_on(table: Table, tmp_path: Path) -> None:
    changed = START + 10 * SECOND
    says = judge(table, tmp_path, [{"at": changed, "prefix": "0.0.0.0/0", "rank": [0, 0]}])
    address = parse_address("20.1.9.9")
    assert says.lag(address, "b", changed + SECOND, changed + SECOND) == 0
    assert says.lag(address, "b", changed - 2 * SECOND, changed - SECOND) == NEVER
    default = parse_address("30.0.0.1")
    assert says.lag(default, "a", changed + SECOND, changed + 2 * SECOND) == 1
