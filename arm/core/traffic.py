"""Bytes per second for each prefix, averaged exponentially over a time constant, at a cost that follows the samples.

The sums fade by forward decay (arm/decay.py): a prefix without traffic costs nothing, and two sums can be compared as
they are: their order changes only when samples arrive.

The samples behind a sum are decayed likewise: with c of them the relative standard error is about 1/sqrt(c).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from arm.decay import Decay, rescale, rescaled
from arm.model import COUNT_BITS, COUNT_MASK, Prefix

_FORGET: Final = 12.0
"""A prefix is forgotten when less than exp(-12) of one average sample is left of it."""


class Averages:
    """Weighted sums of bytes and samples for each prefix. All times are seconds of one monotonic clock."""

    __slots__ = ("_decay", "_others", "bytes", "samples", "t", "total")

    def __init__(self, t: float, now: float, *others: dict[Prefix, float]) -> None:
        """`others` are further sums of these weights that the caller keeps."""
        self.t = t
        self._decay = Decay(t, now)
        self._others = others
        self.bytes: dict[Prefix, float] = {}
        """Sum of weight x bytes; times `scale(now)` it is bytes per second."""
        self.samples: dict[Prefix, float] = {}
        """Sum of weight x t x samples; times `scale(now)` it is the number of samples that still count."""
        self.total = 0.0
        """As `bytes`, over everything, with what matched no route."""

    def weight(self, now: float) -> float:
        """Let time pass until `now`; what a byte counts that arrives then."""
        factor = self._decay.advance(now)
        if factor != 1.0:
            for sums in (self.bytes, self.samples, *self._others):
                rescale(sums, factor)
            self.total = rescaled(self.total, factor)
        return self._decay.weight

    def scale(self, now: float) -> float:
        """Factor from a sum of bytes to bytes per second, and from a sum of samples to samples; 0 after a long gap."""
        return self._decay.scale(now) / self.t

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
