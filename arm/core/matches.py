"""Longest matches of the addresses that were sampled lately.

Traffic comes back to the same addresses, and a walk down a tree of a million prefixes waits for memory at every step:
to remember where an address belongs takes a third of the time. Addresses are kept by region (their first octets), as a
prefix that comes or goes changes the matches of no address outside of its own.

Invariant: what is remembered for an address is its longest match, so long as the table tells of every prefix that has
come or gone before the next question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from arm.model import Family, Prefix

_REMEMBERED: Final = 30_000
"""Addresses at most: some 5 MB."""
_REGION_OCTETS: Final = {Family.IPV4: 2, Family.IPV6: 3}
"""Few prefixes of the Internet are shorter than a region, and few are changed in one."""


class Matches:
    """The matches of one family; `match` asks the table for the longest match of a packed address."""

    __slots__ = ("_count", "_match", "_octets", "_regions")

    def __init__(self, family: Family, match: Callable[[bytes], Prefix | None]) -> None:
        self._match = match
        self._octets = _REGION_OCTETS[family]
        self._regions: dict[bytes, dict[bytes, Prefix]] = {}
        self._count = 0

    def add_up(self, seen: Mapping[bytes, int], by_prefix: dict[Prefix, int], *, remember: bool) -> int:
        """Add packed sums (see TrafficBatch) by address to `by_prefix`; the packed sum of what has no route.

        `remember` those addresses that are asked for often: others would push them out.
        """
        unrouted = 0
        match, regions, octets = self._match, self._regions, self._octets
        get = by_prefix.get
        for address, packed in seen.items():
            region = regions.get(address[:octets])
            prefix = None if region is None else region.get(address)
            if prefix is None:
                prefix = match(address)
                if prefix is None:
                    unrouted += packed
                    continue
                if remember:
                    self._remember(address, prefix)
            by_prefix[prefix] = get(prefix, 0) + packed
        return unrouted

    def _remember(self, address: bytes, prefix: Prefix) -> None:
        if self._count >= _REMEMBERED:
            self.clear()
        region = self._regions.get(address[: self._octets])
        if region is None:
            region = self._regions[address[: self._octets]] = {}
        region[address] = prefix
        self._count += 1

    def changed(self, prefix: Prefix) -> None:
        """A prefix has come or gone."""
        if prefix[1] < 8 * self._octets:
            self.clear()
            return
        region = self._regions.pop(prefix[0][: self._octets], None)
        if region is not None:
            self._count -= len(region)

    def clear(self) -> None:
        """Forget all of them."""
        self._regions.clear()
        self._count = 0
