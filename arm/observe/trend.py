"""The recent past as numbers: what the charts are drawn from.

Three rings of fixed size: every second for five minutes, every 10 seconds for an hour, every minute for a day. A point
of a coarse ring is the mean of the seconds in it, so an average over a day is as right as one over a minute. Memory is
allocated once, when the Trend is made: columns are arrays of doubles, an unknown value is a NaN.

`point` is pure; `Trend` belongs to one lock holder (the board).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from arm.model import FAMILIES, Family, ListenerStatus, Status

OUTCOMES = ("installed", "free", "new", "removed", "no_slot", "excluded", "no_route")
"""The fields of `Hits` that add up to all traffic."""

_FAMILY_COLUMNS = (
    *OUTCOMES,
    "samples",
    "table",
    "active",
    "routes",
    "covers",
    "capacity",
    "installs",
    "removals",
    "replacements",
    "learned",
    "withdrawn",
)
_COMMON_COLUMNS = (
    "sflow.datagrams",
    "sflow.samples",
    "sflow.lost",
    "sflow.dropped",
    "sflow.rate",
    "target.pending",
    "engine.tick",
    "process.cpu",
    "process.rss",
)


def family_key(family: Family) -> str:
    """Name of a family in column names and JSON: ipv4, ipv6."""
    return family.label.lower()


COLUMNS: tuple[str, ...] = (
    *(f"{family_key(family)}.{name}" for family in FAMILIES for name in _FAMILY_COLUMNS),
    *_COMMON_COLUMNS,
)
"""Bytes per second for traffic by outcome; counts for table, active, routes, covers, capacity, pending; a second for
installs, removals, replacements, learned, withdrawn, datagrams, samples, lost, dropped; seconds for tick; cores for
cpu; octets for rss; one in so many packets for sflow.rate."""

SPANS: Mapping[str, tuple[int, int]] = {"5m": (1_000, 300), "1h": (10_000, 360), "24h": (60_000, 1_440)}
"""Name of a span -> (milliseconds between points, number of points)."""


def point(status: Status, before: Status | None) -> dict[str, float]:
    """The values of COLUMNS at `status`; rates are taken since `before` and left out without it."""
    values: dict[str, float] = {}
    seconds = (status.time_ms - before.time_ms) / 1000 if before is not None else 0.0
    if seconds <= 0:
        before = None

    def rate(name: str, now: float, then: float) -> None:
        # A counter that went back belongs to a restarted part: no rate rather than a negative one.
        if now >= then:
            values[name] = (now - then) / seconds

    for family, now in status.families.items():
        key = family_key(family)
        for outcome in OUTCOMES:
            values[f"{key}.{outcome}"] = getattr(now.hits, outcome)
        values[f"{key}.samples"] = now.hits.samples
        values[f"{key}.table"] = now.rib_prefixes
        values[f"{key}.active"] = now.active_prefixes
        values[f"{key}.routes"] = now.installed_routes
        values[f"{key}.covers"] = now.installed_covers
        values[f"{key}.capacity"] = now.capacity
        then = before.families.get(family) if before is not None else None
        if then is not None:
            rate(f"{key}.installs", now.added, then.added)
            rate(f"{key}.removals", now.removed, then.removed)
            rate(f"{key}.replacements", now.replaced, then.replaced)
            rate(f"{key}.learned", now.learned_added, then.learned_added)
            rate(f"{key}.withdrawn", now.learned_removed, then.learned_removed)
    counted = [agent for agent in status.listener.agents if agent.counted]
    if counted:
        latest = max(counted, key=lambda agent: agent.last_seen_ms)
        values["sflow.rate"] = latest.sampling_rate
    if before is not None:
        rate("sflow.datagrams", status.listener.datagrams, before.listener.datagrams)
        rate("sflow.samples", status.listener.flow_samples, before.listener.flow_samples)
        rate("sflow.dropped", status.listener.kernel_drops, before.listener.kernel_drops)
        rate("sflow.lost", lost_samples(status.listener), lost_samples(before.listener))
        rate("process.cpu", status.cpu_seconds, before.cpu_seconds)
    values["target.pending"] = status.target.pending
    values["engine.tick"] = status.tick_seconds
    values["process.rss"] = status.rss_bytes
    return values


def lost_samples(listener: ListenerStatus) -> int:
    """Flow samples that counted agents sent and that did not arrive."""
    return sum(agent.lost_samples for agent in listener.agents if agent.counted)


@dataclass(frozen=True, slots=True)
class Points:
    """A stretch of the trend, oldest first; all lists are as long as `times_ms`."""

    step_ms: int
    times_ms: Sequence[int]
    columns: Mapping[str, Sequence[float | None]]


class _Ring:
    """Points of one width."""

    __slots__ = ("_bucket", "_counts", "_filled", "_next", "_sums", "columns", "size", "step_ms", "times")

    def __init__(self, step_ms: int, size: int) -> None:
        self.step_ms = step_ms
        self.size = size
        self.times = array("q", bytes(8 * size))
        self.columns = [array("d", bytes(8 * size)) for _ in COLUMNS]
        self._next = 0
        self._filled = 0
        self._bucket = -1
        self._sums = [0.0] * len(COLUMNS)
        self._counts = [0] * len(COLUMNS)

    def add(self, time_ms: int, values: Mapping[str, float]) -> None:
        bucket = time_ms // self.step_ms
        if bucket != self._bucket:
            self._bucket = bucket
            self._sums = [0.0] * len(COLUMNS)
            self._counts = [0] * len(COLUMNS)
            self._next = (self._next + 1) % self.size
            self._filled = min(self._filled + 1, self.size)
        slot = self._next
        self.times[slot] = bucket * self.step_ms
        for index, name in enumerate(COLUMNS):
            value = values.get(name)
            if value is not None and math.isfinite(value):
                self._sums[index] += value
                self._counts[index] += 1
            count = self._counts[index]
            self.columns[index][slot] = self._sums[index] / count if count else math.nan

    def copy(self) -> _Copy:
        first = (self._next - self._filled + 1) % self.size
        return _Copy(self.step_ms, first, self._filled, self.times[:], [column[:] for column in self.columns])


@dataclass(frozen=True, slots=True)
class _Copy:
    """A ring at one moment: copied at memory speed while the board's lock is held, turned into points after."""

    step_ms: int
    first: int
    filled: int
    times: array[int]
    columns: list[array[float]]

    def after(self, after_ms: int) -> Points:
        size = len(self.times)
        order = [(self.first + offset) % size for offset in range(self.filled)]
        order = [slot for slot in order if self.times[slot] > after_ms]
        return Points(
            step_ms=self.step_ms,
            times_ms=[self.times[slot] for slot in order],
            columns={
                name: [None if math.isnan(column[slot]) else column[slot] for slot in order]
                for name, column in zip(COLUMNS, self.columns, strict=True)
            },
        )


class Trend:
    """The rings together. Not safe for threads: the board holds its lock around it."""

    def __init__(self) -> None:
        self._rings = {name: _Ring(step_ms, size) for name, (step_ms, size) in SPANS.items()}

    def add(self, time_ms: int, values: Mapping[str, float]) -> None:
        """Take the values of one moment into every ring."""
        for ring in self._rings.values():
            ring.add(time_ms, values)

    def copy(self, span: str) -> _Copy:
        """The points of `span` (a key of SPANS) as they are now; its `after(ms)` gives those later than that.

        The newest point of a coarse span is still being averaged: it comes again, changed, until its time is over, to
        those who ask with the time of the point before it.
        """
        return self._rings[span].copy()
