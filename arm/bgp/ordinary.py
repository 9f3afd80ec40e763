"""Path attributes as nearly all come: recognised in one pass, so that a full table costs little to check.

Two hundred thousand distinct sets of attributes come with a full table, and each has to be checked once. The checks of
the interner name what is wrong with any of them; here is only the answer to "is all of this in order?", in a fifth of
the time, for sets that are built as usual: ORIGIN and AS_PATH first, the others by ascending type (RFC 4271 section 5),
none twice, none of unknown type or of more than 255 octets.

Invariant: what is found in order here, the interner's own checks accept with the same next hop, and unchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from arm.bgp.aspath import path_error
from arm.bgp.wire import (
    AGGREGATOR,
    AS_PATH,
    ATOMIC_AGGREGATE,
    CLUSTER_LIST,
    COMMUNITIES,
    EXTENDED_COMMUNITIES,
    EXTENDED_LENGTH,
    LARGE_COMMUNITIES,
    LOCAL_PREF,
    MULTI_EXIT_DISC,
    NEXT_HOP,
    OPTIONAL,
    ORIGIN,
    ORIGINATOR_ID,
    TRANSITIVE,
)

_BOTH: Final = OPTIONAL | TRANSITIVE
_ORIGINS: Final = frozenset(bytes((TRANSITIVE, ORIGIN, 1, value)) for value in range(3))
_SIZES: Final[Mapping[int, Collection[int]]] = {
    TRANSITIVE << 8 | NEXT_HOP: (4,),
    OPTIONAL << 8 | MULTI_EXIT_DISC: (4,),
    TRANSITIVE << 8 | LOCAL_PREF: (4,),
    TRANSITIVE << 8 | ATOMIC_AGGREGATE: (0,),
    _BOTH << 8 | AGGREGATOR: (8,),
    _BOTH << 8 | COMMUNITIES: range(4, 256, 4),
    OPTIONAL << 8 | ORIGINATOR_ID: (4,),
    OPTIONAL << 8 | CLUSTER_LIST: range(4, 256, 4),
    _BOTH << 8 | EXTENDED_COMMUNITIES: range(8, 256, 8),
    _BOTH << 8 | LARGE_COMMUNITIES: range(12, 256, 12),
}
"""By flags and type, the sizes of a value that is in order."""


def ordinary_next_hop(
    raw: bytes,
    next_hop: bytes | None,
    *,
    internal: bool,
    next_hops: Mapping[bytes, bytes],
    reflectors: Collection[bytes],
) -> bytes | None:
    """The next hop of attributes that are in order, as `next_hops` has it; None if these checks can not tell.

    `raw` holds no MP_REACH_NLRI, `next_hop` is the one from there, None for prefixes whose next hop is in NEXT_HOP. AS
    numbers have four octets. `next_hops` and `reflectors` (ORIGINATOR_ID and CLUSTER_LIST) were found good before.
    """
    start, position = _path(raw)
    if not position or path_error(raw[start:position], width=4, internal=internal):
        return None
    hop = None if next_hop is None else next_hops.get(next_hop)
    last, size = AS_PATH, len(raw)
    while position + 2 < size:
        kind, length = raw[position + 1], raw[position + 2]
        value, position = position + 3, position + 3 + length
        if kind <= last or length not in _SIZES.get(raw[value - 3] << 8 | kind, ()):
            return None
        last = kind
        if kind == NEXT_HOP:
            if next_hop is None:  # beside MP_REACH_NLRI it means nothing (RFC 4760 section 3)
                hop = next_hops.get(raw[value:position])
        elif kind == LOCAL_PREF:
            if not internal:
                return None
        elif kind in (ORIGINATOR_ID, CLUSTER_LIST) and (not internal or raw[value:position] not in reflectors):
            return None
    return hop if position == size else None


def _path(raw: bytes) -> tuple[int, int]:
    """Start and end of the AS_PATH's value if it follows ORIGIN at the front, else zeros."""
    if len(raw) < 8 or raw[:4] not in _ORIGINS or raw[5] != AS_PATH:
        return 0, 0
    if raw[4] == TRANSITIVE:
        start, end = 7, 7 + raw[6]
    elif raw[4] == TRANSITIVE | EXTENDED_LENGTH:
        start, end = 8, 8 + (raw[6] << 8 | raw[7])
    else:
        return 0, 0
    return (start, end) if end <= len(raw) else (0, 0)
