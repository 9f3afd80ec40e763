"""sFlow version 5 out: packets and counters become samples and datagrams.

The opposite of `arm.sflow`, and on purpose without a line of it: what one of them gets wrong the other notices.
Packets look as on the wire (checksums hold, lengths fit), because the receiver looks at both. Layouts are those of
the sFlow version 5 specification, section 5, and of sFlow Host Structures.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

ETHERNET: Final = 1
FCS: Final = 4
"""Octets of the frame check sequence, counted in every frame length."""
HEADER_SIZE: Final = 128
"""Octets of a packet that agents usually send along."""
_MACS: Final = bytes.fromhex("020000000002020000000001")
_UDP: Final = 17


def ip_packet(source: bytes, destination: bytes, length: int) -> bytes:
    """The headers of an IP packet of `length` octets (IPv4 with a right checksum, or IPv6) and of UDP in it."""
    if len(source) == 4:
        start = struct.pack(">BBHIBB", 0x45, 0, length & 0xFFFF, 0, 64, _UDP)
        total: int = sum(struct.unpack(">10H", start + b"\0\0" + source + destination))
        total = (total & 0xFFFF) + (total >> 16)
        checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        head: bytes = start + checksum.to_bytes(2, "big") + source + destination
    else:
        head = struct.pack(">IHBB", 0x60000000, max(length - 40, 0) & 0xFFFF, _UDP, 64) + source + destination
    return head + struct.pack(">HHHH", 49152, 443, max(length - len(head), 0) & 0xFFFF, 0)


def frame(
    source: bytes,
    destination: bytes,
    frame_length: int,
    *,
    vlans: Sequence[int] = (),
    labels: Sequence[int] = (),
    pppoe: bool = False,
    size: int = HEADER_SIZE,
) -> bytes:
    """First octets of an Ethernet frame of `frame_length` octets on the wire, at most `size` of them.

    `vlans` are tag types (0x8100, 0x88a8) from the outermost on, `labels` an MPLS label stack from the top on.
    """
    around = b"".join(struct.pack(">HH", kind, 100) for kind in vlans)
    ipv4 = len(source) == 4
    if pppoe:
        head = b"\x88\x64\x11\x00\x00\x01"
        inner = frame_length - FCS - 12 - len(around) - len(head) - 4
        around += head + struct.pack(">HH", inner + 2, 0x0021 if ipv4 else 0x0057)
    elif labels:
        stack = [label << 12 | 64 for label in labels]
        stack[-1] |= 0x100
        around += b"\x88\x47" + struct.pack(f">{len(stack)}I", *stack)
    else:
        around += b"\x08\x00" if ipv4 else b"\x86\xdd"
    packet = ip_packet(source, destination, frame_length - FCS - 12 - len(around))
    return (_MACS + around + packet).ljust(min(size, max(frame_length - FCS, 0)), b"\0")[:size]


def record(kind: int, data: bytes, enterprise: int = 0) -> bytes:
    """A flow or counter record with its format and length, padded as XDR wants it."""
    return struct.pack(">II", enterprise << 12 | kind, len(data)) + data + bytes(-len(data) % 4)


def raw_header(header: bytes, frame_length: int, protocol: int = ETHERNET, stripped: int = FCS) -> bytes:
    """Flow record 1: the first octets of a packet."""
    padded = header + bytes(-len(header) % 4)
    return record(1, struct.pack(">IIII", protocol, frame_length, stripped, len(header)) + padded)


def sampled_ip(source: bytes, destination: bytes, length: int) -> bytes:
    """Flow record 3 or 4: the addresses of an IP packet of `length` octets."""
    data = struct.pack(">II", length, _UDP) + source + destination + struct.pack(">IIII", 49152, 443, 0, 0)
    return record(3 if len(source) == 4 else 4, data)


def flow_sample(
    records: Sequence[bytes],
    *,
    sequence: int = 0,
    source_type: int = 0,
    source_index: int = 1,
    rate: int = 1,
    pool: int = 0,
    drops: int = 0,
    input_index: int = 1,
    output_index: int = 2,
    expanded: bool = True,
) -> bytes:
    """A flow sample of the given records (sample type 3 if expanded, else 1). Interfaces are ifIndex values."""
    if expanded:
        head = struct.pack(
            ">11I",
            *(sequence, source_type, source_index, rate, pool, drops),
            *(0, input_index, 0, output_index, len(records)),
        )
    else:
        source = source_type << 24 | source_index
        head = struct.pack(">8I", sequence, source, rate, pool, drops, input_index, output_index, len(records))
    return _sample(3 if expanded else 1, head + b"".join(records))


def counter_sample(
    records: Sequence[bytes],
    *,
    sequence: int = 0,
    source_type: int = 0,
    source_index: int = 1,
    expanded: bool = True,
) -> bytes:
    """A counter sample of the given records (sample type 4 if expanded, else 2)."""
    if expanded:
        head = struct.pack(">4I", sequence, source_type, source_index, len(records))
    else:
        head = struct.pack(">3I", sequence, source_type << 24 | source_index, len(records))
    return _sample(4 if expanded else 2, head + b"".join(records))


def discarded_packet(
    records: Sequence[bytes],
    *,
    sequence: int = 0,
    source_type: int = 0,
    source_index: int = 1,
    drops: int = 0,
    input_index: int = 1,
    output_index: int = 0,
    reason: int = 256,
) -> bytes:
    """A notification of a dropped packet (sample type 5)."""
    head = struct.pack(
        ">8I", sequence, source_type, source_index, drops, input_index, output_index, reason, len(records)
    )
    return _sample(5, head + b"".join(records))


def interface_counters(
    index: int, *, speed: int, octets_in: int, packets_in: int, octets_out: int, packets_out: int
) -> bytes:
    """Counter record 1 (generic interface counters): speed in bit/s, full duplex, up."""
    data = struct.pack(">IIQIIQ", index, 6, speed, 1, 3, octets_in)
    data += struct.pack(">6I", packets_in & 0xFFFFFFFF, 0, 0, 0, 0, 0)
    data += struct.pack(">Q", octets_out)
    return record(1, data + struct.pack(">6I", packets_out & 0xFFFFFFFF, 0, 0, 0, 0, 0))


def host_cpu(*, load: tuple[float, float, float], processors: int, uptime: int, times_ms: Sequence[int]) -> bytes:
    """Counter record 2003 (sFlow Host Structures): load averages, uptime in seconds.

    `times_ms` are seven times in milliseconds: user, nice, system, idle, waiting, interrupts, soft interrupts.
    """
    times = [each & 0xFFFFFFFF for each in times_ms]
    data = struct.pack(">fff", *load) + struct.pack(">5I", 1, 100, processors, 2000, uptime)
    return record(2003, data + struct.pack(">12I", *times, 0, 0, 0, 0, 0))


def host_memory(*, total: int, free: int, buffers: int = 0, cached: int = 0) -> bytes:
    """Counter record 2004 (sFlow Host Structures): octets."""
    return record(2004, struct.pack(">7Q4I", total, free, 0, buffers, cached, 0, 0, 0, 0, 0, 0))


def host_disk(*, total: int, free: int) -> bytes:
    """Counter record 2005 (sFlow Host Structures): octets of all partitions, of which there is one."""
    fullest = round(10_000 * (1 - free / total)) if total else 0
    return record(2005, struct.pack(">QQI", total, free, fullest) + struct.pack(">IQIIQI", 0, 0, 0, 0, 0, 0))


def datagram(
    samples: Sequence[bytes], *, agent: bytes, sub_agent: int = 0, sequence: int = 1, uptime_ms: int = 0
) -> bytes:
    """A datagram of the given samples from the agent of that packed address."""
    kind = 1 if len(agent) == 4 else 2
    head = struct.pack(">II", 5, kind) + agent
    return head + struct.pack(">IIII", sub_agent, sequence, uptime_ms, len(samples)) + b"".join(samples)


def _sample(kind: int, data: bytes) -> bytes:
    return struct.pack(">II", kind, len(data)) + data
