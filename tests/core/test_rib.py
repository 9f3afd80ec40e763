"""The table: several sessions, generations, sweeps, and the search for exceptions."""

from __future__ import annotations

import random
from collections.abc import Container

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arm.core import matches
from arm.core import rib as rib_module
from arm.core.rib import Rib, RouteChange
from arm.model import Attributes, Family, Feed, Prefix, mask, parse_prefix

OLD = Feed("reflector", "127.0.0.1", 1, 65000, "192.0.2.1")
NEW = Feed("reflector", "127.0.0.1", 2, 65000, "192.0.2.1")
OTHER = Feed("reflector6", "::1", 1, 65000, "192.0.2.1")
A, B, C = (bytes([192, 0, 2, n]) for n in (1, 2, 3))


def attributes(feed: Feed, hop: bytes) -> Attributes:
    return Attributes(feed, hop, b"")


def p(text: str) -> Prefix:
    return parse_prefix(text)


def announce(rib: Rib, route: Attributes, *prefixes: str) -> list[RouteChange]:
    changes: list[RouteChange] = []
    rib.announce(route, [p(text) for text in prefixes], changes, ())
    return changes


def withdraw(rib: Rib, feed: Feed, *prefixes: str, watched: tuple[str, ...] = ()) -> list[RouteChange]:
    changes: list[RouteChange] = []
    rib.withdraw(feed, [p(text) for text in prefixes], changes, {p(text) for text in watched})
    return changes


def swept(rib: Rib, name: str, generation: int, watched: Container[Prefix] = ()) -> list[RouteChange]:
    """All steps of a sweep."""
    return [change for changes, _ in rib.sweep(name, generation, watched) for change in changes]


def check_matches(rib: Rib, seen: dict[bytes, int]) -> None:
    """What is added up by prefix is what the tree says, address by address; the powers of two tell them apart."""
    expected: dict[Prefix | None, int] = {}
    for address, packed in seen.items():
        prefix = rib.match(address)
        expected[prefix] = expected.get(prefix, 0) + packed
    unknown = expected.pop(None, 0)
    for remember in (False, True):
        found: dict[Prefix, int] = {}
        assert rib.add_up(seen, found, remember=remember) == unknown
        assert found == expected


def test_size_and_counters_follow_announcements_and_withdrawals() -> None:
    rib = Rib(Family.IPV4)
    announce(rib, attributes(OLD, A), "10.0.0.0/8", "10.1.0.0/16")
    announce(rib, attributes(OLD, B), "10.0.0.0/8")
    assert (len(rib), rib.added, rib.removed) == (2, 2, 0)
    withdraw(rib, OLD, "10.0.0.0/8", "172.16.0.0/12")
    assert (len(rib), rib.added, rib.removed) == (1, 2, 1)


def test_only_changes_that_matter_are_told() -> None:
    rib = Rib(Family.IPV4)
    first, same_hop, other_hop = attributes(OLD, A), attributes(OLD, A), attributes(OLD, B)
    assert announce(rib, first, "10.0.0.0/8") == [(p("10.0.0.0/8"), None, first)]
    assert announce(rib, same_hop, "10.0.0.0/8") == []
    assert announce(rib, other_hop, "10.0.0.0/8") == [(p("10.0.0.0/8"), same_hop, other_hop)]
    watched: list[RouteChange] = []
    again = attributes(OLD, B)
    rib.announce(again, [p("10.0.0.0/8")], watched, {p("10.0.0.0/8")})
    assert watched == [(p("10.0.0.0/8"), other_hop, again)]
    announce(rib, first, "10.2.0.0/16")
    assert withdraw(rib, OLD, "10.2.0.0/16") == []
    assert withdraw(rib, OLD, "10.0.0.0/8", watched=("10.0.0.0/8",)) == [(p("10.0.0.0/8"), again, None)]


