"""Simulated traffic is heavy-tailed, goes where it is told, and is counted where it arrives."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from arm.model import Family, contains
from arm.simulate.paths import Paths
from arm.simulate.popularity import cumulative_weights, draw_destinations
from arm.simulate.receiver import RECORD, Receiver, destination_of
from arm.simulate.shape import synthetic_table
from arm.simulate.table import FamilyTable, Table
from arm.simulate.traffic import Generator


def loopback_table() -> Table:
    """127.1.0.0/24 to 127.1.99.0/24: packets to them stay on this machine."""
    families = {family: FamilyTable(family) for family in Family}
    for n in range(100):
        families[Family.IPV4].append(127 << 24 | 1 << 16 | n << 8, 24, 0)
    return Table(families, Paths(seed=1, origins=array("I", [1]), share=0.5))


def until(ready: Callable[[], bool], step: Callable[[], None], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "waited too long"
        step()


def test_destinations_lie_in_their_prefixes_and_come_the_same_for_the_same_seed() -> None:
    table = synthetic_table(ipv4=2000, ipv6=500, seed=2)
    drawn = draw_destinations(table, 600, 9)
    assert drawn == draw_destinations(table, 600, 9)
    assert drawn != draw_destinations(table, 600, 10)
    assert Counter(destination.family for destination in drawn) == {Family.IPV4: 480, Family.IPV6: 120}
    assert len({(destination.family, destination.place) for destination in drawn}) == 600
    for family, place, address in drawn:
        prefix = table.families[family].prefix(place)
        assert contains(prefix, (address, family.bits))
        assert address != prefix[0] or prefix[1] == family.bits


def test_a_few_destinations_carry_half_of_the_packets_and_the_tail_is_long() -> None:
    weights = cumulative_weights(20_000)
    assert 0.4 < weights[199] / weights[-1] < 0.6
    assert weights[9_999] / weights[-1] < 0.95


def test_packets_arrive_with_where_they_went_and_when(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        receiver = Receiver(port=0, log_file=log)
        generator = Generator(loopback_table(), active=50, seed=3, rate=2000, port=receiver.port)
        begin = time.monotonic_ns()

        def step() -> None:
            generator.step()
            receiver.step(0.005)

        until(lambda: generator.sent >= 500, step)
        generator.command(["quiet"])
        until(lambda: receiver.packets >= generator.sent, step)
        assert receiver.command(["flush"])["dropped"] == 0
        generator.close()
        receiver.close()
    records = list(RECORD.iter_unpack((tmp_path / "log").read_bytes()))
    assert len(records) == receiver.packets == generator.sent
    assert sorted(number for _, number, _, _, _ in records) == list(range(1, generator.sent + 1))
    wanted = {destination.address for destination in draw_destinations(loopback_table(), 50, 3)}
    assert {destination_of(packed) for packed, *_ in records} <= wanted
    assert all(begin <= sent <= received for _, _, sent, received, _ in records)
    assert sum(size for *_, size in records) == receiver.octets
    counts = Counter(packed for packed, *_ in records)
    assert counts.most_common(1)[0][1] > 2 * len(records) / 50


def test_a_shift_replaces_the_destinations_at_once_and_a_sweep_visits_each_in_turn() -> None:
    receiver = Receiver(port=0)
    generator = Generator(loopback_table(), active=10, seed=1, rate=3000, port=receiver.port)

    def step() -> None:
        generator.step()
        receiver.step(0.005)

    until(lambda: receiver.packets >= 200, step)
    old = {destination.address.rjust(16, b"\0") for destination in draw_destinations(loopback_table(), 10, 1)}
    assert set(receiver.counts) <= old
    generator.command(["quiet"])
    until(lambda: receiver.packets >= generator.sent, step)
    receiver.command(["reset"])
    generator.command(["shift", "2"])
    generator.command(["sweep", "40", "8", "0.5"])
    generator.command(["rate", "3000"])
    until(lambda: receiver.packets >= 400, step)
    swept = {destination.address.rjust(16, b"\0") for destination in draw_destinations(loopback_table(), 40, 8)}
    new = {destination.address.rjust(16, b"\0") for destination in draw_destinations(loopback_table(), 10, 2)}
    assert swept <= set(receiver.counts) <= swept | new
    assert (
        max(receiver.counts[packed] for packed in swept - new) - min(receiver.counts[packed] for packed in swept - new)
        <= 1
    )
    generator.close()
    receiver.close()


def test_an_unknown_command_is_refused() -> None:
    generator = Generator(loopback_table(), active=10, seed=1, rate=0)
    with pytest.raises(ValueError, match="no such command"):
        generator.command(["fly"])
    generator.close()
