"""The switch's own counters as the agent sends them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arm.observe.switch import SwitchCounters, SwitchReport, read
from arm.sflow.records import CounterSample, Datagram, Record

START = SwitchReport("192.0.2.1")


def cpu(user: int, idle: int, waiting: int = 0) -> Record:
    times = (user, 0, 0, idle, waiting, 0, 0)
    return Record(0, 2003, struct.pack(">3f5I7I5I", 1.5, 1.0, 0.5, 1, 200, 4, 2400, 3600, *times, 0, 0, 0, 0, 0))


def test_load_processors_and_uptime_are_known_at_once_and_use_from_the_second_report() -> None:
    first = read([cpu(1000, 9000)], START)
    assert (first.load, first.processors, first.uptime_seconds, first.cpu_share) == ((1.5, 1.0, 0.5), 4, 3600, None)
    second = read([cpu(1000 + 300, 9000 + 600, 100)], first)
    assert second.cpu_share == pytest.approx(0.3)


def test_the_cpus_counters_come_around_and_may_start_anew() -> None:
    before = read([cpu(2**32 - 100, 5000)], START)
    assert read([cpu(200, 5000 + 700)], before).cpu_share == pytest.approx(0.3)
    assert read([cpu(10, 10)], read([cpu(1000, 9000)], START)).cpu_share is None


def test_memory_for_buffers_and_cache_is_available() -> None:
    record = Record(0, 2004, struct.pack(">7Q4I", 1000, 100, 0, 50, 250, 0, 0, 0, 0, 0, 0))
    report = read([record], START)
    assert (report.memory_total, report.memory_available) == (1000, 400)


def test_disks_are_read_with_the_fullest_partition() -> None:
    record = Record(0, 2005, struct.pack(">2QI", 10_000, 4_000, 8_250) + bytes(36))
    report = read([record], START)
    assert (report.disk_total, report.disk_free, report.disk_fullest_share) == (10_000, 4_000, 0.825)


def test_tables_that_the_asic_does_not_have_or_count_are_left_out() -> None:
    numbers = [5, 100, 0xFFFFFFFF, 0xFFFFFFFF, 0, 0, *[0] * 4, 700, 1000, *[0] * 4]
    report = read([Record(4413, 3, struct.pack(">16I", *numbers))], START)
    assert report.tables == {"hosts": (5, 100), "all_routes": (700, 1000)}


@given(
    st.lists(st.tuples(st.sampled_from([(0, 2003), (0, 2004), (0, 2005), (4413, 3), (0, 1)]), st.binary(max_size=90)))
)
def test_no_record_raises_or_gives_a_share_that_is_none(records: list[tuple[tuple[int, int], bytes]]) -> None:
    report = read([Record(*kind, data) for kind, data in records], START)
    for share in (report.cpu_share, report.disk_fullest_share):
        assert share is None or 0 <= share <= 1


def datagram(agent: bytes, *samples: CounterSample) -> Datagram:
    return Datagram(agent, 0, 1, 1, samples)


def test_reports_are_kept_for_each_agent_and_bounded() -> None:
    counters = SwitchCounters(wall_ms=lambda: 123)
    sample = CounterSample(2, 1, 1, (cpu(1, 1),))
    for number in range(100):
        counters.receive(datagram(bytes([192, 0, 2, number]), sample))
    assert len(counters.reports()) == 16
    assert counters.reports()[0].agent == "192.0.2.0"
    assert counters.reports()[0].time_ms == 123


def test_an_agent_without_such_counters_has_no_report() -> None:
    counters = SwitchCounters()
    counters.receive(datagram(b"\xc0\x00\x02\x01", CounterSample(0, 1, 1, (Record(0, 1, bytes(88)),))))
    assert counters.reports() == ()
