"""Samples are counted by the column as if each had been counted alone, whatever they are and whatever is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from fake_arm import VIA_A, VIA_B
from fed_analytics import Fed
from http_xdr import Request, datagram, flow_sample, framed, sockets, uint
from hypothesis import given, settings
from hypothesis import strategies as st

from arm.analytics import intake, plain
from arm.analytics.compiler import KEYS
from arm.analytics.language import LanguageError
from arm.analytics.sample import AMOUNTS, VALUES
from arm.analytics.sample import KEYS as SAMPLE_KEYS
from arm.config import AnalyticsConfig
from arm.model import Route, parse_prefix
from arm.simulate import encoder

# --- samples of every shape ------------------------------------------------------------------------------------------

ADDRESS4, ADDRESS6 = st.sampled_from((b"\x0a\0\0\1", b"\x0a\0\0\2", b"\xc0\0\2\1")), st.sampled_from(
    (bytes.fromhex("20010db8") + bytes(11) + b"\1", bytes(15) + b"\1")
)  # fmt: skip
PORT = st.sampled_from((53, 80, 443, 4789, 50000))
INTERFACE = st.sampled_from((0, 1, 2, 0x3FFFFFFF, 1 << 30, 2 << 30 | 5, 3 << 30))


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """The head of a packet: nearly always TCP or UDP, sometimes changed anywhere, or cut."""
    protocol = draw(st.sampled_from((6, 17, 17, 1, 47)))
    segment = draw(PORT).to_bytes(2, "big") + draw(PORT).to_bytes(2, "big") + b"\0\x28" + bytes(range(7, 41))
    if draw(st.booleans()):
        body = bytes((0x45, draw(st.sampled_from((0, 0xB8)))))
        body += (20 + len(segment)).to_bytes(2, "big") + b"\0\1" + draw(st.sampled_from((b"\0\0", b"\x40\0", b"\0\2")))
        body += bytes((draw(st.sampled_from((64, 57))), protocol, 0, 0)) + draw(ADDRESS4) + draw(ADDRESS4) + segment
        kind = b"\x08\0"
    else:
        body = b"\x6b\x80\0\7" + len(segment).to_bytes(2, "big") + bytes((protocol, 60))
        body += draw(ADDRESS6) + draw(ADDRESS6) + segment
        kind = b"\x86\xdd"
    head = bytearray(b"\2\0\0\0\0\1\2\0\0\0\0\2" + draw(st.sampled_from((b"", b"", b"\x81\0\x60\x2a"))) + kind + body)
    for at, value in draw(st.lists(st.tuples(st.integers(12, 70), st.integers(0, 255)), max_size=1)):
        head[at % len(head)] = value
    return bytes(head[: draw(st.sampled_from((128, 128, 67, 60, 47, 20)))])


@st.composite
def samples(draw: st.DrawFn) -> bytes:
    rate, source = draw(st.sampled_from((1, 1000, 0, 1 << 31))), draw(st.sampled_from((1, 2, 3)))
    if draw(st.integers(0, 5)) == 0:
        request = Request(url="/a/b?c=d", resp_bytes=draw(st.sampled_from((0, 7, 1 << 60))))
        http = [request.record(), sockets("192.0.2.1", 80, "10.0.0.2", 5000)]
        return flow_sample(http[: draw(st.integers(0, 2))], sequence=1, rate=rate, source=source)
    head = draw(headers())
    raw = framed(1, uint(1) + uint(draw(st.sampled_from((0, 64, 1518)))) + uint(4) + uint(len(head)) + padded(head))
    records = [raw, framed(1001, uint(7) + uint(1) + uint(9) + uint(0))][: draw(st.sampled_from((1, 1, 1, 2)))]
    into, out = draw(INTERFACE), draw(INTERFACE)
    if draw(st.booleans()):
        data = uint(1) + uint(source) + uint(rate) + uint(0) + uint(0) + uint(into) + uint(out)
        return framed(1, data + uint(len(records)) + b"".join(records))
    data = uint(1) + uint(0) + uint(source) + uint(rate) + uint(0) + uint(0)
    data += uint(into >> 30) + uint(into & 0x3FFFFFFF) + uint(out >> 30) + uint(out & 0x3FFFFFFF)
    return framed(3, data + uint(len(records)) + b"".join(records))


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


DATAGRAMS = st.lists(
    st.builds(
        lambda some, agent: datagram(some, agent=agent),
        st.lists(samples(), min_size=1, max_size=6),
        st.sampled_from(("10.0.0.150", "10.0.0.151")),
    ),
    min_size=1,
    max_size=8,
)

# --- definitions of every kind ---------------------------------------------------------------------------------------

USUAL = st.sampled_from(
    (
        *("ipsource", "ipdestination", "ip6source", "udpsourceport", "tcpdestinationport", "inputifindex", "direction"),
        *("outputifindex", "ipprotocol", "ipdscp", "ipflags", "ipttl", "stack", "agent", "frames", "vlan", "macsource"),
        *(
            "mask:ipsource",
            "mask:ip6destination",
            "bgpsourceas",
            "bgpdestinationaspath",
            "bgpnexthop",
            "bgpcommunities",
        ),
    )
)
TERM = st.one_of(
    USUAL,
    st.sampled_from(sorted(KEYS)),
    USUAL.map(lambda key: f"null:{key}:0"),
    st.tuples(USUAL, USUAL).map(lambda keys: f"or:{keys[0]}:{keys[1]}:ip6source"),
    st.tuples(USUAL, USUAL).map(lambda keys: f"eq:{keys[0]}:{keys[1]}"),
    USUAL.map(lambda key: f"or:[mask:{key}]:{key}"),
    st.sampled_from(
        (
            *("mask:ipsource:8", "range:ipttl:60:70", "oui:macsource", "prefix:stack:.:2", "suffix:stack:.:1"),
            *("group:ipsource:sites", "host:ipsource", "uri:httpurl:path", "[or:[mask:ipsource]:[mask:ip6source]]"),
        )
    ),
)
SIMPLE = st.sampled_from(
    (
        *("ipprotocol=17", "ipsource=10.0.0.1", "ipsource!=10.0.0.2", "udpsourceport=53,443", "stack~eth.ip.*"),
        *("direction!=egress", "inputifindex=1", "mask:ipsource=10.0.0.0/31", "ip6source!=::1", "agent=10.0.0.150"),
        *("bgpsourceas=64501", "or:tcpsourceport:udpsourceport=80", "ipdestination!~10.*", "ipttl=64", "vlan=42"),
    )
)
ANY_SORT = st.tuples(
    TERM, st.sampled_from(("=", "!=", "~", "!~")), st.sampled_from(("17", "10.0.0.1", "eth.*", "0", "53,443", "1"))
).map("".join)
CONDITION = st.recursive(
    SIMPLE | SIMPLE | ANY_SORT,
    lambda inner: st.tuples(st.sampled_from("&|"), st.lists(inner, min_size=1, max_size=3)).map(
        lambda parts: f"({parts[0].join(parts[1])})"
    ),
    max_leaves=4,
)
DEFINITION = st.fixed_dictionaries(
    {
        "keys": st.lists(TERM, max_size=4).map(",".join),
        "value": st.sampled_from(VALUES) | st.just("bytes"),
        "filter": CONDITION | st.just(""),
        "log": st.booleans(),
    }
)
TABLE = {"10.0.0.0/31": VIA_A, "10.0.0.2/32": VIA_B, "2001:db8::/32": VIA_A}


def lookup(addresses: Sequence[bytes]) -> list[Route | None]:
    """The longest match in TABLE."""
    found: list[Route | None] = []
    for address in addresses:
        text = {b"\x0a\0\0\1": "10.0.0.0/31", b"\x0a\0\0\2": "10.0.0.2/32"}.get(address)
        if len(address) == 16 and address[:2] == b"\x20\x01":
            text = "2001:db8::/32"
        found.append(Route(parse_prefix(text), TABLE[text]) if text is not None else None)
    return found


def counted(definitions: Sequence[dict[str, Any]], datagrams: Sequence[bytes]) -> tuple[object, ...]:
    """Everything that came of the samples."""
    fed = Fed(AnalyticsConfig(definitions=100), lookup)
    fed.analytics.put_group("sites", {"own": ["10.0.0.0/8"]})
    for number, document in enumerate(definitions):
        try:
            fed.define(f"d{number}", **document)
        except LanguageError:
            continue
    fed.feed(datagrams)
    assert fed.analytics.failures == 0
    found: dict[str, object] = {}
    for name, flow in fed.analytics.flows.active.items():
        marks = flow.cache.marks
        found[name] = (
            {key: pytest.approx(weight) for key, weight in flow.cache.flows()},
            {source: pytest.approx(total) for source, total in flow.cache.totals(fed.now).items()},
            None if marks is None else {key: pytest.approx(mark.total) for key, mark in marks.items()},
        )
    state = fed.analytics.flows
    return found, state.samples, state.malformed, state.unresolved


@contextmanager
def one_by_one() -> Iterator[None]:
    """Every sample is taken apart by the long way, and is a portion of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "take_apart", lambda data, walked: None)
        patch.setattr(intake, "MOST", 1)
        yield