def test_what_a_second_session_teaches_takes_over_when_the_first_withdraws() -> None:
    rib = Rib(Family.IPV4)
    one, two = attributes(OLD, A), attributes(OTHER, B)
    announce(rib, one, "10.0.0.0/8")
    assert announce(rib, two, "10.0.0.0/8") == []
    assert rib.winner(p("10.0.0.0/8")) is one
    assert withdraw(rib, OLD, "10.0.0.0/8") == [(p("10.0.0.0/8"), one, two)]
    assert rib.winner(p("10.0.0.0/8")) is two
    withdraw(rib, OTHER, "10.0.0.0/8")
    assert len(rib) == 0


def test_a_sweep_drops_exactly_what_the_new_session_did_not_teach() -> None:
    rib = Rib(Family.IPV4)
    announce(rib, attributes(OLD, A), "10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16")
    announce(rib, attributes(OTHER, C), "10.2.0.0/16", "10.3.0.0/16")
    announce(rib, attributes(NEW, A), "10.0.0.0/8")
    assert rib.stale("reflector", NEW.generation) == 2
    changes = swept(rib, "reflector", NEW.generation, {p("10.1.0.0/16")})
    assert {change[0] for change in changes} == {p("10.1.0.0/16"), p("10.2.0.0/16")}
    assert sorted(route.prefix for route in rib) == [p("10.0.0.0/8"), p("10.2.0.0/16"), p("10.3.0.0/16")]
    assert rib.stale("reflector", NEW.generation) == 0


def test_a_large_sweep_goes_in_portions_and_leaves_nothing() -> None:
    rib = Rib(Family.IPV4)
    prefixes = [((10 << 24 | n << 6).to_bytes(4, "big"), 26) for n in range(120_000)]
    rib.announce(attributes(OLD, A), prefixes, [], ())
    steps = list(rib.sweep("reflector", 2, ()))
    assert [over for _, over in steps] == [False] * (len(steps) - 1) + [True]
    assert len(steps) > 10
    assert [changes for changes, _ in steps if changes] == []
    assert len(rib) == 0
    assert list(rib) == []


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=60), st.integers(1, 9))
def test_a_sweep_in_parts_looks_at_every_prefix_whatever_its_length(seen: list[tuple[int, int]], portion: int) -> None:
    prefixes = sorted({(mask(number.to_bytes(4, "big"), length), length) for number, length in seen})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rib_module, "_PORTION", portion)
        patch.setattr(rib_module, "_PART_BITS", 6)
        rib = Rib(Family.IPV4)
        rib.announce(attributes(OLD, A), prefixes, [], ())
        rib.announce(attributes(OTHER, B), prefixes[::3], [], ())
        changes = swept(rib, "reflector", 2, prefixes)
    assert sorted(route.prefix for route in rib) == prefixes[::3]
    assert sorted(change[0] for change in changes) == prefixes
    assert (len(rib), rib.stale("reflector", 2)) == (len(prefixes[::3]), 0)


def test_exceptions_are_the_topmost_with_another_next_hop() -> None:
    rng = random.Random(7)
    for _ in range(200):
        rib = Rib(Family.IPV4)
        table: dict[Prefix, bytes] = {p("10.0.0.0/8"): A}
        for _ in range(25):
            length = rng.randrange(9, 15)
            table[mask(bytes([10, rng.randrange(256), 0, 0]), length), length] = rng.choice([A, B])
        for prefix, hop in table.items():
            rib.announce(attributes(OLD, hop), [prefix], [], ())
        others = [q for q, hop in table.items() if hop != A]
        topmost = [
            q for q in others
            if not any(r != q and r[1] < q[1] and mask(q[0], r[1]) == r[0] for r in others)
        ]  # fmt: skip
        assert sorted(rib.exceptions(p("10.0.0.0/8"), A)) == sorted(topmost)


def test_covering_routes_come_longest_first() -> None:
    rib = Rib(Family.IPV6)
    announce(rib, attributes(OLD, A), "::/0", "2001:db8::/32", "2001:db8:1::/48")
    found = [route.prefix for route in rib.covering(p("2001:db8:1::1"))]
    assert found == [p("2001:db8:1::/48"), p("2001:db8::/32"), p("::/0")]
    assert rib.match(p("2001:db8:2::1")[0]) == p("2001:db8::/32")


