"""The collector counts each sample once, for the right agent, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from arm.model import COUNT_BITS, AgentStatus
from arm.sflow import agents
from arm.sflow.collector import Collector
from arm.sflow.records import Datagram
from arm.simulate import encoder
from arm.simulate.agent import Agent

ONE, TWO = b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02"
SIX = bytes.fromhex("20010db8" + "00" * 11 + "01")
PACKETS = [(bytes([192, 0, 2, n]), bytes([198, 51, 100, n]), 1000 + n) for n in range(1, 22)]


def feed(collector: Collector, payload: bytes | bytearray, now: float = 0.0) -> None:
    collector.receive(payload, len(payload), now)


def flow(sequence: int, *, source: int = 1, rate: int = 100, length: int = 1000) -> bytes:
    header = encoder.raw_header(encoder.frame(*PACKETS[0][:2], length), length)
    return encoder.flow_sample([header], sequence=sequence, rate=rate, source_index=source)


def of(collector: Collector, address: str = "10.0.0.1") -> AgentStatus:
    (found,) = [agent for agent in collector.status(0.0, 0).agents if agent.agent == address]
    return found


@pytest.mark.parametrize("expanded", [True, False])
@pytest.mark.parametrize("address", [ONE, SIX], ids=["IPv4 agent", "IPv6 agent"])
def test_both_directions_add_up(expanded: bool, address: bytes) -> None:
    agent = Agent(None, address=address, rate=512, expanded=expanded)
    collector = Collector()
    for _ in range(3):
        for built in agent.prebuild(PACKETS):
            feed(collector, agent.number(built))
    batch = collector.take()
    assert batch.samples == 63
    assert batch.destinations4 == {dst: (3 * 512 * length) << COUNT_BITS | 3 for _, dst, length in PACKETS}
    assert batch.sources4 == {src: (3 * 512 * length) << COUNT_BITS | 3 for src, _, length in PACKETS}
    assert not batch.destinations6
    assert not batch.sources6
    status = collector.status(0.0, 0)
    assert (status.datagrams, status.flow_samples, status.skipped_samples, status.malformed) == (9, 63, 0, 0)
    assert (status.agents[0].lost_samples, status.agents[0].sampling_rate) == (0, 512)


def test_a_batch_that_was_taken_is_left_alone() -> None:
    collector = Collector()
    feed(collector, encoder.datagram([flow(1)], agent=ONE))
    first = collector.take()
    before = dict(first.destinations4)
    feed(collector, encoder.datagram([flow(2)], agent=ONE))
    assert first.destinations4 == before
    assert (first.samples, collector.take().samples, collector.take().samples) == (1, 1, 0)


def test_only_the_configured_agent_counts() -> None:
    collector = Collector(agent=TWO)
    feed(collector, encoder.datagram([flow(1)], agent=ONE))
    assert collector.last_sample is None
    feed(collector, encoder.datagram([flow(1)], agent=TWO), now=3.0)
    assert collector.take().samples == 1
    assert collector.last_sample == 3.0
    status = collector.status(3.0, 0)
    assert (status.datagrams, status.other_agents, status.flow_samples) == (2, 1, 1)
    assert [(agent.agent, agent.counted) for agent in status.agents] == [("10.0.0.1", False), ("10.0.0.2", True)]


def test_lost_datagrams_and_samples_are_told_apart_by_agent_and_source() -> None:
    collector = Collector()
    for sequence, samples in ((1, [flow(1), flow(1, source=2)]), (2, [flow(2)]), (5, [flow(9), flow(2, source=2)])):
        feed(collector, encoder.datagram(samples, agent=ONE, sequence=sequence))
    for sequence in (7, 8, 9):
        feed(collector, encoder.datagram([flow(sequence)], agent=ONE, sub_agent=1, sequence=sequence))
    lost = {(agent.sub_agent, agent.lost_datagrams, agent.lost_samples) for agent in collector.status(0, 0).agents}
    assert lost == {(0, 2, 6), (1, 0, 0)}


@pytest.mark.parametrize("first", [1, 90, 5000])
def test_an_agent_that_starts_again_has_lost_nothing(first: int) -> None:
    collector = Collector()
    for sequence in range(100, 110):
        feed(collector, encoder.datagram([flow(sequence)], agent=ONE, sequence=sequence, uptime_ms=1_000_000))
    for sequence in range(first, first + 200):
        feed(collector, encoder.datagram([flow(sequence)], agent=ONE, sequence=sequence, uptime_ms=sequence))
    assert (of(collector).lost_datagrams, of(collector).lost_samples) == (0, 0)


def test_losses_are_made_up_for() -> None:
    collector = Collector()
    sequence = 0
    for second in range(30):
        for number in range(200):
            sequence += 1
            if number % 2:  # half of all samples are lost
                feed(collector, encoder.datagram([flow(sequence)], agent=ONE, sequence=sequence), float(second))
        collector.interval()
        batch = collector.take()
    (value,) = batch.destinations4.values()
    assert value >> COUNT_BITS == pytest.approx(200 * 100 * 1000, rel=0.02)
    assert batch.samples == 100


@pytest.mark.parametrize(("rate", "length"), [(0, 1000), (1000, 0), (2**32 - 1, 2**32 - 1)])
def test_a_sample_that_can_not_be_is_skipped(rate: int, length: int) -> None:
    header = encoder.raw_header(encoder.frame(*PACKETS[0][:2], 1000), length)
    collector = Collector()
    feed(collector, encoder.datagram([encoder.flow_sample([header], rate=rate)], agent=ONE))
    assert collector.take().samples == 0
    assert collector.status(0.0, 0).skipped_samples == 1
    assert collector.last_sample is None


def test_a_sample_without_ip_is_skipped_and_its_sequence_counts() -> None:
    arp = bytes(12) + b"\x08\x06" + bytes(46)
    collector = Collector()
    samples = [flow(1), encoder.flow_sample([encoder.raw_header(arp, 64)], sequence=2, rate=100), flow(3)]
    feed(collector, encoder.datagram(samples, agent=ONE))
    assert collector.take().samples == 2
    assert collector.status(0.0, 0).skipped_samples == 1
    assert of(collector).lost_samples == 0


def test_a_malformed_datagram_is_counted_and_said_why() -> None:
    collector = Collector()
    feed(collector, b"nonsense")
    feed(collector, encoder.datagram([flow(1), flow(2)], agent=ONE)[:-4])
    status = collector.status(0.0, 0)
    assert (status.datagrams, status.malformed, status.flow_samples) == (2, 2, 1)
    assert "longer than the datagram" in collector.last_error


def test_inventing_agents_does_not_grow_memory() -> None:
    collector = Collector()
    for number in range(3 * agents.MAX_AGENTS):
        feed(collector, encoder.datagram([flow(number)], agent=number.to_bytes(4, "big")), now=number / 1000)
    status = collector.status(0.0, 0)
    assert len(status.agents) == agents.MAX_AGENTS
    assert collector.take().samples == status.flow_samples == 3 * agents.MAX_AGENTS


def test_inventing_agents_does_not_shut_out_the_configured_one() -> None:
    collector = Collector(agent=TWO)
    for number in range(2 * agents.MAX_AGENTS):
        feed(collector, encoder.datagram([flow(number)], agent=b"\xc0\0" + number.to_bytes(2, "big")), now=1.0)
    for sequence in (1, 2, 5):
        feed(collector, encoder.datagram([flow(sequence)], agent=TWO, sequence=sequence), now=1.0)
    assert of(collector, "10.0.0.2").lost_datagrams == 2


def test_agents_gone_quiet_make_room() -> None:
    collector = Collector()
    for number in range(agents.MAX_AGENTS):
        feed(collector, encoder.datagram([flow(1)], agent=b"\xc0\0" + number.to_bytes(2, "big")), now=1.0)
    feed(collector, encoder.datagram([flow(1)], agent=TWO), now=1000.0)
    assert of(collector, "10.0.0.2").flow_samples == 1


def test_inventing_sources_does_not_grow_memory() -> None:
    collector = Collector()
    sent = agents.MAX_SOURCES + 500
    for start in range(0, sent, 20):
        samples = [flow(1, source=start + place) for place in range(20)]
        feed(collector, encoder.datagram(samples, agent=ONE, sequence=start // 20))
    (agent,) = collector._agents._agents.values()
    assert len(agent.sources) == agents.MAX_SOURCES
    assert collector.take().samples >= sent
    for _ in range(700):
        collector.interval()
    assert not agent.sources


def test_subscribers_get_every_datagram_in_full() -> None:
    collector = Collector(agent=TWO)
    got: list[Datagram] = []
    collector.subscribe(got.append)
    counters = encoder.interface_counters(3, speed=10, octets_in=1, packets_in=2, octets_out=3, packets_out=4)
    feed(collector, encoder.datagram([flow(1), encoder.counter_sample([counters])], agent=ONE))
    feed(collector, encoder.datagram([flow(1)], agent=TWO)[:-4])
    assert [datagram.agent for datagram in got] == [ONE, TWO]
    assert [len(datagram.samples) for datagram in got] == [2, 0]
    assert [datagram.error is None for datagram in got] == [True, False]


def test_a_subscriber_that_raises_is_counted_and_harms_nobody() -> None:
    collector = Collector()
    got: list[Datagram] = []

    def broken(datagram: Datagram) -> None:
        raise RuntimeError(f"no use for {datagram.sequence}")

    collector.subscribe(broken)
    collector.subscribe(got.append)
    for sequence in (1, 2):
        feed(collector, encoder.datagram([flow(sequence)], agent=ONE, sequence=sequence))
    assert collector.take().samples == 2
    assert len(got) == collector.subscriber_errors == 2
    assert str(collector.last_subscriber_error) == "no use for 2"


def replay(payloads: Sequence[bytes]) -> tuple[dict[bytes, int], dict[bytes, int]]:
    collector = Collector()
    for number, payload in enumerate(payloads):
        feed(collector, payload, now=number / 100)
        if number % 100 == 0:
            collector.interval()
    batch = collector.take()
    return batch.destinations4, batch.sources4


def test_the_same_datagrams_give_the_same_batch_again() -> None:
    payloads = [encoder.datagram([flow(n * 3 // 2)], agent=ONE, sequence=n) for n in range(500)]
    assert replay(payloads) == replay(payloads)
