"""A peer with a large table is left alone for a moment, once, so that it packs its routes."""

from __future__ import annotations

from arm.bgp.learner import Learner, RouteCounters
from arm.bgp.peer import Agreement, Peer, PeerOpen, Role
from arm.model import FAMILIES, Attributes, Event, Family, Prefix


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
