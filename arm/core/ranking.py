"""The installed routes by what they carry for each slot that they take, the least first.

A heap whose entries may be out of date: a route that has carried more since is looked at again when it comes to the
top, one that has carried less when its turn in the round comes. Every tick looks at a part of all routes, so that each
is looked at once in `ROUND` seconds, with or without traffic. The cost of a tick follows the number of slots, slowly,
and never the size of the table.

Invariant: an entry of the heap counts only if its key is the one in `keys`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Final

from arm.model import Prefix

ROUND: Final = 60.0
"""Seconds in which every route is looked at."""
NEVER: Final = 1e300
"""Key of a route that would free no slot."""


class Ranking:
    """A priority queue with changing keys. `judge` gives the key of a prefix as it is now."""

    __slots__ = ("_heap", "_judge", "_round", "corrections", "keys")

    def __init__(self, judge: Callable[[Prefix], float]) -> None:
        self._judge = judge
        self.keys: dict[Prefix, float] = {}
        self._heap: list[tuple[float, Prefix]] = []
        self._round: list[Prefix] = []
        self.corrections = 0
        """Keys that were found out of date at the top."""

    def put(self, prefix: Prefix) -> None:
        """Take in a prefix, or look at it again."""
        key = self._judge(prefix)
        if self.keys.get(prefix) != key:
            self.keys[prefix] = key
            heapq.heappush(self._heap, (key, prefix))

    def drop(self, prefix: Prefix) -> None:
        """Forget a prefix, if it is there."""
        self.keys.pop(prefix, None)

    def clear(self) -> None:
        """Forget all."""
        self.keys.clear()
        self._heap.clear()
        self._round.clear()

    def weakest(self) -> Prefix | None:
        """The prefix with the least key."""
        heap, keys = self._heap, self.keys
        while heap:
            key, prefix = heap[0]
            if keys.get(prefix) != key:
                heapq.heappop(heap)
                continue
            fresh = self._judge(prefix)
            if fresh == key:
                return prefix
            self.corrections += 1
            keys[prefix] = fresh
            heapq.heapreplace(heap, (fresh, prefix))
            if fresh < key:
                return prefix
        return None

    def take(self) -> tuple[float, Prefix] | None:
        """As `weakest`, with its key, and set it aside: `put` or `restore` brings it back."""
        prefix = self.weakest()
        if prefix is None:
            return None
        heapq.heappop(self._heap)
        return self.keys.pop(prefix), prefix

    def restore(self, taken: Iterable[tuple[float, Prefix]]) -> None:
        """Bring back what was taken, if nothing has changed since."""
        for key, prefix in taken:
            self.keys[prefix] = key
            heapq.heappush(self._heap, (key, prefix))

    def go_round(self, seconds: float) -> None:
        """Look again at the share of all prefixes that is due after so many seconds."""
        due = int(len(self.keys) * min(seconds / ROUND, 1.0)) + 1
        if not self._round:
            self._round = list(self.keys)
        for _ in range(min(due, len(self._round))):
            prefix = self._round.pop()
            if prefix in self.keys:
                self.put(prefix)
        if len(self._heap) > 3 * len(self.keys) + 1000:
            self._heap = [(key, prefix) for prefix, key in self.keys.items()]
            heapq.heapify(self._heap)
