"""Flow keys of packet headers: as dpkt builds the packets."""

from __future__ import annotations

import dpkt
from hypothesis import given, settings
from hypothesis import strategies as st

from arm.analytics import headers
from arm.sflow.packet import ETHERNET, IPV4

U8, U16, ADDRESS, MAC = st.integers(0, 255), st.integers(0, 65535), st.binary(min_size=4, max_size=4), st.binary(
    min_size=6, max_size=6
)  # fmt: skip


@st.composite
def packets(draw: st.DrawFn) -> tuple[dpkt.ethernet.Ethernet, dpkt.ip.IP, object]:
    if draw(st.booleans()):
        segment: object = dpkt.tcp.TCP(sport=draw(U16), dport=draw(U16), flags=draw(U8))
    else:
        segment = dpkt.udp.UDP(sport=draw(U16), dport=draw(U16), data=bytes(40))
        segment.ulen = 48  # type: ignore[attr-defined]
    protocol = dpkt.ip.IP_PROTO_TCP if isinstance(segment, dpkt.tcp.TCP) else dpkt.ip.IP_PROTO_UDP
    ip = dpkt.ip.IP(src=draw(ADDRESS), dst=draw(ADDRESS), tos=draw(U8), ttl=draw(U8), p=protocol, data=segment)
    ip._flags_offset = draw(st.sampled_from((0, 0x4000, 0x2000, 0x2010)))
    ip.len = len(ip)
    return dpkt.ethernet.Ethernet(src=draw(MAC), dst=draw(MAC), type=0x0800, data=ip), ip, segment


@settings(max_examples=200, deadline=None)
@given(packets())
def test_keys_are_what_dpkt_wrote_into_the_packet(made: tuple[dpkt.ethernet.Ethernet, dpkt.ip.IP, object]) -> None:
    frame, ip, segment = made
    found: dict[str, object] = {}
    data = bytes(frame)
    headers.read(found, data, 0, len(data), ETHERNET)  # type: ignore[arg-type]
    assert (found["macsource"], found["macdestination"], found["ethernetprotocol"]) == (frame.src, frame.dst, 0x0800)
    assert (found["ipsource"], found["ipdestination"], found["ipprotocol"]) == (ip.src, ip.dst, ip.p)
    assert (found["ipttl"], found["ipbytes"], found["ipfragoffset"]) == (ip.ttl, ip.len, ip._flags_offset & 0x1FFF)
    assert (found["ipdscp"], found["ipecn"]) == (ip.tos >> 2, ip.tos & 3)
    assert found["ipflags"] == format(ip._flags_offset >> 13, "03b")
    name = "tcp" if isinstance(segment, dpkt.tcp.TCP) else "udp"
    if ip._flags_offset & 0x1FFF:
        assert f"{name}sourceport" not in found  # only the first fragment has them
        return
    assert found[f"{name}sourceport"] == segment.sport  # type: ignore[attr-defined]
    assert found[f"{name}destinationport"] == segment.dport  # type: ignore[attr-defined]
    if isinstance(segment, dpkt.tcp.TCP):
        assert found["tcpflags"] == format(segment.flags, "09b")
    else:
        assert found["udpbytes"] == segment.ulen  # type: ignore[attr-defined]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from((ETHERNET, IPV4, 12, 7)))
def test_no_header_raises_and_every_key_is_a_known_one(data: bytes, protocol: int) -> None:
    found: dict[str, object] = {}
    headers.read(found, data, 0, len(data), protocol)  # type: ignore[arg-type]
    assert set(found) <= set(headers.KEYS)


def test_what_a_tunnel_carries_has_the_same_names_one_level_down() -> None:
    inner = dpkt.ethernet.Ethernet(
        src=b"\x02" * 6,
        dst=b"\x04" * 6,
        type=0x0800,
        data=dpkt.ip.IP(src=b"\x0a\0\0\1", dst=b"\x0a\0\0\2", p=6, data=dpkt.tcp.TCP(sport=1, dport=80)),
    )
    vxlan = b"\x08\0\0\0" + (77).to_bytes(3, "big") + b"\0" + bytes(inner)
    udp = dpkt.udp.UDP(sport=5000, dport=4789, data=vxlan)
    udp.ulen = len(udp)
    outer = dpkt.ethernet.Ethernet(
        src=b"\x06" * 6,
        dst=b"\x08" * 6,
        type=0x0800,
        data=dpkt.ip.IP(src=b"\xc0\0\2\1", dst=b"\xc0\0\2\2", p=17, data=udp),
    )
    found: dict[str, object] = {}
    headers.read(found, bytes(outer), 0, len(bytes(outer)), ETHERNET)  # type: ignore[arg-type]
    assert (found["ipsource"], found["ipsource.1"], found["vni"]) == (b"\xc0\0\2\1", b"\x0a\0\0\1", 77)
    assert (found["tcpdestinationport.1"], found["udpdestinationport"]) == (80, 4789)
    assert found["stack"] == "eth.ip.udp.vxlan.eth.ip.tcp"


def test_gre_vlan_icmp_and_ipv6_extensions_are_read() -> None:
    echo = dpkt.icmp.ICMP(type=8, code=0, data=dpkt.icmp.ICMP.Echo())
    inner = bytes(dpkt.ip.IP(src=b"\x0a\0\0\1", dst=b"\x0a\0\0\2", p=1, data=echo))
    gre = b"\x20\x00\x08\x00" + (1234).to_bytes(4, "big") + inner
    ip = dpkt.ip.IP(src=b"\xc0\0\2\1", dst=b"\xc0\0\2\2", p=47, data=gre)
    ip.len = len(ip)
    tagged = bytes(12) + b"\x81\x00" + (5 << 13 | 42).to_bytes(2, "big") + b"\x08\x00" + bytes(ip)
    found: dict[str, object] = {}
    headers.read(found, tagged, 0, len(tagged), ETHERNET)  # type: ignore[arg-type]
    assert (found["vlan"], found["priority"], found["grekey"], found["greprotocol"]) == (42, 5, 1234, 0x0800)
    assert (found["icmptype.1"], found["ipdestination.1"]) == (8, b"\x0a\0\0\2")
    hop_by_hop = b"\x2c\x00" + bytes(6)
    fragment = b"\x11\x00" + (0 << 3 | 1).to_bytes(2, "big") + bytes(4)
    udp = (53).to_bytes(2, "big") + (4000).to_bytes(2, "big") + (20).to_bytes(2, "big") + bytes(14)
    payload = hop_by_hop + fragment + udp
    six = b"\x6a\xb0\x00\x07" + len(payload).to_bytes(2, "big") + b"\x00\x40" + bytes(15) + b"\1" + bytes(15) + b"\2"
    found = {}
    headers.read(found, six + payload, 0, len(six + payload), 12)  # type: ignore[arg-type]
    assert (found["ip6nexthdr"], found["ip6fragm"], found["udpsourceport"]) == (17, "yes", 53)
    assert (found["ip6flowlabel"], found["ip6dscp"], found["ip6ecn"]) == (7, 0xAB >> 2, 0xAB & 3)
