"""The comparison itself: its judge, its bound and its tables are right, and its runs repeat."""

from __future__ import annotations

import gzip
import itertools
import random
import struct
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest
from checker_of_choices import best_by_trying

from arm.model import Attributes, Change, Entry, Event, Family, Feed, Kind, Reason, parse_prefix
from arm.simulate.compare.contest import SafeTable
from arm.simulate.compare.forest import Forest
from arm.simulate.compare.hardware import Hardware
from arm.simulate.compare.live import coverage
from arm.simulate.compare.report import Cell, rows, text
from arm.simulate.compare.run import compare
from arm.simulate.compare.trace import PROFILES, Trace
from arm.simulate.compare.world import World, hops_by_path
from arm.simulate.mrt import MrtError, read_mrt
from arm.simulate.shape import synthetic_table
from arm.simulate.table import FamilyTable

FEED = Feed("test", "192.0.2.1", 1, 65000, "192.0.2.1")


def world(routes: dict[str, int]) -> World:
    """A world of these routes (prefix -> number of the next hop; 0 is the default's)."""
    table, hops = FamilyTable(Family.IPV4), array("B")
    for path, (prefix, hop) in enumerate(routes.items()):
        packed, length = parse_prefix(prefix)
        table.append(int.from_bytes(packed, "big"), length, path)
        hops.append(hop)
    return World(table, hops, seed=1)


def put(prefix: str, hop: bytes, kind: Kind = Kind.ROUTE) -> Change:
    return Change(parse_prefix(prefix), Entry(kind, Attributes(FEED, hop, b"")), Reason.NEW)


def test_the_judge_sees_a_more_specific_that_is_sent_the_wrong_way_and_a_cover_that_mends_it() -> None:
    made = world({"11.0.0.0/8": 1, "11.1.0.0/16": 2})
    made.place([bytes([11, 1, 0, 1]), bytes([11, 2, 0, 1])])
    hardware = Hardware(made, 10)
    assert list(hardware.carried) == [0, 0]
    hardware.apply([put("11.0.0.0/8", made.next_hops[1])])
    assert (list(hardware.carried), hardware.wrong) == ([0, 1], {0})
    assert hardware.wrong_bytes([5.0, 7.0]) == 5.0
    hardware.apply([put("11.1.0.0/16", made.next_hops[0], Kind.COVER)])
    assert (list(hardware.carried), hardware.wrong) == ([0, 1], set())
    assert hardware.wrong_operations == 1


@pytest.mark.parametrize("seed", range(60))
def test_the_bound_is_never_below_the_best_choice_and_its_own_choice_never_above_it(seed: int) -> None:
    chance = random.Random(seed)
    pool = ["11.0.0.0/8", "11.0.0.0/12", "11.0.0.0/16", "11.0.1.0/24", "11.0.2.0/24", "11.128.0.0/9", "11.128.0.0/16"]
    routes = {prefix: chance.randrange(3) for prefix in chance.sample(pool, 5)}
    made = world(routes)
    # An address of each route that no more-specific takes.
    addresses = [bytes([11, *rest]) for rest in itertools.product((0, 20, 128, 200), (0, 1, 2, 9))]
    places: dict[int, bytes] = {}
    for part in addresses:
        for end in (0, 1, 2, 9):
            address = bytes([part[0], part[1], end, part[2]])
            place = made.match(int.from_bytes(address, "big"))
            if place >= 0:
                places.setdefault(place, address)
    made.place(sorted(places.values()))
    rates = [float(chance.randrange(1, 100)) for _ in made.addresses]
    for slots in (1, 2, 3):
        best = best_by_trying(made, rates, slots)
        solution = Forest(made).solve(rates, slots, rounds=60)
        assert solution.bound >= best - 1e-6
        assert solution.slots <= slots
        carried = sum(rate for rate, good in zip(rates, solution.carried, strict=True) if good)
        assert carried == pytest.approx(solution.value, abs=1e-3)
        assert carried <= best + 1e-6


def small_run(seed: int) -> list[tuple[str, float, float, int, int]]:
    table = synthetic_table(ipv4=8_000, ipv6=1, seed=seed).families[Family.IPV4]
    made = World(table, hops_by_path(table.paths, 4, seed), seed=seed)
    made.populate(1500, exponent=1.0, flattening=5.0, dormant=20)
    trace = Trace(made, PROFILES["transit"], bits_per_second=10e9, sampling=5000, seed=seed, scan=20.0)
    results = compare(
        made, trace, sizes=[150], policies=["arm", "sflow-rt", "lru", "lfu", "tfo", "sir"],
        history=60.0, seconds=20, updates=20.0, bound_every=0,
    )  # fmt: skip
    return [(r.policy, r.coverage, r.churn, r.wrong_operations, r.overfull) for r in results]


