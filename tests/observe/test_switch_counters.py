"""The switch's own counters as the agent sends them."""

from __future__ import annotations

import json
import math
import struct

import pytest
from fake_arm import NOW_MS, FakeEngine, status
from hypothesis import given
from hypothesis import strategies as st

from arm.observe import metrics
from arm.observe.board import Board
from arm.observe.health import assess
from arm.observe.switch import EXPIRE, MOST_AGENTS, SwitchCounters, SwitchReport, read
from arm.sflow.records import CounterSample, Datagram, Record
from arm.web import machine

START = SwitchReport("192.0.2.1")


def cpu(user: int, idle: int, waiting: int = 0, load: tuple[float, float, float] = (1.5, 1.0, 0.5)) -> Record:
    times = (user, 0, 0, idle, waiting, 0, 0)
    return Record(0, 2003, struct.pack(">3f5I7I5I", *load, 1, 200, 4, 2400, 3600, *times, 0, 0, 0, 0, 0))


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


class Heard:
    """Counters on a clock that a test sets, and agents by the last octet of their address."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.counters = SwitchCounters(steady_ms=lambda: int(self.now * 1000), clock=lambda: self.now)

    def hear(self, agent: int, *records: Record, sub_agent: int = 0, passed: float = 0.01) -> None:
        self.now += passed
        sample = CounterSample(2, 1, 1, records or (cpu(1, 1),))
        self.counters.receive(Datagram(bytes([192, 0, 2, agent]), sub_agent, 1, 1, (sample,)))

    def agents(self) -> list[int]:
        return [int(report.agent.rpartition(".")[2]) for report in self.counters.reports()]


def test_a_new_agent_always_gets_in_and_the_number_stays_bounded() -> None:
    heard = Heard()
    for agent in range(200):
        heard.hear(agent)
        assert agent in heard.agents()
        assert len(heard.agents()) <= MOST_AGENTS
    assert heard.counters.reports()[-1].time_ms == int(heard.now * 1000)


def test_a_silent_agent_is_forgotten_and_starts_anew() -> None:
    heard = Heard()
    heard.hear(1, cpu(1000, 1000))
    heard.now += EXPIRE + 1
    assert heard.agents() == []
    heard.hear(1, cpu(2000, 2000))
    (report,) = heard.counters.reports()
    assert report.cpu_share is None, "no use of the CPU is worked out over a gap"
    heard.hear(2)
    heard.hear(1, passed=EXPIRE - 1)
    heard.now += 2
    assert heard.agents() == [1]


def test_made_up_agents_push_out_neither_the_switchs_own_nor_those_that_keep_reporting() -> None:
    heard = Heard()
    heard.counters.is_own = lambda address: address[3] == 1
    for _ in range(2):
        for agent in (1, 2, 3):
            heard.hear(agent)
    for number in range(5000):
        heard.hear(100 + number % 100, sub_agent=number)
    assert heard.agents()[:3] == [1, 2, 3]
    assert heard.counters.reports()[0].own


def test_the_switchs_own_agent_stays_and_gets_in_whatever_the_others_do() -> None:
    heard = Heard()
    heard.counters.is_own = lambda address: address[3] == 1
    for _ in range(10):  # made-up agents that keep reporting
        for agent in range(100, 100 + MOST_AGENTS):
            heard.hear(agent)
    heard.hear(1)
    for _ in range(10):
        for agent in range(100, 150):
            heard.hear(agent)
        assert heard.agents()[0] == 1


FLOAT = st.floats(width=32) | st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 3.4e38])


@given(st.lists(st.tuples(FLOAT, FLOAT, FLOAT), min_size=1, max_size=4), st.binary(min_size=76, max_size=90))
def test_whatever_a_datagram_says_is_strict_json_and_a_number_in_the_metrics(
    loads: list[tuple[float, float, float]], odd: bytes
) -> None:
    heard = Heard()
    for load in loads:
        heard.hear(1, cpu(1, 1, load=load), *(Record(*kind, odd) for kind in ((0, 2003), (0, 2004), (0, 2005))))
        heard.hear(2, cpu(1, 1, load=load))
    board = Board(FakeEngine().ask)
    board.publish(status())
    board.switch = heard.counters
    document = machine.document(board)
    json.dumps(document, allow_nan=False)
    for load in (report["load"] for report in document["switch"]):
        assert load is None or all(each >= 0 for each in load)
    page = metrics.render(status(), assess(status(), now_ms=NOW_MS), switch=heard.counters.reports())
    for line in page.splitlines():
        assert line.startswith("#") or math.isfinite(float(line.rpartition(" ")[2])) or 'le="+Inf"' in line


def test_numbers_that_the_agent_does_not_know_are_none() -> None:
    unknown = 2**32 - 1
    odd = struct.pack(">3f5I7I5I", -1.0, -1.0, -1.0, *[unknown] * 17)
    disk = struct.pack(">2QI", 2**64 - 1, 2**64 - 1, unknown) + bytes(36)
    records = [Record(0, 2003, odd), Record(0, 2004, b"\xff" * 72), Record(0, 2005, disk)]
    assert read(records, read(records, START)) == START


def test_sub_agents_of_one_agent_are_series_of_their_own() -> None:
    heard = Heard()
    heard.hear(1, sub_agent=0)
    heard.hear(1, sub_agent=7)
    page = metrics.render(status(), assess(status(), now_ms=NOW_MS), switch=heard.counters.reports())
    series = [line.rpartition(" ")[0] for line in page.splitlines() if line.startswith("arm_switch_load")]
    assert len(series) == len(set(series)) == 6


def test_an_agent_without_such_counters_has_no_report() -> None:
    counters = SwitchCounters()
    counters.receive(datagram(b"\xc0\x00\x02\x01", CounterSample(0, 1, 1, (Record(0, 1, bytes(88)),))))
    assert counters.reports() == ()
