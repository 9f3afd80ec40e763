"""The flow cache of one definition: an exponentially weighted moving average for each flow, in bounded memory.

A sample of value v adds v/t to its flow's rate, and all rates fall by the factor e every t seconds; that is stored
without touching idle flows (arm/decay.py). No more than 2*capacity flows are kept after a batch: when
there are more, the capacity+1st largest weight is taken off all of them and those that reach zero are forgotten (Misra
and Gries 1982, in batches). Hence the bound: a flow's value is never too high, and too low by at most W/(capacity+1),
where W is the definition's total over all flows: whatever carries more than that share is there. While no more than
2*capacity flows are active nothing is taken off, and every value is exact up to sampling.

No clock and no lock: times are passed in, and one thread at a time may call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from arm.analytics.values import Key, Source
from arm.decay import Decay, rescale, rescaled

MOST_SOURCES: Final = 4096
"""Data sources of which totals are kept; anyone who can send datagrams can make some up."""
_FORGET: Final = 0.01
"""Weight (bytes, frames, ...) below which a flow is forgotten: a hundredth of what one unsampled packet brings."""


@dataclass(slots=True)
class Mark:
    """The course of a flow that is logged."""

    first: float
    last: float
    total: float


class FlowCache:
    """Rates of flows by Key, and the totals of the data sources."""

    def __init__(self, t: float, capacity: int, now: float, *, log: bool = False) -> None:
        self.t = t
        self.capacity = capacity
        self.marks: dict[Key, Mark] | None = {} if log else None
        self.dropped = 0
        """Flows forgotten for lack of room."""
        self._flows: dict[Key, float] = {}
        self._sources: dict[Source, float] = {}
        self._decay = Decay(t, now)
        self._offset = 0.0
        self._ended: list[tuple[Key, Mark]] = []

    def __len__(self) -> int:
        return len(self._flows)

    # --- in ----------------------------------------------------------------------------------------------------------

    def weight(self, now: float) -> float:
        """Let time pass until `now`; what a unit of value weighs then. To be asked for once a batch."""
        factor = self._decay.advance(now)
        if factor != 1.0:
            rescale(self._flows, factor)
            rescale(self._sources, factor)
            self._offset = rescaled(self._offset, factor)
        return self._decay.weight

    def add(self, keys: Iterable[Key], amounts: Iterable[float], weight: float, totals: Mapping[Source, float]) -> None:
        """Count amounts, each for the flow of its key; `totals` has their sums by the data source."""
        flows = self._flows
        add = flows.setdefault
        for key, amount in zip(keys, amounts, strict=True):
            weighted = amount * weight
            found = add(key, weighted)
            if found is not weighted:  # a flow that was there already: most are not, and those are looked up once
                flows[key] = found + weighted
        for source, total in totals.items():
            self._add_total(source, total * weight)
        if len(flows) > 2 * self.capacity:
            self._prune()

    def _add_total(self, source: Source, weighted: float) -> None:
        if source in self._sources:
            self._sources[source] += weighted
        elif len(self._sources) < MOST_SOURCES:
            self._sources[source] = weighted

    def mark(self, keys: Iterable[Key], amounts: Iterable[float], now: float) -> None:
        """Note the course of flows; after `add`."""
        if self.marks is None:
            return
        for key, amount in zip(keys, amounts, strict=True):
            if key not in self._flows:
                continue
            mark = self.marks.get(key)
            if mark is None:
                self.marks[key] = Mark(now, now, amount)
            else:
                mark.last = now
                mark.total += amount

    # --- out ---------------------------------------------------------------------------------------------------------

    def scale(self, now: float) -> float:
        """What a stored weight is to be multiplied by to get a rate per second; 0 after a long gap."""
        return self._decay.scale(now) / self.t

    def flows(self) -> Iterator[tuple[Key, float]]:
        """Keys and stored weights."""
        return iter(self._flows.items())

    def snapshot(self) -> dict[Key, float]:
        """A copy of the keys and stored weights."""
        return self._flows.copy()

    def get(self, key: Key) -> float:
        """Stored weight of a flow; 0 if it is not kept."""
        return self._flows.get(key, 0.0)

    def totals(self, now: float) -> dict[Source, float]:
        """Rate per second of each data source, all flows together."""
        scale = self.scale(now)
        return {source: weight * scale for source, weight in self._sources.items()}

    def error(self, now: float) -> float:
        """By how much at most any flow's value is too low, per second."""
        return self._offset * self.scale(now)

    # --- upkeep ------------------------------------------------------------------------------------------------------

    def sweep(self, now: float, idle: float) -> list[tuple[Key, Mark]]:
        """Forget what has decayed; the logged flows that have ended (no sample for `idle` seconds, or forgotten)."""
        least = _FORGET * self.weight(now)
        if self._flows:
            self._flows = {key: weight for key, weight in self._flows.items() if weight >= least}
        self._sources = {source: weight for source, weight in self._sources.items() if weight >= least}
        if self._offset < least:
            self._offset = 0.0
        ended, self._ended = self._ended, []
        if self.marks is not None:
            gone = [key for key, mark in self.marks.items() if now - mark.last >= idle or key not in self._flows]
            ended += [(key, self.marks.pop(key)) for key in gone]
        return ended

    def _prune(self) -> None:
        flows = self._flows
        cut = sorted(flows.values(), reverse=True)[self.capacity]
        self._flows = {key: weight - cut for key, weight in flows.items() if weight > cut}
        self._offset += cut
        self.dropped += len(flows) - len(self._flows)
        if self.marks is not None:
            for key in [key for key in self.marks if key not in self._flows]:
                self._ended.append((key, self.marks.pop(key)))
