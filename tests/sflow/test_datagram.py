"""What goes in as sFlow comes out as samples, and what does not fit is never taken for one."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from interpreted import interpreted
from sflow_reference import Seen
from sflow_reference import decode as reference_decode
from sflow_strategies import REAL, any_input, datagrams, few, flow_samples, many, mutated

from arm.model import COUNT_BITS, COUNT_MASK
from arm.sflow import datagram as codec
from arm.sflow.collector import Collector
from arm.sflow.datagram import DatagramError, Sample, read_header, walk
from arm.sflow.records import CounterSample, DiscardedPacket, FlowSample, decode
from arm.simulate import encoder

SOURCES = interpreted(*(f"arm.sflow.{name}" for name in ("packet", "datagram", "sequence", "agents", "collector")))
SOURCE, DESTINATION = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])


def samples_of(data: bytes) -> tuple[list[Sample], bool]:
    """All samples the walk gives, and whether it ended in an error. Any other exception fails the test."""
    found: list[Sample] = []
    try:
        header = read_header(data, len(data))
        for sample in walk(data, len(data), header.offset, header.sample_count):
            found.append(sample)  # noqa: PERF402  the error ends the loop, what came before it counts
    except DatagramError:
        return found, True
    return found, False


def collect(data: bytes) -> list[Sample]:
    """All samples the walk gives, up to an error if there is one."""
    return samples_of(data)[0]


def as_reference(sample: Sample) -> Seen:
    """A sample of the walk in the words of the second decoder."""
    kind, _, _, _, source, sequence, rate, length, src, dst = sample
    return Seen(
        {codec.FLOW: "flow", codec.COUNTERS: "counters", codec.DISCARDED: "discarded"}.get(kind, "unknown"),
        (source >> 32, source & 0xFFFFFFFF),
        sequence,
        rate,
        length,
        None if src is None or dst is None else (src, dst),
    )


def without_records(seen: list[Seen]) -> list[Seen]:
    return [Seen(one.kind, one.source, one.sequence, one.rate, one.frame_length, one.addresses) for one in seen]


def simple(count: int = 3, *, expanded: bool = True) -> bytes:
    samples = []
    for number in range(count):
        header = encoder.raw_header(encoder.frame(SOURCE, DESTINATION, 1000 + number), 1000 + number)
        samples.append(encoder.flow_sample([header], sequence=number, rate=100, expanded=expanded))
    return encoder.datagram(samples, agent=b"\x0a\0\0\1")


@given(datagrams())
@few
def test_what_is_encoded_is_decoded(made: tuple[bytes, list[dict[str, Any]]]) -> None:
    data, expected = made
    decoded = decode(data)
    assert decoded.error is None
    flows = [sample for sample in decoded.samples if isinstance(sample, FlowSample)]
    assert [{name: getattr(flow, name) for name in fields} for flow, fields in zip(flows, expected, strict=True)] == (
        expected
    )


@given(any_input)
@example(b"")
@many
def test_any_input_gives_what_the_second_decoder_gives(data: bytes) -> None:
    found, error = samples_of(data)
    expected, expected_error = reference_decode(data)
    assert [as_reference(sample) for sample in found] == without_records(expected)
    assert error == expected_error


@given(any_input)
@many
def test_the_full_decode_and_the_hot_path_see_the_same(data: bytes) -> None:
    expected, error = reference_decode(data)
    collector = Collector()
    collector.receive(data, len(data), 1.0)
    status = collector.status(1.0, 0)
    assert status.malformed == int(error)
    assert status.flow_samples == sum(one.kind == "flow" for one in expected)
    assert status.counter_samples == sum(one.kind == "counters" for one in expected)
    assert status.discarded_packet_samples == sum(one.kind == "discarded" for one in expected)
    try:
        decoded = decode(data)
    except DatagramError:
        assert error
        assert not expected
        return
    assert (decoded.error is not None) == error
    names = {FlowSample: "flow", CounterSample: "counters", DiscardedPacket: "discarded"}
    known = [one for one in expected if one.kind != "unknown"]
    assert [names[type(sample)] for sample in decoded.samples] == [one.kind for one in known]
    octets: dict[bytes, int] = {}
    for sample, one in zip(decoded.samples, known, strict=True):
        assert (sample.source_type, sample.source_index, sample.sequence) == (*one.source, one.sequence)
        assert tuple(record.enterprise << 12 | record.format for record in sample.records) == one.records
        if isinstance(sample, FlowSample):
            assert sample.rate == one.rate
            value = sample.rate * sample.frame_length
            if sample.destination is not None and 0 < value <= 1 << 40:
                octets[sample.destination] = octets.get(sample.destination, 0) + value
    batch = collector.take()
    hot = {address: value >> COUNT_BITS for address, value in {**batch.destinations4, **batch.destinations6}.items()}
    assert hot == octets
    for by_address in (batch.destinations4, batch.destinations6, batch.sources4, batch.sources6):
        assert all(value & COUNT_MASK for value in by_address.values())
    assert sum(v & COUNT_MASK for v in batch.destinations4.values()) == sum(
        v & COUNT_MASK for v in batch.sources4.values()
    )


@given(mutated())
@many
def test_the_short_cut_for_common_samples_is_no_other_way(data: bytes) -> None:
    for sample in collect(data):
        kind, sample_type, offset, end, *_ = sample
        if kind == codec.FLOW:
            assert sample == codec._flow(data, offset, end, sample_type)


@given(any_input)
@many
def test_compiled_and_interpreted_say_the_same(data: bytes) -> None:
    def told(collector: type[Collector]) -> object:
        used = collector()
        used.receive(data, len(data), 0.0)
        used.receive(bytearray(data), len(data), 0.0)
        batch = used.take()
        return used.status(0.0, 0), batch.destinations4, batch.destinations6, batch.sources4, batch.sources6

    assert told(Collector) == told(SOURCES[-1].Collector)


@pytest.mark.parametrize("payload", [simple(), simple(expanded=False), REAL[0], REAL[-1]])
def test_a_datagram_cut_anywhere_gives_its_whole_samples_and_no_other(payload: bytes) -> None:
    whole = collect(payload)
    ends = [sample[3] for sample in whole]
    for size in range(len(payload)):
        expected = whole[: sum(end <= size for end in ends)]
        assert samples_of(payload[:size]) == (expected, True)
        # the rest still stands in the buffer, as what an earlier datagram left there may
        collector = Collector()
        collector.receive(payload, size, 0.0)
        assert collector.status(0.0, 0).malformed == 1
        assert collector.status(0.0, 0).flow_samples == sum(sample[0] == codec.FLOW for sample in expected)


@given(mutated(), st.binary(max_size=400))
@few
def test_nothing_behind_the_datagram_is_read(data: bytes, behind: bytes) -> None:
    if len(data) < 28:
        return
    collector, other = Collector(), Collector()
    collector.receive(data, len(data), 0.0)
    other.receive(bytearray(data + behind), len(data), 0.0)
    assert collector.status(0.0, 0) == other.status(0.0, 0)
    assert collector.take().destinations4 == other.take().destinations4


@pytest.mark.parametrize("expanded", [True, False])
@given(lie=st.integers(0, 2**32 - 1), which=st.integers(0, 2))
@few
def test_a_sample_whose_lengths_lie_is_not_counted_nor_what_follows(expanded: bool, lie: int, which: int) -> None:
    payload = simple(expanded=expanded)
    whole = collect(payload)
    start = whole[which][2]
    records = start + (codec.FLOW_EXPANDED_SIZE if expanded else codec.FLOW_COMPACT_SIZE)
    for at in (start - 4, records - 4, records + 4, records + 20):  # sample, count, record, header
        (truth,) = struct.unpack_from(">I", payload, at)
        if lie == truth or (at == records + 20 and 0 <= truth - lie < 4):
            continue  # up to three octets of a header may be padding
        data = bytearray(payload)
        struct.pack_into(">I", data, at, lie)
        found, error = samples_of(bytes(data))
        assert error
        assert found == whole[:which]


@given(lie=st.integers(0, 2**32 - 1))
@few
def test_a_count_of_samples_that_lies_is_malformed(lie: int) -> None:
    payload = bytearray(simple())
    whole = collect(bytes(payload))
    struct.pack_into(">I", payload, 24, lie)
    found, error = samples_of(bytes(payload))
    assert error == (lie != 3)
    assert found == whole[: min(lie, 3)]


@pytest.mark.parametrize("expanded", [True, False])
@pytest.mark.parametrize("first", range(0x40, 0x50), ids=hex)
def test_a_header_of_any_size_is_read_as_far_as_it_goes(expanded: bool, first: int) -> None:
    frame = bytearray(encoder.frame(SOURCE, DESTINATION, 1000))
    frame[14] = first
    for size in range(60):
        record = encoder.raw_header(bytes(frame[:size]), 1000)
        data = encoder.datagram([encoder.flow_sample([record], rate=10, expanded=expanded)], agent=b"\x0a\0\0\1")
        (sample,) = collect(data)
        assert sample[-1] == (DESTINATION if size >= 34 and first >= 0x45 else None)


@given(flow_samples())
@few
def test_unknown_records_and_samples_are_stepped_over(made: tuple[bytes, dict[str, Any]]) -> None:
    data, fields = made
    strange = struct.pack(">II", 4413 << 12 | 77, 12) + bytes(range(12))
    decoded = decode(encoder.datagram([strange, data, strange], agent=b"\x0a\0\0\1"))
    assert decoded.error is None
    (sample,) = decoded.samples
    assert isinstance(sample, FlowSample)
    assert sample.destination == fields["destination"]


def test_each_sample_has_its_own_rate() -> None:
    header = encoder.raw_header(encoder.frame(SOURCE, DESTINATION, 1000), 1000)
    samples = [encoder.flow_sample([header], sequence=n, rate=rate) for n, rate in enumerate((10, 1000, 7))]
    data = encoder.datagram(samples, agent=b"\x0a\0\0\1")
    collector = Collector()
    collector.receive(data, len(data), 0.0)
    assert collector.take().destinations4 == {DESTINATION: (1017 * 1000) << COUNT_BITS | 3}


def test_interfaces_of_the_compact_form_are_split_into_format_and_value() -> None:
    sample = encoder.flow_sample([], input_index=0x3FFFFFFF, output_index=2 << 30 | 5, expanded=False)
    (found,) = decode(encoder.datagram([sample], agent=b"\x0a\0\0\1")).samples
    assert isinstance(found, FlowSample)
    assert (found.input_format, found.input) == (0, 0x3FFFFFFF)
    assert (found.output_format, found.output) == (2, 5)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", "too few"),
        (bytes(27), "too few"),
        (struct.pack(">II", 4, 1) + bytes(20), "version 4"),
        (struct.pack(">II", 5, 3) + bytes(20), "unknown type 3"),
        (struct.pack(">II", 5, 2) + bytes(24), "IPv6"),
    ],
)
def test_a_header_that_is_none_is_refused(head: bytes, reason: str) -> None:
    with pytest.raises(DatagramError, match=reason):
        read_header(head, len(head))
