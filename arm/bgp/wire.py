"""What every BGP message is made of: the header, the message types, path attribute headers, and the one error.

Pure: bytes in, values out. `BgpError` is the only exception that the codecs of this room let out, and it carries what
the NOTIFICATION to the peer has to say (RFC 4271 section 6).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from arm.model import Family

MARKER: Final = b"\xff" * 16
HEADER_SIZE: Final = 19
MAX_MESSAGE: Final = 4096
"""Octets with the header (RFC 4271 section 4.1); extended messages (RFC 8654) are not offered."""

OPEN: Final = 1
UPDATE: Final = 2
NOTIFICATION: Final = 3
KEEPALIVE: Final = 4
ROUTE_REFRESH: Final = 5

_MINIMUM: Final = {OPEN: 29, UPDATE: 23, NOTIFICATION: 21, KEEPALIVE: 19, ROUTE_REFRESH: 23}

ORIGIN: Final = 1
AS_PATH: Final = 2
NEXT_HOP: Final = 3
MULTI_EXIT_DISC: Final = 4
LOCAL_PREF: Final = 5
ATOMIC_AGGREGATE: Final = 6
AGGREGATOR: Final = 7
COMMUNITIES: Final = 8
ORIGINATOR_ID: Final = 9
CLUSTER_LIST: Final = 10
MP_REACH_NLRI: Final = 14
MP_UNREACH_NLRI: Final = 15
EXTENDED_COMMUNITIES: Final = 16
AS4_PATH: Final = 17
AS4_AGGREGATOR: Final = 18
LARGE_COMMUNITIES: Final = 32

OPTIONAL: Final = 0x80
TRANSITIVE: Final = 0x40
EXTENDED_LENGTH: Final = 0x10

UNICAST: Final = 1
"""The only SAFI that ARM speaks (RFC 4760)."""


class BgpError(Exception):
    """The session must end: what to tell the peer (RFC 4271 section 6) and what to tell people.

    `code` and `subcode` are those of the NOTIFICATION, `data` its data field, `text` one line for the log.
    """

    def __init__(self, code: int, subcode: int, text: str, data: bytes = b"") -> None:
        super().__init__(f"{text} (notification {code}/{subcode})")
        self.code = code
        self.subcode = subcode
        self.text = text
        self.data = data


def message(kind: int, body: bytes = b"") -> bytes:
    """A whole message of this type; ValueError if it would exceed 4096 octets."""
    size = HEADER_SIZE + len(body)
    if size > MAX_MESSAGE:
        raise ValueError(f"a BGP message of {size} octets exceeds {MAX_MESSAGE}")
    return MARKER + bytes((size >> 8, size & 0xFF, kind)) + body


KEEPALIVE_MESSAGE: Final = message(KEEPALIVE)


def read_header(data: bytes, position: int) -> tuple[int, int]:
    """Length with the header, and type, of the message at `position`, where at least 19 octets stand.

    BgpError as RFC 4271 section 6.1 has it: 1/1 marker, 1/2 length, 1/3 type.
    """
    if not data.startswith(MARKER, position):
        raise BgpError(1, 1, "marker is not all ones")
    size = data[position + 16] << 8 | data[position + 17]
    kind = data[position + 18]
    if size < HEADER_SIZE or size > MAX_MESSAGE:
        raise BgpError(1, 2, f"message length {size} is impossible", size.to_bytes(2, "big"))
    minimum = _MINIMUM.get(kind)
    if minimum is None:
        raise BgpError(1, 3, f"message type {kind} is unknown", bytes((kind,)))
    if size < minimum or (kind == KEEPALIVE and size != HEADER_SIZE):
        raise BgpError(1, 2, f"length {size} is wrong for message type {kind}", size.to_bytes(2, "big"))
    return size, kind


def attribute(flags: int, kind: int, value: bytes) -> bytes:
    """One encoded path attribute; the extended-length flag is set where the value needs it (RFC 4271 section 4.3)."""
    size = len(value)
    if size > 255:
        return bytes((flags | EXTENDED_LENGTH, kind, size >> 8, size & 0xFF)) + value
    return bytes((flags & ~EXTENDED_LENGTH, kind, size)) + value


class TruncatedError(ValueError):
    """Path attributes whose lengths do not add up (RFC 7606 section 4); `kind` is the type of the broken one, or -1."""

    def __init__(self, kind: int) -> None:
        super().__init__(f"path attribute of type {kind} is cut short")
        self.kind = kind


def walk_attributes(raw: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """(flags, type, start, value start, end) of every path attribute in order; TruncatedError where the lengths lie."""
    position, size = 0, len(raw)
    while position < size:
        start = position
        if position + 3 > size:
            raise TruncatedError(raw[position + 1] if position + 2 <= size else -1)
        flags, kind = raw[position], raw[position + 1]
        if flags & EXTENDED_LENGTH:
            if position + 4 > size:
                raise TruncatedError(kind)
            value = position + 4
            position = value + (raw[start + 2] << 8 | raw[start + 3])
        else:
            value = position + 3
            position = value + raw[start + 2]
        if position > size:
            raise TruncatedError(kind)
        yield flags, kind, start, value, position


def end_of_rib(family: Family) -> bytes:
    """The End-of-RIB marker of a family as a whole message (RFC 4724 section 2)."""
    if family is Family.IPV4:
        return message(UPDATE, bytes(4))
    unreach = attribute(OPTIONAL, MP_UNREACH_NLRI, bytes((0, family, UNICAST)))
    return message(UPDATE, b"\x00\x00" + len(unreach).to_bytes(2, "big") + unreach)


def end_of_rib_family(body: bytes) -> Family | None:
    """The family whose End-of-RIB this UPDATE body is, or None. IPv4's may come in the multiprotocol form too."""
    size = len(body)
    if size == 4:
        return Family.IPV4 if body == b"\x00\x00\x00\x00" else None
    if size == 10 and body[4] & EXTENDED_LENGTH == 0:
        rest = body[5:]
        wanted, lengths = b"\x0f\x03", b"\x00\x00\x00\x06"
    elif size == 11 and body[4] & EXTENDED_LENGTH:
        rest = body[5:]
        wanted, lengths = b"\x0f\x00\x03", b"\x00\x00\x00\x07"
    else:
        return None
    if body[:4] != lengths or rest[: len(wanted)] != wanted or rest[-1] != UNICAST:
        return None
    afi = rest[-3] << 8 | rest[-2]
    return Family(afi) if afi in (Family.IPV4, Family.IPV6) else None


def notification(code: int, subcode: int, data: bytes = b"") -> bytes:
    """A NOTIFICATION as a whole message (RFC 4271 section 4.5); data that would not fit is cut."""
    return message(NOTIFICATION, bytes((code, subcode)) + data[: MAX_MESSAGE - HEADER_SIZE - 2])


def route_refresh(family: Family) -> bytes:
    """A request to send all routes of the family again (RFC 2918)."""
    return message(ROUTE_REFRESH, bytes((0, family, 0, UNICAST)))
