"""A switch in a network namespace of its own, with real kernel tables, and peers in namespaces beside it.

    peer 0 ---- d0 |
    peer 1 ---- d1 | switch      10.0.N.1/24 and fd00:N::1/64 on the switch's side of dN, .2 and ::2 on the peer's
    peer 2 ---- d2 |

Every peer owns all addresses, so a packet to anywhere is delivered at the peer that the switch sent it to.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyroute2 import netns

from arm.model import Applied, Attributes, Change, Entry, Event, Feed, Kind, Plan, Reason, parse_address, parse_prefix

FEED = Feed("reflector", "127.0.0.1", 1, 65000, "192.0.2.1")
_number = itertools.count(1)
_plan = itertools.count(1)


def attributes(next_hop: str | bytes) -> Attributes:
    packed = next_hop if isinstance(next_hop, bytes) else parse_address(next_hop)
    return Attributes(FEED, packed, b"")


def put(prefix: str, next_hop: str | bytes, kind: Kind = Kind.ROUTE) -> Change:
    return Change(parse_prefix(prefix), Entry(kind, attributes(next_hop)), Reason.NEW)


def out(prefix: str) -> Change:
    return Change(parse_prefix(prefix), None, Reason.IDLE)


def plan(*changes: Change) -> Plan:
    return Plan(next(_plan), changes)


def wait_for(fact: Callable[[], object], seconds: float = 10.0) -> None:
    """Poll until a fact is true; fails the test when it does not become so."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.005)


class Switch:
    """The namespace of the switch, and those of its peers."""

    def __init__(self, peers: int) -> None:
        stem = f"hk-{os.getpid()}-{next(_number)}"
        self.name = f"{stem}-s"
        self.peers = [f"{stem}-p{number}" for number in range(peers)]

    def ip(self, *words: str, namespace: str | None = None) -> str:
        command = ["ip", "-n", namespace or self.name, *" ".join(words).split()]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def json(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.ip("-d -j", *words) or "[]")
        return found

    def sysctl(self, setting: str, namespace: str | None = None) -> None:
        command = ["ip", "netns", "exec", namespace or self.name, "sysctl", "-qw", setting]
        subprocess.run(command, check=True, capture_output=True)

    def build(self) -> None:
        for name in (self.name, *self.peers):
            netns.create(name)
            self.ip("link set lo up", namespace=name)
        for number, peer in enumerate(self.peers):
            self.ip(f"link add d{number} type veth peer name port address 02:00:00:00:00:0{number} netns {peer}")
            self.ip(f"addr add 10.0.{number}.1/24 dev d{number}")
            self.ip(f"addr add fd00:{number}::1/64 dev d{number} nodad")
            self.ip("addr add", f"10.0.{number}.2/24 dev port", namespace=peer)
            self.ip("addr add", f"fd00:{number}::2/64 dev port nodad", namespace=peer)
            self.ip("link set port up", namespace=peer)
            self.ip(f"link set d{number} up")
            for family in ("-4", "-6"):
                self.ip(family, "route add local default dev lo", namespace=peer)
        self.sysctl("net.ipv4.ip_forward=1")
        self.sysctl("net.ipv6.conf.all.forwarding=1")
        self.sysctl("net.ipv4.conf.all.rp_filter=0")

    def destroy(self) -> None:
        for name in (*self.peers, self.name):
            if name in netns.listnetns():
                netns.remove(name)

    def default(self, peer: int) -> None:
        """Point the default routes of both families at a peer."""
        self.ip(f"route replace default via 10.0.{peer}.2 dev d{peer} proto bird metric 32")
        self.ip(f"-6 route replace default via fd00:{peer}::2 dev d{peer} proto bird metric 32")

    def carrier(self, peer: int, *, up: bool) -> None:
        """Cut or mend the cable to a peer."""
        self.ip(f"link set port {'up' if up else 'down'}", namespace=self.peers[peer])
        if up:
            self.ip(f"addr replace fd00:{peer}::2/64 dev port nodad", namespace=self.peers[peer])
            self.ip("-6 route replace local default dev lo", namespace=self.peers[peer])

    def leads_to(self, address: str) -> str:
        """Interface by which the kernel would send a packet to an address; empty if it would drop it."""
        family = "-6" if ":" in address else "-4"
        command = ["ip", "-n", self.name, family, "-j", "route", "get", address]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = json.loads(done.stdout or "[{}]")[0] if done.returncode == 0 else {}
        return "" if found.get("type") in ("blackhole", "unreachable") else str(found.get("dev", ""))

    def own(self, protocol: int = 210, table: str = "main") -> dict[str, int]:
        """ARM's routes as the `ip` command shows them: prefix -> number of the nexthop object."""
        found = {}
        for family in ("-4", "-6"):
            command = f"ip -n {self.name} -d -j {family} -N route show table {table} proto {protocol}".split()
            done = subprocess.run(command, check=False, capture_output=True, text=True)  # fails without such a table
            for route in json.loads(done.stdout) if done.returncode == 0 else ():
                text = (
                    route["dst"] if "/" in route["dst"] else route["dst"] + ("/128" if ":" in route["dst"] else "/32")
                )
                found[text] = route.get("nhid", 0)
        return found


@contextmanager
def switch_with(peers: int) -> Iterator[Switch]:
    switch = Switch(peers)
    try:
        switch.build()
        yield switch
    finally:
        switch.destroy()


class Events(list[Event]):
    """What a target emitted."""

    def of(self, kind: type) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]

    def applied(self, number: int) -> Applied | None:
        return next((event for event in self.of(Applied) if event.plan == number), None)
