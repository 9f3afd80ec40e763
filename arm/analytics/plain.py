"""The samples of nearly every agent in nearly every datagram: one raw header record of a TCP or UDP packet in IPv4
without options or in IPv6 without extension headers, in Ethernet without tags.

One unpacking takes such a sample apart, and samples of the same shape (which of those it is) become columns as they
are. It says what `sample.read` says of the same octets, a dozen times as fast; what is not of this form, or ends
before the flags of a TCP header would, goes that way.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from arm.analytics.headers import FLAGS, TCP, UDP, VXLAN_PORT
from arm.analytics.portion import Column, Compute, Portion
from arm.analytics.sample import AMOUNTS, input_interface, output_interface
from arm.analytics.values import Source
from arm.sflow.datagram import FLOW_SAMPLE, RAW_HEADER
from arm.sflow.datagram import Sample as Walked
from arm.sflow.packet import ETHERNET

Row: TypeAlias = tuple[Any, ...]

_ONE_RAW_HEADER: Final = 1 << 32 | RAW_HEADER
# A sample up to its header: (sequence, source, rate, pool, drops), interfaces in and out, number of records and format
# of the first, its length, header protocol, (frame length, stripped), header length
_EXPANDED: Final = "24xQQQII8xI"
_COMPACT: Final = "20xIIQII8xI"
# MAC addresses, type; version and length of the header, TOS, total length, (identification), fragment, TTL, protocol,
# (checksum, addresses), ports, UDP length, (TCP numbers), TCP flags
_IP4: Final = "6s6sHBBH2xHBB10xHHH6xH"
# MAC addresses, type; version, class and flow label, payload length, next header, hop limit, (addresses), ports, ...
_IP6: Final = "6s6sHIHBB32xHHH6xH"
_EXPANDED4: Final = struct.Struct(f">{_EXPANDED}{_IP4}")
_COMPACT4: Final = struct.Struct(f">{_COMPACT}{_IP4}")
_EXPANDED6: Final = struct.Struct(f">{_EXPANDED}{_IP6}")
_COMPACT6: Final = struct.Struct(f">{_COMPACT}{_IP6}")
_UNPACK: Final = (_EXPANDED4.unpack_from, _COMPACT4.unpack_from, _EXPANDED6.unpack_from, _COMPACT6.unpack_from)
_SIZES: Final = (_EXPANDED4.size, _COMPACT4.size, _EXPANDED6.size, _COMPACT6.size)
_HEADER_SIZES: Final = (struct.calcsize(f">{_IP4}"), struct.calcsize(f">{_IP6}"))
_RECORD_AT: Final = (52, 40)
"""Where the record's data begins in a sample, expanded or compact."""

_INTO, _OUT, _RECORDS, _LENGTH, _PROTOCOL, _SIZE, _TO, _FROM, _KIND = range(9)
_FIRST, _TOS, _TOTAL, _FRAGMENT, _TTL, _PROTOCOL4, _FROM_PORT4, _TO_PORT4, _UDP_LENGTH4, _FLAGS4 = range(9, 19)
_WORD, _PAYLOAD, _NEXT, _HOPS, _FROM_PORT6, _TO_PORT6, _UDP_LENGTH6, _FLAGS6 = range(9, 17)

SHAPES: Final = 8
"""Sum of 1 for compact samples, 2 for IPv6 and 4 for UDP."""


def take_apart(data: bytes, walked: Walked) -> tuple[int, Row] | None:
    """The shape of a plain sample and its fields; None for any other."""
    source, destination = walked[8], walked[9]
    if source is None or destination is None or not walked[7]:
        return None
    compact = int(walked[1] == FLOW_SAMPLE)
    six = int(len(source) == 16)
    which = compact + 2 * six
    body, end = walked[2], walked[3]
    if end - body < _SIZES[which]:
        return None
    row: Row = _UNPACK[which](data, body)
    if (
        row[_RECORDS] != _ONE_RAW_HEADER
        or row[_PROTOCOL] != ETHERNET
        or row[_SIZE] < _HEADER_SIZES[six]
        or not row[_SIZE] + 16 <= row[_LENGTH] <= end - body - _RECORD_AT[compact]
    ):
        return None
    if six:
        if row[_KIND] != 0x86DD or row[_WORD] >> 28 != 6:
            return None
        protocol, port = row[_NEXT], row[_TO_PORT6]
    else:
        if row[_KIND] != 0x0800 or row[_FIRST] != 0x45 or row[_FRAGMENT] & 0x1FFF:
            return None
        protocol, port = row[_PROTOCOL4], row[_TO_PORT4]
    if protocol == UDP:
        return (which + 4, row) if port != VXLAN_PORT else None
    return (which, row) if protocol == TCP else None


