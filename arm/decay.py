"""Sums that fade exponentially with time, at no cost while nothing is added to them (forward decay: Cormode et al.,
ICDE 2009).

An average over the last `t` seconds would have to shrink with every second. Instead what is added later weighs more:
a unit that comes at `now` is added as exp((now - landmark) / t), and whoever reads divides by the weight of the moment.
This module is the only place where such weights are made; whoever keeps sums has a `Decay` and these rules hold:

- Times are seconds of one clock. `t` is the time constant in seconds: after t seconds a part of 1/e is left.
- The landmark is the moment at which a unit weighs 1. Only `advance` moves it, after `RESCALE` time constants, and
  then returns the factor by which the owner must multiply *every* sum of these weights before it uses one. So a weight
  is never above exp(RESCALE), about 1e87, and never below 1, and a sum is far from the limits of a float.
- Reading (`scale`) never moves the landmark: a sum and its scale always belong together, in whatever order they are
  read. However long ago the last `advance` was, the result is finite; at worst it is 0.
- A gap of any length is fine: the factor becomes 0 and with it the sums. What is left of a sum after a factor is 0
  when it is below `LEAST`, so that dividing by a sum can not overflow.
- A step back of the clock counts as no time at all: `advance` goes on from there, and values stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from typing import Any, Final

RESCALE: Final = 200.0
"""Time constants after which the landmark moves."""
LEAST: Final = 1e-200
"""A sum below this is 0. A unit is that small after 460 time constants."""


class Decay:
    """The weights of one time constant. No clock: times are passed in. One thread at a time may call."""

    __slots__ = ("_landmark", "_latest", "t", "weight")

    def __init__(self, t: float, now: float) -> None:
        self.t = t
        self._landmark = self._latest = now
        self.weight = 1.0
        """What a unit counts that is added at the moment of the latest `advance`; from 1 to exp(RESCALE)."""

    def advance(self, now: float) -> float:
        """Let time pass; what every sum must be multiplied by now: 1 unless the landmark has moved. Never raises."""
        if now < self._latest:
            self._landmark -= self._latest - now
        self._latest = now
        age = (now - self._landmark) / self.t
        if age <= RESCALE:
            self.weight = math.exp(age)
            return 1.0
        self._landmark = now
        self.weight = 1.0
        return math.exp(-age)

    def scale(self, now: float) -> float:
        """What is left at `now` of a unit of a sum: the sum times this is its value. From 0 to 1; never raises."""
        return math.exp((self._landmark - max(now, self._latest)) / self.t)


def rescaled(value: float, factor: float) -> float:
    """A sum times the factor of `advance`; 0 if next to nothing is left."""
    value *= factor
    return value if value >= LEAST else 0.0


def rescale(sums: MutableMapping[Any, float], factor: float) -> None:
    """The same for each value of a mapping, in place."""
    for key, value in sums.items():
        sums[key] = rescaled(value, factor)
