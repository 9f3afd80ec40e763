"""A peer with a large table is left alone for a moment, once, so that it packs its routes."""

from __future__ import annotations

import time
from collections.abc import Callable

from polling import until
from scripted_peer import Desk

from arm.bgp.learner import Learner, RouteCounters
from arm.bgp.messages import encode_update, path_attributes
from arm.bgp.peer import Agreement, Peer, PeerOpen
from arm.bgp.speaker import PAUSE_ABOVE
from arm.model import FAMILIES, Attributes, Event, Family, Prefix, Role, RoutesLearned


def learner(events: list[Event] | None = None, *, restart_time: int | None = 120) -> Learner:
    peer = Peer(
        name="reflector", address="192.0.2.1", local_as=65000, peer_as=65000, router_id="192.0.2.2", role=Role.LEARN
    )
    opened = PeerOpen(
        asn=65000, router_id="192.0.2.1", hold_time=90, families=frozenset(FAMILIES), four_octet=True,
        route_refresh=True, restart_time=restart_time, restart_families=frozenset(), restarting=False,
    )  # fmt: skip
    agreement = Agreement(
        peer=opened, hold_time=90, families=frozenset(FAMILIES), four_octet=True, route_refresh=True, graceful=True
    )
    seen: list[Event] = [] if events is None else events
    return Learner(
        peer, agreement, generation=1, own_ids=(), emit=seen.append, send=lambda data: None,
        counters=RouteCounters(), quiet=None, now=0.0,
    )  # fmt: skip


def tell(one: Learner, count: int, now: float) -> None:
    prefixes: list[Prefix] = [((number << 8).to_bytes(4, "big"), 24) for number in range(count)]
    one.learned([(Attributes(one.feed, b"\xc0\x00\x02\x01", b""), prefixes)], now)


def test_a_small_table_is_read_without_a_rest() -> None:
    one = learner()
    tell(one, 5_000, 1.0)
    assert not one.resting(1.0)


def test_a_large_table_gives_one_rest_that_ends() -> None:
    one = learner()
    tell(one, 20_000, 1.0)
    until = one.rest_until
    assert until is not None
    assert 1.0 < until < 3.0
    assert one.resting(until - 0.01)
    assert not one.resting(until)
    tell(one, 20_000, until)
    assert not one.resting(until)


def test_there_is_no_rest_once_the_table_is_complete() -> None:
    one = learner()
    tell(one, 5_000, 1.0)
    for family in (Family.IPV4, Family.IPV6):
        one.end_of_rib(family, 1.0)
    tell(one, 20_000, 2.0)
    assert not one.resting(2.0)


def test_a_rest_that_ends_while_reading_is_paused_leaves_the_thread_idle(desk: Callable[..., Desk]) -> None:
    one = desk()
    talk = one.established()
    many = [((10 << 24 | number << 8).to_bytes(4, "big"), 24) for number in range(20_000)]
    talk.send(b"".join(encode_update(path_attributes(as_path=(65001,), next_hop=b"\xc0\x00\x02\x01"), b"", many)))
    one.wait(RoutesLearned)
    one.backlog = PAUSE_ABOVE + 1
    until(lambda: one.speaker.paused)
    paused_at = time.monotonic()
    until(lambda: time.monotonic() > paused_at + 1.0)  # every rest is over
    began, rounds = time.monotonic(), one.rounds
    until(lambda: time.monotonic() > began + 0.2)
    assert one.rounds - rounds < 1000 * (time.monotonic() - began), "it does not spin"
