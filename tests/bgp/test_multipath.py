"""Several paths for one prefix: which of them make the route, and what is told of it."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from arm.bgp.encode import path_attributes
from arm.bgp.messages import Interner, parse_update
from arm.bgp.multipath import PathTable, best
from arm.model import Attributes, Family, Feed, Prefix, family_of, join_next_hops, parse_address, parse_prefix

FEED = Feed("reflector", "127.0.0.1", 1, 65000, "192.0.2.1")
PREFIX = parse_prefix("198.51.100.0/24")
OTHER = parse_prefix("203.0.113.0/24")


def path(hop: str, *, as_path: tuple[int, ...] = (65001, 65002), **attributes: int) -> Attributes:
    packed = parse_address(hop)
    raw = path_attributes(as_path=as_path, next_hop=packed if len(packed) == 4 else None, **attributes)
    return Attributes(FEED, packed, raw)


A, B = path("192.0.2.1"), path("192.0.2.2")


def test_one_path_is_the_route_itself() -> None:
    table = PathTable(FEED)
    assert table.learn(A, [(7, PREFIX)]) == [(A, [PREFIX])]
    assert table.learn(A, [(7, PREFIX)]) == []
    assert table.learn(None, [(8, PREFIX)]) == [], "nobody taught path 8"
    assert table.learn(None, [(7, PREFIX)]) == [(None, [PREFIX])]


def test_equal_paths_make_one_route_with_all_next_hops_whatever_their_order() -> None:
    seen = []
    for first, second in ((A, B), (B, A)):
        table = PathTable(FEED)
        table.learn(first, [(1, PREFIX)])
        [(merged, prefixes)] = table.learn(second, [(2, PREFIX)])
        assert prefixes == [PREFIX]
        assert merged is not None
        seen.append((merged.next_hop, merged.raw))
    assert seen[0] == seen[1] == (join_next_hops([A.next_hop, B.next_hop]), A.raw)


def test_a_path_that_goes_leaves_the_others() -> None:
    table = PathTable(FEED)
    table.learn(A, [(1, PREFIX)])
    table.learn(B, [(2, PREFIX)])
    assert table.learn(None, [(1, PREFIX)]) == [(B, [PREFIX])]
    assert table.learn(A, [(2, PREFIX)]) == [(A, [PREFIX])], "the identifier's path is another one now"


def test_paths_with_the_same_next_hop_are_no_spread() -> None:
    table = PathTable(FEED)
    again = path("192.0.2.1", as_path=(65003, 65002))
    table.learn(A, [(1, PREFIX)])
    for update in table.learn(again, [(2, PREFIX)]):
        assert update[0] is not None
        assert update[0].next_hop == A.next_hop


def test_prefixes_that_share_their_paths_share_the_route() -> None:
    table = PathTable(FEED)
    table.learn(A, [(1, PREFIX), (1, OTHER)])
    [(merged, prefixes)] = table.learn(B, [(2, PREFIX), (2, OTHER)])
    assert prefixes == [PREFIX, OTHER]
    assert merged is not None


def test_the_decision_looks_at_preference_length_origin_and_med() -> None:
    shorter = path("192.0.2.3", as_path=(65009,))
    preferred = path("192.0.2.4", as_path=(65001, 65002, 65003), local_pref=200)
    assert best([A, B]) == [A, B]
    assert best([A, shorter, B]) == [shorter]
    assert best([A, shorter, preferred]) == [preferred]
    assert best([A, path("192.0.2.5", origin=2)]) == [A]
    low, high = path("192.0.2.6", med=10), path("192.0.2.7", med=20)
    elsewhere = path("192.0.2.8", as_path=(65077, 65002), med=99)
    assert best([low, high, elsewhere]) == [low, elsewhere], "MED counts among paths of one neighbour only"


def test_an_update_with_identifiers_is_read_into_routes() -> None:
    interner = Interner(FEED, add_path={Family.IPV4})

    def update(identifier: int, attributes: Attributes | None) -> bytes:
        nlri = identifier.to_bytes(4, "big") + bytes([24]) + PREFIX[0][:3]
        if attributes is None:
            return len(nlri).to_bytes(2, "big") + nlri + bytes(2)
        return bytes(2) + len(attributes.raw).to_bytes(2, "big") + attributes.raw + nlri

    [(one, _)] = parse_update(update(1, A), interner)
    assert one is not None
    assert one.next_hop == A.next_hop
    [(both, prefixes)] = parse_update(update(2, B), interner)
    assert both is not None
    assert (both.next_hop, list(prefixes)) == (join_next_hops([A.next_hop, B.next_hop]), [PREFIX])
    [(left, _)] = parse_update(update(1, None), interner)
    assert left is not None
    assert left.next_hop == B.next_hop
    assert [list(u) for u in parse_update(update(2, None), interner)] == [[None, [PREFIX]]]


@given(st.integers(0, 10**6))
def test_what_was_told_last_is_what_the_paths_come_to(seed: int) -> None:
    rng = random.Random(seed)
    known = [A, B, path("192.0.2.3", med=5), path("2001:db8::1"), path("192.0.2.9", as_path=(65001,))]
    prefixes = [PREFIX, OTHER, parse_prefix("198.51.100.128/25"), parse_prefix("2001:db8::/32")]
    table = PathTable(FEED)
    truth: dict[Prefix, dict[int, Attributes]] = {prefix: {} for prefix in prefixes}
    told: dict[Prefix, Attributes | None] = dict.fromkeys(prefixes)
    for _ in range(60):
        prefix, identifier, attributes = rng.choice(prefixes), rng.randrange(4), rng.choice([None, *known])
        if attributes is None:
            truth[prefix].pop(identifier, None)
        else:
            truth[prefix][identifier] = attributes
        for update, changed in table.learn(attributes, [(identifier, prefix)]):
            assert changed == [prefix]
            assert update is not told[prefix]
            told[prefix] = update
        paths = list(truth[prefix].values())
        now = told[prefix]
        assert (now is None) == (not paths)
        if now is not None:
            assert now.next_hop == join_next_hops(attributes.next_hop for attributes in best(paths))
            assert family_of(prefix) in (Family.IPV4, Family.IPV6)
