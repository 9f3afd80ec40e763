"""What is encoded is parsed back, whatever it is, and an independent decoder reads the same."""

from __future__ import annotations

from collections import Counter

import pytest
from bgp_strategies import FEED, OTHER_FEED, prefixes, raw_attributes, updates
from exabgp.bgp.message.direction import Direction
from exabgp.bgp.message.message import Message
from exabgp.bgp.message.open import Open
from exabgp.bgp.message.open.capability.negotiated import Negotiated
from exabgp.bgp.message.update import Update as ExabgpUpdate
from exabgp.logger import log as exabgp_log
from exabgp.protocol.family import AFI, SAFI
from hypothesis import given, settings
from hypothesis import strategies as st

from arm.bgp.messages import (
    BgpError,
    Interner,
    encode_update,
    encode_updates,
    end_of_rib,
    end_of_rib_family,
    exported,
    parse_update,
    path_attributes,
    read_header,
)
from arm.bgp.opens import make_open
from arm.bgp.peer import Peer
from arm.bgp.wire import HEADER_SIZE, MAX_MESSAGE, UPDATE, walk_attributes
from arm.model import FAMILIES, Attributes, Family, Prefix, Role, format_address, format_prefix

families = st.sampled_from(FAMILIES)


def bodies(messages: list[bytes]) -> list[bytes]:
    for message in messages:
        assert read_header(message, 0) == (len(message), UPDATE)
        assert len(message) <= MAX_MESSAGE
    return [message[HEADER_SIZE:] for message in messages]


def flat(messages: list[bytes], interner: Interner) -> list[tuple[Prefix, Attributes | None]]:
    return [
        (prefix, attributes)
        for body in bodies(messages)
        for attributes, found in parse_update(body, interner)
        for prefix in found
    ]


@given(family=families, data=st.data())
def test_an_announcement_comes_back_as_it_was_sent(family: Family, data: st.DataObject) -> None:
    raw, next_hop, wanted = data.draw(updates(family))
    interner = Interner(FEED)
    messages = encode_update(raw, next_hop, wanted)
    got = flat(messages, interner)
    assert [prefix for prefix, _ in got] == wanted
    assert {(a.raw, a.next_hop, a.feed) for _, a in got if a is not None} == {(raw, next_hop, FEED)}
    assert len({id(attributes) for _, attributes in got}) == 1
    assert interner.malformed == interner.looped == interner.ignored == 0


@given(family=families, data=st.data())
def test_the_second_time_the_same_object_comes_back(family: Family, data: st.DataObject) -> None:
    interner = Interner(FEED)
    messages = encode_update(*data.draw(updates(family)))
    first, second = flat(messages, interner), flat(messages, interner)
    assert [(p, id(a)) for p, a in first] == [(p, id(a)) for p, a in second]


@given(data=st.data())
def test_changes_are_sent_in_their_order(data: st.DataObject) -> None:
    pool = []
    for family in FAMILIES:
        for raw, next_hop, _ in data.draw(st.lists(updates(family), min_size=1, max_size=3)):
            pool.append((family, Attributes(FEED, next_hop, raw)))
    changes = []
    for family, attributes in data.draw(st.lists(st.sampled_from(pool), max_size=60)):
        changes.append((data.draw(prefixes(family)), attributes if data.draw(st.booleans()) else None))
    got = flat(encode_updates(changes), Interner(OTHER_FEED))
    assert [prefix for prefix, _ in got] == [prefix for prefix, _ in changes]
    for (_, back), (prefix, sent) in zip(got, changes, strict=True):
        assert (back is None) == (sent is None)
        if back is not None and sent is not None:
            family = Family.IPV4 if len(prefix[0]) == 4 else Family.IPV6
            assert (back.raw, back.next_hop) == exported(sent, family)


