"""The first routes of a peer that sends no End-of-RIB come to an end, and not before they are there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from test_learner_rest import learner

from arm.bgp.learner import MOST, QUIET, QUIET_GRACEFUL, Learner
from arm.bgp.peer import Peer
from arm.bgp.report import Report
from arm.model import FAMILIES, Attributes, Event, Family, FeedComplete, Prefix, Role


class Peering:
    """A learner with a clock, and a peer that announces so many prefixes at a time."""

    def __init__(self, *, restart_time: int | None = None) -> None:
        self.events: list[Event] = []
        self.learner: Learner = learner(self.events, restart_time=restart_time)
        self.route = Attributes(self.learner.feed, b"\xc0\x00\x02\x01", b"")
        self.now = 0.0
        self.paused = False

    def announce(self, count: int, start: int = 0) -> None:
        prefixes: list[Prefix] = [((n & 0xFFFFFF).to_bytes(3, "big") + b"\0", 24) for n in range(start, start + count)]
        self.learner.learned([(self.route, prefixes)], self.now)

    def go_on(self, until: float) -> None:
        """Let the time pass, with a tick whenever one is due."""
        while True:
            due = None if self.paused else self.learner.deadline
            if due is None or due > until:
                self.now = max(self.now, until)
                return
            self.now = max(self.now, due)
            self.learner.tick(self.now)

    @property
    def complete(self) -> float | None:
        done = {event.family for event in self.events if isinstance(event, FeedComplete)}
        return self.now if done == set(FAMILIES) else None

    def run(self, seconds: float, every: float, how_many: Callable[[float], int]) -> float | None:
        """Announce at regular intervals; when the initial routes were complete."""
        end = self.now + seconds
        while self.now < end and not self.complete:
            self.announce(how_many(self.now))
            self.go_on(self.now + every)
        return self.complete


@pytest.mark.parametrize("restart_time", [None, 120])
@pytest.mark.parametrize("each", [1, 20, 5000])
def test_a_peer_that_never_falls_silent_is_complete_within_the_bound(restart_time: int | None, each: int) -> None:
    found = Peering(restart_time=restart_time).run(24 * 3600, 4.0, lambda now: each)
    assert found is not None
    assert found <= MOST + 4.0


@pytest.mark.parametrize("rate", [1000, 5_000, 60_000])
def test_a_table_that_flows_is_not_complete_early_and_soon_after_its_end(rate: int) -> None:
    size = 500_000
    one = Peering()
    flowing = min(size / rate, MOST - 10)
    churn = 30
    assert one.run(flowing, 0.5, lambda now: rate // 2) is None
    found = one.run(3600, 0.5, lambda now: churn // 2)
    assert found is not None
    assert found <= min(MOST, flowing + 4 * 3 * QUIET) + 1


def test_a_flow_that_ebbs_and_rises_again_is_not_complete() -> None:
    one = Peering()
    assert one.run(500, 1.0, lambda now: 5_000 if now % 14 < 4 else 3) is None


def test_a_peer_that_should_send_end_of_rib_is_watched_for_longer() -> None:
    one = Peering(restart_time=120)
    assert one.run(20, 1.0, lambda now: 20_000) is None
    assert one.run(2 * QUIET_GRACEFUL, 1.0, lambda now: 5) is None
    assert one.run(MOST, 1.0, lambda now: 5) is not None
    assert one.now <= 20 + 4 * 3 * QUIET_GRACEFUL


def test_while_arm_does_not_read_no_time_passes_for_the_peer() -> None:
    one = Peering()
    assert one.run(20, 1.0, lambda now: 20_000) is None
    one.learner.pause(True, one.now)
    one.paused = True
    one.go_on(one.now + 2 * MOST)
    one.learner.pause(False, one.now)
    one.paused = False
    assert one.run(MOST / 2, 1.0, lambda now: 20_000) is None
    assert one.run(MOST, 1.0, lambda now: 20_000) is not None
    assert one.now <= 3 * MOST + 2


def reason(one: Learner) -> str:
    peer = Peer("reflector", "192.0.2.1", 65000, 65000, "192.0.2.2", Role.LEARN)
    return Report(peer, lambda: 0).status(None, one).reason


def test_why_the_routes_were_taken_as_complete_is_told() -> None:
    endless, trickling, silent, right = Peering(), Peering(), Peering(), Peering()
    endless.run(2 * MOST, 1.0, lambda now: 5000)
    assert reason(endless.learner).startswith("no End-of-RIB for IPv4 and IPv6")
    assert "still sending after 600 s" in reason(endless.learner)
    trickling.announce(1000)
    trickling.run(2 * MOST, 1.0, lambda now: 1)
    assert "hardly anything" in reason(trickling.learner)
    silent.announce(1000)
    silent.go_on(60)
    assert silent.complete
    assert reason(silent.learner) == ""
    right.announce(1000)
    for family in FAMILIES:
        right.learner.end_of_rib(family, 1.0)
    assert reason(right.learner) == ""


def test_only_what_was_not_closed_is_named() -> None:
    one = Peering()
    one.learner.end_of_rib(Family.IPV6, 0.0)
    one.run(2 * MOST, 1.0, lambda now: 5000)
    assert reason(one.learner).startswith("no End-of-RIB for IPv4: ")
