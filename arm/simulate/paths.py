"""What the upstreams of a simulated table say about its paths: AS paths, MED, communities, and who of them wins.

A path is a number. Everything about it follows from the number, the seed and the upstream that announces it, so that a
feed, a traffic generator and a test in different processes agree without asking each other.

Invariants: the upstream named by `best` wins the BGP decision (RFC 4271 section 9.1.2.2) by a shorter AS path or, for
one path in eight, by ORIGIN, never by a rule that depends on time or on router ids. MED differs between upstreams but
decides nothing, because they are different neighbour ASes. AS numbers are public ones of 16 and 32 bits.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from arm.bgp.encode import path_attributes

_MASK = (1 << 64) - 1
_TRANSITS = 90
_LENGTHS = (3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 7, 9)
"""AS path lengths of the winner, upstream and origin included: four hops on average, as on the Internet."""


def mix(seed: int, value: int) -> int:
    """64 well-mixed bits of a seed and a value (the finaliser of splitmix64)."""
    state = (seed * 0x9E3779B97F4A7C15 + value * 0xD1B54A32D192ED03 + 0x8CB92BA72F3D8DD7) & _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)


def public_as(bits: int) -> int:
    """A public AS number: one in three of 16 bits, the others of 32; never reserved, private or for documentation."""
    if bits % 3 == 0:
        number = 1 + bits // 3 % 63000
        return number if number != 23456 else 63001
    return 131072 + bits // 3 % 270000


class Variant(enum.IntEnum):
    """How an upstream tells a path at the moment."""

    NORMAL = 0
    """As the table has it."""
    BETTER = 1
    """With the shortest AS path there can be: beats every NORMAL one."""
    WORSE = 2
    """Prepended: loses against every NORMAL one."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A peer that announces the table. `slot` (0 or 1) is its place in the decision of which upstream is best."""

    slot: int
    as_number: int
    next_hop: bytes
    """Packed IPv4 address."""
    next_hop6: bytes
    """Packed IPv6 address."""


class Paths:
    """The paths of one table: who originates each, who wins each, and the attributes each upstream gives it."""

    __slots__ = ("_cut", "origins", "seed", "share")

    def __init__(self, *, seed: int, origins: Sequence[int], share: float) -> None:
        """`origins` has the origin AS of each path; `share` (0 to 1) of the paths are won by the upstream of slot 1."""
        self.seed = seed
        self.origins = origins
        self.share = share
        self._cut = int(share * (_MASK + 1))

    def __len__(self) -> int:
        return len(self.origins)

    def best(self, path: int) -> int:
        """Slot of the upstream that wins this path while both tell it as NORMAL."""
        return 1 if mix(self.seed ^ 0xBE57, path) < self._cut else 0

    def rank(self, path: int, slot: int, variant: Variant = Variant.NORMAL) -> tuple[int, int]:
        """(AS path length, ORIGIN): what the decision compares, less is better."""
        if variant is Variant.BETTER:
            return 2, 0
        length = _LENGTHS[mix(self.seed ^ 0x1E16, path) % len(_LENGTHS)]
        if variant is Variant.WORSE:
            return length + 12, 0
        if slot == self.best(path):
            return length, 0
        lag = mix(self.seed ^ 0x1A6, path) % 8
        return (length, 2) if lag == 0 else (length + 1 + (lag > 5), 0)

    def as_path(self, path: int, upstream: Upstream, variant: Variant = Variant.NORMAL) -> tuple[int, ...]:
        """AS path as the upstream announces it: itself, transits, the origin (prepended now and then)."""
        length, _ = self.rank(path, upstream.slot, variant)
        origin = self.origins[path]
        if length == 2:
            return upstream.as_number, origin
        bits = mix(self.seed ^ (0x7A00 + upstream.slot), path)
        prepends = (bits & 15) % (length - 2) if bits & 0x70 == 0 else 0
        if variant is Variant.WORSE:
            prepends = 12
        middle = [
            public_as(mix(self.seed, bits >> (8 + 6 * hop) & 63 if hop < 2 else mix(bits, hop) % _TRANSITS))
            for hop in range(length - 2 - prepends)
        ]
        return (upstream.as_number, *middle, *(origin,) * (1 + prepends))

    def attributes(
        self,
        path: int,
        upstream: Upstream,
        variant: Variant = Variant.NORMAL,
        *,
        next_hop: bool = True,
        local_pref: int | None = None,
    ) -> bytes:
        """Path attributes on the wire (RFC 4271 section 4.3), 4-octet AS numbers.

        Without `next_hop` for a route that goes into MP_REACH_NLRI; `local_pref` for an internal session.
        """
        bits = mix(self.seed ^ (0xC0 + upstream.slot), path)
        left = (upstream.as_number & 0xFFFF) << 16
        return path_attributes(
            as_path=self.as_path(path, upstream, variant),
            next_hop=upstream.next_hop if next_hop else None,
            origin=self.rank(path, upstream.slot, variant)[1],
            med=bits >> 8 & 0x3FF if bits & 1 else None,
            local_pref=local_pref,
            communities=sorted({left | bits >> (24 + 6 * n) & 0xFFF for n in range((bits >> 20) % 6)}),
        )
