"""Which routes BGP told lately, so that who knows many routes asks only for those again that may have changed.

Prefixes are kept in the order in which they were told, without what was told of them, so to note one costs next to
nothing and the path attributes of a route that has changed since may be forgotten; what is told again need not have
changed anything. How much is kept is bounded: who comes back after too much has happened has to ask for everything.

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

    __slots__ = ("_told", "number")

    def __init__(self, most: int | None = None) -> None:
        """`most` prefixes are kept; MOST by default."""
        self.number = 0
        """How many prefixes the table has been told of, and how often all of it may have changed."""
        self._told: deque[Prefix] = deque(maxlen=MOST if most is None else most)

    def note(self, updates: Updates) -> None:
        """Keep what has been told, and give up the oldest where there is too much."""
        for _, prefixes in updates:
            self.number += len(prefixes)
            self._told.extend(prefixes)

    def forget(self) -> None:
        """Any route may have changed."""
        self.number += 1
        self._told.clear()

    def since(self, number: int) -> Sequence[Prefix] | None:
        """What was told after `number` was the latest; None if that is not known any more."""
        behind = self.number - number
        kept = len(self._told)
        if not 0 <= behind <= kept:
            return None
        return tuple(islice(self._told, kept - behind, None))
