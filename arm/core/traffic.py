"""Bytes per second for each prefix, averaged exponentially over a time constant, at a cost that follows the samples.

Forward decay (Cormode et al., ICDE 2009): instead of shrinking every sum as time passes, new bytes enter with a weight
that grows: exp((now - landmark) / t). Dividing by the weight of the moment gives the average, so a prefix without
traffic costs nothing, and two sums can be compared as they are: their order changes only when samples arrive.

The samples behind a sum are decayed likewise: with c of them the relative standard error is about 1/sqrt(c).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from arm.model import COUNT_BITS, COUNT_MASK, Prefix

_RESCALE: Final = 200.0
"""Time constants after which the landmark moves: exp(200) still leaves room for any sum of bytes."""
_FORGET: Final = 12.0
"""A prefix is forgotten when less than exp(-12) of one average sample is left of it."""


class Averages:
    """Weighted sums of bytes and samples for each prefix. All times are seconds of one monotonic clock."""

    __slots__ = ("_kept", "_landmark", "bytes", "samples", "t", "total")

    def __init__(self, t: float, now: float) -> None:
        self.t = t
        self._landmark = now
        self.bytes: dict[Prefix, float] = {}
        """Sum of weight x bytes; times `scale(now)` it is bytes per second."""
        self.samples: dict[Prefix, float] = {}
        """Sum of weight x t x samples; times `scale(now)` it is the number of samples that still count."""
        self.total = 0.0
        """As `bytes`, over everything, with what matched no route."""
        self._kept = [self.bytes, self.samples]

    def keep(self, sums: dict[Prefix, float]) -> dict[Prefix, float]:
        """Let sums of these weights that someone else keeps move with the landmark; returns them."""
        self._kept.append(sums)
        return sums

    def weight(self, now: float) -> float:
        """What a byte counts that arrives now; moves the landmark from time to time, which touches every sum."""
        age = (now - self._landmark) / self.t
        if age > _RESCALE:
            self._rescale(math.exp(-age))
            self._landmark = now
            return 1.0
        return math.exp(age)

    def _rescale(self, factor: float) -> None:
        for sums in self._kept:
            for prefix, value in sums.items():
                sums[prefix] = value * factor
        self.total *= factor

    def scale(self, now: float) -> float:
        """Factor from a sum of bytes to bytes per second, and from a sum of samples to samples."""
        return 1.0 / (self.weight(now) * self.t)

    def add(self, seen: Mapping[Prefix, int], unrouted: int, now: float) -> None:
        """Add packed sums (see TrafficBatch) of an interval that ends now, and the bytes that matched no route."""
        weight = self.weight(now)
        count_weight = weight * self.t
        sums, counts = self.bytes, self.samples
        self.total += weight * (unrouted + sum(packed >> COUNT_BITS for packed in seen.values()))
        for prefix, packed in seen.items():
            sums[prefix] = sums.get(prefix, 0.0) + (packed >> COUNT_BITS) * weight
            counts[prefix] = counts.get(prefix, 0.0) + (packed & COUNT_MASK) * count_weight

    def rate(self, prefix: Prefix, now: float) -> float:
        """Bytes per second."""
        return self.bytes.get(prefix, 0.0) * self.scale(now)

    def count(self, prefix: Prefix, now: float) -> float:
        """Samples behind the rate."""
        return self.samples.get(prefix, 0.0) * self.scale(now)

    def seed(self, prefix: Prefix, rate: float, samples: float, now: float) -> None:
        """Start a prefix with a known rate (bytes per second), as after a restart."""
        weight = self.weight(now) * self.t
        self.bytes[prefix] = rate * weight
        self.samples[prefix] = samples * weight

    def forget_idle(self, now: float) -> None:
        """Drop prefixes of which practically nothing is left; walks all of them."""
        floor = self.weight(now) * self.t * math.exp(-_FORGET)
        counts, sums = self.samples, self.bytes
        for prefix in [prefix for prefix, count in counts.items() if count < floor]:
            del counts[prefix]
            del sums[prefix]

    def __len__(self) -> int:
        return len(self.bytes)
