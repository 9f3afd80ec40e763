"""Whatever an upstream is told to tell, and whenever its session starts, its peer ends with what was told last."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arm.bgp.messages import Interner, end_of_rib_family, parse_update, read_header
from arm.bgp.wire import HEADER_SIZE
from arm.model import DEFAULT_PREFIX, FAMILIES, Attributes, Family, Feed, Prefix, parse_prefix
from arm.simulate.announcer import Announcer, Rank
from arm.simulate.paths import Upstream, Variant
from arm.simulate.shape import synthetic_table

TABLE = synthetic_table(ipv4=900, ipv6=300, seed=4)
UPSTREAM = Upstream(1, 65135, bytes((10, 0, 0, 135)), bytes.fromhex("fd00") + bytes(13) + b"\x87")
SMALL = synthetic_table(ipv4=30, ipv6=10, seed=9)


class Peer:
    """What a receiver of the messages believes."""

    def __init__(self, *, internal: bool = False) -> None:
        feed = Feed("peer", "10.0.0.135", 1, 65135, "10.0.0.135")
        self.interner = Interner(feed, four_octet=True, internal=internal, own_ids=(), families=frozenset(FAMILIES))
        self.routes: dict[Prefix, Attributes] = {}
        self.complete: list[Family] = []

    def take(self, data: bytes) -> None:
        position = 0
        while position < len(data):
            size, _ = read_header(data, position)
            body = data[position + HEADER_SIZE : position + size]
            position += size
            family = end_of_rib_family(body)
            if family is not None:
                self.complete.append(family)
            for attributes, prefixes in parse_update(body, self.interner):
                for prefix in prefixes:
                    if attributes is None:
                        self.routes.pop(prefix, None)
                    else:
                        self.routes[prefix] = attributes
        assert self.interner.malformed == 0


def learned(announcer: Announcer, *, internal: bool = False) -> Peer:
    peer = Peer(internal=internal)
    for chunk in announcer.everything(FAMILIES):
        peer.take(chunk)
    return peer


def test_the_whole_table_arrives_with_the_attributes_of_its_paths() -> None:
    peer = learned(Announcer(TABLE, UPSTREAM))
    assert peer.complete == list(FAMILIES)
    assert len(peer.routes) == len(TABLE)
    for family, next_hop in ((Family.IPV4, UPSTREAM.next_hop), (Family.IPV6, UPSTREAM.next_hop6)):
        entries = TABLE.families[family]
        for index in (0, 7, len(entries) - 1):
            found = peer.routes[entries.prefix(index)]
            assert found.next_hop == next_hop
            wanted = TABLE.paths.attributes(entries.paths[index], UPSTREAM, next_hop=family is Family.IPV4)
            assert found.raw == wanted


def test_what_was_prepared_is_what_would_have_been_made() -> None:
    plain, prepared = Announcer(TABLE, UPSTREAM), Announcer(TABLE, UPSTREAM)
    prepared.prepare()
    assert b"".join(plain.everything(FAMILIES)) == b"".join(prepared.everything(FAMILIES))
    prefix = TABLE.families[Family.IPV4].prefix(3)
    prepared.withdraw(prefix)
    assert prefix not in learned(prepared).routes


def test_the_default_routes_come_only_if_they_shall() -> None:
    assert DEFAULT_PREFIX[Family.IPV4] not in learned(Announcer(SMALL, UPSTREAM)).routes
    announcer = Announcer(SMALL, UPSTREAM, default=Variant.BETTER)
    peer = learned(announcer)
    assert {DEFAULT_PREFIX[family] for family in FAMILIES} <= set(peer.routes)
    peer.take(announcer.set_default(None))
    assert not {DEFAULT_PREFIX[family] for family in FAMILIES} & set(peer.routes)


def test_an_internal_session_carries_local_pref() -> None:
    peer = learned(Announcer(SMALL, UPSTREAM, local_pref=100), internal=True)
    raw = next(iter(peer.routes.values())).raw
    assert bytes((0x40, 5, 4, 0, 0, 0, 100)) in raw


def test_a_deaggregated_prefix_is_told_with_all_its_parts() -> None:
    announcer = Announcer(SMALL, UPSTREAM)
    peer = learned(announcer)
    peer.take(announcer.deaggregate(parse_prefix("5.0.0.0/16"), 20, Variant.BETTER))
    assert {parse_prefix(f"5.0.{n * 16}.0/20") for n in range(16)} <= set(peer.routes)
    with pytest.raises(ValueError, match="can not cut"):
        announcer.deaggregate(parse_prefix("5.0.0.0/16"), 16)
    peer.take(announcer.restore_all())
    assert set(peer.routes) == {prefix for entries in SMALL.families.values() for prefix in entries.prefixes()}


def test_every_change_is_recorded_with_its_rank() -> None:
    seen: list[tuple[Prefix, Rank | None]] = []
    announcer = Announcer(SMALL, UPSTREAM, record=lambda prefix, rank: seen.append((prefix, rank)))
    entries = SMALL.families[Family.IPV4]
    prefix, path = entries.prefix(5), entries.paths[5]
    announcer.announce(prefix, Variant.WORSE)
    announcer.withdraw(prefix)
    announcer.restore(prefix)
    assert seen == [
        (prefix, SMALL.paths.rank(path, 1, Variant.WORSE)),
        (prefix, None),
        (prefix, SMALL.paths.rank(path, 1)),
    ]
    assert announcer.told == {}


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["better", "worse", "normal", "withdraw", "restore", "deaggregate", "churn"]),
        st.integers(0, 29),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(changes=CHANGES, start=st.integers(0, 25))
def test_changes_before_and_after_a_session_starts_come_to_the_same(changes: list[tuple[str, int]], start: int) -> None:
    announcer, chance = Announcer(SMALL, UPSTREAM), random.Random(1)
    entries = SMALL.families[Family.IPV4]
    among = [(Family.IPV4, index) for index in range(len(entries))]
    peer = Peer()
    for step, (what, index) in enumerate(changes):
        if step == start:
            peer = learned(announcer)
        prefix = entries.prefix(index)
        match what:
            case "withdraw":
                sent = announcer.withdraw(prefix)
            case "restore":
                sent = announcer.restore(prefix)
            case "deaggregate":
                sent = announcer.deaggregate(prefix, prefix[1] + 1) if prefix[1] < 32 else b""
            case "churn":
                sent = announcer.churn(chance, among)
            case _:
                sent = announcer.announce(prefix, Variant[what.upper()])
        if step >= start:
            peer.take(sent)
    fresh = learned(announcer)
    if len(changes) > start:
        assert {prefix: found.raw for prefix, found in peer.routes.items()} == {
            prefix: found.raw for prefix, found in fresh.routes.items()
        }
    told = {prefix for prefix in fresh.routes if announcer.telling(prefix) is not None}
    assert told == set(fresh.routes)


def test_churn_keeps_the_number_of_prefixes_away_from_the_table_bounded() -> None:
    announcer, chance = Announcer(TABLE, UPSTREAM), random.Random(3)
    among = [(family, index) for family in FAMILIES for index in range(len(TABLE.families[family]))]
    for _ in range(3000):
        announcer.churn(chance, among)
    assert 100 < len(announcer.told) <= 400
