"""The flow samples of datagrams, gathered in portions of equal shape.

Portions are small, so that others can be let go before between two of them. No lock and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from arm.analytics import plain, sample
from arm.analytics.portion import Compute, Loose, Portion
from arm.analytics.sample import MOST_VALUE
from arm.analytics.values import Source
from arm.sflow.datagram import COUNTERS, FLOW, DatagramError, read_header, walk
from arm.sflow.datagram import Sample as Walked

MOST: Final = 128
"""Samples of a portion."""
_MOST_SOURCES: Final = 10_000

_Gathered: TypeAlias = list[tuple[Source, float, Walked, plain.Row]]


class Intake:
    """Datagrams in, portions out."""

    def __init__(self, plan: Mapping[str, Compute]) -> None:
        self.samples = 0
        """Flow samples looked at."""
        self.malformed = 0
        """Datagrams, records or values that were cut off, or did not make sense."""
        self._plan = plan
        self._sources: dict[Source, Source] = {}
        self._plain: list[_Gathered] = [[] for _ in range(plain.SHAPES)]
        self._loose: list[tuple[Source, dict[str, Any]]] = []
        self._full: list[Portion] = []

    def read(self, data: bytes, factor: float) -> bool:
        """Gather the flow samples of a datagram; each stands for its sampling rate times `factor`. True if there are
        counter samples too."""
        counters = False
        try:
            header = read_header(data, len(data))
            agent = header.agent
            for walked in walk(data, len(data), header.offset, header.sample_count):
                if walked[0] != FLOW:
                    counters = counters or walked[0] == COUNTERS
                    continue
                self.samples += 1
                rate = walked[6]
                if not 0 < rate <= MOST_VALUE or rate * walked[7] > MOST_VALUE:
                    self.malformed += 1
                    continue
                source = (agent, walked[4])
                # one tuple for each source: comparing keys then is one of identity
                source = self._sources.setdefault(source, source)
                taken = plain.take_apart(data, walked)
                if taken is not None:
                    gathered = self._plain[taken[0]]
                    gathered.append((source, rate * factor, walked, taken[1]))
                    if len(gathered) >= MOST:
                        self._close(taken[0])
                else:
                    keys: dict[str, Any] = {}
                    if not sample.take_apart(keys, data, walked, agent, rate * factor):
                        self.malformed += 1
                    self._loose.append((source, keys))
                    if len(self._loose) >= MOST:
                        self._close_loose()
        except DatagramError:
            self.malformed += 1
        return counters

    def take(self) -> list[Portion]:
        """What has been gathered since the last time."""
        for shape in range(plain.SHAPES):
            self._close(shape)
        self._close_loose()
        found, self._full = self._full, []
        if len(self._sources) > _MOST_SOURCES:
            self._sources.clear()
        return found

    def _close(self, shape: int) -> None:
        gathered = self._plain[shape]
        if gathered:
            self._plain[shape] = []
            self._full.append(plain.Plain(self._plan, shape, gathered))

    def _close_loose(self) -> None:
        if self._loose:
            sources, samples = zip(*self._loose, strict=True)
            self._loose = []
            self._full.append(Loose(self._plan, sources, samples))
