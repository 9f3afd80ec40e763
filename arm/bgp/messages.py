"""UPDATE bytes to routes and back: the fast path of the BGP room.

A full table is some 120,000 UPDATEs of nine prefixes each. What is paid for each prefix is its slice of the message and
one tuple; what is paid for each UPDATE is a dictionary lookup of its attribute bytes. Nothing is decoded that nobody
asked for: attributes are checked when first seen (interner) and turned into text when shown (attributes).

Pure: no socket, no thread, no clock. Only BgpError escapes `parse_update`, for what RFC 7606 does not let a speaker
repair; everything it calls treat-as-withdraw comes out as a withdrawal and is counted by the interner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from arm.bgp.encode import encode_update, encode_updates, encode_withdrawal, exported, path_attributes
from arm.bgp.interner import Interner, Rejected
from arm.bgp.wire import (
    EXTENDED_LENGTH,
    KEEPALIVE_MESSAGE,
    MP_REACH_NLRI,
    MP_UNREACH_NLRI,
    UNICAST,
    BgpError,
    TruncatedError,
    end_of_rib,
    end_of_rib_family,
    message,
    notification,
    read_header,
    route_refresh,
    walk_attributes,
)
from arm.model import Attributes, Family, Prefix, mask

__all__ = [
    "KEEPALIVE_MESSAGE",
    "BgpError",
    "Interner",
    "Update",
    "common_update",
    "encode_update",
    "encode_updates",
    "encode_withdrawal",
    "end_of_rib",
    "end_of_rib_family",
    "exported",
    "message",
    "notification",
    "parse_update",
    "path_attributes",
    "read_header",
    "route_refresh",
]

Update: TypeAlias = tuple[Attributes | None, Sequence[Prefix]]
"""Prefixes announced with the same attributes, or withdrawn (None)."""

_OCTETS: Final = tuple((length + 7) // 8 for length in range(129))
_PAD4: Final = tuple(bytes(4 - _OCTETS[length]) for length in range(33))
_PAD6: Final = tuple(bytes(16 - _OCTETS[length]) for length in range(129))
_HOST_BITS: Final = tuple(0xFF >> bits for bits in range(8))
_ZERO: Final = b"\0"
_IPV6_UNICAST: Final = b"\0\x02\x01"


def read_nlri4(data: bytes, position: int, end: int) -> list[Prefix]:
    """IPv4 prefixes between two offsets (RFC 4271 section 4.3), host bits cleared; BgpError 3/10 if there are none."""
    prefixes: list[Prefix] = []
    append = prefixes.append
    while position < end:
        length = data[position]
        start = position + 1
        if length == 24:  # six of ten prefixes of the Internet
            position = start + 3
            append((data[start:position] + _ZERO, 24))
            continue
        if length > 32:
            raise BgpError(3, 10, f"IPv4 prefix length {length}")
        position = start + _OCTETS[length]
        packed = data[start:position] + _PAD4[length]
        if length & 7 and position <= end and packed[length >> 3] & _HOST_BITS[length & 7]:
            packed = mask(packed, length)
        append((packed, length))
    if position != end:
        raise BgpError(3, 10, "a prefix ends outside its field")
    return prefixes


def read_nlri6(data: bytes, position: int, end: int) -> list[Prefix]:
    """IPv6 prefixes between two offsets (RFC 4760 section 5), host bits cleared; BgpError 3/10 if there are none."""
    prefixes: list[Prefix] = []
    append = prefixes.append
    while position < end:
        length = data[position]
        start = position + 1
        if length > 128:
            raise BgpError(3, 10, f"IPv6 prefix length {length}")
        position = start + _OCTETS[length]
        packed = data[start:position] + _PAD6[length]
        if length & 7 and position <= end and packed[length >> 3] & _HOST_BITS[length & 7]:
            packed = mask(packed, length)
        append((packed, length))
    if position != end:
        raise BgpError(3, 10, "a prefix ends outside its field")
    return prefixes


def read_paths(data: bytes, position: int, end: int, family: Family) -> list[tuple[int, Prefix]]:
    """(path identifier, prefix) pairs of NLRI with ADD-PATH (RFC 7911 section 3)."""
    read = read_nlri4 if family is Family.IPV4 else read_nlri6
    paths: list[tuple[int, Prefix]] = []
    while position < end:
        if position + 5 > end:
            raise BgpError(3, 10, "a path identifier ends outside its field")
        following = position + 5 + (data[position + 4] + 7) // 8
        if following > end:  # before it is read: it may end behind the message too
            raise BgpError(3, 10, "a prefix ends outside its field")
        paths.append((int.from_bytes(data[position : position + 4], "big"), read(data, position + 4, following)[0]))
        position = following
    return paths


def common_update(data: bytes, start: int, end: int, interner: Interner) -> Update | None:
    """The routes of the common UPDATE, whose body of at least four octets is read where it stands in `data`.

    None for any other, and for whatever may be wrong with it: `parse_update` has to tell. BgpError 3/10 as there.
    """
    first = start + 4
    nlri = first + (data[start + 2] << 8 | data[start + 3])
    if data[start] or data[start + 1]:
        return None
    if nlri < end:
        if not interner.fast4:
            return None
        raw = data[first:nlri]
        known = interner.plain.get(raw) or interner.quick(raw, None)
        return None if known is None else (known, read_nlri4(data, nlri, end))
    if nlri == end and nlri - first > 6 and data[first + 1] == MP_REACH_NLRI and interner.fast6:
        return _reach6(data, first, end, interner)
    return None


def parse_update(body: bytes, interner: Interner) -> list[Update]:
    """Routes of an UPDATE body (the message without its header), withdrawals first; empty for an End-of-RIB.

    BgpError for what ends the session: lengths that do not add up (3/1), prefixes that can not be read (3/10),
    MP_REACH_NLRI or MP_UNREACH_NLRI that are broken (3/9) or doubled (3/1).
    """
    size = len(body)
    if size < 4:
        raise BgpError(3, 1, f"UPDATE of {size} octets")
    if (common := common_update(body, 0, size, interner)) is not None:
        return [common]
    withdrawn_end = 2 + (body[0] << 8 | body[1])
    start = withdrawn_end + 2
    if start > size:
        raise BgpError(3, 1, "withdrawn routes end outside the message")
    end = start + (body[withdrawn_end] << 8 | body[withdrawn_end + 1])
    if end > size:
        raise BgpError(3, 1, "path attributes end outside the message")
    raw = body[start:end]
    updates: list[Update] = []
    if withdrawn_end > 2:
        _add(updates, None, Family.IPV4, body, 2, withdrawn_end, interner)
    if end == start:
        if end < size:
            interner.malformed += 1
            interner.last_error = "prefixes without path attributes"
            _add(updates, None, Family.IPV4, body, end, size, interner)
        return updates
    _with_attributes(updates, body, raw, end, interner)
    return updates


def _with_attributes(updates: list[Update], body: bytes, raw: bytes, nlri: int, interner: Interner) -> None:
    """Routes that the path attributes `raw` and the NLRI field from offset `nlri` announce or withdraw."""
    rest, reach, unreach, broken = _split(raw)
    if unreach is not None and (family := _family(unreach, 3)) is not None:
        _add(updates, None, family, unreach, 3, len(unreach), interner)
    found: Attributes | Rejected | None = None
    if nlri < len(body):
        found = broken or interner.find(rest, None)
        _announce(updates, found, Family.IPV4, body, nlri, len(body), interner)
    if reach is not None:
        if (family := _family(reach, 5)) is None:
            interner.ignored += 1
            return
        expected = (4,) if family is Family.IPV4 else (16, 32)
        size = reach[3]
        if size not in expected or 5 + size > len(reach):
            raise BgpError(3, 9, f"MP_REACH_NLRI has a next hop of {size} octets")
        found = broken or interner.find(rest, reach[4 : 4 + size])
        _announce(updates, found, family, reach, 5 + size, len(reach), interner)
    elif found is None and (broken is not None or rest):
        _without_routes(rest, broken, interner)


def _without_routes(rest: bytes, broken: Rejected | None, interner: Interner) -> None:
    """Attributes that announce nothing: harmless if they are sound, else nobody knows what they were to announce.

    RFC 7606 section 5.2 asks for a session reset then; missing mandatory attributes are no error without prefixes.
    """
    fault = broken.reason if broken is not None else interner.attributes_fault(rest)
    if fault is not None:
        raise BgpError(3, 1, f"no prefixes with malformed attributes: {fault}")


def _reach6(data: bytes, position: int, end: int, interner: Interner) -> Update | None:
    """The common IPv6 UPDATE: MP_REACH_NLRI first (RFC 7606 section 5.1), then sound attributes; else None.

    The path attributes, of more than six octets, stand between the two offsets.
    """
    if data[position] & EXTENDED_LENGTH:
        start, after = position + 4, position + 4 + (data[position + 2] << 8 | data[position + 3])
    else:
        start, after = position + 3, position + 3 + data[position + 2]
    next_hop = start + 4
    if after > end or next_hop > after or data[start : start + 3] != _IPV6_UNICAST:
        return None
    nlri = next_hop + data[start + 3] + 1
    if nlri >= after:
        return None
    hop, rest = data[next_hop : nlri - 1], data[after:end]
    known = interner.multiprotocol.get((hop, rest)) or interner.quick(rest, hop)
    if known is None or len(known.next_hop) < 16:
        return None
    return known, read_nlri6(data, nlri, after)


def _split(raw: bytes) -> tuple[bytes, bytes | None, bytes | None, Rejected | None]:
    """The attributes without the two of RFC 4760, the values of these two, and what is wrong with the lengths."""
    values: dict[int, bytes] = {}
    parts: list[bytes] = []
    try:
        for _, kind, start, value, end in walk_attributes(raw):
            if kind not in (MP_REACH_NLRI, MP_UNREACH_NLRI):
                parts.append(raw[start:end])
                continue
            if kind in values:
                raise BgpError(3, 1, f"attribute {kind} comes twice")
            values[kind] = raw[value:end]
    except TruncatedError as error:
        if error.kind in (MP_REACH_NLRI, MP_UNREACH_NLRI):
            raise BgpError(3, 9, str(error)) from None
        return b"", values.get(MP_REACH_NLRI), values.get(MP_UNREACH_NLRI), Rejected(str(error))
    rest = raw if not values else b"".join(parts)
    return rest, values.get(MP_REACH_NLRI), values.get(MP_UNREACH_NLRI), None


def _family(value: bytes, minimum: int) -> Family | None:
    """Family of an MP_REACH_NLRI or MP_UNREACH_NLRI; None if ARM does not speak it."""
    if len(value) < minimum:
        raise BgpError(3, 9, "MP_REACH_NLRI or MP_UNREACH_NLRI is too short")
    afi = value[0] << 8 | value[1]
    return Family(afi) if value[2] == UNICAST and afi in (1, 2) else None


def _announce(
    updates: list[Update],
    found: Attributes | Rejected,
    family: Family,
    data: bytes,
    position: int,
    end: int,
    interner: Interner,
) -> None:
    if isinstance(found, Attributes):
        _add(updates, found, family, data, position, end, interner)
        return
    if found.loop:
        interner.looped += 1
    else:
        interner.malformed += 1
        interner.last_error = found.reason
    _add(updates, None, family, data, position, end, interner)


def _add(
    updates: list[Update],
    attributes: Attributes | None,
    family: Family,
    data: bytes,
    position: int,
    end: int,
    interner: Interner,
) -> None:
    if family in interner.add_path:
        updates += interner.paths.learn(attributes, read_paths(data, position, end, family))
        return
    prefixes = (read_nlri4 if family is Family.IPV4 else read_nlri6)(data, position, end)
    if family not in interner.families:
        interner.ignored += 1
    elif prefixes:
        updates.append((attributes, prefixes))
