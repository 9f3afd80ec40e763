"""The sFlow agent numbers what it sends without a break, and says what it was told."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arm.observe.switch import SwitchReport, read
from arm.sflow.records import CounterSample, FlowSample, Record, decode
from arm.simulate import encoder
from arm.simulate.agent import Agent
from arm.simulate.encoder import counter_sample, datagram, host_cpu
from arm.simulate.host import CPU_TIMES, Host, look

PACKETS = [(bytes([192, 0, 2, n]), bytes([198, 51, 100, n]), 1000 + n) for n in range(1, 18)]
HOST = Host(
    load=(0.5, 1.0, 2.0),
    processors=3,
    uptime_seconds=4000,
    cpu_ms=(1000, 20, 300, 9_000_000, 50, 6, 7),
    memory_total=2**34,
    memory_free=2**33,
    memory_buffers=2**20,
    memory_cached=2**21,
    disk_total=1000,
    disk_free=250,
)
SPENT = (4000, 0, 1000, 3000, 1000, 500, 500)
"""Milliseconds of user, nice, system, idle, waiting, interrupts, soft interrupts."""
SIX = bytes.fromhex("20010db8" + "00" * 11 + "01")


def flows(payload: bytes | bytearray) -> list[FlowSample]:
    decoded = decode(bytes(payload))
    assert decoded.error is None
    return [sample for sample in decoded.samples if isinstance(sample, FlowSample)]


@pytest.mark.parametrize("expanded", [True, False])
@pytest.mark.parametrize("address", [b"\x0a\0\0\1", SIX], ids=["IPv4 agent", "IPv6 agent"])
def test_numbers_are_unbroken_however_often_datagrams_are_sent(expanded: bool, address: bytes) -> None:
    agent = Agent(None, address=address, rate=50, expanded=expanded, per_datagram=5, clock=lambda: 7.0)
    built = agent.prebuild(PACKETS) + agent.prebuild(PACKETS, source_index=9)
    datagrams = [decode(bytes(agent.number(one))) for _ in range(3) for one in built]
    assert [datagram.sequence for datagram in datagrams] == list(range(1, len(built) * 3 + 1))
    for index in (1, 9):
        of_source = [s for d in datagrams for s in d.samples if s.source_index == index]
        assert [s.sequence for s in of_source] == list(range(1, 52))
        assert [s.pool for s in of_source if isinstance(s, FlowSample)] == [50 * n for n in range(1, 52)]


def test_samples_are_of_the_packets_it_was_told_of() -> None:
    agent = Agent(None, rate=50)
    seen = [sample for built in agent.prebuild(PACKETS) for sample in flows(agent.number(built))]
    assert [(s.source, s.destination, s.frame_length, s.rate) for s in seen] == [(*packet, 50) for packet in PACKETS]


@given(st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4), st.integers(64, 65535))
def test_the_checksum_of_an_ipv4_header_holds(source: bytes, destination: bytes, length: int) -> None:
    header = encoder.ip_packet(source, destination, length)[:20]
    assert sum(struct.unpack(">10H", header)) % 0xFFFF == 0


def test_full_datagrams_go_out_at_once_and_the_rest_by_flush() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(10)
        agent = Agent(collector.getsockname(), per_datagram=7)
        for packet in PACKETS:
            agent.sample(*packet)
        sizes = [len(flows(collector.recv(65536))) for _ in range(2)]
        agent.flush()
        agent.flush()
        sizes.append(len(flows(collector.recv(65536))))
        agent.close()
        assert sizes == [7, 7, 3]
        collector.setblocking(False)
        with pytest.raises(BlockingIOError):
            collector.recv(65536)


def test_nobody_listening_is_no_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = nobody.getsockname()
    agent = Agent(address)
    for built in agent.prebuild(PACKETS) * 3:
        agent.send(built)
    agent.close()


def test_an_agent_without_a_collector_can_not_send() -> None:
    agent = Agent(None)
    with pytest.raises(ValueError, match="no collector"):
        agent.send(agent.prebuild(PACKETS)[0])


@pytest.mark.parametrize("expanded", [True, False])
def test_counters_say_what_they_were_told(expanded: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(10)
        agent = Agent(collector.getsockname(), expanded=expanded)
        agent.send_interface_counters(
            5, speed=10**11, octets_in=2**40, packets_in=7, octets_out=2**41, packets_out=2**32 + 8
        )
        agent.send_host_counters(HOST)
        (interface,) = decode(collector.recv(65536)).samples
        (host,) = decode(collector.recv(65536)).samples
        agent.close()
    assert isinstance(interface, CounterSample)
    assert (interface.source_type, interface.source_index, interface.sequence) == (0, 5, 1)
    (generic,) = interface.records
    index, _, speed, _, status, octets_in, packets_in = struct.unpack_from(">IIQIIQI", generic.data)
    octets_out, packets_out = struct.unpack_from(">QI", generic.data, 56)
    assert len(generic.data) == 88
    assert (index, speed, status, octets_in, packets_in) == (5, 10**11, 3, 2**40, 7)
    assert (octets_out, packets_out) == (2**41, 8)
    assert isinstance(host, CounterSample)
    assert [(record.format, len(record.data)) for record in host.records] == [(2003, 80), (2004, 72), (2005, 52)]
    report = read(host.records, SwitchReport("10.0.0.1"))
    assert (report.load, report.processors, report.uptime_seconds) == ((0.5, 1.0, 2.0), 3, 4000)
    assert (report.memory_total, report.memory_available) == (2**34, 2**33 + 2**20 + 2**21)
    assert (report.disk_total, report.disk_free, report.disk_fullest_share) == (1000, 250, 0.75)
    # of 10 s between two reports, 4 s were spent waiting or idle
    later = replace(HOST, cpu_ms=tuple(now + more for now, more in zip(HOST.cpu_ms, SPENT, strict=True)))
    cpu = host_cpu(load=HOST.load, processors=3, uptime=4010, times_ms=later.cpu_ms)
    assert read(decode_records(cpu), report).cpu_share == pytest.approx(0.6)


def decode_records(*records: bytes) -> tuple[Record, ...]:
    (sample,) = decode(datagram([counter_sample(records)], agent=bytes(4))).samples
    assert isinstance(sample, CounterSample)
    return tuple(sample.records)


def test_the_machine_is_looked_at_as_it_is() -> None:
    host = look()
    assert host.processors >= 1
    assert len(host.cpu_ms) == CPU_TIMES
    # all processors together have spent their time since the start somewhere
    assert sum(host.cpu_ms) / 1000 <= host.uptime_seconds * host.processors * 1.05 + 10
    assert 0 < host.memory_free + host.memory_cached <= host.memory_total
    assert 0 <= host.disk_free <= host.disk_total
