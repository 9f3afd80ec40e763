"""The head of a sampled packet, taken apart into flow keys.

Everything that is whole is told, and nothing is guessed: a header that ends too early gives the keys of the headers
before it. What travels inside a tunnel (VXLAN, GRE, IP in IP) has the same names with `.1` behind them, one level deep.
Names are those of sFlow-RT. Layouts: IEEE 802.1Q, RFC 791, 8200, 792, 4443, 9293, 768, 2784, 2890, 7348.
"""

from __future__ import annotations

import struct
from typing import Final

from arm.analytics.values import Value
from arm.sflow.packet import ETHERNET, IPV4, IPV6, Buffer

_U16: Final = struct.Struct(">H").unpack_from
_U32: Final = struct.Struct(">I").unpack_from
_PORTS: Final = struct.Struct(">HH").unpack_from
_IP4: Final = struct.Struct(">BBHHHBBH4s4s").unpack_from
_IP6: Final = struct.Struct(">IHBB16s16s").unpack_from
_TAGS: Final = frozenset((0x8100, 0x88A8, 0x9100, 0x9200))
_MOST_TAGS: Final = 8
_MOST_EXTENSIONS: Final = 8
_MOST_DEPTH: Final = 1
VXLAN_PORT: Final = 4789

_ICMP, _IPIP, TCP, UDP, _IP6IN, _GRE, _ICMP6 = 1, 4, 6, 17, 41, 47, 58
_EXTENSIONS: Final = frozenset((0, 43, 60, 135))
"""Hop-by-hop, routing, destination options, mobility: each with its length in units of eight octets."""
_FRAGMENT: Final = 44

FLAGS: Final = tuple(format(bits, "09b") for bits in range(512))
"""TCP flags as sFlow-RT writes them: NS CWR ECE URG ACK PSH RST SYN FIN."""

_KEYS: Final = (
    *("macsource", "macdestination", "ethernetprotocol", "vlan", "priority"),
    *("ipsource", "ipdestination", "ipprotocol", "ipttl", "ipdscp", "ipecn", "ipflags", "ipfragoffset", "ipbytes"),
    *("ip6source", "ip6destination", "ip6nexthdr", "ip6ttl", "ip6dscp", "ip6ecn", "ip6flowlabel"),
    *("ip6fragoffset", "ip6fragm", "ip6bytes", "icmptype", "icmpcode", "icmp6type", "icmp6code"),
    *("tcpsourceport", "tcpdestinationport", "tcpflags", "udpsourceport", "udpdestinationport", "udpbytes"),
    *("greprotocol", "grekey", "vni"),
)
KEYS: Final = (*_KEYS, *(f"{name}.1" for name in _KEYS), "stack")
"""Every key that `read` may set."""


def read(out: dict[str, Value | None], data: Buffer, start: int, end: int, protocol: int) -> None:
    """Set the keys of the sampled header at `data[start:end]`; `protocol` is the record's header_protocol.

    `stack` becomes the names of the headers from the outermost on, `eth.ip.udp.vxlan.eth.ip.tcp`.
    """
    stack: list[str] = []
    if protocol == ETHERNET:
        _ethernet(out, data, start, end, "", 0, stack)
    elif protocol == IPV4:
        _ipv4(out, data, start, end, "", 0, stack)
    elif protocol == IPV6:
        _ipv6(out, data, start, end, "", 0, stack)
    if stack:
        out["stack"] = ".".join(stack)


def _ethernet(
    out: dict[str, Value | None], data: Buffer, at: int, end: int, level: str, depth: int, stack: list[str]
) -> None:
    if at + 14 > end:
        return
    stack.append("eth")
    out["macdestination" + level] = bytes(data[at : at + 6])
    out["macsource" + level] = bytes(data[at + 6 : at + 12])
    at += 12
    (kind,) = _U16(data, at)
    tags = 0
    while kind in _TAGS:
        if at + 6 > end or tags == _MOST_TAGS:
            return
        (tag,) = _U16(data, at + 2)
        if not tags:
            out["vlan" + level] = tag & 0x0FFF
            out["priority" + level] = tag >> 13
            stack.append("q")
        tags += 1
        at += 4
        (kind,) = _U16(data, at)
    at += 2
    if kind < 0x0600:  # a length: the type follows in LLC and SNAP
        if at + 8 > end or bytes(data[at : at + 6]) != b"\xaa\xaa\x03\x00\x00\x00":
            return
        (kind,) = _U16(data, at + 6)
        at += 8
    out["ethernetprotocol" + level] = kind
    _network(out, data, at, end, kind, level, depth, stack)


def _network(
    out: dict[str, Value | None], data: Buffer, at: int, end: int, kind: int, level: str, depth: int, stack: list[str]
) -> None:
    if kind == 0x0800:
        _ipv4(out, data, at, end, level, depth, stack)
    elif kind == 0x86DD:
        _ipv6(out, data, at, end, level, depth, stack)


