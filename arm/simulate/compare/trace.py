"""Traffic to the destinations of a world, second by second, and the packets that are sampled of it.

The rate of a destination is its share of the whole times factors that are drawn anew at random moments: on average
every 30 seconds, 10 minutes and an hour; so what one second says of the next has those three time scales. Regions have
a day curve. Flash crowds wake a destination that had no traffic; a scan touches the whole table.

Invariant: the samples of a second are drawn from the rates of that second, as many as the sampling rate gives.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Protocol

from arm.model import COUNT_BITS
from arm.simulate.compare.world import World

SCALES: Final = (30.0, 600.0, 3600.0)
_DRAWS: Final = 4096
_REGIONS: Final = 3
_SMALL: Final = 80
_LARGE: Final = 1460
_SCANNED: Final = 64
"""Octets of a small packet, of a large one, of one of a scan."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What kind of network it is."""

    name: str
    active: int
    """Destinations with traffic."""
    exponent: float
    flattening: float
    spread: tuple[float, float, float]
    """Standard deviation of the logarithm of the factor at each of the three time scales."""
    off: float
    """Share of the 30 second periods in which a destination gets nothing."""
    large: float
    """Share of the packets that are large."""
    day: float
    """Swing of the day curve, 0 to 1."""
    flash_every: float = 120.0
    """Seconds between two flash crowds, on average."""
    flash_share: float = 0.01
    """Of the traffic, that a flash crowd draws to one destination."""


PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile
    for profile in (
        Profile("content", 120_000, 1.0, 20.0, (0.4, 0.4, 0.5), 0.1, 0.8, 0.5),
        Profile("transit", 100_000, 1.1, 8.0, (0.6, 0.5, 0.7), 0.2, 0.6, 0.4),
        Profile("access", 40_000, 1.2, 5.0, (0.8, 0.6, 0.8), 0.3, 0.5, 0.6),
    )
}
"""Egress of a content network to all eyeballs; a transit network; the upstream direction of an access network."""


class Traffic(Protocol):
    """Where a comparison takes its traffic from: a Trace, or a recording."""

    rates: list[float]
    """Bytes per second of each destination of the world, now."""

    def step(self, seconds: float) -> None: ...
    def samples(self, seconds: float) -> dict[bytes, int]: ...


class Trace:
    """Made-up traffic. The same world, profile and seed give the same rates and samples."""

    def __init__(
        self, world: World, profile: Profile, *, bits_per_second: float, sampling: int, seed: int, scan: float = 0.0
    ) -> None:
        """`sampling`: one packet in so many. `scan`: samples per second of a scan over the whole table, 0 for none."""
        self._world = world
        self._chance = random.Random(seed)
        self._profile = profile
        self._sampling = sampling
        self.scan = scan
        whole = bits_per_second / 8
        self._whole = whole
        self.now = 8 * 3600.0
        self._base = [weight * whole for weight in world.weights]
        size = len(self._base)
        self._tables = [self._factors(sigma, profile.off if n == 0 else 0.0) for n, sigma in enumerate(profile.spread)]
        self._now = [[self._pick(table) for _ in range(size)] for table in self._tables]
        self._region = [self._chance.randrange(_REGIONS) for _ in range(size)]
        self._dormant = [n for n, weight in enumerate(world.weights) if not weight]
        self._flash: dict[int, tuple[float, float]] = {}
        self._debt = [0.0] * (len(SCALES) + 1)
        self._refreshed = 0
        self.rates = [0.0] * size
        for n in range(size):
            self._refresh(n, self._day())

    def _pick(self, table: list[float]) -> float:
        return table[int(self._chance.random() * _DRAWS)]

    def _factors(self, sigma: float, off: float) -> list[float]:
        """Values with mean one to draw a factor from: lognormal, `off` of them zero."""
        zeros = int(_DRAWS * off)
        drawn = [self._chance.lognormvariate(0.0, sigma) for _ in range(_DRAWS - zeros)]
        mean = sum(drawn) / _DRAWS
        return [value / mean for value in drawn] + [0.0] * zeros

    def _day(self) -> list[float]:
        """Factor of each region at this time of the day."""
        turn = 2 * math.pi
        return [
            1 + self._profile.day * math.sin(turn * (self.now / 86400 + region / _REGIONS))
            for region in range(_REGIONS)
        ]

    def _refresh(self, n: int, day: list[float]) -> None:
        first, second, third = self._now
        self.rates[n] = self._base[n] * first[n] * second[n] * third[n] * day[self._region[n]]

    def step(self, seconds: float) -> None:
        """Go on by so many seconds: rates change."""
        self.now += seconds
        day, size, draw = self._day(), len(self.rates), self._chance.random
        first, second, third = self._now
        rates, base, region = self.rates, self._base, self._region
        for which, scale in enumerate(SCALES):
            factors, table = self._now[which], self._tables[which]
            self._debt[which] += size * -math.expm1(-seconds / scale)
            count = int(self._debt[which])
            self._debt[which] -= count
            for _ in range(count):
                n = int(draw() * size)
                factors[n] = table[int(draw() * _DRAWS)]
                rates[n] = base[n] * first[n] * second[n] * third[n] * day[region[n]]
        # The day curve moves slowly: each destination follows it once in two minutes.
        self._debt[-1] += size * min(seconds / 120.0, 1.0)
        count = int(self._debt[-1])
        self._debt[-1] -= count
        for _ in range(count):
            self._refreshed = (self._refreshed + 1) % size
            self._refresh(self._refreshed, day)
        self._crowds(seconds)

    def _crowds(self, seconds: float) -> None:
        if self._dormant and self._chance.random() < seconds / self._profile.flash_every:
            n = self._chance.choice(self._dormant)
            share = self._profile.flash_share * self._chance.uniform(0.3, 1.0)
            self._flash[n] = (share * self._whole, self.now + self._chance.uniform(30, 300))
        for n in list(self._flash):
            rate, until = self._flash[n]
            self.rates[n] = rate if self.now < until else 0.0
            if self.now >= until:
                del self._flash[n]

    def samples(self, seconds: float) -> dict[bytes, int]:
        """Packed sums (see TrafficBatch) by address of what was sampled in the last so many seconds."""
        edges = list(accumulate(self.rates))
        large = self._profile.large
        mean = large * _LARGE + (1 - large) * _SMALL
        expected = edges[-1] / mean / self._sampling * seconds
        count = max(0, round(self._chance.gauss(expected, math.sqrt(expected))))
        packed, draw = self._world.packed, self._chance.random
        big, small = (self._sampling * octets << COUNT_BITS | 1 for octets in (_LARGE, _SMALL))
        batch: dict[bytes, int] = {}
        for n in self._chance.choices(range(len(edges)), cum_weights=edges, k=count):
            address = packed[n]
            batch[address] = batch.get(address, 0) + (big if draw() < large else small)
        if self.scan:
            table, one = self._world.table, self._sampling * _SCANNED << COUNT_BITS | 1
            for _ in range(round(self.scan * seconds)):
                place = int(draw() * len(table))
                address = table.packed(table.addresses[place] | int(draw() * (1 << (32 - table.lengths[place]))))
                batch[address] = batch.get(address, 0) + one
        return batch
