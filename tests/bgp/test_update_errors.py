"""What a peer may get wrong, and what becomes of it (RFC 7606): withdrawn, discarded, or the end of the session."""

from __future__ import annotations

from types import ModuleType

import pytest
from bgp_strategies import FEED, prefixes, updates
from hypothesis import example, given, settings
from hypothesis import strategies as st
from interpreted import interpreted

from arm.bgp import messages as compiled_messages
from arm.bgp.messages import (
    BgpError,
    Interner,
    Update,
    encode_update,
    encode_withdrawal,
    parse_update,
    path_attributes,
)
from arm.bgp.wire import HEADER_SIZE, OPTIONAL, TRANSITIVE, attribute, walk_attributes
from arm.model import FAMILIES, Family, Prefix, parse_prefix

WELL_KNOWN = TRANSITIVE
BOTH = OPTIONAL | TRANSITIVE
PREFIX = parse_prefix("198.51.100.0/24")
NLRI = bytes.fromhex("18c63364")
SOURCES = interpreted(*(f"arm.bgp.{name}" for name in ("wire", "aspath", "ordinary", "interner", "messages")))
GOOD = path_attributes(as_path=(64500, 64501), next_hop=bytes((192, 0, 2, 1)), local_pref=100)
GOOD6 = path_attributes(as_path=(64500, 64501), local_pref=100)
PREFIX6 = parse_prefix("2001:db8::/32")
REACH6 = bytes.fromhex("800e1a" + "000201" + "10" + "20010db8000000000000000000000001" + "00" + "2020010db8")


def body(raw: bytes, nlri: bytes = NLRI, withdrawn: bytes = b"") -> bytes:
    return len(withdrawn).to_bytes(2, "big") + withdrawn + len(raw).to_bytes(2, "big") + raw + nlri


def replaced(kind: int, new: bytes, raw: bytes = GOOD) -> bytes:
    return b"".join(new if k == kind else raw[start:end] for _, k, start, _, end in walk_attributes(raw))


def attempt(octets: bytes, interner: Interner) -> list[Update] | BgpError:
    try:
        return parse_update(octets, interner)
    except BgpError as error:
        return error


WITHDRAWING = {
    "origin has a value of its own": replaced(1, attribute(WELL_KNOWN, 1, b"\x03")),
    "origin is empty": replaced(1, attribute(WELL_KNOWN, 1, b"")),
    "origin is optional": replaced(1, attribute(BOTH, 1, b"\0")),
    "origin is missing": replaced(1, b""),
    "as path is missing": replaced(2, b""),
    "as path is not transitive": replaced(2, attribute(0, 2, b"")),
    "as path has an unknown segment": replaced(2, attribute(WELL_KNOWN, 2, bytes.fromhex("05010000fbf4"))),
    "as path has an empty segment": replaced(2, attribute(WELL_KNOWN, 2, bytes.fromhex("0200"))),
    "as path is cut inside a number": replaced(2, attribute(WELL_KNOWN, 2, bytes.fromhex("02020000fbf40000"))),
    "as path is cut inside a segment header": replaced(2, attribute(WELL_KNOWN, 2, b"\x02")),
    "as path holds as 0": replaced(2, attribute(WELL_KNOWN, 2, bytes.fromhex("02020000fbf400000000"))),
    "next hop is missing": replaced(3, b""),
    "next hop has five octets": replaced(3, attribute(WELL_KNOWN, 3, bytes(5))),
    "next hop is all zeros": replaced(3, attribute(WELL_KNOWN, 3, bytes(4))),
    "next hop is multicast": replaced(3, attribute(WELL_KNOWN, 3, bytes((224, 0, 0, 1)))),
    "med has three octets": GOOD + attribute(OPTIONAL, 4, bytes(3)),
    "local pref has five octets": replaced(5, attribute(WELL_KNOWN, 5, bytes(5))),
    "communities have six octets": GOOD + attribute(BOTH, 8, bytes(6)),
    "communities are empty": GOOD + attribute(BOTH, 8, b""),
    "communities are not transitive": GOOD + attribute(OPTIONAL, 8, bytes(4)),
    "extended communities have four octets": GOOD + attribute(BOTH, 16, bytes(4)),
    "large communities have eight octets": GOOD + attribute(BOTH, 32, bytes(8)),
    "originator id has three octets": GOOD + attribute(OPTIONAL, 9, bytes(3)),
    "cluster list is empty": GOOD + attribute(OPTIONAL, 10, b""),
    "an unknown attribute is well-known": GOOD + attribute(WELL_KNOWN, 199, b"x"),
    "the last attribute is longer than all": GOOD + bytes.fromhex("c008ff00"),
    "one octet is left over": GOOD + b"\x40",
    "two octets are left over": GOOD + b"\xc0\x08",
    "an extended length is cut": GOOD + b"\xd0\x08\x00",
}


