"""sFlow version 5 datagrams: bytes in, samples out.

One walk serves both the hot path (addresses, rate and length of each flow sample, at 200,000 samples a second and
more) and the full decode in `records`, so that the two can not disagree.

Invariants:
- The walk reads nothing at or behind `size`, whatever the buffer holds there, and whatever the datagram says.
- A sample is handed out only after its records have been found to fill it to the octet. What was handed out before
  an error stands; nothing is after it, for behind a wrong length every octet is a guess.
- Nothing but DatagramError comes out of here.

Numbers and layouts are those of the sFlow version 5 specification (sflow.org, July 2004), section 5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from arm.sflow.packet import Addresses, Buffer, addresses

# What a sample is, whichever of its encodings the agent chose.
FLOW: Final = 1
COUNTERS: Final = 2
DISCARDED: Final = 5
UNKNOWN: Final = 0

# sample_type: enterprise << 12 | format
FLOW_SAMPLE: Final = 1
COUNTERS_SAMPLE: Final = 2
FLOW_SAMPLE_EXPANDED: Final = 3
COUNTERS_SAMPLE_EXPANDED: Final = 4
DISCARDED_PACKET: Final = 5

# flow_data formats
RAW_HEADER: Final = 1
SAMPLED_ETHERNET: Final = 2
SAMPLED_IPV4: Final = 3
SAMPLED_IPV6: Final = 4

Sample: TypeAlias = tuple[int, int, int, int, int, int, int, int, bytes | None, bytes | None]
"""(kind, sample type, offset, end, source, sequence, rate, frame length, source address, destination address).

