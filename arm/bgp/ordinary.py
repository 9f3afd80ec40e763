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

from arm.bgp.aspath import AS_SEQUENCE, path_error
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
_HEADERS: Final[Mapping[bytes, int]] = {
    bytes((flags, kind, size)): kind
    for flags, kind, sizes in (
        (TRANSITIVE, NEXT_HOP, (4,)),
        (OPTIONAL, MULTI_EXIT_DISC, (4,)),
        (TRANSITIVE, LOCAL_PREF, (4,)),
        (TRANSITIVE, ATOMIC_AGGREGATE, (0,)),
        (_BOTH, AGGREGATOR, (8,)),
        (_BOTH, COMMUNITIES, range(4, 256, 4)),
        (OPTIONAL, ORIGINATOR_ID, (4,)),
        (OPTIONAL, CLUSTER_LIST, range(4, 256, 4)),
        (_BOTH, EXTENDED_COMMUNITIES, range(8, 256, 8)),
        (_BOTH, LARGE_COMMUNITIES, range(12, 256, 12)),
    )
    for size in sizes
}
"""Types by the flags, type and length of attributes that are in order."""
_LOOKED_AT: Final = frozenset((NEXT_HOP, LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST))
"""Types whose value matters."""
_NO_AS: Final = bytes(4)


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
    if not position:
        return None
    path = raw[start:position]
    # One AS_SEQUENCE without a zero in sight needs no closer look.
    if (len(path) < 6 or path[0] != AS_SEQUENCE or path[1] * 4 + 2 != len(path) or _NO_AS in path) and path_error(
        path, width=4, internal=internal
    ):
        return None
    hop = None if next_hop is None else next_hops.get(next_hop)
    last, size = AS_PATH, len(raw)
    while position < size:
        header = raw[position : position + 3]
        kind = _HEADERS.get(header)
        if kind is None or kind <= last:
            return None
        last = kind
        value, position = position + 3, position + 3 + header[2]
        if kind not in _LOOKED_AT:
            continue
        if kind == NEXT_HOP:
            if next_hop is None:  # beside MP_REACH_NLRI it means nothing (RFC 4760 section 3)
                hop = next_hops.get(raw[value:position])
        elif kind == LOCAL_PREF:
            if not internal:
                return None
        elif not internal or raw[value:position] not in reflectors:
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
