"""The rule that is never broken, seen on packets, with ARM's routes straight in the switch's kernel.

As test_packets.py, where LAG and LAG_SESSION are explained; here cables are cut, the default moves to the other peer
and ARM itself comes and goes as well. While ARM is away nothing follows what the upstreams tell: then a packet may go
where it was right when ARM went.
"""

from __future__ import annotations

import json
import logging
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from packet_judge import NEVER, Judge, Told, default_ranks, packets
from running_lab import RunningLab, until

from arm.simulate.lab import assembly, processes
from arm.simulate.lab.layout import PEERS, Upstream
from arm.target.kernel import KernelSettings, read_installed

pytestmark = pytest.mark.root
log = logging.getLogger(__name__)

LAG = 1.0
LAG_SESSION = 3.0
ADDRESSES = 22_000


class Turmoil(NamedTuple):
    """An interval (CLOCK_MONOTONIC, ns) in which news travels longer, and how long (seconds)."""

    begin: int
    end: int
    limit: float


class Switch:
    """A lab whose ARM programs the kernel, and what may happen to it."""

    def __init__(self, lab: RunningLab) -> None:
        self.lab = lab
        self.turmoils: list[Turmoil] = []

    def installed(self) -> int:
        return len(read_installed(KernelSettings(netns=self.lab.layout.namespace("switch"))))

    def steady(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        until("time to pass", lambda: time.monotonic() > end, seconds + 60, every=0.2)

    @contextmanager
    def turmoil(self, *, away: bool = False) -> Iterator[None]:
        """Something happens in here. `away`: ARM does not follow before its end."""
        begin = time.monotonic_ns()
        yield
        end = time.monotonic_ns()
        limit = LAG_SESSION + ((end - begin) / 1e9 if away else 0.0)
        self.turmoils.append(Turmoil(begin, end + int(LAG_SESSION * 1e9), limit))

    def cut(self, peer: Upstream, seconds: float) -> None:
        """Pull the cable to a peer, and plug it in again; until the session is back.

        What the upstream says into the dead cable counts for nothing, so its journal learns of the cut here.
        """
        lab, namespace = self.lab, self.lab.layout.namespace(peer.name)
        with lab.layout.journal(peer).open("a") as journal:
            journal.write(json.dumps({"at": time.monotonic_ns(), "session": "down"}) + "\n")
        lab.inside(peer.name, "ip", "link", "set", "switch", "down")
        self.steady(seconds)
        comings = lab.layout.journal(peer).read_text().count('"complete"')
        for words in (
            "link set switch up",
            f"addr replace {peer.address6} peer fd00::136/128 dev switch nodad",
            "-6 route replace local default dev lo",
        ):
            lab.inside(peer.name, "ip", *words.split())
        until(
            f"the session with {namespace} to be back",
            lambda: lab.layout.journal(peer).read_text().count('"complete"') > comings,
            60,
        )

    def restart(self, number: signal.Signals, seconds: float) -> None:
        """End ARM, and start it again after a while; until it has the whole table."""
        if number is signal.SIGKILL:
            self.lab.kill("arm")
        else:
            processes.stop(self.lab.layout, "arm")
        self.steady(seconds)
        self.lab.start("arm")
        until("ARM to have the table", lambda: assembly.ready(self.lab.layout), 60)

    def judged(self) -> None:
        """Every packet reached a peer that was right for it, by what was told as long ago as allowed."""
        lab = self.lab
        judge = Judge(
            lab.table(),
            {peer.letter: Told.read(lab.layout.journal(peer)) for peer in PEERS},
            default_ranks(lab.layout.default),
        )
        seen: Counter[str] = Counter()
        addresses: set[bytes] = set()
        late: list[tuple[float, float, str]] = []
        for peer in PEERS:
            for destination, number, sent, received, _ in packets(lab.layout.packets(peer)):
                seen[peer.letter] += 1
                addresses.add(destination)
                if lag := judge.lag(destination, peer.letter, sent, received):
                    limit = max((t.limit for t in self.turmoils if t.begin <= sent <= t.end), default=LAG)
                    late.append((lag, limit, f"packet {number} to {destination.hex()} at {peer.letter}, sent {sent}"))
        worst = {limit: max(lag for lag, other, _ in late if other == limit) for limit in {entry[1] for entry in late}}
        log.info("packets=%s addresses=%d late=%d worst=%s", dict(seen), len(addresses), len(late), worst)
        assert len(addresses) >= 20_000
        assert seen["b"] > 0.1 * seen.total()  # the test sees packets that leave the default route
        assert [entry for entry in late if entry[0] == NEVER] == []
        assert [entry for entry in late if entry[0] > entry[1]] == []


@pytest.fixture
def switch() -> Iterator[Switch]:
    with RunningLab(target="kernel", ipv4=60_000, ipv6=15_000, seed=22, rate=6000, active=6000, packet_log=True) as lab:
        yield Switch(lab)


def test_no_packet_reaches_a_wrong_peer_while_routes_cables_defaults_and_arm_come_and_go(switch: Switch) -> None:
    lab = switch.lab
    lab.tell("traffic", "sweep", ADDRESSES, 78, 0.5)
    for letter in "ab":
        lab.tell(f"upstream-{letter}", "focus", lab.layout.destinations, lab.layout.seed)
    until("routes in the kernel", lambda: switch.installed() > 1000, 60, every=0.5)
    for letter in "ab":
        lab.tell(f"upstream-{letter}", "churn", 50)
    switch.steady(6)
    lab.tell("traffic", "shift", 6)
    switch.steady(4)
    for peer in reversed(PEERS):
        with switch.turmoil():
            switch.cut(peer, 2)
        switch.steady(4)
    for variant in ("worse", "better"):
        with switch.turmoil():
            lab.tell("upstream-a", "default", variant)
        switch.steady(4)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with switch.turmoil(away=True):
            switch.restart(number, 1)
        switch.steady(4)
    for letter in "ab":
        lab.tell(f"upstream-{letter}", "churn", 0)
    changes = [lab.tell(f"upstream-{letter}", "status")["changes"] for letter in "ab"]
    switch.steady(2)
    lab.tell("traffic", "quiet")
    switch.steady(1)
    dropped = [lab.tell(f"receiver-{letter}", "flush")["dropped"] for letter in "ab"]
    switch.judged()
    assert sum(changes) > 1500
    assert dropped == [0, 0]