@settings(max_examples=100, deadline=None)
@given(st.lists(DEFINITION, min_size=1, max_size=6), DATAGRAMS)
def test_by_the_column_and_one_by_one_the_same_is_counted(
    definitions: list[dict[str, Any]], datagrams: list[bytes]
) -> None:
    with one_by_one():
        expected = counted(definitions, datagrams)
    assert counted(definitions, datagrams) == expected


def keys_of(datagrams: Sequence[bytes]) -> Counter[tuple[object, ...]]:
    """Sources, keys, values and amounts of all samples."""
    reader = intake.Intake({})
    for data in datagrams:
        reader.read(data, 1.5)
    found: Counter[tuple[object, ...]] = Counter()
    for portion in reader.take():
        columns = [portion.column(name) for name in (*SAMPLE_KEYS, *VALUES, *AMOUNTS.values())]
        whole = [[None] * portion.size if column is None else column for column in columns]
        found.update(zip(portion.sources, *whole, strict=True))
    return found


@settings(max_examples=150, deadline=None)
@given(DATAGRAMS)
def test_every_key_of_every_shape_is_what_the_long_way_says(datagrams: list[bytes]) -> None:
    with one_by_one():
        expected = keys_of(datagrams)
    assert keys_of(datagrams) == expected


def test_plain_packets_do_take_the_short_way() -> None:
    fed = Fed()
    fed.define("all", keys="agent")
    made = []
    for size in (4, 16):
        head = encoder.frame(bytes(size - 1) + b"\1", bytes(size - 1) + b"\2", 1500)
        records = [encoder.raw_header(head, 1500)]
        made += [encoder.flow_sample(records, rate=10, expanded=expanded) for expanded in (False, True)]
    fed.analytics.flows.read(datagram(made), 1.0)
    portions = fed.analytics.flows.take()
    assert [type(portion) for portion in portions] == [plain.Plain] * 4
    assert sum(portion.size for portion in portions) == 4


