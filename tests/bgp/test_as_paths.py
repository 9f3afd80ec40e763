"""AS paths: what is malformed, and how the paths of two-octet speakers become whole again (RFC 6793)."""

from __future__ import annotations

import pytest
from bgp_strategies import FEED, as_paths
from hypothesis import given
from hypothesis import strategies as st

from arm.bgp.aspath import AS_SEQUENCE, AS_SET, AS_TRANS, encode_path, merge_as4, path_error, segments, widen_path
from arm.bgp.attributes import describe, path_text
from arm.bgp.messages import Interner, parse_update, path_attributes
from arm.bgp.wire import OPTIONAL, TRANSITIVE, attribute
from arm.model import Attributes

SEQ, SET = AS_SEQUENCE, AS_SET


def narrow(path: bytes) -> bytes:
    """A four-octet path as a two-octet speaker passes it on."""
    return b"".join(
        bytes((kind, len(numbers))) + b"".join((n if n < 65536 else AS_TRANS).to_bytes(2, "big") for n in numbers)
        for kind, numbers in segments(path)
    )


def seq(*numbers: int) -> bytes:
    return encode_path(((SEQ, numbers),))


@given(st.data(), st.sampled_from((2, 4)))
def test_valid_paths_are_accepted_and_read_back(data: st.DataObject, width: int) -> None:
    path = data.draw(as_paths(width))
    assert path_error(path, width=width, internal=True) is None
    if width == 4:
        assert encode_path(tuple(segments(path))) == path
    else:
        assert tuple(segments(widen_path(path))) == tuple(segments(path, 2))


@given(st.binary(max_size=60), st.sampled_from((2, 4)), st.booleans())
def test_any_octets_are_judged_and_what_is_accepted_can_be_read(octets: bytes, width: int, internal: bool) -> None:
    if path_error(octets, width=width, internal=internal) is None:
        assert all(numbers and 0 not in numbers for _, numbers in segments(octets, width))


@pytest.mark.parametrize(
    ("path", "as4_path", "merged"),
    [
        # All speakers on the way were old, or the path was never wider.
        (seq(64500, AS_TRANS), seq(64500, 4200000000), seq(64500, 4200000000)),
        # An old speaker prepended itself after the last new one.
        (seq(64499, 64500, AS_TRANS), seq(64500, 4200000000), seq(64499, 64500, 4200000000)),
        # AS4_PATH is longer than AS_PATH: somebody dropped hops, so it can not be trusted (section 4.2.3).
        (seq(AS_TRANS), seq(64500, 4200000000), seq(AS_TRANS)),
        # A set is one hop, whatever it holds.
        (
            encode_path(((SEQ, (64499, AS_TRANS)), (SET, (64501, 64502)))),
            encode_path(((SEQ, (4200000000,)), (SET, (4200000001, 4200000002)))),
            encode_path(((SEQ, (64499, 4200000000)), (SET, (4200000001, 4200000002)))),
        ),
        (seq(64500), b"", seq(64500)),
    ],
)
def test_as4_path_is_merged_by_the_number_of_hops(path: bytes, as4_path: bytes, merged: bytes) -> None:
    assert merge_as4(path, as4_path) == merged


@given(st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=20), st.lists(st.integers(1, 65535), max_size=5))
def test_the_path_of_a_two_octet_peer_is_whole_again(new: list[int], prepended: list[int]) -> None:
    whole = seq(*prepended, *new)
    raw = (
        attribute(TRANSITIVE, 1, b"\0")
        + attribute(TRANSITIVE, 2, narrow(whole))
        + attribute(TRANSITIVE, 3, bytes((192, 0, 2, 1)))
        + attribute(OPTIONAL | TRANSITIVE, 17, seq(*new))
    )
    [(found, _)] = parse_update(
        b"\0\0" + len(raw).to_bytes(2, "big") + raw + b"\x08\x0a", Interner(FEED, four_octet=False)
    )
    assert found is not None
    assert found.raw == path_attributes(as_path=(*prepended, *new), next_hop=bytes((192, 0, 2, 1)))


def test_the_aggregator_of_a_two_octet_peer_is_widened_and_decides_about_as4_path() -> None:
    def learned(asn: int) -> bytes:
        raw = (
            attribute(TRANSITIVE, 1, b"\0")
            + attribute(TRANSITIVE, 2, narrow(seq(64500, 4200000000)))
            + attribute(TRANSITIVE, 3, bytes((192, 0, 2, 1)))
            + attribute(OPTIONAL | TRANSITIVE, 7, asn.to_bytes(2, "big") + bytes((192, 0, 2, 7)))
            + attribute(OPTIONAL | TRANSITIVE, 17, seq(64500, 4200000000))
            + attribute(OPTIONAL | TRANSITIVE, 18, (4200000000).to_bytes(4, "big") + bytes((192, 0, 2, 8)))
        )
        body = b"\0\0" + len(raw).to_bytes(2, "big") + raw + b"\x08\x0a"
        [(found, _)] = parse_update(body, Interner(FEED, four_octet=False))
        assert found is not None
        return found.raw

    trusted = learned(AS_TRANS)
    assert seq(64500, 4200000000) in trusted
    assert (4200000000).to_bytes(4, "big") + bytes((192, 0, 2, 8)) in trusted
    replaced = learned(64500)
    assert seq(64500, AS_TRANS) in replaced, "the aggregator is newer than AS4_PATH, which must be ignored"
    assert (64500).to_bytes(4, "big") + bytes((192, 0, 2, 7)) in replaced


def test_text_of_paths_and_attributes() -> None:
    path = ((SEQ, (64500, 4200000000)), (SET, (1, 2)), (3, (7,)), (4, (8, 9)))
    assert path_text(path) == "64500-4200000000-{1,2}-(7)-[8,9]"
    raw = path_attributes(
        as_path=(64500, 64501), next_hop=bytes((192, 0, 2, 1)), med=7, local_pref=50, communities=(64500 << 16 | 9,)
    )
    raw += attribute(OPTIONAL | TRANSITIVE, 32, bytes.fromhex("0000fbf40000000100000002"))
    raw += attribute(OPTIONAL | TRANSITIVE, 16, bytes.fromhex("0002fbf400000064"))
    raw += attribute(OPTIONAL, 9, bytes((9, 9, 9, 9))) + attribute(OPTIONAL, 10, bytes((8, 8, 8, 8, 7, 7, 7, 7)))
    view = describe(Attributes(FEED, bytes((192, 0, 2, 1)), raw))
    assert (view.aspath, view.origin_as, view.peer_as) == ("64500-64501", 64501, 64500)
    assert (view.origin, view.med, view.localpref, view.nexthop) == ("IGP", 7, 50, "192.0.2.1")
    assert view.communities == ("64500:9", "64500:1:2", "target:64500:100")
    assert (view.originator_id, view.cluster_list) == ("9.9.9.9", ("8.8.8.8", "7.7.7.7"))


@given(st.binary(max_size=100))
def test_attributes_of_any_octets_can_be_shown(value: bytes) -> None:
    raw = path_attributes(as_path=(), next_hop=bytes((192, 0, 2, 1)))
    for kind, step in ((8, 4), (16, 8), (32, 12)):
        describe(
            Attributes(FEED, bytes((192, 0, 2, 1)), raw + attribute(192, kind, value[: len(value) // step * step]))
        )
