"""The head of a sampled packet, down to its IP addresses.

Traffic is ranked by these addresses, so the rule here is: right, or nothing. An unknown encapsulation, a header that
ends too early, or a guess that does not hold (what lies under an MPLS label stack names itself nowhere) gives None.
The outermost IP header is the one that counts, because it is the one that the switch forwards by.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview
Addresses: TypeAlias = tuple[bytes, bytes]
"""Packed source and destination of one IP header."""

# header_protocol of a raw header record (sFlow version 5, section 5.3)
ETHERNET: Final = 1
IPV4: Final = 11
IPV6: Final = 12
MPLS: Final = 13

_U16: Final = struct.Struct(">H").unpack_from
_U32: Final = struct.Struct(">I").unpack_from
_ADDRESSES4: Final = struct.Struct(">4s4s").unpack_from
_ADDRESSES6: Final = struct.Struct(">16s16s").unpack_from
_TEN_U16: Final = struct.Struct(">10H").unpack_from

_VLAN_TAGS: Final = frozenset((0x8100, 0x88A8, 0x9100, 0x9200))
"""802.1Q, 802.1ad, and the two that came before it."""
_MAX_TAGS: Final = 8
_MAX_LABELS: Final = 16
_IPV4_EXPLICIT_NULL: Final = 0
_IPV6_EXPLICIT_NULL: Final = 2
_FCS: Final = 8
"""Octets that may follow a packet in its frame: a frame check sequence, or what an agent counts as one."""


def addresses(data: Buffer, offset: int, end: int, protocol: int, frame_length: int) -> Addresses | None:
    """Source and destination of the sampled header at `data[offset:end]`, or None.

    `protocol` is the header_protocol of the record, `frame_length` the octets of the whole frame on the wire.
    """
    if protocol == ETHERNET:
        return _ethernet(data, offset, end, frame_length)
    if protocol == IPV4:
        return _ipv4(data, offset, end)
    if protocol == IPV6:
        return _ipv6(data, offset, end)
    if protocol == MPLS:
        return _mpls(data, offset, end, frame_length)
    return None


def _ipv4(data: Buffer, offset: int, end: int) -> Addresses | None:
    """RFC 791: version 4 and at least five words."""
    if offset + 20 > end or not 0x45 <= data[offset] <= 0x4F:
        return None
    return _ADDRESSES4(data, offset + 12)


def _ipv6(data: Buffer, offset: int, end: int) -> Addresses | None:
    """RFC 8200."""
    if offset + 40 > end or data[offset] >> 4 != 6:
        return None
    return _ADDRESSES6(data, offset + 8)


def _ethernet(data: Buffer, offset: int, end: int, frame_length: int) -> Addresses | None:
    start = offset
    offset += 12
    for _ in range(_MAX_TAGS):
        if offset + 2 > end:
            return None
        (kind,) = _U16(data, offset)
        if kind not in _VLAN_TAGS:
            break
        offset += 4
    else:
        return None
    offset += 2
    if kind < 0x0600:  # IEEE 802.3: a length; the type follows in LLC and SNAP (RFC 1042)
        if offset + 8 > end or bytes(data[offset : offset + 6]) != b"\xaa\xaa\x03\x00\x00\x00":
            return None
        (kind,) = _U16(data, offset + 6)
        offset += 8
    if kind == 0x0800:
        return _ipv4(data, offset, end)
    if kind == 0x86DD:
        return _ipv6(data, offset, end)
    if kind in (0x8847, 0x8848):
        return _mpls(data, offset, end, frame_length - (offset - start))
    if kind == 0x8864:
        return _pppoe(data, offset, end)
    return None


def _pppoe(data: Buffer, offset: int, end: int) -> Addresses | None:
    """RFC 2516, the session stage: version 1, type 1, code 0, then the PPP protocol."""
    if offset + 8 > end or data[offset] != 0x11 or data[offset + 1] != 0:
        return None
    (protocol,) = _U16(data, offset + 6)
    if protocol == 0x0021:
        return _ipv4(data, offset + 8, end)
    if protocol == 0x0057:
        return _ipv6(data, offset + 8, end)
    return None


def _mpls(data: Buffer, offset: int, end: int, length: int) -> Addresses | None:
    """RFC 3032; `length` is the octets of the frame from the first label on.

    Only an explicit null names what is below it. Else the payload must prove to be IP, because an Ethernet
    pseudowire may begin with the same four bits (RFC 4928): IPv4 by its checksum, IPv6 by its length.
    """
    for _ in range(_MAX_LABELS):
        if offset + 4 > end:
            return None
        (entry,) = _U32(data, offset)
        offset += 4
        length -= 4
        if entry & 0x100:
            break
    else:
        return None
    if offset >= end:
        return None
    label = entry >> 12
    version = data[offset] >> 4
    if version == 4 and label != _IPV6_EXPLICIT_NULL:
        found = _ipv4(data, offset, end)
        return found if found is not None and _checksum_holds(data, offset, end) else None
    if version == 6 and label != _IPV4_EXPLICIT_NULL:
        found = _ipv6(data, offset, end)
        return found if found is not None and 0 <= length - 40 - _U16(data, offset + 4)[0] <= _FCS else None
    return None


def _checksum_holds(data: Buffer, offset: int, end: int) -> bool:
    """True if the IPv4 header at `offset` is all there and sums up (RFC 1071)."""
    size = (data[offset] & 0x0F) * 4
    if offset + size > end:
        return False
    total: int = sum(_TEN_U16(data, offset))
    for position in range(offset + 20, offset + size, 2):
        total += _U16(data, position)[0]
    return total % 0xFFFF == 0