@given(family=families, data=st.data())
def test_export_takes_out_the_reflection_and_marks_what_is_unknown(family: Family, data: st.DataObject) -> None:
    raw, next_hop, _ = data.draw(updates(family))
    sent, hop = exported(Attributes(FEED, next_hop, raw), family)

    def listed(octets: bytes) -> list[bytes]:
        return [
            bytes((flags | 0x20 if kind == 200 else flags,)) + octets[start + 1 : end]
            for flags, kind, start, _, end in walk_attributes(octets)
            if kind not in (9, 10)
        ]

    assert hop == next_hop
    kinds = {kind for _, kind, _, _, _ in walk_attributes(raw)}
    added = [] if 5 in kinds else [bytes.fromhex("40050400000064")]
    assert [sent[start:end] for _, _, start, _, end in walk_attributes(sent)] == listed(raw) + added


def test_ipv4_learned_in_mp_reach_is_announced_with_a_next_hop_attribute() -> None:
    raw = path_attributes(as_path=(64500,), local_pref=200)
    reach = bytes.fromhex("800e0d" + "000101" + "04" + "c0000201" + "00" + "180a0000")
    body = b"\0\0" + (len(reach) + len(raw)).to_bytes(2, "big") + reach + raw
    [(attributes, found)] = parse_update(body, Interner(FEED))
    assert attributes is not None
    assert [format_prefix(prefix) for prefix in found] == ["10.0.0.0/24"]
    assert attributes.next_hop == bytes((192, 0, 2, 1))
    [(back, _)] = parse_update(bodies(encode_updates([(found[0], attributes)]))[0], Interner(FEED))
    assert back is not None
    assert back.next_hop == attributes.next_hop
    assert back.raw == raw + bytes.fromhex("400304c0000201")


def test_a_next_hop_attribute_beside_mp_reach_is_ignored_on_the_way_out_as_well() -> None:
    raw = path_attributes(as_path=(64500,), next_hop=bytes(4), local_pref=200)
    reach = bytes.fromhex("800e0d" + "000101" + "04" + "c0000201" + "00" + "180a0000")
    body = b"\0\0" + (len(reach) + len(raw)).to_bytes(2, "big") + reach + raw
    [(attributes, found)] = parse_update(body, Interner(FEED))
    assert attributes is not None
    assert attributes.next_hop == bytes((192, 0, 2, 1))
    [(back, _)] = parse_update(bodies(encode_updates([(found[0], attributes)]))[0], Interner(FEED))
    assert back is not None
    assert back.next_hop == bytes((192, 0, 2, 1))
    assert back.raw == path_attributes(as_path=(64500,), next_hop=bytes((192, 0, 2, 1)), local_pref=200)


@pytest.mark.parametrize(("flags", "sent"), [(0x80, None), (0xA0, None), (0xC0, 0xE0), (0xE0, 0xE0), (0xD0, 0xF0)])
def test_unknown_attributes_stay_behind_or_go_on_as_partial(flags: int, sent: int | None) -> None:
    length = b"\0\3" if flags & 0x10 else b"\3"
    known = path_attributes(as_path=(64500,), next_hop=b"\x0a\0\0\x01", local_pref=100)
    unknown = bytes((flags, 99)) + length + b"abc"
    raw, _ = exported(Attributes(FEED, b"\x0a\0\0\x01", known + unknown), Family.IPV4)
    assert raw == known + (b"" if sent is None else bytes((sent,)) + unknown[1:])


def test_a_next_hop_of_the_wrong_family_can_not_be_sent() -> None:
    attributes = Attributes(FEED, b"\x0a\0\0\x01", path_attributes(as_path=(), next_hop=b"\x0a\0\0\x01"))
    with pytest.raises(ValueError, match="IPv6"):
        encode_updates([((bytes(16), 0), attributes)])


def test_attributes_that_fill_a_message_can_not_be_sent() -> None:
    raw = path_attributes(as_path=(64500,), next_hop=b"\x0a\0\0\x01", communities=range(1020))
    with pytest.raises(ValueError, match="no room"):
        encode_update(raw, b"", [(bytes(4), 0)])


