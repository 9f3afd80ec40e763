"""The switch itself, from the counters that its sFlow agent sends: CPU, load, memory, disk, and the ASIC's tables.

`read` is pure: counter records in, numbers out; a record that is too short for what it should hold is left out, and so
is a number that the agent does not know or that is none (NaN). Times that the CPU has spent are counters, so that its
use is known from the second report on.

`SwitchCounters` keeps the latest report of a bounded number of agents; the listener's thread writes and others read,
one assignment at a time. Anyone who reaches the socket can make up agents while `[sflow] ip` names none. So an agent
that has been silent for `EXPIRE` is forgotten, a new one always gets in, and whom it pushes out is decided by `_rank`:
never this switch's own agent while there is another, and those that were heard only once before all others.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from arm.model import format_address
from arm.sflow.records import CounterSample, Datagram, Record
from arm.walltime import CLOCK

HOST_CPU: Final = (0, 2003)
HOST_MEMORY: Final = (0, 2004)
HOST_DISK: Final = (0, 2005)
HARDWARE_TABLES: Final = (4413, 3)
"""(enterprise, format) of sFlow Host Structures and of Broadcom Switch ASIC Table Utilization Structures."""

_CPU: Final = struct.Struct(">3f5I7I")
_MEMORY: Final = struct.Struct(">7Q")
_DISK: Final = struct.Struct(">2QI")
_TABLES: Final = struct.Struct(">16I")
TABLES: Final = (
    "hosts", "ipv4_routes", "ipv6_routes", "ipv4_and_ipv6_routes", "long_ipv6_routes", "all_routes", "ecmp_nexthops",
    "macs",
)  # fmt: skip
_IDLE, _WAITING = 3, 4
MOST_AGENTS: Final = 16
EXPIRE: Final = 300.0
"""Seconds of silence after which a report is forgotten; agents send their counters every 20 to 60 seconds."""
_UNKNOWN32: Final = 0xFFFFFFFF
_UNKNOWN64: Final = 0xFFFFFFFFFFFFFFFF
"""What stands for a number that the agent does not know (sFlow version 5, section 5.3: all ones; of a float, -1)."""


@dataclass(frozen=True, slots=True)
class SwitchReport:
    """What one agent last said of its machine; None where it has not said it."""

    agent: str
    time_ms: int = 0
    load: tuple[float, float, float] | None = None
    """Mean number of processes that run or want to, over 1, 5 and 15 minutes."""
    processors: int | None = None
    uptime_seconds: int | None = None
    cpu_share: float | None = None
    """Of all processors, busy between the latest two reports; 0 to 1."""
    memory_total: int | None = None
    """Octets."""
    memory_available: int | None = None
    """Octets free or used for buffers and cache."""
    disk_total: int | None = None
    disk_free: int | None = None
    disk_fullest_share: float | None = None
    """Use of the fullest partition, 0 to 1."""
    tables: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Table of the ASIC -> (entries, most entries)."""
    cpu_times: tuple[int, ...] = ()
    """Milliseconds since the start in user, nice, system, idle, waiting, interrupts, soft interrupts."""
    sub_agent: int = 0
    own: bool = False
    """It is the agent of the switch that ARM runs on."""


