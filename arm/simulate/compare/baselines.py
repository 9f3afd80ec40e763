"""Ways of choosing that others have published, each made safe in the same way (contest.SafeTable).

sflow-rt   sFlow-RT's ARM: every second exactly the top N by a 10 second average
sir        Spotify's SDN Internet Router: every hour the top N of a long window
lru        a cache: what misses goes in, what was used longest ago goes out
lfu        a cache: what misses goes in if it has been sampled more often, ever, than the one that goes out
tfo        in the manner of Traffic-aware Flow Offloading (Sarrar et al., CCR 2012): averages over a minute, ten
           minutes and an hour together, looked at once a minute, what stands stays unless it falls well behind
"""

from __future__ import annotations

import heapq
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from arm.core.traffic import Averages
from arm.model import COUNT_MASK, Change, Event, Prefix
from arm.simulate.compare.contest import SafeTable

SIR_PERIOD: Final = 3600.0
TFO_PERIOD: Final = 60.0
TFO_SLACK: Final = 1.2
_EVICTIONS: Final = 16
"""A cache gives up on a route that needs more covers than that many evictions make room for."""


class Baseline:
    """What all of them share: from addresses to prefixes, and the bookkeeping of time."""

    name = ""

    def __init__(self, table: SafeTable, slots: int, now: float) -> None:
        self.table = table
        self.slots = slots
        self.cpu = 0.0

    def learn(self, event: Event, now: float) -> Sequence[Change]:
        return self.table.learn(event)

    def observe(self, seen: Mapping[bytes, int], seconds: float, now: float, *, choose: bool) -> Sequence[Change]:
        by_prefix = self.table.matches(seen)
        before = time.process_time()
        self.absorb(by_prefix, now)
        if choose:
            self.decide(by_prefix, now)
        self.cpu += time.process_time() - before + self.table.matches.cost
        return self.table.take()

    def absorb(self, seen: Mapping[Prefix, int], now: float) -> None:
        """Count the samples of an interval."""
        raise NotImplementedError

    def decide(self, seen: Mapping[Prefix, int], now: float) -> None:
        """Act on them."""
        raise NotImplementedError

    def top(self, worth: Mapping[Prefix, float], count: int) -> list[Prefix]:
        """The prefixes worth most, first."""
        ranked = heapq.nlargest(count, zip(worth.values(), worth, strict=True))
        return [prefix for _, prefix in ranked]


class SflowRt(Baseline):
    name = "sflow-rt"

    def __init__(self, table: SafeTable, slots: int, now: float) -> None:
        super().__init__(table, slots, now)
        self._averages = Averages(10.0, now)
        self._cleaned = now

    def absorb(self, seen: Mapping[Prefix, int], now: float) -> None:
        self._averages.add(seen, 0, now)
        if now - self._cleaned > 30:
            self._averages.forget_idle(now)
            self._cleaned = now

    def decide(self, seen: Mapping[Prefix, int], now: float) -> None:
        self.table.converge(self.top(self._averages.bytes, self.slots))


class Sir(Baseline):
    name = "sir"

    def __init__(self, table: SafeTable, slots: int, now: float) -> None:
        super().__init__(table, slots, now)
        self._averages = Averages(4 * SIR_PERIOD, now)
        self._due = 0.0

    def absorb(self, seen: Mapping[Prefix, int], now: float) -> None:
        self._averages.add(seen, 0, now)

    def decide(self, seen: Mapping[Prefix, int], now: float) -> None:
        if now >= self._due:
            self._due = now + SIR_PERIOD
            self.table.converge(self.top(self._averages.bytes, self.slots))


class Lru(Baseline):
    name = "lru"

    def __init__(self, table: SafeTable, slots: int, now: float) -> None:
        super().__init__(table, slots, now)
        self._used: OrderedDict[Prefix, None] = OrderedDict()
        self._waiting: OrderedDict[Prefix, None] = OrderedDict()

    def absorb(self, seen: Mapping[Prefix, int], now: float) -> None:
        for prefix in seen:
            self._waiting[prefix] = None
            self._waiting.move_to_end(prefix)

    def decide(self, seen: Mapping[Prefix, int], now: float) -> None:
        table, used = self.table, self._used
        # What came in before the first decision would have been evicted by what came after it.
        recent = list(self._waiting)[-4 * self.slots :]
        self._waiting.clear()
        for prefix in recent:
            if table.needs_a_slot(prefix):
                for _ in range(_EVICTIONS):
                    if table.install(prefix) or not used:
                        break
                    table.withdraw(used.popitem(last=False)[0])
            at = table.fib.match(prefix)
            if at is not None and table.is_route(at):
                used[at] = None
                used.move_to_end(at)


class Lfu(Baseline):
    name = "lfu"

    def __init__(self, table: SafeTable, slots: int, now: float) -> None:
        super().__init__(table, slots, now)
        self._counts: dict[Prefix, int] = {}
        self._heap: list[tuple[int, Prefix]] = []

    def _rarest(self) -> tuple[int, Prefix] | None:
        heap = self._heap
        while heap:
            count, prefix = heap[0]
            if not self.table.is_route(prefix):
                heapq.heappop(heap)
            elif self._counts.get(prefix, 0) > count:
                heapq.heapreplace(heap, (self._counts[prefix], prefix))
            else:
                return heap[0]
        return None

    def absorb(self, seen: Mapping[Prefix, int], now: float) -> None:
        counts = self._counts
        for prefix, packed in seen.items():
            counts[prefix] = counts.get(prefix, 0) + (packed & COUNT_MASK)

    def decide(self, seen: Mapping[Prefix, int], now: float) -> None:
        table, counts = self.table, self._counts
        for prefix in seen if self._heap else self.top(counts, self.slots):
            count = counts[prefix]
            if not table.needs_a_slot(prefix):
                continue
            for _ in range(_EVICTIONS):
                if table.install(prefix):
                    heapq.heappush(self._heap, (count, prefix))
                    break
                rarest = self._rarest()
                if rarest is None or rarest[0] >= count:
                    break
                heapq.heappop(self._heap)
                table.withdraw(rarest[1])


class Tfo(Baseline):
    name = "tfo"

    def __init__(self, table: SafeTable, slots: int, now: float) -> None:
        super().__init__(table, slots, now)
        self._scales = [Averages(t, now) for t in (60.0, 600.0, 3600.0)]
        self._due = 0.0

    def absorb(self, seen: Mapping[Prefix, int], now: float) -> None:
        for averages in self._scales:
            averages.add(seen, 0, now)

    def decide(self, seen: Mapping[Prefix, int], now: float) -> None:
        if now < self._due:
            return
        self._due = now + TFO_PERIOD
        worth: dict[Prefix, float] = {}
        for averages in self._scales:
            scale = averages.scale(now)
            for prefix, value in averages.bytes.items():
                worth[prefix] = worth.get(prefix, 0.0) + value * scale
        for prefix in self.table.fib.entries:
            if prefix in worth:
                worth[prefix] *= TFO_SLACK
        self.table.converge(self.top(worth, self.slots))


BASELINES: Final[Mapping[str, Callable[[SafeTable, int, float], Baseline]]] = {
    baseline.name: baseline for baseline in (SflowRt, Sir, Lru, Lfu, Tfo)
}