kind is FLOW, COUNTERS, DISCARDED or UNKNOWN; the sample's data, without its type and length, stands at offset:end.
`source` is source type << 32 | index. The rate is the sample's own: one in so many packets. The frame length is in
octets on the wire. The addresses are packed, or both None if no IP header can be read. What a kind does not have is 0.
"""


class DatagramError(ValueError):
    """The datagram is not what its lengths and counts say; the text tells what does not fit."""


class Header(NamedTuple):
    """What stands before the samples."""

    agent: bytes
    """Packed address, 4 or 16 octets."""
    sub_agent: int
    sequence: int
    uptime_ms: int
    """Of the agent, modulo 2**32."""
    sample_count: int
    """Samples that are said to follow."""
    offset: int
    """Where the first sample begins."""


_HEADER4: Final = struct.Struct(">II4sIIII").unpack_from
_HEADER6: Final = struct.Struct(">II16sIIII").unpack_from
_PAIR: Final = struct.Struct(">II").unpack_from
_FOUR: Final = struct.Struct(">IIII").unpack_from

# The samples of nearly every agent in nearly every datagram: one raw header record and nothing else. From behind the
# sample's type and length: sequence, source, rate, (pool, drops, interfaces), number of records | record format,
# record length, header protocol, frame length, (stripped), header length, (two MAC addresses), type of frame, first
# octet of the packet, (to the addresses), IPv4 source and destination.
_RAW_EXPANDED: Final = struct.Struct(">IQI24xQIII4xI12xHB11x4s4s").unpack_from
_RAW_COMPACT: Final = struct.Struct(">III16xQIII4xI12xHB11x4s4s").unpack_from
_HEADER_AT_EXPANDED: Final = 68
_HEADER_AT_COMPACT: Final = 56
_IPV4_END: Final = 34
"""Octets of an Ethernet and an IPv4 header."""
_IPV6_END: Final = 54
_IPV6_ADDRESSES_AT: Final = 22
_IPV6_ADDRESSES: Final = struct.Struct(">16s16s").unpack_from
_ONE_RAW_HEADER: Final = 1 << 32 | RAW_HEADER

_FLOW_EXPANDED: Final = struct.Struct(">IQI24xI").unpack_from
_FLOW_COMPACT: Final = struct.Struct(">III16xI").unpack_from
_COUNTERS_EXPANDED: Final = struct.Struct(">IQI").unpack_from
_COUNTERS_COMPACT: Final = struct.Struct(">III").unpack_from
_DISCARDED: Final = struct.Struct(">IQ16xI").unpack_from
_IPV4_RECORD: Final = struct.Struct(">I4x4s4s").unpack_from
_IPV6_RECORD: Final = struct.Struct(">I4x16s16s").unpack_from

FLOW_EXPANDED_SIZE: Final = 44
FLOW_COMPACT_SIZE: Final = 32
COUNTERS_EXPANDED_SIZE: Final = 16
COUNTERS_COMPACT_SIZE: Final = 12
DISCARDED_SIZE: Final = 32


def read_header(data: Buffer, size: int) -> Header:
    """Header of the datagram in the first `size` octets of `data`; DatagramError if there is none of version 5."""
    if size < 28:
        raise DatagramError(f"{size} octets are too few for a header")
    version, kind, agent, sub_agent, sequence, uptime, count = _HEADER4(data)
    if version != 5:
        raise DatagramError(f"version {version} is not 5")
    if kind == 1:
        return Header(agent, sub_agent, sequence, uptime, count, 28)
    if kind != 2:
        raise DatagramError(f"agent address of unknown type {kind}")
    if size < 40:
        raise DatagramError(f"{size} octets are too few for a header with an IPv6 address")
    _, _, agent, sub_agent, sequence, uptime, count = _HEADER6(data)
    return Header(agent, sub_agent, sequence, uptime, count, 40)


def walk(data: Buffer, size: int, offset: int, count: int) -> Iterator[Sample]:
    """The `count` samples that begin at `offset` of the datagram in `data[:size]`.

    Raises DatagramError where the datagram stops making sense, after all samples before that place.
    """
    for _ in range(count):
        body = offset + 8
        if body > size:
            raise DatagramError("fewer samples than the header says")
        kind, length = _PAIR(data, offset)
        offset = end = body + length
        if end > size:
            raise DatagramError(f"sample of type {kind} is longer than the datagram")
        if kind == FLOW_SAMPLE_EXPANDED:
            header = body + _HEADER_AT_EXPANDED
            if header + _IPV4_END <= end:
                sequence, source, rate, shape, room, protocol, frame, size_, ether, first, src, dst = _RAW_EXPANDED(
                    data, body
                )
            else:
                shape = 0
        elif kind == FLOW_SAMPLE:
            header = body + _HEADER_AT_COMPACT
            if header + _IPV4_END <= end:
                sequence, source, rate, shape, room, protocol, frame, size_, ether, first, src, dst = _RAW_COMPACT(
                    data, body
                )
                source = _expand_source(source)
            else:
                shape = 0
        else:
            yield _other(data, body, end, kind)
            continue
        if shape == _ONE_RAW_HEADER and header + room - 16 == end and 0 <= room - 16 - size_ < 4:
            if ether == 0x0800 and protocol == 1 and 0x45 <= first <= 0x4F and size_ >= _IPV4_END:
                yield FLOW, kind, body, end, source, sequence, rate, frame, src, dst
                continue
            if ether == 0x86DD and protocol == 1 and first >> 4 == 6 and size_ >= _IPV6_END:
                src, dst = _IPV6_ADDRESSES(data, header + _IPV6_ADDRESSES_AT)
                yield FLOW, kind, body, end, source, sequence, rate, frame, src, dst
                continue
            found = addresses(data, header, header + size_, protocol, frame)
            if found is None:
                yield FLOW, kind, body, end, source, sequence, rate, frame, None, None
            else:
                yield FLOW, kind, body, end, source, sequence, rate, frame, found[0], found[1]
            continue
        yield _flow(data, body, end, kind)
    if offset != size:
        raise DatagramError(f"{size - offset} octets behind the last sample")


def _expand_source(source: int) -> int:
    """Data source of the compact form (8 bits of type, 24 of index) in that of the expanded one."""
    return (source >> 24) << 32 | source & 0xFFFFFF


def _flow(data: Buffer, body: int, end: int, kind: int) -> Sample:
    """A flow sample of any shape."""
    if kind == FLOW_SAMPLE_EXPANDED:
        records = body + FLOW_EXPANDED_SIZE
        _need(records, end, kind)
        sequence, source, rate, count = _FLOW_EXPANDED(data, body)
    else:
        records = body + FLOW_COMPACT_SIZE
        _need(records, end, kind)
        sequence, source, rate, count = _FLOW_COMPACT(data, body)
        source = _expand_source(source)
    frame, src, dst = _packet(data, records, end, count)
    return FLOW, kind, body, end, source, sequence, rate, frame, src, dst


def _other(data: Buffer, body: int, end: int, kind: int) -> Sample:
    """A sample that is not a flow sample; unknown ones are skipped by their length."""
    if kind == COUNTERS_SAMPLE_EXPANDED:
        _need(body + COUNTERS_EXPANDED_SIZE, end, kind)
        sequence, source, count = _COUNTERS_EXPANDED(data, body)
        for _ in records(data, body + COUNTERS_EXPANDED_SIZE, end, count):
            pass
        return COUNTERS, kind, body, end, source, sequence, 0, 0, None, None
    if kind == COUNTERS_SAMPLE:
        _need(body + COUNTERS_COMPACT_SIZE, end, kind)
        sequence, source, count = _COUNTERS_COMPACT(data, body)
        for _ in records(data, body + COUNTERS_COMPACT_SIZE, end, count):
            pass
        return COUNTERS, kind, body, end, _expand_source(source), sequence, 0, 0, None, None
    if kind == DISCARDED_PACKET:
        _need(body + DISCARDED_SIZE, end, kind)
        sequence, source, count = _DISCARDED(data, body)
        frame, src, dst = _packet(data, body + DISCARDED_SIZE, end, count)
        return DISCARDED, kind, body, end, source, sequence, 0, frame, src, dst
    return UNKNOWN, kind, body, end, 0, 0, 0, 0, None, None


def records(data: Buffer, offset: int, end: int, count: int) -> Iterator[tuple[int, int, int]]:
    """(data format, offset, end) of each of `count` records; DatagramError if they do not fill offset:end to the octet.

    Opaque data is padded to a multiple of four octets (RFC 4506); some agents leave the padding out of the length.
    """
    for _ in range(count):
        start = offset + 8
        if start > end:
            raise DatagramError("fewer records than the sample says")
        kind, length = _PAIR(data, offset)
        offset = start + (length + 3 & ~3)
        if offset > end:
            raise DatagramError(f"record of format {kind} is longer than its sample")
        yield kind, start, start + length
    if offset != end:
        raise DatagramError(f"{end - offset} octets behind the last record of a sample")


def _packet(data: Buffer, offset: int, end: int, count: int) -> tuple[int, bytes | None, bytes | None]:
    """Frame length and addresses of a sampled packet from its records: of the raw header if it has them, else of the
    record with the addresses that the agent itself has read. Sampled IP lengths leave out what is around the packet,
    so the length of a raw header or of a sampled Ethernet frame goes before theirs.
    """
    frame = ethernet = ip = 0
    raw: Addresses | None = None
    read: Addresses | None = None
    for kind, start, stop in records(data, offset, end, count):
        if kind == RAW_HEADER:
            protocol, length, header, header_end = raw_header(data, start, stop)
            if raw is None:
                frame = frame or length
                raw = addresses(data, header, header_end, protocol, length)
        elif kind == SAMPLED_ETHERNET:
            if stop - start < 4:
                raise DatagramError("sampled Ethernet record is too short")
            ethernet = _PAIR(data, start)[0] if stop - start >= 8 else 0
        elif kind == SAMPLED_IPV4:
            if stop - start < 32:
                raise DatagramError("sampled IPv4 record is too short")
            ip, source, destination = _IPV4_RECORD(data, start)
            read = source, destination
        elif kind == SAMPLED_IPV6:
            if stop - start < 56:
                raise DatagramError("sampled IPv6 record is too short")
            ip, source, destination = _IPV6_RECORD(data, start)
            read = source, destination
    src, dst = raw or read or (None, None)
    return frame or ethernet or ip, src, dst


def raw_header(data: Buffer, start: int, stop: int) -> tuple[int, int, int, int]:
    """(header protocol, frame length, offset, end of the header) of the raw header record at start:stop."""
    if stop - start < 16:
        raise DatagramError("raw header record is too short")
    protocol, length, _, size = _FOUR(data, start)
    if not 0 <= stop - start - 16 - size < 4:
        raise DatagramError(f"raw header of {size} octets in a record of {stop - start}")
    return protocol, length, start + 16, start + 16 + size


def _need(offset: int, end: int, kind: int) -> None:
    if offset > end:
        raise DatagramError(f"sample of type {kind} is too short")
