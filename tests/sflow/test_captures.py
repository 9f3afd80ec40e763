"""Captured datagrams of real agents decode to what tshark says of them, sample by sample."""

from __future__ import annotations

import binascii
import shutil
from pathlib import Path
from typing import Any

import pytest
import tshark_reference
from sflow_reference import decode as reference_decode

from arm.sflow.collector import Collector
from arm.sflow.records import AnySample, CounterSample, Datagram, DiscardedPacket, FlowSample, decode
from arm.simulate import encoder

captures = pytest.mark.parametrize("capture", tshark_reference.CAPTURES, ids=lambda path: path.stem)
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
TSHARK_KNOWS = {1, 2, 3, 4, 1001}


def ours(sample: AnySample, types: set[int]) -> dict[str, Any]:
    """Our sample in the words of the reference; `types` are the record formats that it was shown."""
    assert not isinstance(sample, DiscardedPacket)
    common = {
        "sequence": sample.sequence,
        "source_type": sample.source_type,
        "source_index": sample.source_index,
    }
    if isinstance(sample, CounterSample):
        return common | {"records": len(sample.records)}
    return common | {
        "rate": sample.rate,
        "pool": sample.pool,
        "drops": sample.drops,
        "input": sample.input,
        "output": sample.output,
        "records": [[record.format, len(record.data)] for record in sample.records if record.format in types],
        "protocol": sample.header_protocol,
        "frame_length": sample.frame_length,
        "header_size": len(sample.header),
        "header_crc32": binascii.crc32(sample.header),
        "source": sample.source and sample.source.hex(),
        "destination": sample.destination and sample.destination.hex(),
    }


def compare(decoded: list[Datagram], expected: list[list[dict[str, Any]]]) -> int:
    """Assert that all samples are the same, and return how many there were."""
    compared = 0
    assert len(decoded) == len(expected)
    for datagram, theirs in zip(decoded, expected, strict=True):
        assert datagram.error is None
        assert len(datagram.samples) == len(theirs)
        for sample, their in zip(datagram.samples, theirs, strict=True):
            their = dict(their)
            counters = their.pop("type") in (2, 4)
            assert isinstance(sample, CounterSample) == counters
            assert ours(sample, TSHARK_KNOWS) == their
            compared += 1
    return compared


@captures
def test_every_sample_of_a_capture_is_what_tshark_said(capture: Path) -> None:
    decoded = [decode(payload) for payload in tshark_reference.datagrams(capture)]
    expected = tshark_reference.load(capture)
    assert compare(decoded, expected) == sum(len(samples) for samples in expected) > 0


@needs_tshark
@captures
def test_what_tshark_said_is_what_the_installed_tshark_says(capture: Path) -> None:
    assert tshark_reference.load(capture) == tshark_reference.expected(capture)


@captures
def test_the_hot_path_adds_up_to_what_tshark_said(capture: Path) -> None:
    collector = Collector()
    for payload in tshark_reference.datagrams(capture):
        collector.receive(payload, len(payload), 0.0)
    batch = collector.take()
    expected: dict[str, tuple[int, int]] = {}
    flows = [one for samples in tshark_reference.load(capture) for one in samples if one["type"] in (1, 3)]
    for sample in flows:
        octets, count = expected.get(sample["destination"], (0, 0))
        expected[sample["destination"]] = octets + sample["rate"] * sample["frame_length"], count + 1
    found = {
        address.hex(): (value >> 24, value & 0xFFFFFF)
        for address, value in [*batch.destinations4.items(), *batch.destinations6.items()]
    }
    assert found == expected
    assert batch.samples == len(flows)


@captures
def test_no_loss_is_seen_where_there_was_none(capture: Path) -> None:
    collector = Collector()
    for payload in tshark_reference.datagrams(capture):
        collector.receive(payload, len(payload), 0.0)
    (agent,) = collector.status(0.0, 0).agents
    assert (agent.lost_datagrams, agent.lost_samples) == (0, 0)


@captures
def test_the_second_decoder_of_the_tests_agrees_with_tshark(capture: Path) -> None:
    for payload, theirs in zip(tshark_reference.datagrams(capture), tshark_reference.load(capture), strict=True):
        seen, error = reference_decode(payload)
        assert not error
        flows = [sample for sample in theirs if sample["type"] in (1, 3)]
        assert [
            (one.sequence, one.rate, one.frame_length, one.addresses and one.addresses[1].hex())
            for one in seen
            if one.kind == "flow"
        ] == [(one["sequence"], one["rate"], one["frame_length"], one["destination"]) for one in flows]


def every_encapsulation() -> list[bytes]:
    """A datagram for each way in which the encoder can wrap a packet."""
    four = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
    six = bytes.fromhex("20010db8" + "00" * 11 + "01"), bytes.fromhex("20010db8000f" + "00" * 9 + "02")
    payloads = []
    for source, destination in (four, six):
        for options in (
            {},
            {"vlans": [0x8100]},
            {"vlans": [0x88A8, 0x8100]},
            {"pppoe": True},
            {"vlans": [0x8100], "pppoe": True},
            {"labels": [16]},
            {"labels": [1000, 2000, 3000]},
            {"vlans": [0x8100], "labels": [17, 18]},
        ):
            header = encoder.frame(source, destination, 1400, **options)  # type: ignore[arg-type]
            record = encoder.raw_header(header, 1400)
            samples = [
                encoder.flow_sample([record], sequence=7, rate=4096, pool=99, source_index=5, expanded=expanded)
                for expanded in (True, False)
            ]
            agent = bytes([10, 9, 8, 7]) if source == four[0] else six[0]
            payloads.append(encoder.datagram(samples, agent=agent, sequence=3))
        for protocol in (11, 12):
            packet = encoder.ip_packet(source, destination, 1400)
            if (protocol == 11) == (len(source) == 4):
                record = encoder.raw_header(packet, 1400, protocol=protocol)
                payloads.append(encoder.datagram([encoder.flow_sample([record], rate=5)], agent=four[0]))
    return payloads


@needs_tshark
def test_every_encapsulation_is_read_as_tshark_reads_it() -> None:
    payloads = every_encapsulation()
    answers = tshark_reference.ask(payloads)
    assert not any(malformed for _, malformed in answers)
    assert compare([decode(payload) for payload in payloads], [samples for samples, _ in answers]) == 34
    for samples, _ in answers:
        assert all(sample["destination"] is not None for sample in samples)


def test_every_encapsulation_shows_its_addresses() -> None:
    for payload in every_encapsulation():
        for sample in decode(payload).samples:
            assert isinstance(sample, FlowSample)
            assert sample.destination in (bytes([198, 51, 100, 7]), bytes.fromhex("20010db8000f" + "00" * 9 + "02"))
