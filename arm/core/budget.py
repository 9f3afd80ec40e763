"""How many changes of the choice a second may bring: a bucket that fills at the limit, and what may be borrowed of it.

A switch programs so many routes a second, and what correctness needs comes first; so what is only better waits for its
share. Sudden heavy traffic need not wait: it borrows from the next second. The debt is paid before anything else
changes, so the mean over a few seconds stays at the limit. What the planner needs for correctness never asks.

Below that limit changes have a price, which rises while many are made (docs/decisions/024): so those that win most
come first, and where little changes hands, little has to be won.
"""

from __future__ import annotations

from typing import Final

from arm.decay import Decay, rescaled

PAYBACK: Final = 0.5
"""Samples in ten minutes that a swap must be expected to win for each slot that it fills, while there are no others."""
PRESSURE: Final = 0.25
"""How many more they are for each swap a second of late."""
DEAREST: Final = 3.0
"""The most that they are, so that sudden heavy traffic is never priced out."""
LATELY: Final = 60.0
"""Seconds, the time constant of the memory of swaps."""


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


class Payback:
    """What a swap has to win, by how many are made."""

    __slots__ = ("_decay", "_swaps")

    def __init__(self, now: float) -> None:
        self._decay = Decay(LATELY, now)
        self._swaps = 0.0

    def note(self, now: float) -> None:
        """A swap is made."""
        self._swaps = rescaled(self._swaps, self._decay.advance(now)) + self._decay.weight

    def lately(self, now: float) -> float:
        """Swaps of the last minute, the recent ones counted most."""
        return self._swaps * self._decay.scale(now)

    def samples(self, now: float) -> float:
        """Samples in ten minutes for each slot."""
        return min(PAYBACK + PRESSURE * self.lately(now) / LATELY, DEAREST)
