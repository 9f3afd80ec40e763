"""What the machine that this runs on is doing, as the counters of a simulated switch's agent tell it.

Read from /proc and the file system at each call; Linux only, as all of ARM is.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICK_MS: Final = 1000 // os.sysconf("SC_CLK_TCK")
CPU_TIMES: Final = 7
"""user, nice, system, idle, waiting, interrupts, soft interrupts: the order of /proc/stat and of sFlow's record."""


@dataclass(frozen=True, slots=True)
class Host:
    """Sizes in octets, times since the start of the machine."""

    load: tuple[float, float, float]
    processors: int
    uptime_seconds: int
    cpu_ms: tuple[int, ...]
    """`CPU_TIMES` sums over all processors, in milliseconds."""
    memory_total: int
    memory_free: int
    memory_buffers: int
    memory_cached: int
    disk_total: int
    disk_free: int


def look() -> Host:
    """The machine as it is now."""
    ticks = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1 : 1 + CPU_TIMES]
    memory = dict(line.split()[:2] for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    disk = shutil.disk_usage("/")
    return Host(
        load=os.getloadavg(),
        processors=os.cpu_count() or 1,
        uptime_seconds=int(float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])),
        cpu_ms=tuple(int(each) * _TICK_MS for each in ticks),
        memory_total=int(memory["MemTotal:"]) * 1024,
        memory_free=int(memory["MemFree:"]) * 1024,
        memory_buffers=int(memory["Buffers:"]) * 1024,
        memory_cached=int(memory["Cached:"]) * 1024,
        disk_total=disk.total,
        disk_free=disk.free,
    )