def read(records: Iterable[Record], report: SwitchReport) -> SwitchReport:
    """`report` with what these counter records say."""
    for record in records:
        kind, data = (record.enterprise, record.format), record.data
        if kind == HOST_CPU and len(data) >= _CPU.size:
            one, five, fifteen, _, _, processors, _, uptime, *times = _CPU.unpack_from(data)
            now = () if _UNKNOWN32 in times else tuple(times)
            load = one, five, fifteen
            report = replace(
                report,
                load=load if all(math.isfinite(each) and each >= 0 for each in load) else None,
                processors=processors if processors != _UNKNOWN32 else None,
                uptime_seconds=uptime if uptime != _UNKNOWN32 else None,
                cpu_share=_busy(report.cpu_times, now, report.cpu_share),
                cpu_times=now,
            )
        elif kind == HOST_MEMORY and len(data) >= _MEMORY.size:
            total, free, _, buffers, cached, _, _ = _MEMORY.unpack_from(data)
            known = _UNKNOWN64 not in (total, free, buffers, cached)
            report = replace(
                report,
                memory_total=total if known else None,
                memory_available=min(total, free + buffers + cached) if known else None,
            )
        elif kind == HOST_DISK and len(data) >= _DISK.size:
            total, free, fullest = _DISK.unpack_from(data)
            known = _UNKNOWN64 not in (total, free)
            report = replace(
                report,
                disk_total=total if known else None,
                disk_free=free if known else None,
                # The share comes in hundredths of a percent.
                disk_fullest_share=min(1.0, fullest / 10_000) if fullest != _UNKNOWN32 else None,
            )
        elif kind == HARDWARE_TABLES and len(data) >= _TABLES.size:
            numbers = _TABLES.unpack_from(data)
            pairs = zip(TABLES, zip(numbers[::2], numbers[1::2], strict=True), strict=True)
            # All ones: the counter is not kept (sFlow version 5, section 5). No room: there is no such table.
            tables = {name: pair for name, pair in pairs if 0 < pair[1] < _UNKNOWN32 and pair[0] < _UNKNOWN32}
            report = replace(report, tables=tables)
    return report


def _busy(before: tuple[int, ...], now: tuple[int, ...], known: float | None) -> float | None:
    """Share of the time that was neither idle nor waiting; counters have 32 bits and come around."""
    if not before or not now:
        return None
    spent = [(new - old) % (1 << 32) for new, old in zip(now, before, strict=True)]
    total = sum(spent)
    # Counters that fell back come out as almost 50 days: the agent has started anew.
    if not total or max(spent) > 1 << 31:
        return known if not total else None
    return 1 - (spent[_IDLE] + spent[_WAITING]) / total


@dataclass(frozen=True, slots=True)
class _Heard:
    report: SwitchReport
    at: float
    """When, on the monotonic clock."""
    times: int
    """How many reports there have been."""


def _rank(heard: _Heard) -> tuple[bool, bool, float]:
    """Who is the first to make way for a new agent: the least."""
    return heard.report.own, heard.times > 1, heard.at


class SwitchCounters:
    """The latest report of each agent."""

    def __init__(
        self,
        steady_ms: Callable[[], int] = CLOCK.steady_ms,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steady_ms = steady_ms
        self._clock = clock
        self._heard: dict[tuple[bytes, int], _Heard] = {}
        self.is_own: Callable[[bytes], bool] = lambda _: False
        """Tells whether the agent of a packed address is this switch's; asked once for each new agent."""

    def receive(self, datagram: Datagram) -> None:
        """Take in the counter samples of a datagram."""
        key = (datagram.agent, datagram.sub_agent)
        now = self._clock()
        heard = self._heard.get(key)
        if heard is None or now - heard.at > EXPIRE:
            heard = None
            start = SwitchReport(format_address(datagram.agent), sub_agent=datagram.sub_agent)
        else:
            start = heard.report
        report = start
        for sample in datagram.samples:
            if isinstance(sample, CounterSample):
                report = read(sample.records, report)
        if report is start:
            return
        own = self.is_own(datagram.agent) if heard is None else report.own
        report = replace(report, own=own, time_ms=self._steady_ms())
        everyone = {other: each for other, each in self._heard.items() if now - each.at <= EXPIRE}
        everyone[key] = fresh = _Heard(report, now, heard.times + 1 if heard is not None else 1)
        if len(everyone) > MOST_AGENTS:
            others = [(_rank(each), other) for other, each in everyone.items() if each is not fresh]
            del everyone[min(others)[1]]
        self._heard = everyone

    def reports(self) -> tuple[SwitchReport, ...]:
        """Of each agent that has sent such counters lately, this switch's own first."""
        since = self._clock() - EXPIRE
        heard = [each.report for each in self._heard.values() if each.at >= since]
        return tuple(sorted(heard, key=lambda report: not report.own))