@pytest.mark.parametrize("fault", WITHDRAWING)
def test_malformed_attributes_withdraw_their_prefixes(fault: str) -> None:
    interner = Interner(FEED)
    for times in (1, 2):
        assert parse_update(body(WITHDRAWING[fault]), interner) == [(None, [PREFIX])]
        assert interner.malformed == times
        assert interner.last_error
    assert parse_update(body(GOOD), interner)[0][0] is not None


@pytest.mark.parametrize("fault", [name for name in WITHDRAWING if not name.startswith("next hop is")])
def test_malformed_attributes_withdraw_ipv6_prefixes_too(fault: str) -> None:
    if "missing" not in fault or fault.startswith("next hop"):
        interner = Interner(FEED)
        assert parse_update(body(REACH6 + WITHDRAWING[fault], b""), interner) == [(None, [PREFIX6])]
        assert interner.malformed == 1


@pytest.mark.parametrize(
    "fault", [name for name in WITHDRAWING if "missing" not in name and not name.startswith("next hop is")]
)
def test_malformed_attributes_without_prefixes_end_the_session(fault: str) -> None:
    with pytest.raises(BgpError) as caught:
        parse_update(body(WITHDRAWING[fault], b""), Interner(FEED))
    assert (caught.value.code, caught.value.subcode) == (3, 1)


DISCARDED = {
    "atomic aggregate with a value": attribute(WELL_KNOWN, 6, b"x"),
    "aggregator of seven octets": attribute(BOTH, 7, bytes(7)),
    "aggregator of a two-octet speaker": attribute(BOTH, 7, bytes(6)),
    "as4 path from a four-octet speaker": attribute(BOTH, 17, bytes.fromhex("02010000fbf4")),
    "malformed as4 path": attribute(BOTH, 17, b"\x02"),
    "as4 aggregator of five octets": attribute(BOTH, 18, bytes(5)),
    "a second origin": attribute(WELL_KNOWN, 1, b"\x02"),
    "a second next hop": attribute(WELL_KNOWN, 3, bytes((192, 0, 2, 99))),
}


@pytest.mark.parametrize("fault", DISCARDED)
def test_what_may_be_discarded_is_and_the_route_stays(fault: str) -> None:
    [(attributes, found)] = parse_update(body(GOOD + DISCARDED[fault]), Interner(FEED))
    assert attributes is not None
    assert attributes.raw == GOOD
    assert found == [PREFIX]


def test_an_external_peer_has_no_say_in_local_pref_and_reflection() -> None:
    extra = attribute(OPTIONAL, 9, bytes(4)) + attribute(OPTIONAL, 10, bytes(8))
    [(attributes, _)] = parse_update(body(GOOD + extra), Interner(FEED, internal=False))
    assert attributes is not None
    assert attributes.raw == replaced(5, b"")


def test_a_confederation_segment_is_for_internal_peers() -> None:
    raw = replaced(2, attribute(WELL_KNOWN, 2, bytes.fromhex("03010000fbf4")))
    assert parse_update(body(raw), Interner(FEED, internal=False)) == [(None, [PREFIX])]
    assert parse_update(body(raw), Interner(FEED))[0][0] is not None


@pytest.mark.parametrize("kind", [9, 10])
def test_arm_does_not_learn_from_itself(kind: int) -> None:
    own = bytes((0, 0, 0, 2))
    value = own if kind == 9 else bytes((9, 9, 9, 9)) + own
    interner = Interner(FEED, own_ids=[own])
    looped = GOOD + attribute(OPTIONAL, kind, value)
    assert parse_update(body(looped), interner) == [(None, [PREFIX])]
    assert (interner.looped, interner.malformed) == (1, 0)
    assert parse_update(body(GOOD + attribute(OPTIONAL, kind, bytes((9, 9, 9, 9)))), interner)[0][0] is not None