class Plain(Portion):
    """Plain samples of one shape."""

    __slots__ = ("_makers", "fields", "rates", "walked")

    def __init__(
        self,
        plan: Mapping[str, Compute],
        shape: int,
        samples: Sequence[tuple[Source, float, Walked, Row]],
    ) -> None:
        """`samples` has the source, the rate, and what `take_apart` had and gave for each sample."""
        sources, rates, walked, rows = zip(*samples, strict=True)
        super().__init__(plan, sources, _WHOLE[shape].copy())
        self.rates: Sequence[float] = rates
        self.fields: tuple[Sequence[Any], ...] = tuple(zip(*rows, strict=True))
        self.walked: tuple[Sequence[Any], ...] = tuple(zip(*walked, strict=True))
        self._makers = _MAKERS[shape]

    def _own(self, name: str) -> Column:
        maker = self._makers.get(name)
        return maker(self) if maker is not None else None


_Maker: TypeAlias = Callable[[Plain], Sequence[Any]]


def _field(index: int) -> _Maker:
    return lambda some: some.fields[index]


def _always(value: int | str) -> _Maker:
    return lambda some: [value] * some.size


def _direction(some: Plain) -> Sequence[Any]:
    ends = zip(some.sources, some.column("inputifindex") or (), some.column("outputifindex") or (), strict=True)
    return ["egress" if out == source[1] else "ingress" if into == source[1] else None for source, into, out in ends]


def _interfaces(index: int, interface: Callable[[int], int | str | None], *, compact: bool) -> _Maker:
    def make(some: Plain) -> Sequence[Any]:
        words = some.fields[index]
        # few interfaces stand in many samples
        known = {word: interface(_expand(word) if compact else word) for word in set(words)}
        return [known[word] for word in words]

    return make


def _expand(word: int) -> int:
    """The interface of a compact sample as expanded ones have it."""
    return word >> 30 << 32 | word & 0x3FFFFFFF


_ANY: Final[Mapping[str, _Maker]] = {
    "agent": lambda some: [source[0] for source in some.sources],
    "direction": _direction,
    "macdestination": _field(_TO),
    "macsource": _field(_FROM),
    "ethernetprotocol": _field(_KIND),
    "bytes": lambda some: some.walked[7],
    "frames": _always(1),
    AMOUNTS["bytes"]: lambda some: [frame * rate for frame, rate in zip(some.walked[7], some.rates, strict=True)],
    AMOUNTS["frames"]: lambda some: some.rates,
}
_KEYS4: Final[Mapping[str, _Maker]] = {
    "ipsource": lambda some: some.walked[8],
    "ipdestination": lambda some: some.walked[9],
    "ipprotocol": _field(_PROTOCOL4),
    "ipttl": _field(_TTL),
    "ipdscp": lambda some: [tos >> 2 for tos in some.fields[_TOS]],
    "ipecn": lambda some: [tos & 3 for tos in some.fields[_TOS]],
    "ipflags": lambda some: [FLAGS[fragment >> 13][6:] for fragment in some.fields[_FRAGMENT]],
    "ipfragoffset": _always(0),
    "ipbytes": _field(_TOTAL),
}
_KEYS6: Final[Mapping[str, _Maker]] = {
    "ip6source": lambda some: some.walked[8],
    "ip6destination": lambda some: some.walked[9],
    "ip6nexthdr": _field(_NEXT),
    "ip6ttl": _field(_HOPS),
    "ip6dscp": lambda some: [word >> 22 & 0x3F for word in some.fields[_WORD]],
    "ip6ecn": lambda some: [word >> 20 & 3 for word in some.fields[_WORD]],
    "ip6flowlabel": lambda some: [word & 0xFFFFF for word in some.fields[_WORD]],
    "ip6bytes": lambda some: [payload + 40 for payload in some.fields[_PAYLOAD]],
}


def _tcp(from_port: int, to_port: int, flags: int) -> Mapping[str, _Maker]:
    return {
        "tcpsourceport": _field(from_port),
        "tcpdestinationport": _field(to_port),
        "tcpflags": lambda some: [FLAGS[bits & 0x1FF] for bits in some.fields[flags]],
    }


def _udp(from_port: int, to_port: int, length: int) -> Mapping[str, _Maker]:
    return {
        "udpsourceport": _field(from_port),
        "udpdestinationport": _field(to_port),
        "udpbytes": _field(length),
    }


def _makers(shape: int) -> Mapping[str, _Maker]:
    """How each key of a shape is made."""
    compact, six, udp = shape & 1, shape & 2, shape & 4
    found = {**_ANY, **(_KEYS6 if six else _KEYS4)}
    found["inputifindex"] = _interfaces(_INTO, input_interface, compact=bool(compact))
    found["outputifindex"] = _interfaces(_OUT, output_interface, compact=bool(compact))
    if six:
        found.update(_udp(_FROM_PORT6, _TO_PORT6, _UDP_LENGTH6) if udp else _tcp(_FROM_PORT6, _TO_PORT6, _FLAGS6))
    else:
        found.update(_udp(_FROM_PORT4, _TO_PORT4, _UDP_LENGTH4) if udp else _tcp(_FROM_PORT4, _TO_PORT4, _FLAGS4))
    found["stack"] = _always(f"eth.ip{'6' if six else ''}.{'udp' if udp else 'tcp'}")
    return found


_MAKERS: Final = tuple(_makers(shape) for shape in range(SHAPES))
_WHOLE: Final = tuple(
    {name for name in makers if name not in ("direction", "inputifindex", "outputifindex")} for makers in _MAKERS
)
"""Keys that every sample of a shape has."""
