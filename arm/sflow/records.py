"""sFlow datagrams in full, for those who want more of a sample than its addresses.

Built on the walk of `datagram`, so a sample is here exactly if the hot path has seen it, with the same rate, length
and addresses. Records are kept as they came, by (enterprise, format): who wants one reads it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

from arm.sflow.datagram import (
    COUNTERS,
    COUNTERS_COMPACT_SIZE,
    COUNTERS_EXPANDED_SIZE,
    COUNTERS_SAMPLE,
    DISCARDED,
    DISCARDED_SIZE,
    FLOW,
    FLOW_COMPACT_SIZE,
    FLOW_EXPANDED_SIZE,
    FLOW_SAMPLE,
    RAW_HEADER,
    DatagramError,
    Sample,
    raw_header,
    read_header,
    records,
    walk,
)

_SIX: Final = struct.Struct(">6I").unpack_from
_FOUR: Final = struct.Struct(">4I").unpack_from
_COUNT: Final = struct.Struct(">I").unpack_from


@dataclass(frozen=True, slots=True)
class Record:
    """One flow or counter record as it came."""

    enterprise: int
    format: int
    data: bytes


@dataclass(frozen=True, slots=True)
class FlowSample:
    """A sampled packet: flow_sample or flow_sample_expanded (section 5.3)."""

    source_type: int
    source_index: int
    sequence: int
    rate: int
    """One in so many packets was sampled."""
    pool: int
    """Packets that could have been sampled."""
    drops: int
    """Samples the agent had to drop."""
    input_format: int
    input: int
    """ifIndex when the format is 0."""
    output_format: int
    output: int
    frame_length: int
    """Octets on the wire."""
    header_protocol: int
    """1 Ethernet, 11 IPv4, 12 IPv6; 0 without a raw header record."""
    header: bytes
    """The first octets of the packet."""
    source: bytes | None
    """Packed IP address, or None if no IP header can be read."""
    destination: bytes | None
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class CounterSample:
    """Counters of an interface or of the host: counters_sample or counters_sample_expanded."""

    source_type: int
    source_index: int
    sequence: int
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class DiscardedPacket:
    """A packet that the switch dropped (sFlow Dropped Packet Notification Structures)."""

    source_type: int
    source_index: int
    sequence: int
    drops: int
    input: int
    output: int
    reason: int
    frame_length: int
    header_protocol: int
    header: bytes
    source: bytes | None
    destination: bytes | None
    records: tuple[Record, ...]


AnySample: TypeAlias = FlowSample | CounterSample | DiscardedPacket


@dataclass(frozen=True, slots=True)
class Datagram:
    """A whole datagram. Samples of unknown types are left out."""

    agent: bytes
    sub_agent: int
    sequence: int
    uptime_ms: int
    samples: tuple[AnySample, ...]
    error: str | None = None
    """Why the samples end before the datagram does, if they do."""


def decode(data: bytes) -> Datagram:
    """The datagram in `data`; DatagramError if not even its header is there.

    What does not fit behind the header ends the samples and is told in `error`.
    """
    header = read_header(data, len(data))
    samples: list[AnySample] = []
    error = None
    try:
        for sample in walk(data, len(data), header.offset, header.sample_count):
            kind = sample[0]
            if kind == FLOW:
                samples.append(_flow(data, sample))
            elif kind == COUNTERS:
                samples.append(_counters(data, sample))
            elif kind == DISCARDED:
                samples.append(_discarded(data, sample))
    except DatagramError as problem:
        error = str(problem)
    return Datagram(header.agent, header.sub_agent, header.sequence, header.uptime_ms, tuple(samples), error)


def _records(data: bytes, offset: int, end: int) -> tuple[Record, ...]:
    """The records whose number stands at `offset`."""
    (count,) = _COUNT(data, offset)
    return tuple(
        Record(kind >> 12, kind & 0xFFF, data[start:stop])
        for kind, start, stop in records(data, offset + 4, end, count)
    )


def _head(found: tuple[Record, ...]) -> tuple[int, bytes]:
    """Protocol and octets of the first raw header record."""
    for record in found:
        if record.enterprise == 0 and record.format == RAW_HEADER:
            protocol, _, start, end = raw_header(record.data, 0, len(record.data))
            return protocol, record.data[start:end]
    return 0, b""


def _flow(data: bytes, sample: Sample) -> FlowSample:
    _, sample_type, offset, end, source, sequence, rate, length, src, dst = sample
    if sample_type == FLOW_SAMPLE:
        _, pool, drops, inside, outside, _ = _SIX(data, offset + 8)
        in_format, in_value = inside >> 30, inside & 0x3FFFFFFF
        out_format, out_value = outside >> 30, outside & 0x3FFFFFFF
        found = _records(data, offset + FLOW_COMPACT_SIZE - 4, end)
    else:
        pool, drops, in_format, in_value, out_format, out_value = _SIX(data, offset + 16)
        found = _records(data, offset + FLOW_EXPANDED_SIZE - 4, end)
    protocol, header = _head(found)
    return FlowSample(
        source_type=source >> 32,
        source_index=source & 0xFFFFFFFF,
        sequence=sequence,
        rate=rate,
        pool=pool,
        drops=drops,
        input_format=in_format,
        input=in_value,
        output_format=out_format,
        output=out_value,
        frame_length=length,
        header_protocol=protocol,
        header=header,
        source=src,
        destination=dst,
        records=found,
    )


def _counters(data: bytes, sample: Sample) -> CounterSample:
    _, sample_type, offset, end, source, sequence, *_ = sample
    size = COUNTERS_COMPACT_SIZE if sample_type == COUNTERS_SAMPLE else COUNTERS_EXPANDED_SIZE
    return CounterSample(source >> 32, source & 0xFFFFFFFF, sequence, _records(data, offset + size - 4, end))


def _discarded(data: bytes, sample: Sample) -> DiscardedPacket:
    _, _, offset, end, source, sequence, _, length, src, dst = sample
    drops, inside, outside, reason = _FOUR(data, offset + 12)
    found = _records(data, offset + DISCARDED_SIZE - 4, end)
    protocol, header = _head(found)
    return DiscardedPacket(
        source_type=source >> 32,
        source_index=source & 0xFFFFFFFF,
        sequence=sequence,
        drops=drops,
        input=inside,
        output=outside,
        reason=reason,
        frame_length=length,
        header_protocol=protocol,
        header=header,
        source=src,
        destination=dst,
        records=found,
    )
