"""What hypothesis draws sFlow from: datagrams of every kind, and real ones with octets changed."""

from __future__ import annotations

import struct
from typing import Any

import tshark_reference
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from arm.simulate import encoder

REAL = [payload for capture in tshark_reference.CAPTURES for payload in tshark_reference.datagrams(capture)]

few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(few, max_examples=200)
"""No deadline: the machine may be busy with something else, and that is not a fault of the code."""

u32 = st.integers(0, 2**32 - 1)
address_pairs = st.one_of(
    *(st.tuples(*[st.binary(min_size=size, max_size=size)] * 2) for size in (4, 16)),
)


@st.composite
def framings(draw: st.DrawFn) -> dict[str, Any]:
    """Ways to wrap a packet that `encoder.frame` knows."""
    options: dict[str, Any] = {"vlans": draw(st.lists(st.sampled_from([0x8100, 0x88A8, 0x9100]), max_size=3))}
    kind = draw(st.sampled_from(["plain", "plain", "labels", "pppoe"]))
    if kind == "labels":
        options["labels"] = draw(st.lists(st.integers(16, 2**20 - 1), min_size=1, max_size=4))
    elif kind == "pppoe":
        options["pppoe"] = True
    return options


@st.composite
def packet_records(draw: st.DrawFn) -> tuple[list[bytes], tuple[bytes, bytes], int]:
    """Flow records of one packet, its addresses, and its length."""
    source, destination = addresses = draw(address_pairs)
    length = draw(st.integers(128, 9018))
    shape = draw(st.sampled_from(["raw", "raw", "raw", "ip header", "sampled ip", "sampled ethernet and ip"]))
    if shape == "raw":
        header = encoder.frame(source, destination, length, **draw(framings()), size=draw(st.integers(110, 128)))
        records = [encoder.raw_header(header, length)]
    elif shape == "ip header":
        header = encoder.ip_packet(source, destination, length)
        records = [encoder.raw_header(header, length, protocol=11 if len(source) == 4 else 12)]
    else:
        records = [encoder.sampled_ip(source, destination, length)]
        if shape == "sampled ethernet and ip":
            length += 18
            records.append(encoder.record(2, struct.pack(">I", length) + bytes(16)))
    for extra in draw(st.lists(st.tuples(st.integers(1001, 4000), st.binary(max_size=40)), max_size=2)):
        place = draw(st.integers(0, len(records)))
        records.insert(place, encoder.record(*extra, enterprise=draw(st.sampled_from([0, 4413]))))
    return records, addresses, length


@st.composite
def flow_samples(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """A flow sample, and what must be found in it."""
    records, addresses, length = draw(packet_records())
    expanded = draw(st.booleans())
    fields = {
        "sequence": draw(u32),
        "source_type": draw(st.integers(0, 255)),
        "source_index": draw(st.integers(0, 2**24 - 1)),
        "rate": draw(u32),
        "pool": draw(u32),
        "drops": draw(u32),
    }
    interfaces = {"input_index": draw(st.integers(0, 2**30 - 1)), "output_index": draw(st.integers(0, 2**30 - 1))}
    data = encoder.flow_sample(records, **fields, **interfaces, expanded=expanded)
    found = fields | {
        "input": interfaces["input_index"],
        "output": interfaces["output_index"],
        "frame_length": length,
        "source": addresses[0],
        "destination": addresses[1],
    }
    return data, found


@st.composite
def other_samples(draw: st.DrawFn) -> bytes:
    """A sample that is not a flow sample: counters, a discarded packet, or of an unknown type."""
    kind = draw(st.sampled_from(["counters", "discarded", "unknown"]))
    if kind == "counters":
        counters = [
            encoder.record(draw(st.integers(0, 4095)), draw(st.binary(max_size=50)))
            for _ in range(draw(st.integers(0, 3)))
        ]
        return encoder.counter_sample(counters, sequence=draw(u32), expanded=draw(st.booleans()))
    if kind == "discarded":
        return encoder.discarded_packet(draw(packet_records())[0], sequence=draw(u32), reason=draw(u32))
    data = draw(st.binary(max_size=60))
    return struct.pack(">II", draw(st.integers(6, 2**32 - 1)), len(data)) + data


@st.composite
def datagrams(draw: st.DrawFn) -> tuple[bytes, list[dict[str, Any]]]:
    """A sound datagram, and what its flow samples must decode to."""
    samples: list[bytes] = []
    found = []
    for _ in range(draw(st.integers(0, 8))):
        if draw(st.integers(0, 3)):
            data, fields = draw(flow_samples())
            found.append(fields)
        else:
            data = draw(other_samples())
        samples.append(data)
    agent = draw(st.sampled_from([bytes([10, 0, 0, 1]), bytes(15) + b"\1"]))
    data = encoder.datagram(samples, agent=agent, sub_agent=draw(u32), sequence=draw(u32), uptime_ms=draw(u32))
    return data, found


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real or made datagram with some octets or words changed, and perhaps cut or prolonged."""
    data = bytearray(draw(st.one_of(st.sampled_from(REAL), datagrams().map(lambda made: made[0]))))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data) - 1))
        if draw(st.booleans()):
            data[at] = draw(st.integers(0, 255))
        else:
            word = draw(st.one_of(u32, st.integers(0, 300), st.integers(2**32 - 20, 2**32 - 1)))
            data[at & ~3 : (at & ~3) + 4] = struct.pack(">I", word)
    if draw(st.integers(0, 4)) == 0:
        del data[draw(st.integers(0, len(data))) :]
    elif draw(st.integers(0, 4)) == 0:
        data += draw(st.binary(max_size=20))
    return bytes(data)


any_input = st.one_of(
    mutated(),
    st.binary(max_size=200),
    st.binary(max_size=200).map(lambda tail: struct.pack(">II4sIIII", 5, 1, bytes(4), 0, 1, 2, 3) + tail),
)
