"""An independent judge of the rule that is never broken. It shares no code with arm/core.

It knows two maps, prefix -> next hop: the full table and what is installed (with covers marked). It cuts the address
space at every boundary of every prefix of either map, takes one address of each elementary interval, and compares the
longest matches by scanning all prefixes. Slow, and hard to get wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

from arm.model import Entry, Kind, Prefix


def _range(prefix: Prefix) -> tuple[int, int]:
    bits = len(prefix[0]) * 8
    start = int.from_bytes(prefix[0], "big")
    return start, start + (1 << (bits - prefix[1]))


def _longest(address: int, prefixes: Mapping[Prefix, object]) -> Prefix | None:
    best: Prefix | None = None
    for prefix in prefixes:
        start, end = _range(prefix)
        if start <= address < end and (best is None or prefix[1] > best[1]):
            best = prefix
    return best


def violations(table: Mapping[Prefix, bytes], installed: Mapping[Prefix, Entry], default: bytes | None) -> set[int]:
    """Addresses (one for each elementary interval) whose packets would go the wrong way.

    Right is: no installed match; a cover that points where the default does; a route with the next hop of the table's
    longest match.
    """
    points = sorted({point for prefix in (*table, *installed) for point in _range(prefix)})
    wrong: set[int] = set()
    for address in points:
        match = _longest(address, installed)
        if match is None:
            continue
        entry = installed[match]
        if entry.kind is Kind.COVER:
            if default is not None and entry.next_hop == default:
                continue
        else:
            truth = _longest(address, table)
            if truth is not None and table[truth] == entry.next_hop:
                continue
        wrong.add(address)
    return wrong
