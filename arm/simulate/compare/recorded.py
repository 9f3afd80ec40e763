"""Traffic from a recording of sFlow datagrams (pcap or pcapng): what an agent really sent.

The truth behind recorded samples is not known. What comes closest is the samples of the *next* second, which no choice
has seen: their bytes are the rates that a choice is graded by.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dpkt

from arm.model import COUNT_BITS
from arm.sflow.collector import Collector

_LINK_LAYERS = {
    dpkt.pcap.DLT_EN10MB: dpkt.ethernet.Ethernet,
    dpkt.pcap.DLT_LINUX_SLL: dpkt.sll.SLL,
    dpkt.pcap.DLT_NULL: dpkt.loopback.Loopback,
}


def datagrams(path: Path, port: int = 6343) -> Iterator[tuple[float, bytes]]:
    """(time, payload) of each UDP packet to the port; ValueError if the file is no capture."""
    with path.open("rb") as file:
        reader = dpkt.pcap.UniversalReader(file)
        link = _LINK_LAYERS.get(reader.datalink(), dpkt.ip.IP)
        for at, frame in reader:
            try:
                packet = link(frame)
                packet = packet if isinstance(packet, dpkt.ip.IP) else packet.data
                if isinstance(packet.data, dpkt.udp.UDP) and packet.data.dport == port:
                    yield at, bytes(packet.data.data)
            except (dpkt.dpkt.UnpackError, AttributeError):
                continue


def seconds_of(path: Path, port: int = 6343) -> list[dict[bytes, int]]:
    """The packed sums (see TrafficBatch) by IPv4 destination of each second of the recording."""
    collector = Collector()
    found: list[dict[bytes, int]] = []
    start: float | None = None
    for at, payload in datagrams(path, port):
        start = at if start is None else start
        while at - start >= len(found) + 1:
            found.append(collector.take().destinations4)
        collector.receive(payload, len(payload), at)
    found.append(collector.take().destinations4)
    return found


class Recorded:
    """A recording, played over and over."""

    def __init__(self, seconds: list[dict[bytes, int]], packed: list[bytes]) -> None:
        """`packed` are the world's destinations: the addresses that the recording has."""
        self._seconds = seconds
        self._packed = packed
        self._at = 0
        self._shown: dict[bytes, int] = {}
        self.rates = [0.0] * len(packed)

    def step(self, seconds: float) -> None:
        """Go on by so many seconds."""
        shown: dict[bytes, int] = {}
        for _ in range(max(1, round(seconds))):
            for address, packed in self._seconds[self._at % len(self._seconds)].items():
                shown[address] = shown.get(address, 0) + packed
            self._at += 1
        self._shown = shown
        self.rates = [(shown.get(address, 0) >> COUNT_BITS) / seconds for address in self._packed]

    def samples(self, seconds: float) -> dict[bytes, int]:
        """The samples of the last step."""
        return self._shown