def test_nobody_misforwards_nor_overfills_while_bgp_changes_and_runs_repeat() -> None:
    first = small_run(3)
    assert [(wrong, overfull) for *_, wrong, overfull in first] == [(0, 0)] * len(first)
    assert all(0.2 < coverage <= 1 for _, coverage, *_ in first)
    assert small_run(3) == first


class Deaf(SafeTable):
    """Holds what it holds, whatever BGP says."""

    def learn(self, event: Event) -> Sequence[Change]:
        return []


def test_a_contestant_that_does_not_follow_bgp_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arm.simulate.compare.run.SafeTable", Deaf)
    judged = {policy: wrong for policy, _, _, wrong, _ in small_run(3)}
    assert judged["lru"] > 0
    assert judged["arm"] == 0


def test_rows_put_seeds_together_with_their_error() -> None:
    table = synthetic_table(ipv4=4_000, ipv6=1, seed=1).families[Family.IPV4]
    cells = []
    for seed in (1, 2):
        made = World(table, hops_by_path(table.paths, 2, seed), seed=seed)
        made.populate(500, exponent=1.0, flattening=5.0)
        trace = Trace(made, PROFILES["access"], bits_per_second=1e9, sampling=1000, seed=seed)
        found = compare(made, trace, sizes=[50], policies=["arm"], history=10.0, seconds=3, bound_every=2)
        cells.append(Cell("access", 2, seed, found))
    summary = {row.policy: row for row in rows(cells)}
    assert summary["arm"].seeds == 2
    assert summary["arm"].coverage <= summary["clairvoyant"].coverage
    assert summary["arm"].error > 0
    assert "| arm |" in text(list(summary.values()))


def mrt_dump(path: Path, routes: dict[str, list[tuple[int, list[int]]]]) -> None:
    """A TABLE_DUMP_V2 of prefix -> [(peer, AS path)]."""
    with gzip.open(path, "wb") as file:
        for prefix, entries in routes.items():
            packed, length = parse_prefix(prefix)
            body = struct.pack(">IB", 0, length) + packed[: (length + 7) // 8] + struct.pack(">H", len(entries))
            for peer, ases in entries:
                segment = struct.pack(">BB", 2, len(ases)) + b"".join(struct.pack(">I", asn) for asn in ases)
                attributes = struct.pack(">BBB", 0x40, 2, len(segment)) + segment
                body += struct.pack(">HIH", peer, 0, len(attributes)) + attributes
            file.write(struct.pack(">IHHI", 0, 13, 2, len(body)) + body)


def test_an_mrt_dump_gives_the_route_with_the_shortest_path_of_the_largest_peers(tmp_path: Path) -> None:
    path = tmp_path / "dump.gz"
    mrt_dump(
        path,
        {
            "11.0.0.0/8": [(7, [1, 2]), (9, [3])],
            "12.0.0.0/8": [(7, [1]), (9, [3, 4])],
            "13.0.0.0/8": [(7, [1])],
            "14.0.0.0/8": [(5, [1])],
            "10.0.0.0/8": [(7, [1])],
        },
    )
    table, hops = read_mrt(path, 2)
    found = {table.prefix(place): hop for place, hop in enumerate(hops)}
    assert found == {parse_prefix("11.0.0.0/8"): 1, parse_prefix("12.0.0.0/8"): 0, parse_prefix("13.0.0.0/8"): 0}


@pytest.mark.parametrize("octets", [b"", b"nonsense", struct.pack(">IHHI", 0, 13, 2, 4) + b"\0\0\0\0"])
def test_only_one_error_escapes_from_what_is_no_dump(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "dump"
    path.write_bytes(octets)
    with pytest.raises(MrtError):
        read_mrt(path, 2)


def test_remembered_traffic_is_not_graded_by_the_samples_that_choose() -> None:
    # All prefixes are alike: whoever grades by the choosing samples finds favourites that do not exist.
    chance = random.Random(1)
    rates = [(float(n), float(n)) for n in (1 + chance.randrange(5) for _ in range(4000))]
    ((honest, told),) = coverage(rates, [1000])
    assert honest < told