ENDING = {
    "nothing": (b"", 3, 1),
    "withdrawn routes longer than the message": (bytes.fromhex("00ff0000"), 3, 1),
    "attributes longer than the message": (bytes.fromhex("000000ff"), 3, 1),
    "a prefix length of 33": (body(GOOD, bytes.fromhex("21c633640000")), 3, 10),
    "a prefix that ends outside": (body(GOOD, bytes.fromhex("18c633")), 3, 10),
    "a withdrawn prefix that ends outside": (body(b"", b"", bytes.fromhex("18c633")), 3, 10),
    "an ipv6 prefix length of 129": (body(REACH6[:2] + b"\x16" + REACH6[3:24] + b"\x81" + GOOD6, b""), 3, 10),
    "two mp_reach": (body(REACH6 + GOOD6 + REACH6, b""), 3, 1),
    "two mp_unreach": (body(bytes.fromhex("800f03000201800f03000201"), b""), 3, 1),
    "mp_reach of two octets": (body(bytes.fromhex("800e020002") + GOOD6, b""), 3, 9),
    "mp_reach with a next hop of four octets": (body(bytes.fromhex("800e09000201040a00000100") + GOOD6, b""), 3, 9),
    "mp_reach that ends outside the attributes": (body(bytes.fromhex("800eff0002"), b""), 3, 9),
    "mp_unreach of two octets": (body(bytes.fromhex("800f020002"), b""), 3, 9),
}


@pytest.mark.parametrize("fault", ENDING)
def test_what_can_not_be_located_ends_the_session(fault: str) -> None:
    octets, code, subcode = ENDING[fault]
    with pytest.raises(BgpError) as caught:
        parse_update(octets, Interner(FEED))
    assert (caught.value.code, caught.value.subcode) == (code, subcode)


def test_prefixes_without_attributes_are_withdrawn() -> None:
    assert parse_update(body(b""), Interner(FEED)) == [(None, [PREFIX])]


def test_families_that_were_not_agreed_upon_are_ignored() -> None:
    interner = Interner(FEED, families=[Family.IPV6])
    for _ in range(2):
        assert parse_update(body(GOOD), interner) == []
        assert parse_update(body(b"", b"", NLRI), interner) == []
    interner = Interner(FEED, families=[Family.IPV4])
    for _ in range(2):
        assert parse_update(body(REACH6 + GOOD6, b""), interner) == []
    multicast = REACH6[:5] + b"\x02" + REACH6[6:]
    assert parse_update(body(multicast + GOOD6, b""), Interner(FEED)) == []


def test_withdrawals_come_before_announcements_in_one_update() -> None:
    unreach = attribute(OPTIONAL, 15, bytes.fromhex("0002012020010db8"))
    got = parse_update(body(REACH6 + unreach + GOOD, NLRI, NLRI), Interner(FEED))
    assert [(a is None, found) for a, found in got] == [
        (True, [PREFIX]),
        (True, [PREFIX6]),
        (False, [PREFIX]),
        (False, [PREFIX6]),
    ]


def test_mp_reach_is_read_wherever_it_stands() -> None:
    interner = Interner(FEED)
    got = [
        parse_update(body(raw, b""), interner)
        for raw in (REACH6 + GOOD6, GOOD6 + REACH6, GOOD6[:4] + REACH6 + GOOD6[4:])
    ]
    assert got[0] == got[1] == got[2]
    assert got[0][0][1] == [PREFIX6]


def test_attributes_nobody_uses_are_forgotten() -> None:
    interner = Interner(FEED)
    kept = []
    for number in range(1, 101):
        raw = path_attributes(as_path=(number,), next_hop=bytes((192, 0, 2, 1)))
        [(attributes, _)] = parse_update(body(raw), interner)
        [(attributes6, _)] = parse_update(body(REACH6 + path_attributes(as_path=(number,)), b""), interner)
        if number % 4 == 0:
            kept.append((attributes, attributes6))
    del attributes, attributes6
    assert interner.sweep() == 150
    assert len(interner.plain) == len(interner.multiprotocol) == len(kept) == 25
    again = path_attributes(as_path=(100,), next_hop=bytes((192, 0, 2, 1)))
    assert parse_update(body(again), interner)[0][0] is kept[-1][0]


