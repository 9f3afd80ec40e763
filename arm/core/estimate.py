"""What a prefix will carry next, from samples that are few: several time scales, each heard as far as it has samples.

The samples of each prefix are counted with exponential decay over an hour, ten minutes and a minute. The share of the
whole that the hour gives is the start. Then each shorter scale corrects it by what it saw against what it should have
seen, as a gamma prior of shape `TRUST` makes of a Poisson count (Gelman et al., Bayesian Data Analysis, section 2.6):

    share x (TRUST + seen in ten minutes) / (TRUST + expected in ten minutes)
          x (BRIEF_TRUST + seen in a minute) / (BRIEF_TRUST + expected in a minute)

With few samples expected and none seen that is the long share; with many seen it is the short one. What is *expected*
is a share of all samples of that scale: so a change of the sampling rate, lost samples, a gap, the start and the day
curve, which touch all prefixes alike, are no evidence about any of them.

A share of the samples becomes one of the bytes by the mean size of the prefix's samples (octets times sampling rate,
so that agents with other rates compare), drawn towards the mean of all samples while there are few.

All sums fade by forward decay (arm/decay.py): a prefix without samples costs nothing. A *record* is the list of
such sums of one prefix; records of prefixes that share a route may be added up.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final, TypeAlias

from arm.decay import Decay, rescaled
from arm.model import Prefix

LONG, MIDDLE, SHORT = 3600.0, 600.0, 60.0
"""The time constants, seconds."""
TRUST: Final = 2.0
"""Samples' worth of belief in the longer scale: 1/TRUST is the relative variance between two scales that it expects."""
BRIEF_TRUST: Final = 6.0
"""The same for the last minute, which is gone before a change made for its sake has paid."""
SIZE_TRUST: Final = 10.0
"""Samples' worth of belief that a prefix's packets are as large as others."""
_FORGET: Final = 0.7
"""A record is forgotten when so many of its samples are left: one is, after 20 minutes, or two after an hour."""

_UNCHANGED: Final = (1.0, 1.0, 1.0)

Record: TypeAlias = list[float]
"""Weighted sums: samples by LONG, MIDDLE and SHORT, and scaled octets by LONG."""


class Estimates:
    """Records of all prefixes with traffic, and what they amount to. Call `advance` before all else of a moment."""

    __slots__ = ("_all", "_decays", "_terms", "now", "records", "weights")

    def __init__(self, now: float) -> None:
        self.now = now
        self._decays = tuple(Decay(t, now) for t in (LONG, MIDDLE, SHORT))
        self.records: dict[Prefix, Record] = {}
        self._all: Record = [0.0, 0.0, 0.0, 0.0]
        self.weights = _UNCHANGED
        """What a sample counts now, by scale."""
        self._terms = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        self.advance(now, ())

    def advance(self, now: float, others: Iterable[Record]) -> None:
        """Let time pass. `others` are further records of these weights that the caller keeps."""
        self.now = now
        long, middle, short = factors = tuple(decay.advance(now) for decay in self._decays)
        if factors != _UNCHANGED:
            distinct = {id(record): record for record in (*others, *self.records.values(), self._all)}
            for record in distinct.values():
                record[0] = rescaled(record[0], long)
                record[1] = rescaled(record[1], middle)
                record[2] = rescaled(record[2], short)
                record[3] = rescaled(record[3], long)
        of_long, of_middle, of_short = self._decays
        self.weights = of_long.weight, of_middle.weight, of_short.weight
        self._settle()

    def _settle(self) -> None:
        """What `worth` needs, worked out once for all prefixes."""
        long, middle, short, octets = self._all
        long_weight, middle_weight, short_weight = self.weights
        mean = octets / long if long else 1.0
        self._terms = (
            1.0 / long if long else 0.0, TRUST * middle_weight, middle, BRIEF_TRUST * short_weight, short,
            SIZE_TRUST * long_weight, SIZE_TRUST * long_weight * mean,
        )  # fmt: skip

    def count(self, samples: int, octets: int) -> None:
        """Take note of how much there was of everything, then judge by it."""
        long, middle, short = self.weights
        sums = self._all
        sums[0] += samples * long
        sums[1] += samples * middle
        sums[2] += samples * short
        sums[3] += octets * long
        self._settle()

    def worth(self, record: Record) -> float:
        """Expected scaled octets in the time of one sample of the whole: comparable among prefixes at one moment."""
        per_sample, trust_middle, middle, trust_short, short, trust_size, usual = self._terms
        long_sum, middle_sum, short_sum, octets = record
        share = long_sum * per_sample
        share *= (trust_middle + middle_sum) / (trust_middle + share * middle)
        share *= (trust_short + short_sum) / (trust_short + share * short)
        return share * (octets + usual) / (long_sum + trust_size)

    def samples(self, record: Record) -> float:
        """Samples behind the worth: with c of them its relative standard error is 1/sqrt(c)."""
        return max(record[0] / self.weights[0], 0.1)

    @property
    def whole(self) -> float:
        """`worth` of everything together."""
        return self._all[3] / self._all[0] if self._all[0] else 1.0

    @property
    def one_sample(self) -> float:
        """`worth` of what is sampled once in the time of the middle scale."""
        return self.whole * self.weights[1] / max(self._all[1], self.weights[1])

    def seed(self, prefix: Prefix, octets_per_second: float, samples: float) -> None:
        """Start a prefix with what an earlier run knew: its rate, and the samples of an hour that are behind it."""
        weight = self.weights[0]
        record = [samples * weight, 0.0, 0.0, octets_per_second * LONG * weight]
        self.records[prefix] = record
        self._all[0] += record[0]
        self._all[3] += record[3]
        self._settle()

    def remembered(self, record: Record) -> tuple[float, float]:
        """(octets per second, samples of an hour) for `seed`: the long scale, corrected by the shorter ones."""
        long_share = record[0] / self._all[0] * self._size(record)
        correction = self.worth(record) / long_share if long_share else 1.0
        weight = self.weights[0]
        return record[3] * correction / LONG / weight, record[0] * correction / weight

    def _size(self, record: Record) -> float:
        trust, usual = self._terms[5:]
        return (record[3] + usual) / (record[0] + trust)

    def forget_idle(self, keep: Container[Prefix]) -> None:
        """Drop records of which little is left, but those in `keep`; walks all of them."""
        floor = _FORGET * self.weights[0]
        records = self.records
        for prefix in [p for p, record in records.items() if record[0] < floor and p not in keep]:
            del records[prefix]

    def __len__(self) -> int:
        return len(self.records)
