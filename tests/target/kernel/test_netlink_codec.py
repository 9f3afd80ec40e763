"""Packing and reading rtnetlink: what is written reads back, and no bytes raise anything."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arm.model import mask
from arm.target.kernel import messages
from arm.target.kernel import netlink as nl
from arm.target.kernel.messages import Path, RouteWriter

prefixes = st.one_of(
    st.tuples(st.binary(min_size=4, max_size=4), st.integers(0, 32)),
    st.tuples(st.binary(min_size=16, max_size=16), st.integers(0, 128)),
).map(lambda pair: (mask(*pair), pair[1]))
tables = st.sampled_from([1, 254, 255, 256, 1001, 0xFFFFFFFF])
READERS = (messages.read_route, messages.read_nexthop, messages.read_link, messages.read_neighbour)


def only(data):
    (frame,) = nl.frames(data)
    return frame


@given(prefixes, tables, st.integers(1, 0xFFFFFFFF), st.integers(1, 0xFFFFFFFF), st.booleans())
def test_a_packed_route_reads_back(prefix, table, metric, number, replace):
    writer = RouteWriter(table=table, metric=metric, protocol=210)
    data = writer.install(prefix, number, 77, replace=replace)
    kind, flags, sequence, _, start, end = only(data)
    route = messages.read_route(data, start, end)
    assert (kind, sequence, end) == (nl.RTM_NEWROUTE, 77, len(data))
    assert bool(flags & nl.NLM_F_REPLACE) == replace
    assert bool(flags & nl.NLM_F_EXCL) != replace
    assert (route.prefix, route.table, route.metric, route.nexthop, route.protocol) == (
        prefix,
        table,
        metric,
        number,
        210,
    )
    gone = writer.remove(prefix, 78)
    kind, _, sequence, _, start, end = only(gone)
    route = messages.read_route(gone, start, end)
    assert (kind, sequence, len(gone) % 4) == (nl.RTM_DELROUTE, 78, 0)
    assert (route.prefix, route.table, route.metric, route.protocol) == (prefix, table, metric, 210)


@given(st.integers(1, 1 << 31), st.integers(1, 1 << 20), st.sampled_from([b"", b"\x0a\0\0\x01", bytes(16)]))
def test_a_packed_path_and_a_packed_group_read_back(number, interface, gateway):
    path = Path(gateway, interface)
    data = messages.put_path(number, path, nl.AF_INET, 210)
    assert messages.read_nexthop(data, *only(data)[4:]) == messages.NexthopMessage(number, nl.AF_INET, 210, path, ())
    members = ((5, 255), (6, 1))
    data = messages.put_group(number, members, 64, 210)
    entry = messages.read_nexthop(data, *only(data)[4:])
    assert (entry.number, entry.members, entry.resilient, entry.path) == (number, members, True, None)
    data = messages.put_group(number, members, 0, 210)
    assert not messages.read_nexthop(data, *only(data)[4:]).resilient
    data = messages.put_blackhole(number, nl.AF_INET6, 210)
    assert messages.read_nexthop(data, *only(data)[4:]).path is None


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@given(data=st.binary(max_size=200))
def test_random_bytes_never_raise(read, data):
    read(data, 0, len(data))
    for kind, flags, _, _, start, end in nl.frames(data):
        assert 0 <= start <= end <= len(data)
        nl.done_error(data, start, end)
        if kind == nl.NLMSG_ERROR:
            with contextlib.suppress(OSError):
                nl.refusal(data, flags, start, end)


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@given(cut=st.integers(0, 120), spoil=st.integers(0, 119), value=st.integers(0, 255))
def test_cut_and_spoiled_messages_never_raise(read, cut, spoil, value):
    writer = RouteWriter(table=1001, metric=32, protocol=210)
    whole = bytearray(
        writer.install((bytes(16), 64), 7, 1, replace=True) + messages.put_group(9, ((5, 1),) * 3, 64, 210)
    )
    whole[spoil % len(whole)] = value
    data = bytes(whole[:cut])
    for _, _, _, _, start, end in nl.frames(data):
        read(data, start, end)
    read(data, min(16, len(data)), len(data))


@pytest.mark.parametrize("kind", [nl.RTA_TABLE, nl.RTA_PRIORITY, nl.RTA_NH_ID])
def test_a_number_of_another_size_counts_as_not_told(kind):
    body = messages.ROUTE_BODY.pack(nl.AF_INET, 24, 0, 0, 254, 4, 0, 1, 0) + nl.attribute(kind, b"\1\2\3\4\5\6")
    route = messages.read_route(body, 0, len(body))
    assert (route.table, route.metric, route.nexthop) == (254, 0, 0)


def test_a_multipath_route_shows_its_living_paths():
    hops = b"".join(
        struct.pack("=HBBi", 16, flags, 0, interface) + nl.attribute(nl.RTA_GATEWAY, bytes([10, 0, interface, 2]))
        for interface, flags in ((1, 0), (2, nl.RTNH_F_DEAD), (3, 0))
    )
    body = messages.ROUTE_BODY.pack(nl.AF_INET, 24, 0, 0, 254, 4, 0, 1, 0)
    body += nl.attribute(nl.RTA_DST, b"\xc0\0\2\0") + nl.attribute(nl.RTA_MULTIPATH, hops)
    route = messages.read_route(body, 0, len(body))
    assert route.paths == (Path(b"\x0a\0\1\2", 1), Path(b"\x0a\0\3\2", 3))


def test_the_words_of_the_kernel_are_in_a_refusal():
    header = nl.HEADER.pack(40, nl.RTM_NEWROUTE, 0, 5, 0)
    payload = struct.pack("=i", -22) + header + nl.attribute(1, b"Nexthop id does not exist\0")
    assert str(nl.refusal(payload, nl.NLM_F_ACK_TLVS, 0, len(payload))) == "EINVAL: Nexthop id does not exist"
    assert nl.refusal(struct.pack("=i", 0), 0, 0, 4) is None
    assert str(nl.refusal(struct.pack("=i", -28), 0, 0, 4)) == "ENOSPC: no space left on device"


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("flags", [0x101, 0x601, 0])
def test_what_asks_for_an_answer_does_so_in_either_byte_order(monkeypatch, order, flags):
    monkeypatch.setattr(nl, "HEADER", struct.Struct(f"{order}IHHII"))
    data = nl.acknowledged(nl.numbered(nl.message(nl.RTM_NEWROUTE, flags, 1, b"abcd"), 0x01020304))
    assert nl.HEADER.unpack_from(data) == (20, nl.RTM_NEWROUTE, flags | nl.NLM_F_REQUEST | nl.NLM_F_ACK, 0x01020304, 0)
    assert data[16:] == b"abcd"