def test_what_is_forgotten_is_bounded_once_the_first_routes_are_complete() -> None:
    interner = Interner(FEED)
    sizes = []
    for number in range(1, 60_001):
        raw = path_attributes(as_path=(number,), next_hop=bytes((192, 0, 2, 1)))
        parse_update(body(raw), interner)
        if number == 30_000:
            assert len(interner.plain) == 30_000, "nothing is swept before"
            interner.settle()
        sizes.append(len(interner.plain))
    assert max(sizes) <= 45_001
    assert sizes[-1] < 20_000


@given(st.binary(max_size=200))
@example(b"\0\0\0\0")
def test_random_octets_raise_nothing_else(octets: bytes) -> None:
    for interner in (Interner(FEED), Interner(FEED, four_octet=False, internal=False, add_path=FAMILIES)):
        got = attempt(octets, interner)
        assert got.code == 3 if isinstance(got, BgpError) else isinstance(got, list)


@st.composite
def damaged_updates(draw: st.DrawFn) -> bytes:
    """An UPDATE's body of which some octets have changed, and which may be cut."""
    raw, next_hop, found = draw(updates(draw(st.sampled_from(FAMILIES))))
    octets = bytearray(
        draw(st.sampled_from(encode_update(raw, next_hop, found) + encode_withdrawal(found)))[HEADER_SIZE:]
    )
    for _ in range(draw(st.integers(1, 4))):
        octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    return bytes(octets[: draw(st.integers(0, len(octets)))]) if draw(st.booleans()) else bytes(octets)


