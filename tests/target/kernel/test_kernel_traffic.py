"""Packets through real kernel tables while routes, next hops, links and ARM itself come and go.

P is a prefix towards peer 1, Q an exception inside it towards peer 2, the default leads to peer 0. Whatever happens, a
packet to P reaches peer 1 or peer 0, and one to Q peer 2 or peer 0: never the other's peer. Where nothing but ARM comes
and goes, none may be lost either.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections import Counter

import pytest
from namespaces import Switch, out, plan, put, wait_for
from pyroute2.netns import create_socket

from arm.model import NextHopDown, NextHopUp, parse_prefix
from arm.target.kernel import KernelSession, KernelSettings

pytestmark = pytest.mark.root

PORT = 9
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 8, 49, 50
P, Q = ("198.51.0.0/16", "2001:db8::/32"), ("198.51.100.0/24", "2001:db8:1::/48")


class Traffic:
    """Sends to P and Q from the switch, and counts at which peer each packet arrives."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._stop = threading.Event()
        self.sent: Counter[str] = Counter()
        self.arrived: Counter[tuple[str, int]] = Counter()
        """(P or Q, peer) -> packets."""
        self._sockets = []
        self._threads = [threading.Thread(target=self._send, name="traffic-send")]
        for number, peer in enumerate(switch.peers):
            for family in (socket.AF_INET, socket.AF_INET6):
                sock = create_socket(peer, family, socket.SOCK_DGRAM, flags=0)
                if family == socket.AF_INET:
                    sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
                else:
                    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE: a busy test loses no packet here
                sock.bind(("", PORT))
                sock.settimeout(0.05)
                self._sockets.append(sock)
                self._threads.append(
                    threading.Thread(target=self._receive, args=(sock, number), name="traffic-receive")
                )

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        wait_for(lambda: self.sent["P"] > 20)
        return self

    def __exit__(self, *problem: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for sock in self._sockets:
            sock.close()

    def _send(self) -> None:
        chosen = random.Random(1)
        socks = [create_socket(self._switch.name, family, socket.SOCK_DGRAM, flags=0) for family in (2, 10)]
        while not self._stop.is_set():
            last = chosen.randrange(1, 255)
            for name, sock, address in (
                ("P", socks[0], f"198.51.{chosen.choice((1, 99, 101, 254))}.{last}"),
                ("Q", socks[0], f"198.51.100.{last}"),
                ("P", socks[1], f"2001:db8:2::{last:x}"),
                ("Q", socks[1], f"2001:db8:1::{last:x}"),
            ):
                try:
                    sock.sendto(b"x", (address, PORT))
                    self.sent[name] += 1
                except OSError:
                    self.sent["refused"] += 1  # no route at this moment, or a blackhole
            time.sleep(0.0003)
        for sock in socks:
            sock.close()

    def _receive(self, sock: socket.socket, peer: int) -> None:
        quiet = 0
        while quiet < 3:
            try:
                _, extra, _, _ = sock.recvmsg(16, 256)
            except TimeoutError:
                quiet += self._stop.is_set()
                continue
            for level, kind, data in extra:
                if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
                    address = socket.inet_ntoa(struct.unpack_from("=i4s4s", data)[2])
                    self.arrived["Q" if address.startswith("198.51.100.") else "P", peer] += 1
                elif level == socket.IPPROTO_IPV6 and kind == IPV6_PKTINFO:
                    address = socket.inet_ntop(socket.AF_INET6, data[:16])
                    self.arrived["Q" if address.startswith("2001:db8:1:") else "P", peer] += 1

    def moves(self, packets: int = 60) -> None:
        """Wait until so many more packets of each kind were sent."""
        goal = self.sent["P"] + packets
        wait_for(lambda: self.sent["P"] + self.sent["refused"] >= goal)

    def check(self, *, lossless: bool) -> None:
        assert self.arrived["P", 2] == 0, self.arrived
        assert self.arrived["Q", 1] == 0, self.arrived
        assert self.arrived["P", 1] > 0
        assert self.arrived["Q", 2] > 0
        if lossless:
            assert self.sent["refused"] == 0
            for name in ("P", "Q"):
                assert sum(self.arrived[name, peer] for peer in range(3)) == self.sent[name]


def install():
    return plan(
        put(Q[0], "10.0.2.2"), put(P[0], "10.0.1.2"), put(Q[1], "fd00:2::2"), put(P[1], "fd00:1::2")
    )  # fmt: skip


def remove():
    return plan(out(P[0]), out(Q[0]), out(P[1]), out(Q[1]))


@pytest.fixture
def session(switch, open_session):
    for peer in range(3):  # resolved neighbours: the first packets to a new one may be dropped by the kernel's queue
        for gateway in (f"10.0.{peer}.2", f"fd00:{peer}::2"):
            switch.ip(f"neigh replace {gateway} dev d{peer} lladdr 02:00:00:00:00:0{peer} nud permanent")
    return open_session()


def test_routes_come_and_go_without_a_packet_lost_or_misdirected(switch, session):
    with Traffic(switch) as traffic:
        for _ in range(15):
            assert session.apply(install()).failed == []
            traffic.moves()
            assert session.apply(remove()).failed == []
            traffic.moves(20)
    traffic.check(lossless=True)


def test_cables_are_cut_and_mended_without_a_packet_misdirected(switch, session, events):
    session.apply(install())
    with Traffic(switch) as traffic:
        for peer in (1, 2, 1, 2):
            for up, kind in ((False, NextHopDown), (True, NextHopUp)):
                heard = len(events.of(kind)) + 2
                switch.carrier(peer, up=up)
                while len(events.of(kind)) < heard:
                    session.listen()
                traffic.moves()
    traffic.check(lossless=False)
    assert session.applier.written == 4


def test_the_defaults_own_cable_is_cut_and_no_exception_follows_the_route_above_it(switch, session, events):
    """Q now leads to peer 0, as the default does; P around it to peer 1."""
    session.apply(
        plan(put(Q[0], "10.0.0.2"), put(P[0], "10.0.1.2"), put(Q[1], "fd00:0::2"), put(P[1], "fd00:1::2"))
    )  # fmt: skip
    with Traffic(switch) as traffic:
        for kind, up in ((NextHopDown, False), (NextHopUp, True)) * 3:
            heard = len(events.of(kind)) + 2
            switch.carrier(0, up=up)
            while len(events.of(kind)) < heard:
                traffic.moves(5)  # ARM is slow: the kernel is on its own meanwhile
                session.listen()
            traffic.moves()
    assert traffic.arrived["Q", 1] == 0, traffic.arrived
    assert traffic.arrived["Q", 0] > 0
    assert traffic.arrived["P", 1] > 0


def test_next_hops_move_without_a_packet_lost_or_misdirected(switch, open_session, session):
    for family, hop, gateway in (("-4", "192.0.2.1/32", "10.0.{}.2"), ("-6", "2001:db8:ffff::1/128", "fd00:{}::2")):
        switch.ip(family, f"route add {hop} via {gateway.format(2)} dev d2 proto static")
    session.listen()
    session.apply(
        plan(put(Q[0], "192.0.2.1"), put(P[0], "10.0.1.2"), put(Q[1], "2001:db8:ffff::1"), put(P[1], "fd00:1::2"))
    )
    with Traffic(switch) as traffic:
        for peer in (0, 2, 0, 2, 0, 2):
            switch.ip(f"route replace 192.0.2.1/32 via 10.0.{peer}.2 dev d{peer} proto static")
            switch.ip(f"-6 route replace 2001:db8:ffff::1/128 via fd00:{peer}::2 dev d{peer} proto static")
            session.listen()
            traffic.moves()
    traffic.check(lossless=True)
    assert session.applier.written == 4


def test_a_restart_under_traffic_loses_no_packet_and_writes_only_what_changed(switch, session, open_session, events):
    extra = [put(f"{20 + (n >> 16)}.{n >> 8 & 255}.{n & 255}.0/24", "10.0.1.2") for n in range(50_000)]
    changes = [*install().changes, *extra]
    session.apply(plan(*changes))
    with Traffic(switch) as traffic:
        running = session
        for number in range(3):
            running.close()  # what SIGKILL leaves: sockets gone, routes as they are
            traffic.moves(20)
            running = open_session()
            assert running.apply(plan(*changes)).failed == []
            assert running.applier.written == 0
            assert running.apply(plan(put("20.0.0.0/24", f"10.0.{1 + (number + 1) % 2}.2"))).failed == []
            assert running.applier.written == 1
            changes[4] = put("20.0.0.0/24", f"10.0.{1 + (number + 1) % 2}.2")
            traffic.moves(20)
    traffic.check(lossless=True)


def test_a_flush_under_traffic_loses_no_packet(switch, session, open_session):
    with Traffic(switch) as traffic:
        for _ in range(5):
            session.apply(install())
            traffic.moves()
            session.flush()
            traffic.moves(20)
    traffic.check(lossless=True)
    assert switch.own() == {}


def test_found_routes_are_what_the_next_start_plans_from(switch, session):
    session.apply(install())
    session.close()
    again = KernelSession(KernelSettings(netns=switch.name), lambda _: None)
    try:
        found = again.open(0.0).found
    finally:
        again.close()
    assert found.keys() == {parse_prefix(prefix) for prefix in (*P, *Q)}
