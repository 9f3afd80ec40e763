"""What keeps the order of a plan inside a batch of requests.

The kernel carries out a whole buffer before ARM learns that one request in it failed. So a buffer holds only changes
that have nothing to do with each other: no prefix in it contains another. What a failure makes wrong then always lies
in a later buffer, and is left out there (arm/target/base.py). Pure.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from arm.model import Change, Prefix


def independent_runs(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """The changes in their order, cut so that within each run no prefix equals or contains another."""
    if len(changes) < 2 or not _nested(changes):
        if changes:
            yield changes
        return
    middle = len(changes) // 2
    yield from independent_runs(changes[:middle])
    yield from independent_runs(changes[middle:])


def _nested(changes: Sequence[Change]) -> bool:
    """Whether any prefix equals or contains another.

    Sorted by address and length, what a prefix contains follows it directly: if anything is contained at all, then some
    prefix contains its neighbour.
    """
    keys = sorted([(len(change.prefix[0]), *change.prefix) for change in changes])
    for (size, address, length), (next_size, next_address, next_length) in pairwise(keys):
        octets = length >> 3
        if (
            length <= next_length
            and size == next_size
            and address[:octets] == next_address[:octets]
            and (length & 7 == 0 or (address[octets] ^ next_address[octets]) >> 8 - (length & 7) == 0)
        ):
            return True
    return False


class Blocked:
    """Prefixes that failed, and with them everything that contains them or lies inside them."""

    def __init__(self) -> None:
        self._starts: dict[int, list[int]] = {4: [], 16: []}
        self._ends: dict[int, list[int]] = {4: [], 16: []}

    def add(self, prefix: Prefix) -> None:
        """A change of this prefix failed."""
        starts, ends, first, last = self._overlap(prefix)
        start, end = _interval(prefix)
        if first < last:
            start, end = min(start, starts[first]), max(end, ends[last - 1])
        starts[first:last] = [start]
        ends[first:last] = [end]

    def blocks(self, prefix: Prefix) -> bool:
        """Whether a failed prefix contains this one, or lies inside it."""
        _, _, first, last = self._overlap(prefix)
        return first < last

    def _overlap(self, prefix: Prefix) -> tuple[list[int], list[int], int, int]:
        """The disjoint intervals that share addresses with a prefix, as a range of positions."""
        starts, ends = self._starts[len(prefix[0])], self._ends[len(prefix[0])]
        start, end = _interval(prefix)
        return starts, ends, bisect_left(ends, start), bisect_right(starts, end)


def _interval(prefix: Prefix) -> tuple[int, int]:
    """First and last address of a prefix."""
    address, length = prefix
    start = int.from_bytes(address, "big")
    return start, start | (1 << len(address) * 8 - length) - 1
