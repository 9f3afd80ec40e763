"""An sFlow agent without a switch: it samples the packets it is told of, and sends what a switch would.

For the demo, the benchmarks and the tests. Datagrams can be built ahead and sent many times: the numbers in them
(sequence, uptime, pool) are then set in place, so that a collector sees one unbroken series however they are sent.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from arm.simulate import encoder
from arm.simulate.host import Host

Packet: TypeAlias = tuple[bytes, bytes, int]
"""Packed source and destination address, and octets of the frame on the wire."""

_SEQUENCE_UPTIME: Final = struct.Struct(">II").pack_into
_SEQUENCE: Final = struct.Struct(">I").pack_into
_POOL: Final = struct.Struct(">I").pack_into
_MODULO: Final = 1 << 32


class Source:
    """The counters of one data source: samples taken, and packets they were taken from."""

    __slots__ = ("index", "pool", "sequence")

    def __init__(self, index: int) -> None:
        self.index = index
        self.sequence = 0
        self.pool = 0


class Prebuilt:
    """A datagram that lacks only its numbers."""

    __slots__ = ("data", "flows", "samples")

    def __init__(self, data: bytearray, flows: Sequence[tuple[int, int, int, Source]], samples: int) -> None:
        self.data = data
        self.flows = flows
        """Of each flow sample: where its sequence number and its pool stand, its rate, its source."""
        self.samples = samples


class Agent:
    """One agent and sub-agent that sends to one collector. Not safe to share between threads."""

    def __init__(
        self,
        collector: tuple[str, int] | None,
        *,
        address: bytes = b"\x0a\x00\x00\x01",
        sub_agent: int = 0,
        rate: int = 1000,
        expanded: bool = True,
        per_datagram: int = 7,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`collector` is the address to send to, None for an agent that only builds. One packet in `rate` is sampled"""
        self.address = address
        self.sub_agent = sub_agent
        self.rate = rate
        self.sequence = 0
        self._expanded = expanded
        self._per_datagram = per_datagram
        self._clock = clock
        self._started = clock()
        self._sources: dict[int, Source] = {}
        self._counter_sequence: dict[tuple[int, int], int] = {}
        self._queue: list[Packet] = []
        self._sequence_at = 12 + len(address)
        self._socket: socket.socket | None = None
        if collector is not None:
            family = socket.AF_INET6 if ":" in collector[0] else socket.AF_INET
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            self._socket.connect(collector)

    def close(self) -> None:
        """Close the socket; samples that wait for a full datagram are lost."""
        if self._socket is not None:
            self._socket.close()

    def sample(self, source: bytes, destination: bytes, frame_length: int) -> None:
        """Sample a packet. It is sent as soon as a datagram is full, or by `flush`."""
        self._queue.append((source, destination, frame_length))
        if len(self._queue) >= self._per_datagram:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        if self._queue:
            self.send(self._build(self._queue))
            self._queue.clear()

    def prebuild(self, packets: Iterable[Packet], *, source_index: int = 1) -> list[Prebuilt]:
        """Datagrams of samples of these packets, to be sent with `send` as often as one likes."""
        built: list[Prebuilt] = []
        group: list[Packet] = []
        for packet in packets:
            group.append(packet)
            if len(group) == self._per_datagram:
                built.append(self._build(group, source_index))
                group = []
        if group:
            built.append(self._build(group, source_index))
        return built

    def number(self, built: Prebuilt) -> bytearray:
        """Set the numbers of a datagram to those that come next, and return it."""
        data = built.data
        self.sequence = (self.sequence + 1) % _MODULO
        uptime_ms = int((self._clock() - self._started) * 1000) % _MODULO
        _SEQUENCE_UPTIME(data, self._sequence_at, self.sequence, uptime_ms)
        for sequence_at, pool_at, rate, source in built.flows:
            source.sequence = (source.sequence + 1) % _MODULO
            source.pool = (source.pool + rate) % _MODULO
            _SEQUENCE(data, sequence_at, source.sequence)
            _POOL(data, pool_at, source.pool)
        return data

    def send(self, built: Prebuilt) -> None:
        """Number and send a datagram. One that nobody listens for is lost, as UDP is."""
        self._send(self.number(built))

    def lose(self, built: Prebuilt) -> None:
        """Number a datagram and do not send it: the collector will miss it."""
        self.number(built)

    def send_interface_counters(
        self, index: int, *, speed: int, octets_in: int, packets_in: int, octets_out: int, packets_out: int
    ) -> None:
        """Send the counters of an interface (octets and packets since the start, speed in bit/s)."""
        counters = encoder.interface_counters(
            index,
            speed=speed,
            octets_in=octets_in,
            packets_in=packets_in,
            octets_out=octets_out,
            packets_out=packets_out,
        )
        self._send_counters([counters], 0, index)

    def send_host_counters(self, host: Host) -> None:
        """Send the counters of the host: load, processors, memory, disk."""
        cpu = encoder.host_cpu(
            load=host.load, processors=host.processors, uptime=host.uptime_seconds, times_ms=host.cpu_ms
        )
        memory = encoder.host_memory(
            total=host.memory_total, free=host.memory_free, buffers=host.memory_buffers, cached=host.memory_cached
        )
        disk = encoder.host_disk(total=host.disk_total, free=host.disk_free)
        self._send_counters([cpu, memory, disk], 2, 1)

    def _send_counters(self, records: Sequence[bytes], source_type: int, index: int) -> None:
        sequence = self._counter_sequence.get((source_type, index), 0) + 1
        self._counter_sequence[source_type, index] = sequence
        sample = encoder.counter_sample(
            records,
            sequence=sequence,
            source_type=source_type,
            source_index=index,
            expanded=self._expanded,
        )
        data = encoder.datagram([sample], agent=self.address, sub_agent=self.sub_agent)
        self.send(Prebuilt(bytearray(data), (), 1))

    def _build(self, packets: Sequence[Packet], source_index: int = 1) -> Prebuilt:
        source = self._sources.get(source_index)
        if source is None:
            source = self._sources[source_index] = Source(source_index)
        offset = self._sequence_at + 12
        samples = []
        flows = []
        for src, dst, length in packets:
            header = encoder.raw_header(encoder.frame(src, dst, length), length)
            sample = encoder.flow_sample([header], source_index=source_index, rate=self.rate, expanded=self._expanded)
            flows.append((offset + 8, offset + (24 if self._expanded else 20), self.rate, source))
            offset += len(sample)
            samples.append(sample)
        data = encoder.datagram(samples, agent=self.address, sub_agent=self.sub_agent)
        return Prebuilt(bytearray(data), tuple(flows), len(samples))

    def _send(self, data: bytearray) -> None:
        if self._socket is None:
            raise ValueError("this agent has no collector to send to")
        try:
            self._socket.send(data)
        except ConnectionRefusedError:  # the answer to an earlier datagram: nobody listens there (yet)
            return
