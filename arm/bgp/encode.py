"""Routes to UPDATE bytes: what was learned goes back as it came.

The attribute bytes of a learned route are sent unchanged, but for what must not be: ORIGINATOR_ID and CLUSTER_LIST come
out (the switch's BIRD would refuse a route that carries its own id), LOCAL_PREF goes in where an external peer left it
out, and the next hop of IPv6 goes into an MP_REACH_NLRI of its own (RFC 4760). Of attributes that ARM does not know,
those that are not transitive stay behind, and the others go on with the Partial bit (RFC 4271 section 5).

Invariant: the prefixes leave in the order of the changes. Only neighbours with the same attributes share an UPDATE, for
a receiver applies an UPDATE prefix by prefix, and the order is what keeps every packet on its way. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from arm.bgp.aspath import AS_SEQUENCE, encode_path
from arm.bgp.wire import (
    AGGREGATOR,
    AS4_AGGREGATOR,
    AS4_PATH,
    AS_PATH,
    ATOMIC_AGGREGATE,
    COMMUNITIES,
    EXTENDED_COMMUNITIES,
    HEADER_SIZE,
    LARGE_COMMUNITIES,
    LOCAL_PREF,
    MARKER,
    MAX_MESSAGE,
    MP_REACH_NLRI,
    MP_UNREACH_NLRI,
    MULTI_EXIT_DISC,
    NEXT_HOP,
    OPTIONAL,
    ORIGIN,
    TRANSITIVE,
    UNICAST,
    UPDATE,
    attribute,
    walk_attributes,
)
from arm.model import Attributes, Family, Prefix, split_next_hops

DEFAULT_LOCAL_PREF: Final = 100
"""What routers assume of a route that came without LOCAL_PREF."""

_PARTIAL: Final = 0x20
"""Flag of an optional transitive attribute that someone on its way did not know."""
_KNOWN: Final = frozenset({
    ORIGIN, AS_PATH, NEXT_HOP, MULTI_EXIT_DISC, LOCAL_PREF, ATOMIC_AGGREGATE, AGGREGATOR, COMMUNITIES,
    EXTENDED_COMMUNITIES, AS4_PATH, AS4_AGGREGATOR, LARGE_COMMUNITIES,
})  # fmt: skip
"""What goes on as it came."""

_OCTETS: Final = tuple((length + 7) // 8 for length in range(129))
_LENGTH: Final = tuple(bytes((length,)) for length in range(129))
_MP4_UNREACH_HEAD: Final = 4 + 3  # extended-length attribute header, AFI, SAFI


def _frame(body: bytes) -> bytes:
    size = HEADER_SIZE + len(body)
    return MARKER + bytes((size >> 8, size & 0xFF, UPDATE)) + body


def _split(prefixes: Sequence[Prefix], room: int) -> list[bytes]:
    """Encoded NLRI in their order, in chunks of at most `room` octets."""
    if room < 17:
        raise ValueError("path attributes leave no room for a prefix in 4096 octets")
    octets, lengths = _OCTETS, _LENGTH
    encoded = [lengths[length] + packed[: octets[length]] for packed, length in prefixes]
    whole = b"".join(encoded)
    if len(whole) <= room:
        return [whole]
    chunks: list[bytes] = []
    chunk: list[bytes] = []
    used = 0
    for nlri in encoded:
        if used + len(nlri) > room:
            chunks.append(b"".join(chunk))
            chunk, used = [], 0
        chunk.append(nlri)
        used += len(nlri)
    chunks.append(b"".join(chunk))
    return chunks


def encode_update(raw: bytes, next_hop: bytes, prefixes: Sequence[Prefix]) -> list[bytes]:
    """UPDATE messages that announce prefixes of one family with exactly these attribute bytes.

    IPv4 prefixes go into the NLRI field and `raw` must hold NEXT_HOP; IPv6 prefixes go into an MP_REACH_NLRI with
    `next_hop` (16 or 32 octets), put before `raw` (RFC 7606 section 5.1). ValueError if the attributes leave no room.
    """
    if not prefixes:
        return []
    if len(prefixes[0][0]) == 4:
        head = b"\0\0" + len(raw).to_bytes(2, "big") + raw
        return [_frame(head + nlri) for nlri in _split(prefixes, MAX_MESSAGE - HEADER_SIZE - len(head))]
    reach = bytes((0, Family.IPV6, UNICAST, len(next_hop))) + next_hop + b"\0"
    room = MAX_MESSAGE - HEADER_SIZE - 4 - 4 - len(reach) - len(raw)
    messages = []
    for nlri in _split(prefixes, room):
        attributes = attribute(OPTIONAL, MP_REACH_NLRI, reach + nlri) + raw
        messages.append(_frame(b"\0\0" + len(attributes).to_bytes(2, "big") + attributes))
    return messages


def encode_withdrawal(prefixes: Sequence[Prefix]) -> list[bytes]:
    """UPDATE messages that withdraw prefixes of one family."""
    if not prefixes:
        return []
    if len(prefixes[0][0]) == 4:
        chunks = _split(prefixes, MAX_MESSAGE - HEADER_SIZE - 4)
        return [_frame(len(nlri).to_bytes(2, "big") + nlri + b"\0\0") for nlri in chunks]
    messages = []
    for nlri in _split(prefixes, MAX_MESSAGE - HEADER_SIZE - 4 - _MP4_UNREACH_HEAD):
        attributes = attribute(OPTIONAL, MP_UNREACH_NLRI, bytes((0, Family.IPV6, UNICAST)) + nlri)
        messages.append(_frame(b"\0\0" + len(attributes).to_bytes(2, "big") + attributes))
    return messages


def exported(attributes: Attributes, family: Family) -> tuple[bytes, bytes]:
    """(attribute bytes, next hop) as they go to an internal peer; see the module for what changes.

    ValueError if the next hop is not one of the family.
    """
    next_hop = split_next_hops(attributes.next_hop)[0]  # of several paths, BGP without ADD-PATH takes one
    raw = attributes.raw
    parts: list[bytes] = []
    local_pref = has_next_hop = False
    if len(next_hop) not in ((4,) if family is Family.IPV4 else (16, 32)):
        raise ValueError(f"a next hop of {len(next_hop)} octets is none of {family.label}")
    for flags, kind, start, _, end in walk_attributes(raw):
        if kind == NEXT_HOP:
            # Not what stands there: beside an MP_REACH_NLRI it is to be ignored (RFC 4760 section 3).
            if family is Family.IPV4:
                has_next_hop = True
                parts.append(attribute(TRANSITIVE, NEXT_HOP, next_hop))
        elif kind in _KNOWN:
            local_pref = local_pref or kind == LOCAL_PREF
            parts.append(raw[start:end])
        elif flags & TRANSITIVE:  # so neither ORIGINATOR_ID nor CLUSTER_LIST
            parts.append(bytes((flags | _PARTIAL,)) + raw[start + 1 : end])
    if family is Family.IPV4 and not has_next_hop:  # learned in an MP_REACH_NLRI
        parts.append(attribute(TRANSITIVE, NEXT_HOP, next_hop))
    if not local_pref:
        parts.append(attribute(TRANSITIVE, LOCAL_PREF, DEFAULT_LOCAL_PREF.to_bytes(4, "big")))
    return b"".join(parts), next_hop


def encode_updates(changes: Iterable[tuple[Prefix, Attributes | None]]) -> list[bytes]:
    """UPDATE messages for changes in their order, to an internal peer: announcements, and withdrawals (None).

    ValueError if attributes can not be sent for the family of their prefix.
    """
    messages: list[bytes] = []
    run: list[Prefix] = []
    current: Attributes | None = None
    size = 0
    for prefix, attributes in changes:
        if attributes is not current or len(prefix[0]) != size:
            if run:
                _flush(messages, current, run)
            run = []
            current, size = attributes, len(prefix[0])
        run.append(prefix)
    if run:
        _flush(messages, current, run)
    return messages


def _flush(messages: list[bytes], attributes: Attributes | None, run: list[Prefix]) -> None:
    if attributes is None:
        messages += encode_withdrawal(run)
    else:
        raw, next_hop = exported(attributes, Family.IPV4 if len(run[0][0]) == 4 else Family.IPV6)
        messages += encode_update(raw, next_hop, run)


def path_attributes(
    *,
    as_path: Sequence[int],
    next_hop: bytes | None = None,
    origin: int = 0,
    med: int | None = None,
    local_pref: int | None = None,
    communities: Sequence[int] = (),
) -> bytes:
    """Attribute bytes of a route that starts here, in ascending order of type, with four-octet AS numbers.

    `next_hop` is for IPv4 (4 octets); leave it out for IPv6. `as_path` becomes one AS_SEQUENCE, or no segment if empty.
    """
    path = encode_path(((AS_SEQUENCE, tuple(as_path)),)) if as_path else b""
    parts = [attribute(TRANSITIVE, ORIGIN, bytes((origin,))), attribute(TRANSITIVE, AS_PATH, path)]
    if next_hop is not None:
        parts.append(attribute(TRANSITIVE, NEXT_HOP, next_hop))
    if med is not None:
        parts.append(attribute(OPTIONAL, MULTI_EXIT_DISC, med.to_bytes(4, "big")))
    if local_pref is not None:
        parts.append(attribute(TRANSITIVE, LOCAL_PREF, local_pref.to_bytes(4, "big")))
    if communities:
        value = b"".join(community.to_bytes(4, "big") for community in communities)
        parts.append(attribute(OPTIONAL | TRANSITIVE, COMMUNITIES, value))
    return b"".join(parts)