@pytest.mark.parametrize("family", FAMILIES)
def test_many_changes_are_split_into_messages_that_fit(family: Family) -> None:
    size = family.bits // 8
    many = [(i.to_bytes(4, "big") + bytes(size - 4), 32) for i in range(3000)]
    raw = path_attributes(as_path=(64500,), next_hop=b"\x0a\0\0\x01" if size == 4 else None, local_pref=100)
    attributes = Attributes(FEED, b"\x0a\0\0\x01" if size == 4 else b"\x20\x01" + bytes(14), raw)
    changes = [(prefix, attributes) for prefix in many] + [(prefix, None) for prefix in many]
    messages = encode_updates(changes)
    assert 6 <= len(messages) <= 16
    got = flat(messages, Interner(FEED))
    assert [(prefix, back and back.raw) for prefix, back in got] == [(p, sent and sent.raw) for p, sent in changes]


@pytest.mark.parametrize("family", FAMILIES)
def test_end_of_rib_is_recognised_and_teaches_nothing(family: Family) -> None:
    body = end_of_rib(family)[HEADER_SIZE:]
    assert end_of_rib_family(body) is family
    assert parse_update(body, Interner(FEED)) == []
    wide = bytes.fromhex(f"00000007900f0003{family:04x}01")
    assert end_of_rib_family(wide) is family


def test_ipv4_end_of_rib_may_come_in_the_multiprotocol_form() -> None:
    assert end_of_rib_family(bytes.fromhex("00000006800f03000101")) is Family.IPV4
    assert end_of_rib_family(bytes.fromhex("00000006800f03000102")) is None
    assert end_of_rib_family(bytes.fromhex("00000006800e03000101")) is None


@given(st.binary(max_size=40))
def test_what_is_taken_for_an_end_of_rib_holds_no_routes(body: bytes) -> None:
    if end_of_rib_family(body) is not None:
        assert parse_update(body, Interner(FEED)) == []


@given(data=st.data())
def test_host_bits_are_cleared(data: st.DataObject) -> None:
    length = data.draw(st.integers(0, 32))
    octets = data.draw(st.binary(min_size=(length + 7) // 8, max_size=(length + 7) // 8))
    nlri = bytes((length,)) + octets
    [(attributes, [(packed, got)])] = parse_update(len(nlri).to_bytes(2, "big") + nlri + b"\0\0", Interner(FEED))
    assert attributes is None
    assert got == length
    value = int.from_bytes(octets + bytes(4 - len(octets)), "big")
    assert int.from_bytes(packed, "big") == value >> (32 - length) << (32 - length)


@pytest.fixture(scope="module")
def negotiated() -> Negotiated:
    exabgp_log.silence()
    peer = Peer("peer", "192.0.2.1", 64500, 64500, "192.0.2.9", Role.LEARN)
    agreed = Negotiated({"capability": {"aigp": False}})
    opened = Open.unpack_message(make_open(peer)[HEADER_SIZE:])
    agreed.sent(opened)
    agreed.received(opened)
    return agreed


@given(family=families, data=st.data())
@settings(max_examples=200)
def test_an_independent_decoder_reads_the_same_routes(
    family: Family, data: st.DataObject, negotiated: Negotiated
) -> None:
    raw, next_hop, wanted = data.draw(updates(family))
    theirs: Counter[tuple[str, str]] = Counter()
    for body in bodies(encode_update(raw, next_hop, wanted)):
        decoded = Message.unpack(UPDATE, body, Direction.IN, negotiated)
        assert isinstance(decoded, ExabgpUpdate)
        theirs.update((str(nlri.cidr), str(nlri.nexthop)) for nlri in decoded.nlris)
        assert all((nlri.afi, nlri.safi) == (AFI.create(family), SAFI.unicast) for nlri in decoded.nlris)
    # It gives a route for each of the two next hops of RFC 2545.
    hops = [format_address(next_hop[i : i + 16]) for i in range(0, len(next_hop), 16)]
    assert theirs == Counter((format_prefix(prefix), hop) for prefix in wanted for hop in hops)


@given(raw=raw_attributes(next_hop=bytes((192, 0, 2, 1))))
def test_an_error_names_no_valid_attribute(raw: bytes) -> None:
    try:
        parse_update(b"\0\0" + len(raw).to_bytes(2, "big") + raw, Interner(FEED))
    except BgpError as error:
        pytest.fail(f"valid attributes were refused: {error}")