def test_a_test_or_a_key_that_is_decided_asks_no_more_of_the_table() -> None:
    asked: list[bytes] = []

    def note(addresses: Sequence[bytes]) -> list[Route | None]:
        asked.extend(addresses)
        return lookup(addresses)

    inner = bytes.fromhex("4500001c000000004011 0000 0a000001 0a000002")
    outer = bytes.fromhex("450000300000000040040000 c0000201 c0000202")
    tunnel = [encoder.raw_header(bytes(12) + b"\x08\0" + outer + inner + bytes(8), 100)]
    fed = Fed(lookup=note)
    fed.define("tests", keys="ipsource", filter="ipprotocol=6&mask:ipsource.1=10.0.0.0/31", value="frames")
    fed.define("others", keys="or:ipsource:[mask:ipsource.1]", filter="ipprotocol=4|mask:ipsource.1=1", value="frames")
    fed.feed([datagram([encoder.flow_sample(tunnel)])])
    assert fed.top("tests") == {}
    assert fed.top("others") == {"192.0.2.1": 0.5}
    assert set(asked) == {b"\xc0\0\2\1", b"\xc0\0\2\2"}  # those of the packet, and none inside the tunnel
    fed.define("inside", keys="mask:ipsource.1", value="frames")
    fed.feed([datagram([encoder.flow_sample(tunnel)])])
    assert fed.top("inside") == {"10.0.0.0/31": 0.5}


def unexpected(problem: Exception) -> None:
    raise problem


def test_of_many_samples_only_those_wait_that_need_an_unknown_route() -> None:
    answering = [True]

    def unsure(addresses: Sequence[bytes]) -> list[Route | None]:
        if not answering[0]:
            raise TimeoutError
        return lookup(addresses)

    def head(source: bytes, destination: bytes) -> bytes:
        header = encoder.raw_header(encoder.frame(source, destination, 100), 100)
        return encoder.flow_sample([header], rate=10)

    one, two, three, new = b"\x0a\0\0\1", b"\x0a\0\0\2", b"\xc0\0\2\1", b"\xc0\0\2\2"
    fed = Fed(lookup=unsure)
    fed.define("both", keys="mask:ipsource,bgpdestinationas", value="frames")
    fed.define("source", keys="mask:ipsource", filter="ipdestination!=10.0.0.1", value="frames")
    fed.define("plain", keys="ipsource", value="frames")
    fed.feed([datagram([head(one, two)])])
    answering[0] = False
    state = fed.analytics.flows
    state.read(datagram([head(one, new), head(new, one), head(new, two), head(one, two), head(one, three)]), 1.0)
    state.count(state.take(), fed.now, unexpected)
    assert state.waiting == 4 + 1
    each = 10 / 2
    assert fed.top("both") == {"10.0.0.0/31,4200000001": 2 * each}
    assert fed.top("source") == {"10.0.0.0/31": 4 * each}
    assert sum(fed.top("plain").values()) == 6 * each
    fed.analytics.routes.resolve(fed.now)
    state.settle(fed.now, unexpected, last=True)
    assert (state.waiting, state.unresolved) == (0, 5)