def test_a_table_that_one_feed_fills_is_counted_as_one_that_was_announced() -> None:
    one, two = attributes(OLD, A), attributes(OLD, B)
    updates = [(one, [p("10.0.0.0/8"), p("10.1.0.0/16")]), (two, [p("10.1.0.0/16")]), (two, [p("192.0.2.0/24")])]
    loaded, announced = Rib(Family.IPV4), Rib(Family.IPV4)
    loaded.load(OLD, updates)
    for route, prefixes in updates:
        announced.announce(route, prefixes, [], ())
    assert loaded.stale("reflector", 2) == announced.stale("reflector", 2) == 3
    assert (len(loaded), loaded.added, loaded.removed) == (len(announced), announced.added, announced.removed)
    assert sorted(map(repr, loaded)) == sorted(map(repr, announced))


def test_withdrawals_and_other_feeds_may_come_while_a_table_is_filled() -> None:
    first, second, other = attributes(OLD, A), attributes(OLD, B), attributes(OTHER, B)
    rib = Rib(Family.IPV4)
    rib.load(OLD, [(first, [p("10.0.0.0/8"), p("10.1.0.0/16")]), (first, [p("10.0.0.0/8")])])
    rib.load(OLD, [(None, [p("10.1.0.0/16")]), (second, [p("192.0.2.0/24")])])
    rib.load(OTHER, [(other, [p("10.0.0.0/8"), p("203.0.113.0/24")])])
    assert (len(rib), rib.added, rib.removed) == (3, 4, 1)
    assert (rib.stale("reflector", 2), rib.stale("reflector6", 2)) == (2, 2)
    assert rib.winner(p("10.0.0.0/8")) is first
    assert rib.winner(p("203.0.113.0/24")) is other


SOME = [p(text) for text in ("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24")]
SEEN = {p(text)[0]: 1 << n for n, text in enumerate(("10.1.2.3", "10.1.3.1", "10.2.0.1", "172.16.0.1", "10.1.2.4"))}
STEPS = st.tuples(
    st.sampled_from(["announce", "load", "withdraw", "sweep"]),
    st.sampled_from([OLD, NEW, OTHER]),
    st.sampled_from([A, B, C]),
    st.lists(st.sampled_from(SOME), unique=True, min_size=1),
)


@given(st.lists(STEPS, max_size=30))
@example([("announce", OLD, A, SOME), ("withdraw", OLD, A, SOME), ("announce", OLD, B, SOME)])
def test_the_next_hop_that_is_remembered_is_always_the_winners(
    steps: list[tuple[str, Feed, bytes, list[Prefix]]],
) -> None:
    rib = Rib(Family.IPV4)
    for what, feed, hop, prefixes in steps:
        if what == "announce":
            rib.announce(attributes(feed, hop), prefixes, [], ())
        elif what == "load":
            rib.load(feed, [(attributes(feed, hop), prefixes)])
        elif what == "withdraw":
            rib.withdraw(feed, prefixes, [], ())
        else:
            swept(rib, feed.name, feed.generation)
        for prefix in SOME:
            winner = rib.winner(prefix)
            if winner is not None:
                assert rib.next_hop(prefix) == winner.next_hop
        check_matches(rib, SEEN)


SOME6 = [p(text) for text in ("::/0", "2001::/16", "2001:db8::/32", "2001:db8:1::/48")]
SEEN6 = {p(text)[0]: 1 << n for n, text in enumerate(("2001:db8::1", "2001:db8:1::1", "2001::1", "2a00::1"))}


@given(st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from(SOME6), unique=True, min_size=1)), max_size=30))
def test_the_match_that_is_remembered_is_always_the_longest(steps: list[tuple[bool, list[Prefix]]]) -> None:
    rib = Rib(Family.IPV6)
    for announced, prefixes in steps:
        if announced:
            rib.announce(attributes(OLD, A), prefixes, [], ())
        else:
            rib.withdraw(OLD, prefixes, [], ())
        check_matches(rib, SEEN6)


def test_more_addresses_than_are_remembered_are_all_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matches, "_REMEMBERED", 3)
    rib = Rib(Family.IPV4)
    announce(rib, attributes(OLD, A), "10.0.0.0/8", "10.1.0.0/16")
    for _ in range(3):
        check_matches(rib, SEEN)
