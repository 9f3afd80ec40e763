"""Histograms: how long something took, since the start. One thread adds, everyone reads the immutable copies."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from arm.model import Distribution

TICK_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
REACTION_BOUNDS = (0.01, 0.025, 0.05, 0.06, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds in seconds."""


class Histogram:
    """Counts times by size."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._total = 0.0

    def add(self, seconds: float) -> None:
        """Count one; a bucket's bound belongs to it."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._total += seconds

    def copy(self) -> Distribution:
        """As it is now."""
        return Distribution(self._bounds, tuple(self._counts), self._total)


def quantile(distribution: Distribution, share: float) -> float | None:
    """An upper bound of the time that `share` (0 to 1) of all stayed within; None if unknown, or beyond the bounds."""
    number = sum(distribution.counts)
    if not number:
        return None
    seen = 0
    for bound, count in zip(distribution.bounds, distribution.counts, strict=False):
        seen += count
        if seen >= share * number:
            return bound
    return None
