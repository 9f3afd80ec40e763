"""What ARM and the switch it runs on have left: from ARM's own figures and from the agent's counters."""

from __future__ import annotations

from arm.model import Distribution
from arm.observe.board import Board
from arm.observe.distribution import quantile
from arm.observe.switch import SwitchReport
from arm.observe.trend import point
from arm.walltime import WallTime
from arm.web.shapes import RECENT_SECONDS, Json


def document(board: Board) -> Json:
    """/arm/resources/json."""
    status = board.status()
    seconds = point(status, board.earlier(RECENT_SECONDS))
    return {
        "time_ms": board.wall.shown_ms(status.time_ms),
        "switch": [_switch(report, board.wall) for report in board.switch.reports()],
        "process": {
            "cpu_cores": seconds.get("process.cpu"),
            "cpu_seconds": status.cpu_seconds,
            "rss_bytes": status.rss_bytes,
            "tick_seconds": status.tick_seconds,
            "ticks": _times(status.ticks),
            "reactions": _times(status.reactions),
        },
    }


def _switch(report: SwitchReport, wall: WallTime) -> Json:
    return {
        "agent": report.agent,
        "sub_agent": report.sub_agent,
        "own": report.own,
        "time_ms": wall.shown_ms(report.time_ms),
        "load": list(report.load) if report.load is not None else None,
        "processors": report.processors,
        "uptime_seconds": report.uptime_seconds,
        "cpu_share": report.cpu_share,
        "memory_total_bytes": report.memory_total,
        "memory_available_bytes": report.memory_available,
        "disk_total_bytes": report.disk_total,
        "disk_free_bytes": report.disk_free,
        "disk_fullest_share": report.disk_fullest_share,
        "tables": [
            {"table": name, "entries": used, "limit": most} for name, (used, most) in sorted(report.tables.items())
        ],
    }


def _times(measured: Distribution | None) -> Json | None:
    """How many were measured, and the bounds that half and 99% of them stayed within."""
    if measured is None:
        return None
    number = sum(measured.counts)
    return {
        "number": number,
        "mean_seconds": measured.total / number if number else None,
        "half_within_seconds": quantile(measured, 0.5),
        "p99_within_seconds": quantile(measured, 0.99),
    }