def _ipv4(
    out: dict[str, Value | None], data: Buffer, at: int, end: int, level: str, depth: int, stack: list[str]
) -> None:
    if at + 20 > end or not 0x45 <= data[at] <= 0x4F:
        return
    first, tos, length, _, fragment, ttl, protocol, _, source, destination = _IP4(data, at)
    stack.append("ip")
    out["ipsource" + level] = source
    out["ipdestination" + level] = destination
    out["ipprotocol" + level] = protocol
    out["ipttl" + level] = ttl
    out["ipdscp" + level] = tos >> 2
    out["ipecn" + level] = tos & 3
    out["ipflags" + level] = FLAGS[fragment >> 13][6:]
    out["ipfragoffset" + level] = fragment & 0x1FFF
    out["ipbytes" + level] = length
    if fragment & 0x1FFF == 0:  # a later fragment has no header of the next layer
        _transport(out, data, at + (first & 0x0F) * 4, end, protocol, level, depth, stack)


def _ipv6(
    out: dict[str, Value | None], data: Buffer, at: int, end: int, level: str, depth: int, stack: list[str]
) -> None:
    if at + 40 > end or data[at] >> 4 != 6:
        return
    word, length, protocol, ttl, source, destination = _IP6(data, at)
    stack.append("ip6")
    out["ip6source" + level] = source
    out["ip6destination" + level] = destination
    out["ip6ttl" + level] = ttl
    out["ip6dscp" + level] = word >> 22 & 0x3F
    out["ip6ecn" + level] = word >> 20 & 3
    out["ip6flowlabel" + level] = word & 0xFFFFF
    out["ip6bytes" + level] = length + 40
    at += 40
    for _ in range(_MOST_EXTENSIONS):
        if protocol in _EXTENSIONS:
            if at + 8 > end:
                break
            protocol, at = data[at], at + 8 + data[at + 1] * 8
        elif protocol == _FRAGMENT:
            if at + 8 > end:
                break
            (fragment,) = _U16(data, at + 2)
            out["ip6fragoffset" + level] = fragment >> 3
            out["ip6fragm" + level] = "yes" if fragment & 1 else "no"
            protocol, at = data[at], at + 8
            if fragment >> 3:
                out["ip6nexthdr" + level] = protocol
                return
        else:
            break
    out["ip6nexthdr" + level] = protocol
    _transport(out, data, at, end, protocol, level, depth, stack)


def _transport(
    out: dict[str, Value | None],
    data: Buffer,
    at: int,
    end: int,
    protocol: int,
    level: str,
    depth: int,
    stack: list[str],
) -> None:
    if protocol == TCP:
        if at + 14 <= end:
            stack.append("tcp")
            out["tcpsourceport" + level], out["tcpdestinationport" + level] = _PORTS(data, at)
            out["tcpflags" + level] = FLAGS[_U16(data, at + 12)[0] & 0x1FF]
    elif protocol == UDP:
        if at + 8 <= end:
            stack.append("udp")
            source, destination = _PORTS(data, at)
            out["udpsourceport" + level] = source
            out["udpdestinationport" + level] = destination
            out["udpbytes" + level] = _U16(data, at + 4)[0]
            if destination == VXLAN_PORT:
                _vxlan(out, data, at + 8, end, level, depth, stack)
    elif protocol in (_ICMP, _ICMP6):
        if at + 4 <= end:
            name = "icmp" if protocol == _ICMP else "icmp6"
            stack.append(name)
            out[name + "type" + level] = data[at]
            out[name + "code" + level] = data[at + 1]
    elif protocol == _GRE:
        _gre(out, data, at, end, level, depth, stack)
    elif depth < _MOST_DEPTH:
        if protocol == _IPIP:
            _ipv4(out, data, at, end, ".1", depth + 1, stack)
        elif protocol == _IP6IN:
            _ipv6(out, data, at, end, ".1", depth + 1, stack)


def _vxlan(
    out: dict[str, Value | None], data: Buffer, at: int, end: int, level: str, depth: int, stack: list[str]
) -> None:
    if at + 8 > end or not data[at] & 0x08:
        return
    stack.append("vxlan")
    out["vni" + level] = _U32(data, at + 4)[0] >> 8
    if depth < _MOST_DEPTH:
        _ethernet(out, data, at + 8, end, ".1", depth + 1, stack)


def _gre(
    out: dict[str, Value | None], data: Buffer, at: int, end: int, level: str, depth: int, stack: list[str]
) -> None:
    if at + 4 > end:
        return
    flags, protocol = _PORTS(data, at)
    if flags & 7:  # version 1 is PPTP's
        return
    stack.append("gre")
    out["greprotocol" + level] = protocol
    at += 4
    if flags & 0x8000:
        at += 4
    if flags & 0x2000:
        if at + 4 > end:
            return
        out["grekey" + level] = _U32(data, at)[0]
        at += 4
    if flags & 0x1000:
        at += 4
    if depth >= _MOST_DEPTH:
        return
    if protocol == 0x6558:
        _ethernet(out, data, at, end, ".1", depth + 1, stack)
    else:
        _network(out, data, at, end, protocol, ".1", depth + 1, stack)
