"""What waits for the engine: first in, first out, but what a target says of one thing waits at most twice.

A target tells of routes (Drift), next hops and capacity as often as they change, and cannot be made to wait. While the
engine is busy, a route that another program removes each second would fill the memory with old news. So bad news (a
route lost, a next hop down) removes what waits about the same thing, and good news removes earlier good news; the later
event keeps its own place in the order. The engine never hears that something is well again without having heard what
went before, for a next hop that was down may have taken routes along. So what waits is bounded by the number of routes,
next hops and families. The rest is bounded where it comes from: routes by `backlog`, Applied by the changes that wait
for a target, questions by the threads that ask.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from queue import SimpleQueue
from typing import Generic, TypeVar

from arm.model import Applied, Capacity, Drift, NextHopDown, NextHopUp, TargetDown, TargetUp

T = TypeVar("T")


def _about(item: Drift | NextHopUp | NextHopDown | Capacity) -> tuple[Hashable, bool]:
    """The thing whose state an event tells, and whether it is good news."""
    match item:
        case Drift():
            return item.prefix, item.installed
        case Capacity():
            return item.family, False
        case _:
            return item.next_hop, isinstance(item, NextHopUp)


class Waiting(Generic[T]):
    """Any thread may `put`; one thread calls `get`. Only events of a target take the lock: a signal handler may `put`
    anything else, also while it interrupts `get`."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[T | dict[Hashable, T]] = SimpleQueue()
        """Items, and runs of state events with nothing of the target's between them."""
        self._lock = threading.Lock()
        self._open: dict[Hashable, T] | None = None
        """The run that was put last and can still grow."""
        self._holder: dict[Hashable, dict[Hashable, T]] = {}
        """(thing, good news?) -> the run in which that waits."""
        self._taken: dict[Hashable, T] = {}
        """The run that `get` is at."""

    def put(self, item: T) -> None:
        """Queue an item; never blocks."""
        if isinstance(item, Drift | NextHopUp | NextHopDown | Capacity):
            thing, good = about = _about(item)
            with self._lock:
                for old in ((thing, True),) if good else ((thing, True), (thing, False)):
                    if (holder := self._holder.pop(old, None)) is not None:
                        del holder[old]
                if self._open is None:
                    self._open = {}
                    self._queue.put(self._open)
                self._open[about] = item
                self._holder[about] = self._open
        elif isinstance(item, Applied | TargetUp | TargetDown):
            with self._lock:  # what follows stays behind it
                self._open = None
                self._queue.put(item)
        else:
            self._queue.put(item)

    def get(self, timeout: float) -> T:
        """The next item; queue.Empty if there is none within `timeout` seconds."""
        while True:
            if self._taken:
                with self._lock:
                    about = next(iter(self._taken), None)  # the last one may have been replaced this moment
                    if about is not None:
                        del self._holder[about]
                        return self._taken.pop(about)
            item = self._queue.get(timeout=max(timeout, 0.0))
            if not isinstance(item, dict):
                return item
            with self._lock:
                self._taken = item
                if self._open is item:
                    self._open = None

    def qsize(self) -> int:
        """Items that wait, for people and tests: about right while others put."""
        return self._queue.qsize() + len(self._holder)
