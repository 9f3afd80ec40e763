"""How many changes of the choice a second may bring: a bucket that fills at the limit, and what may be borrowed of it.

A switch programs so many routes a second, and what correctness needs comes first; so what is only better waits for its
share. Sudden heavy traffic need not wait: it borrows from the next second. The debt is paid before anything else
changes, so the mean over a few seconds stays at the limit. What the planner needs for correctness never asks.
"""

from __future__ import annotations


class Budget:
    """Changes that may be made now."""

    __slots__ = ("_at", "left", "per_second")

    def __init__(self, per_second: int, now: float) -> None:
        self.per_second = per_second
        self.left = float(per_second)
        self._at = now

    def refill(self, now: float) -> None:
        """Let time pass; a second's worth is the most that is saved up."""
        self.left = min(self.left + (now - self._at) * self.per_second, float(self.per_second))
        self._at = now

    @property
    def open(self) -> bool:
        """True if an ordinary change may be made."""
        return self.left >= 1

    @property
    def lends(self) -> bool:
        """True if an urgent one may: no more than a second's worth is owed yet."""
        return self.left > -self.per_second
