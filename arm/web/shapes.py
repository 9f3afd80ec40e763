"""How ARM's values look in JSON.

What `arm.model` names is shown under the same name; what is added here: shares, sums over the last seconds, texts of
packed values. Rates are bytes per second and times milliseconds since the epoch (`_ms`), unless a name says otherwise.
A value that is not known is null.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

from arm.bgp.attributes import describe
from arm.model import (
    Attributes,
    ChangeRecord,
    Entry,
    Explanation,
    FamilyStatus,
    Hits,
    Prefix,
    Route,
    SessionStatus,
    Status,
    format_next_hop,
    format_prefix,
    sampling_error,
)
from arm.observe.board import Board
from arm.observe.health import Health, assess
from arm.observe.trend import OUTCOMES, Points, family_key, point
from arm.walltime import WallTime

Json = dict[str, Any]

RECENT_SECONDS = 10
MINUTE_SECONDS = 60


def _fields(value: Any) -> Json:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def judged(board: Board, now_ms: int) -> tuple[Status, Health]:
    """The latest status with the verdict on it. `now_ms` is steady."""
    status = board.status()
    return status, assess(status, now_ms=now_ms, before=board.earlier(MINUTE_SECONDS))


def status_document(board: Board, now_ms: int) -> Json:
    """/arm/status/json."""
    status, health = judged(board, now_ms)
    minute = board.recent(MINUTE_SECONDS)
    seconds = point(status, board.earlier(RECENT_SECONDS))
    shown = board.wall.shown_ms
    return {
        "time_ms": shown(status.time_ms),
        "started_ms": shown(status.started_ms),
        "version": status.version,
        "health": health_document(health),
        "families": {
            family_key(family): _family(
                now,
                [one.families[family].hits for one in minute if family in one.families],
                {
                    name: seconds.get(f"{family_key(family)}.{name}")
                    for name in ("installs", "removals", "replacements")
                },
            )
            for family, now in status.families.items()
        },
        "sessions": [_session(session, board.wall) for session in status.sessions],
        "sflow": _fields(status.listener)
        | {
            "agents": [
                _fields(agent) | {"last_seen_ms": shown(agent.last_seen_ms)} for agent in status.listener.agents
            ],
            "frozen": status.sampling_frozen,
            "samples_per_second": seconds.get("sflow.samples"),
            "datagrams_per_second": seconds.get("sflow.datagrams"),
            "lost_samples_per_second": seconds.get("sflow.lost"),
            "dropped_datagrams_per_second": seconds.get("sflow.dropped"),
        },
        "target": _fields(status.target)
        | {"counters": dict(status.target.counters), "remarks": list(status.target.remarks)},
        "process": {
            "cpu_seconds": status.cpu_seconds,
            "cpu_cores": seconds.get("process.cpu"),
            "rss_bytes": status.rss_bytes,
            "tick_seconds": status.tick_seconds,
        },
    }


def _session(session: SessionStatus, wall: WallTime) -> Json:
    return _fields(session) | {
        "role": session.role.value,
        "state": session.state.value,
        "since_ms": wall.shown_ms(session.since_ms),
        "families": [family.label for family in session.families],
    }


def health_document(health: Health) -> Json:
    """The verdict, as /arm/status/json, /healthz and /readyz show it."""
    return {
        "level": health.level,
        "ready": health.ready,
        "alive": health.alive,
        "problems": [_fields(problem) | {"severity": problem.severity.value} for problem in health.problems],
    }


def _family(now: FamilyStatus, minute: Sequence[Hits], changes: Json) -> Json:
    document = _fields(now)
    document["hits"] = _fields(now.hits) | {"total": now.hits.total}
    document["coverage"] = now.hits.coverage
    document["coverage_10s"] = coverage(minute[-RECENT_SECONDS:])
    document["coverage_60s"] = share = coverage(minute)
    document["coverage_error"] = now.hits.coverage_error
    document["coverage_60s_error"] = (
        None if share is None else sampling_error(share, sum(hits.samples for hits in minute))
    )
    document["bytes_per_second"] = _mean(hits.total for hits in minute[-RECENT_SECONDS:])
    document["default_path_bytes_per_second"] = _mean(hits.total - hits.installed for hits in minute[-RECENT_SECONDS:])
    document["slots_used"] = now.installed_routes + now.installed_covers
    document["changes_per_second"] = changes
    return document


def coverage(hits: Iterable[Hits]) -> float | None:
    """Share of the traffic of several intervals that was in hardware or right by default."""
    right = total = 0.0
    for one in hits:
        right += one.installed + one.free
        total += one.total
    return right / total if total > 0 else None


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return math.fsum(listed) / len(listed) if listed else None


def trend_document(points: Points, span: str) -> Json:
    """/arm/trend/json: columns of equal length."""
    return {
        "span": span,
        "step_ms": points.step_ms,
        "outcomes": list(OUTCOMES),
        "times_ms": points.times_ms,
        "columns": points.columns,
    }


def path_document(attributes: Attributes) -> Json:
    """The path attributes of a route under sFlow-RT's names."""
    view = describe(attributes)
    return {
        "aspath": view.aspath,
        "communities": ",".join(view.communities),
        "localpref": view.localpref,
        "med": view.med,
        "nexthop": view.nexthop,
        "origin": view.origin,
    }


def route_document(route: Route) -> Json:
    """A route of the table."""
    return path_document(route.attributes) | {"prefix": format_prefix(route.prefix)}


def error_percent(samples: float) -> float | None:
    """95% error of a rate that so many samples stand behind (sFlow.org, packet sampling basics): 196*sqrt(1/c)."""
    return 196 * math.sqrt(1 / samples) if samples > 0 else None


def explanation_document(explanation: Explanation, wall: WallTime) -> Json:
    """/arm/route/{query}/json."""
    return {
        "query": explanation.query,
        "prefix": _prefix(explanation.prefix),
        "state": explanation.state.value,
        "why": explanation.why,
        "since_ms": None if explanation.since_ms is None else wall.shown_ms(explanation.since_ms),
        "bytes_per_second": explanation.bytes_per_second,
        "samples": explanation.samples,
        "error_percent": error_percent(explanation.samples),
        "entry": _entry(explanation.entry_prefix, explanation.entry),
        "covering": [route_document(route) for route in explanation.covering],
    }


def _prefix(prefix: Prefix | None) -> str | None:
    return None if prefix is None else format_prefix(prefix)


def _entry(prefix: Prefix | None, entry: Entry | None) -> Json | None:
    if prefix is None or entry is None:
        return None
    return {"prefix": format_prefix(prefix), "kind": entry.kind.value, "nexthop": format_next_hop(entry.next_hop)}


def change_document(record: ChangeRecord, wall: WallTime) -> Json:
    """A line of the change log."""
    return {
        "number": record.number,
        "time_ms": wall.shown_ms(record.time_ms),
        "prefix": format_prefix(record.prefix),
        "what": record.what.value,
        "reason": record.why,
    }
