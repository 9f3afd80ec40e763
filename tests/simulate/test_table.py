"""The simulated full table has the Internet's shape, and everyone who makes it gets the same one."""

from __future__ import annotations

import gzip
import ipaddress
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arm.model import FAMILIES, Family
from arm.simulate.paths import Paths, Upstream, Variant
from arm.simulate.shape import synthetic_table
from arm.simulate.table import FamilyTable, Table
from arm.simulate.tablefile import read_table

UPSTREAMS = (
    Upstream(0, 65134, bytes((10, 0, 0, 134)), bytes(15) + b"\x86"),
    Upstream(1, 65135, bytes((10, 0, 0, 135)), bytes(15) + b"\x87"),
)


@pytest.fixture(scope="module")
def table() -> Table:
    return synthetic_table(ipv4=30_000, ipv6=8_000, seed=5, share=0.4)


def networks(family: FamilyTable) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network((packed, length)) for packed, length in family.prefixes()]


def test_it_has_the_numbers_of_prefixes_that_were_asked_for(table: Table) -> None:
    assert [len(table.families[family]) for family in FAMILIES] == [30_000, 8_000]
    assert len(table) == 38_000


def test_no_prefix_comes_twice_and_all_are_global_unicast(table: Table) -> None:
    for family in table.families.values():
        found = networks(family)  # ip_network refuses host bits
        assert len(set(found)) == len(found)
        assert [net for net in found if not net.is_global or net.is_multicast] == []


def test_lengths_follow_the_internet(table: Table) -> None:
    lengths = Counter(table.families[Family.IPV4].lengths)
    assert 0.58 < lengths[24] / 30_000 < 0.66
    assert 0.09 < lengths[23] / 30_000 < 0.12
    assert min(lengths) >= 8
    lengths6 = Counter(table.families[Family.IPV6].lengths)
    assert 0.4 < lengths6[48] / 8_000 < 0.55
    assert max(lengths6) <= 64


def test_about_half_are_more_specifics_and_some_of_those_go_elsewhere(table: Table) -> None:
    family = table.families[Family.IPV4]
    known = {(family.addresses[i], family.lengths[i]): table.paths.best(family.paths[i]) for i in range(len(family))}
    inside, elsewhere = 0, 0
    for (address, length), best in known.items():
        for shorter in range(length - 1, 7, -1):
            around = known.get((address >> (32 - shorter) << (32 - shorter), shorter))
            if around is not None:
                inside += 1
                elsewhere += around != best
                break
    assert 0.4 < inside / len(known) < 0.65
    assert 0.1 < elsewhere / inside < 0.4


def test_about_nine_prefixes_share_a_path_and_stand_together(table: Table) -> None:
    assert 7 < len(table) / len(table.paths) < 12
    for family in table.families.values():
        runs = list(family.runs())
        assert len({path for path, _, _ in runs}) == len(runs)
        assert runs[0][1] == 0
        assert runs[-1][2] == len(family)


def test_the_same_seed_makes_the_same_table_and_another_seed_another(table: Table) -> None:
    again = synthetic_table(ipv4=30_000, ipv6=8_000, seed=5, share=0.4)
    other = synthetic_table(ipv4=30_000, ipv6=8_000, seed=6, share=0.4)
    for family in FAMILIES:
        assert again.families[family].addresses == table.families[family].addresses
        assert again.families[family].paths == table.families[family].paths
        assert other.families[family].addresses != table.families[family].addresses


def test_it_survives_being_saved_and_loaded(table: Table, tmp_path: Path) -> None:
    table.save(tmp_path / "table")
    back = Table.load(tmp_path / "table")
    for family in FAMILIES:
        assert list(back.families[family].prefixes()) == list(table.families[family].prefixes())
    path = table.families[Family.IPV6].paths[77]
    assert back.paths.attributes(path, UPSTREAMS[1]) == table.paths.attributes(path, UPSTREAMS[1])


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nothing of the kind\n")
    with pytest.raises(ValueError, match="not a table"):
        Table.load(tmp_path / "x")


def test_an_exact_prefix_is_found(table: Table) -> None:
    family = table.families[Family.IPV6]
    assert family.find(family.prefix(4321)) == 4321
    assert family.find((bytes(16), 0)) is None


def test_the_share_of_paths_that_the_second_upstream_wins_is_the_one_asked_for(table: Table) -> None:
    won = sum(map(table.paths.best, range(len(table.paths))))
    assert won / len(table.paths) == pytest.approx(0.4, abs=0.04)


@given(seed=st.integers(0, 2**32), path=st.integers(0, 999))
def test_the_winner_of_a_path_wins_by_rank_and_the_as_path_says_so(seed: int, path: int) -> None:
    paths = Paths(seed=seed, origins=range(1, 1001), share=0.5)
    winner = paths.best(path)
    assert paths.rank(path, winner) < paths.rank(path, 1 - winner)
    for upstream in UPSTREAMS:
        for variant in Variant:
            ases = paths.as_path(path, upstream, variant)
            assert len(ases) == paths.rank(path, upstream.slot, variant)[0]
            assert (ases[0], ases[-1]) == (upstream.as_number, paths.origins[path])
            assert 23456 not in ases
            assert not any(64496 <= number <= 131071 for number in ases[1:])
    loser = 1 - winner
    assert paths.rank(path, loser, Variant.BETTER) < paths.rank(path, winner)
    assert paths.rank(path, winner, Variant.WORSE) > paths.rank(path, loser)


def test_a_list_of_prefixes_becomes_a_table_and_nonsense_is_left_out(tmp_path: Path) -> None:
    lines = "8.8.8.0/24 15169\n1.0.0.0/24\n8.8.8.0/24 15169\n10.0.0.0/8 1\n8.8.8.1/24 3\nx/8 1\n2400:cb00::/32 13335\n"
    with gzip.open(tmp_path / "list.txt.gz", "wt") as file:
        file.write("# a list\n\n" + lines)
    reading = read_table(tmp_path / "list.txt.gz")
    found = [str(net) for family in FAMILIES for net in networks(reading.table.families[family])]
    assert sorted(found) == ["1.0.0.0/24", "2400:cb00::/32", "8.8.8.0/24"]
    assert reading.left_out == 4
    family = reading.table.families[Family.IPV6]
    assert reading.table.paths.as_path(family.paths[0], UPSTREAMS[0])[-1] == 13335


def test_a_list_grows_to_the_size_asked_for_by_more_specifics(tmp_path: Path) -> None:
    listed = [f"{20 + n // 256}.{n % 256}.0.0/16 {100 + n}" for n in range(600)] + ["2a00::/20 7"]
    (tmp_path / "list").write_text("\n".join(listed))
    table = read_table(tmp_path / "list", ipv4=9_000, ipv6=500, seed=3).table
    assert [len(table.families[family]) for family in FAMILIES] == [9_000, 500]
    found = networks(table.families[Family.IPV4])
    assert len(set(found)) == 9_000
    shortest = {net for net in found if net.prefixlen == 16}
    assert len(shortest) >= 600
    assert all(net in shortest or net.supernet(new_prefix=16) in shortest for net in found)


def test_a_list_is_cut_to_the_size_asked_for(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("1.0.0.0/24 5\n1.0.1.0/24 5\n1.0.2.0/24 6\n")
    table = read_table(tmp_path / "list", ipv4=2).table
    assert len(table.families[Family.IPV4]) == 2
