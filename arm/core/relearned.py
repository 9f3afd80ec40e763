"""Which routes BGP told lately, so that who knows many routes asks only for those again that may have changed.

Events are kept as they came, so to note one costs next to nothing; what is told again need not have changed anything.
How much is kept is bounded: who comes back after too much has happened has to ask for everything.

Invariant: `since(number)` names every prefix whose route may differ from what it was when `number` was the latest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final, TypeAlias

from arm.model import Attributes, Prefix

Updates: TypeAlias = Sequence[tuple[Attributes | None, Sequence[Prefix]]]
"""As in RoutesLearned."""

MOST: Final = 20_000
"""Prefixes that are kept: some minutes of ordinary changes, two megabytes."""


class Relearned:
    """What was told, the latest last."""

    __slots__ = ("_events", "_held", "_most", "number")

    def __init__(self, most: int = MOST) -> None:
        self.number = 0
        """How often the table has been told something."""
        self._most = most
        self._held = 0
        self._events: deque[tuple[Updates, int]] = deque()

    def note(self, updates: Updates) -> None:
        """Keep what has been told, and give up the oldest where there is too much."""
        size = sum([len(prefixes) for _, prefixes in updates])
        self.number += 1
        self._held += size
        self._events.append((updates, size))
        while self._held > self._most:
            self._held -= self._events.popleft()[1]

    def forget(self) -> None:
        """Any route may have changed."""
        self.number += 1
        self._held = 0
        self._events.clear()

    def since(self, number: int) -> Sequence[Sequence[Prefix]] | None:
        """What was told after `number` was the latest; None if that is not known any more."""
        behind = self.number - number
        kept = len(self._events)
        if not 0 <= behind <= kept:
            return None
        return [prefixes for updates, _ in islice(self._events, kept - behind, None) for _, prefixes in updates]
