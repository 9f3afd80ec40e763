"""What keeps the order of a plan inside a batch of requests.

The kernel carries out a whole buffer before ARM learns that one request in it failed. So a buffer holds only changes
that have nothing to do with each other: no prefix in it contains another. What a failure makes wrong then always lies
in a later buffer, and is left out there (arm/target/failures.py). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from arm.model import Change


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
