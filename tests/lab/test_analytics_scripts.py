"""The analytics on the virtual switch: the example scripts print the right keys within two seconds of the attack, and
values are those of the packets that were really sent."""

from __future__ import annotations

import json
import math
import queue
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from running_lab import RunningLab, until

from arm.model import Family, contains, format_address, format_prefix
from arm.simulate.lab import assembly
from arm.simulate.lab.layout import CLIENT, PEERS, SWITCH
from arm.simulate.table import Table

pytestmark = pytest.mark.root

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
ATTACKER = Path(__file__).with_name("attacker.py")
SOON = 2.0
PORT = 5001
SINK = f"""
import socket
import threading

def swallow(sock):
    while sock.recv(1 << 16):
        pass

server = socket.create_server(("0.0.0.0", {PORT}))
print("ready", flush=True)
while True:
    threading.Thread(target=swallow, args=(server.accept()[0],), daemon=True).start()
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab(ipv4=3000, ipv6=300, seed=9, sampling=5, rate=1000, active=300) as lab:
        yield lab


class Networks:
    """Addresses of the table, and what their longest match says: found by trying every prefix."""

    def __init__(self, table: Table) -> None:
        self.paths = table.paths
        entries = table.families[Family.IPV4]
        self.entries = {entries.prefix(index): entries.paths[index] for index in range(len(entries))}

    def pick(self, count: int, letter: str = "ab") -> list[str]:
        """So many addresses of different prefixes, for which one of these peers is right."""
        prefixes = [p for p in self.entries if p[1] <= 24 and PEERS[self.paths.best(self.entries[p])].letter in letter]
        prefixes = prefixes[:: len(prefixes) // count][:count]
        return [format_address((int.from_bytes(address, "big") + 1).to_bytes(4, "big")) for address, _ in prefixes]

    def match(self, address: str) -> tuple[str, tuple[int, ...]]:
        """(prefix, AS path by the upstream that is best)."""
        packed = bytes(map(int, address.split(".")))
        prefix = max((p for p in self.entries if contains(p, (packed, 32))), key=lambda p: p[1])
        path = self.entries[prefix]
        peer = PEERS[self.paths.best(path)]
        return format_prefix(prefix), self.paths.as_path(path, peer)  # type: ignore[arg-type]  # has what it needs


class Script:
    """One of the examples at work; every line that it prints, with when it came."""

    def __init__(self, lab: RunningLab, name: str, flow: str, *options: str) -> None:
        command = [sys.executable, str(EXAMPLES / name), "--url", assembly.address(lab.layout), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._lines: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.seen: dict[str, int] = {}
        until(f"the threshold {flow}", lambda: assembly.ask_arm(lab.layout, f"/threshold/{flow}/json")[0] == 200, 20)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put((time.monotonic_ns(), line.strip()))

    def lines(self) -> set[str]:
        """What it has printed so far."""
        while not self._lines.empty():
            at, line = self._lines.get()
            self.seen.setdefault(line, at)
        return set(self.seen)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def inside(lab: RunningLab, namespace: str, *command: object) -> Iterator[list[str]]:
    """A Python program in a namespace; the words of its first line."""
    full = ["ip", "netns", "exec", lab.layout.namespace(namespace), sys.executable, *map(str, command)]
    with subprocess.Popen(full, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()
        finally:
            process.kill()


def test_the_sources_of_an_amplification_attack_are_printed_within_two_seconds(lab: RunningLab) -> None:
    networks = Networks(lab.table())
    one, other, quiet, elsewhere, victim = networks.pick(5)
    expected = {f"{prefix},{path[-1]}" for prefix, path in map(networks.match, (one, other))}
    assert len(expected) == 2
    script = Script(lab, "amplification.py", "ddos", "--above", "500")
    try:
        streams = [(one, 53, 2000), (other, 53, 1500), (quiet, 53, 50), (elsewhere, 123, 1500)]
        words = [word for source, port, rate in streams for word in (source, port, victim, rate)]
        with inside(lab, "client", ATTACKER, "udp", 60, *words) as began:
            until("the attack to be told", lambda: expected <= script.lines(), 20)
            end = time.monotonic() + 1.5
            until("what is told by mistake", lambda: time.monotonic() > end, 5)
            assert script.lines() == expected
            late = {key: (at - int(began[0])) / 1e9 for key, at in script.seen.items()}
            assert max(late.values()) < SOON, late
    finally:
        script.close()


def test_values_are_those_of_the_packets_that_were_sent(lab: RunningLab) -> None:
    sources = Networks(lab.table()).pick(4)
    victim = sources.pop()
    rates = dict(zip(sources, (2000, 1000, 400), strict=True))
    for value in ("frames", "bytes"):
        put(lab, f"/flow/true_{value}/json", {"keys": "ipsource,udpsourceport", "value": value, "t": 1})
    words = [word for source, rate in rates.items() for word in (source, 4444, victim, rate)]
    with inside(lab, "client", ATTACKER, "udp", 60, *words) as began:
        end = int(began[0]) / 1e9 + 5  # of the average nothing is left that was before
        until("the averages to settle", lambda: time.monotonic() > end, 20)
        frames, octets = (values(lab, f"true_{value}") for value in ("frames", "bytes"))
    for source, rate in rates.items():
        key = f"{source},4444"
        # sampling one in N leaves the variance (N-1) rate/(2 t) to an average over t; six of its deviations, and a
        # tenth for packets that are sent a little late
        bound = 6 * math.sqrt((lab.layout.sampling - 1) * rate / 2) + rate / 10
        assert abs(frames[key] - rate) < bound, (frames[key], rate)
        length = 400 + 8 + 20 + 14 + 4  # UDP, IPv4, Ethernet with its FCS
        assert abs(octets[key] - rate * length) < bound * length, (octets[key], rate)


def put(lab: RunningLab, path: str, document: object) -> None:
    data = json.dumps(document).encode()
    request = urllib.request.Request(assembly.address(lab.layout) + path, data, method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


def values(lab: RunningLab, name: str) -> dict[str, float]:
    """Flow -> value a second."""
    code, body = assembly.ask_arm(lab.layout, f"/activeflows/ALL/{name}/json")
    assert code == 200, body
    return {row["key"]: row["value"] for row in json.loads(body)}


def test_elephants_are_printed_with_their_as_paths_within_two_seconds(lab: RunningLab) -> None:
    networks = Networks(lab.table())
    # a connection does not outlive a change of the peer it goes to: these go the default's way from the beginning
    big, small = networks.pick(6, lab.layout.default)[1:3]
    script = Script(lab, "elephants.py", "elephant", "--above", "8e6")
    for peer in PEERS:  # they own every address; the client's packets are to come back
        lab.inside(peer.name, "ip", "route", "add", CLIENT, "via", SWITCH, "table", "local")
    try:
        with inside(lab, "peer-a", "-c", SINK), inside(lab, "peer-b", "-c", SINK):
            words = [word for address, rate in ((big, 4_000_000), (small, 100_000)) for word in (address, PORT, rate)]
            with inside(lab, "client", ATTACKER, "tcp", 60, *words) as (began, port, _):
                path = "-".join(map(str, networks.match(big)[1]))
                expected = {f"{CLIENT},{big},{port},{PORT},{path}"}
                until("the elephant to be told", lambda: expected <= script.lines(), 20)
                end = time.monotonic() + 1.5
                until("what is told by mistake", lambda: time.monotonic() > end, 5)
                assert script.lines() == expected
                late = {key: (at - int(began)) / 1e9 for key, at in script.seen.items()}
                assert max(late.values()) < SOON, late
    finally:
        script.close()
