"""The metrics of counters by agent and data source, and their summaries.

Bounded: what has not been heard of for five minutes is forgotten, and no more data sources are taken up than
MOST_SOURCES. No clock and no lock: times are passed in, and one thread at a time may call.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from arm.analytics import counters
from arm.analytics.http import Reader
from arm.analytics.values import Source, Value
from arm.sflow.records import CounterSample

MOST_SOURCES: Final = 4096
EXPIRE: Final = 300.0
_LEAST_INTERVAL: Final = 0.05
"""Seconds: two counter samples that come closer together give no rate."""


@dataclass(slots=True)
class _Counted:
    """The latest record of one format."""

    at: float
    sequence: int
    values: Mapping[str, float]


@dataclass(slots=True)
class SourceMetrics:
    """What is known of one data source."""

    values: dict[str, tuple[float | str, float]] = field(default_factory=dict)
    """Name -> (value, when it came)."""
    latest: dict[tuple[int, int], _Counted] = field(default_factory=dict)
    seen: float = 0.0


class MetricStore:
    """Counter samples in, metrics out."""

    def __init__(self) -> None:
        self.sources: dict[Source, SourceMetrics] = {}
        self.malformed = 0
        """Counter records that were too short or did not make sense."""
        self.refused = 0
        """Counter samples of data sources beyond MOST_SOURCES."""
        self._hosts: dict[Value, Source] = {}

    def take(self, agent: bytes, sample: CounterSample, now: float) -> None:
        """Read a counter sample."""
        key = (agent, sample.source_type << 32 | sample.source_index)
        source = self.sources.get(key)
        if source is None:
            if len(self.sources) >= MOST_SOURCES:
                self.refused += 1
                return
            source = self.sources[key] = SourceMetrics()
        source.seen = now
        for record in sample.records:
            kind = (record.enterprise, record.format)
            try:
                found = self._read(kind, record.data, source, sample.sequence, key, now)
            except ValueError:
                self.malformed += 1
                continue
            for name, value in found.items():
                source.values[name] = (value, now)

    def _read(
        self, kind: tuple[int, int], data: bytes, source: SourceMetrics, sequence: int, key: Source, now: float
    ) -> counters.Metrics:
        if kind == counters.HOST_DESCRIPTION:
            self._hosts[key[0]] = key
            return counters.host_description(data)
        if kind == counters.ADAPTORS:
            for mac in counters.adaptors(data):
                if len(self._hosts) < MOST_SOURCES:
                    self._hosts[mac] = key
            return {}
        if kind == counters.PORT_NAME:
            return {"ifname": Reader(data).text(255)}
        structure = counters.STRUCTURES.get(kind)
        if structure is None:
            return {}
        new = counters.read(structure, data)
        old = source.latest.get(kind)
        source.latest[kind] = _Counted(now, sequence, new)
        found: dict[str, float] | None = None
        restarted = old is not None and sequence <= old.sequence
        if old is not None and not restarted and now - old.at >= _LEAST_INTERVAL:
            found = counters.rates(structure, old.values, new, now - old.at)
            restarted = found is None
        if found is None:
            if restarted:  # a rate of before must not be taken for one of now
                for name, unit in structure.fields:
                    if unit in (counters.COUNTER32, counters.COUNTER64):
                        source.values.pop(name, None)
            found = counters.gauges(structure, new)
        return counters.derive(kind, found)

    def expire(self, now: float) -> None:
        """Forget the data sources and metrics that have not been heard of for long."""
        limit = now - EXPIRE
        for key in [key for key, source in self.sources.items() if source.seen < limit]:
            del self.sources[key]
        for source in self.sources.values():
            if any(at < limit for _, at in source.values.values()):
                source.values = {name: item for name, item in source.values.items() if item[1] >= limit}
        self._hosts = {key: source for key, source in self._hosts.items() if source in self.sources}

    def host(self, key: Value, attribute: str) -> str | None:
        """An attribute of the host that has a MAC or agent address."""
        source = self._hosts.get(key)
        found = self.sources[source].values.get(attribute) if source in self.sources else None
        return str(found[0]) if found is not None else None


# --- summaries -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric of one data source."""

    source: Source
    name: str
    value: float | str
    at: float


def _quantile(share: float) -> Callable[[Sequence[float]], float]:
    def quantile(values: Sequence[float]) -> float:
        if len(values) == 1:
            return values[0]
        return statistics.quantiles(values, n=4, method="inclusive")[round(share * 4) - 1]

    return quantile


def _spread(values: Sequence[float]) -> float:
    return _quantile(0.75)(values) - _quantile(0.25)(values)


AGGREGATES: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "max": max,
    "min": min,
    "sum": sum,
    "avg": statistics.fmean,
    "var": statistics.pvariance,
    "sdev": statistics.pstdev,
    "med": statistics.median,
    "q1": _quantile(0.25),
    "q2": _quantile(0.5),
    "q3": _quantile(0.75),
    "iqr": _spread,
}
PICKS: Final = frozenset(("max", "min", "any"))
"""Aggregates that are the value of one data source, which is then told."""


def summarize(aggregate: str, readings: Iterable[Reading]) -> tuple[Reading, int, float | str] | None:
    """(the reading that was picked or the latest, how many there are, the summary); None without any."""
    found = list(readings)
    if aggregate == "any":
        return (found[0], len(found), found[0].value) if found else None
    numbers = [reading for reading in found if not isinstance(reading.value, str)]
    if not numbers:
        # texts can not be added up, but one of them can be shown
        return (found[0], len(found), found[0].value) if found and aggregate in PICKS else None
    value = AGGREGATES[aggregate]([float(reading.value) for reading in numbers])
    picked = numbers[0]
    if aggregate in PICKS:
        picked = next(reading for reading in numbers if reading.value == value)
    return picked, len(numbers), value
