"""The switch itself, from the counters that its sFlow agent sends: CPU, load, memory, disk, and the ASIC's tables.

`read` is pure: counter records in, numbers out; a record that is too short for what it should hold is left out. Times
that the CPU has spent are counters, so that its use is known from the second report on. `SwitchCounters` keeps the
latest report of a bounded number of agents; the listener's thread writes and others read, one assignment at a time.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from arm.model import format_address
from arm.sflow.records import CounterSample, Datagram, Record

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
_MOST_AGENTS: Final = 16


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


def read(records: Iterable[Record], report: SwitchReport) -> SwitchReport:
    """`report` with what these counter records say."""
    for record in records:
        kind, data = (record.enterprise, record.format), record.data
        if kind == HOST_CPU and len(data) >= _CPU.size:
            one, five, fifteen, _, _, processors, _, uptime, *times = _CPU.unpack_from(data)
            now = tuple(times)
            report = replace(
                report,
                load=(one, five, fifteen),
                processors=processors,
                uptime_seconds=uptime,
                cpu_share=_busy(report.cpu_times, now, report.cpu_share),
                cpu_times=now,
            )
        elif kind == HOST_MEMORY and len(data) >= _MEMORY.size:
            total, free, _, buffers, cached, _, _ = _MEMORY.unpack_from(data)
            report = replace(report, memory_total=total, memory_available=min(total, free + buffers + cached))
        elif kind == HOST_DISK and len(data) >= _DISK.size:
            total, free, fullest = _DISK.unpack_from(data)
            # The share comes in hundredths of a percent.
            report = replace(report, disk_total=total, disk_free=free, disk_fullest_share=min(1.0, fullest / 10_000))
        elif kind == HARDWARE_TABLES and len(data) >= _TABLES.size:
            numbers = _TABLES.unpack_from(data)
            pairs = zip(TABLES, zip(numbers[::2], numbers[1::2], strict=True), strict=True)
            # All ones: the counter is not kept (sFlow version 5, section 5). No room: there is no such table.
            known = {name: pair for name, pair in pairs if 0 < pair[1] < 0xFFFFFFFF and pair[0] < 0xFFFFFFFF}
            report = replace(report, tables=known)
    return report


def _busy(before: tuple[int, ...], now: tuple[int, ...], known: float | None) -> float | None:
    """Share of the time that was neither idle nor waiting; counters have 32 bits and come around."""
    if not before:
        return None
    spent = [(new - old) % (1 << 32) for new, old in zip(now, before, strict=True)]
    total = sum(spent)
    # Counters that fell back come out as almost 50 days: the agent has started anew.
    if not total or max(spent) > 1 << 31:
        return known if not total else None
    return 1 - (spent[_IDLE] + spent[_WAITING]) / total


class SwitchCounters:
    """The latest report of each agent."""

    def __init__(self, wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._wall_ms = wall_ms
        self._reports: dict[tuple[bytes, int], SwitchReport] = {}

    def receive(self, datagram: Datagram) -> None:
        """Take in the counter samples of a datagram."""
        key = (datagram.agent, datagram.sub_agent)
        old = self._reports.get(key)
        if old is None and len(self._reports) >= _MOST_AGENTS:
            return
        start = old or SwitchReport(format_address(datagram.agent) if len(datagram.agent) in (4, 16) else "unknown")
        report = start
        for sample in datagram.samples:
            if isinstance(sample, CounterSample):
                report = read(sample.records, report)
        if report is not start:
            self._reports = {**self._reports, key: replace(report, time_ms=self._wall_ms())}

    def reports(self) -> tuple[SwitchReport, ...]:
        """Of each agent that has sent such counters."""
        return tuple(self._reports.values())