def with_identifiers(found: list[Prefix], first: int) -> bytes:
    """NLRI in which a path identifier stands before each prefix (RFC 7911 section 3)."""
    return b"".join(
        (first + n).to_bytes(4, "big") + bytes((length,)) + packed[: (length + 7) // 8]
        for n, (packed, length) in enumerate(found)
    )


@st.composite
def damaged_paths(draw: st.DrawFn) -> bytes:
    """As `damaged_updates`, for families with ADD-PATH; each field of NLRI may also be cut before its lengths are."""
    family = draw(st.sampled_from(FAMILIES))
    raw, next_hop, found = draw(updates(family))
    nlri = with_identifiers(found, draw(st.integers(0, 2**32 - 64)))
    nlri = nlri[: draw(st.integers(max(0, len(nlri) - 20), len(nlri)))]
    withdraws = draw(st.booleans())
    if family is Family.IPV4:
        octets = body(b"", b"", nlri) if withdraws else body(raw, nlri)
    else:
        head = b"\0\x02\x01" if withdraws else bytes((0, 2, 1, len(next_hop))) + next_hop + b"\0"
        octets = body(attribute(OPTIONAL, 15 if withdraws else 14, head + nlri) + (b"" if withdraws else raw), b"")
    damaged = bytearray(octets)
    for _ in range(draw(st.integers(0, 2))):
        damaged[draw(st.integers(0, len(damaged) - 1))] = draw(st.integers(0, 255))
    return bytes(damaged[: draw(st.integers(0, len(damaged)))]) if draw(st.booleans()) else bytes(damaged)


@pytest.mark.parametrize("length", [1, 8, 9, 17, 24, 25, 31, 32])
@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_prefix_with_a_path_identifier_that_is_cut_off_ends_the_session(length: int, cut: int) -> None:
    nlri = with_identifiers([(b"\x0a\xff\xff\xff", length)], 1)
    for octets in (body(GOOD, nlri[:-cut]), body(b"", b"", nlri[:-cut])):
        for interner in (Interner(FEED, add_path=FAMILIES), SOURCES[-2].Interner(FEED, add_path=FAMILIES)):
            messages = compiled_messages if isinstance(interner, Interner) else SOURCES[-1]
            with pytest.raises(messages.BgpError) as caught:
                messages.parse_update(octets, interner)
            assert (caught.value.code, caught.value.subcode) == (3, 10)


@given(family=st.sampled_from(FAMILIES), data=st.data())
def test_paths_are_read_whole_or_not_at_all_wherever_their_field_ends(family: Family, data: st.DataObject) -> None:
    found = data.draw(st.lists(prefixes(family), min_size=1, max_size=8))
    nlri = with_identifiers(found, 7)
    ends = [len(with_identifiers(found[:n], 7)) for n in range(len(found) + 1)]
    for end in range(len(nlri) + 1):
        for octets in (nlri, nlri[:end]):  # more follows in the message, or nothing does
            if end in ends:
                read = compiled_messages.read_paths(octets, 0, end, family)
                assert [prefix for _, prefix in read] == found[: ends.index(end)]
            else:
                with pytest.raises(BgpError):
                    compiled_messages.read_paths(octets, 0, end, family)


ADD_PATH = st.sampled_from([frozenset[Family](), frozenset(FAMILIES), frozenset({Family.IPV4})])


@given(
    damaged=st.one_of(damaged_updates(), damaged_paths()),
    four_octet=st.booleans(),
    internal=st.booleans(),
    add_path=ADD_PATH,
)
@settings(max_examples=400)
def test_damaged_updates_raise_nothing_else(
    damaged: bytes, four_octet: bool, internal: bool, add_path: frozenset[Family]
) -> None:
    interner = Interner(FEED, four_octet=four_octet, internal=internal, add_path=add_path)
    got = attempt(damaged, interner)
    if isinstance(got, BgpError):
        assert got.code == 3
        return
    for attributes, told in got:
        assert attributes is None or attributes.feed is FEED
        for packed, length in told:
            assert len(packed) in (4, 16)
            assert 0 <= length <= len(packed) * 8
            assert int.from_bytes(packed, "big") & ((1 << (len(packed) * 8 - length)) - 1) == 0


@given(
    damaged=st.one_of(damaged_updates(), damaged_paths()),
    four_octet=st.booleans(),
    internal=st.booleans(),
    add_path=ADD_PATH,
)
@settings(max_examples=400)
def test_compiled_and_interpreted_say_the_same(
    damaged: bytes, four_octet: bool, internal: bool, add_path: frozenset[Family]
) -> None:
    def told(messages: ModuleType, interner: type[Interner]) -> object:
        used = interner(FEED, four_octet=four_octet, internal=internal, add_path=add_path)
        try:
            found: object = [(a and (a.raw, a.next_hop), p) for a, p in messages.parse_update(damaged, used)]
        except Exception as error:  # each form has a BgpError of its own
            found = type(error).__name__, str(error)
        return found, used.malformed, used.looped, used.ignored, used.last_error

    assert told(compiled_messages, Interner) == told(SOURCES[-1], SOURCES[-2].Interner)


@given(family=st.sampled_from(FAMILIES), data=st.data())
@settings(max_examples=200)
def test_what_was_seen_before_changes_no_judgement(family: Family, data: st.DataObject) -> None:
    """The short cuts for known attributes find what the full check finds."""

    def told(outcome: list[Update] | BgpError) -> object:
        if isinstance(outcome, BgpError):
            return outcome.code, outcome.subcode
        return [(found and (found.raw, found.next_hop), prefixes) for found, prefixes in outcome]

    seen = [data.draw(updates(family)) for _ in range(2)]
    warm = Interner(FEED)
    bodies = [message[HEADER_SIZE:] for update in seen for message in encode_update(*update)]
    for known in bodies:
        parse_update(known, warm)
    # The path of the one with the rest of the other, and a little damage: new, but close to what is known.
    (first, hop, prefixes), (second, _, _) = seen
    paths = [next((raw[s:e] for _, kind, s, _, e in walk_attributes(raw) if kind == 2), b"") for raw in (first, second)]
    crossed = first.replace(paths[0], paths[1], 1) if data.draw(st.booleans()) else first
    octets = bytearray(encode_update(crossed, hop, prefixes)[0][HEADER_SIZE:])
    for _ in range(data.draw(st.integers(0, 2))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    assert told(attempt(bytes(octets), warm)) == told(attempt(bytes(octets), Interner(FEED)))
