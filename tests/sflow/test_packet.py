"""The addresses of a sampled header are right, or there are none."""

from __future__ import annotations

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sflow_strategies import address_pairs, few, framings, many

from arm.sflow.packet import ETHERNET, IPV4, IPV6, MPLS, addresses
from arm.simulate import encoder

FOUR = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
SIX = bytes.fromhex("20010db8" + "00" * 11 + "01"), bytes.fromhex("20010db8000f" + "00" * 9 + "02")
both = pytest.mark.parametrize("pair", [FOUR, SIX], ids=["IPv4", "IPv6"])


def read(header: bytes, length: int, protocol: int = ETHERNET) -> tuple[bytes, bytes] | None:
    return addresses(header, 0, len(header), protocol, length)


@given(address_pairs, framings(), st.integers(128, 9018))
@few
def test_addresses_are_found_in_every_framing(pair: tuple[bytes, bytes], framing: dict, length: int) -> None:  # type: ignore[type-arg]
    assert read(encoder.frame(*pair, length, **framing), length) == pair


@given(address_pairs, framings())
@few
def test_a_header_cut_anywhere_gives_whole_addresses_or_none(pair: tuple[bytes, bytes], framing: dict) -> None:  # type: ignore[type-arg]
    header = encoder.frame(*pair, 500, **framing)
    whole = header.index(pair[0] + pair[1]) + 2 * len(pair[0])
    for size in range(len(header)):
        assert addresses(header, 0, size, ETHERNET, 500) == (pair if size >= whole else None)


@given(st.binary(max_size=128), st.integers(0, 20), st.integers(0, 2**32 - 1))
@many
def test_random_octets_raise_nothing(header: bytes, protocol: int, length: int) -> None:
    found = read(header, length, protocol)
    assert found is None or {len(address) for address in found} in ({4}, {16})


@both
def test_a_frame_made_by_dpkt_is_read(pair: tuple[bytes, bytes]) -> None:
    if len(pair[0]) == 4:
        packet = dpkt.ip.IP(src=pair[0], dst=pair[1], p=17, data=dpkt.udp.UDP(data=b"x" * 50))
        frame = dpkt.ethernet.Ethernet(data=packet)
    else:
        packet = dpkt.ip6.IP6(src=pair[0], dst=pair[1], nxt=17, data=dpkt.udp.UDP(data=b"x" * 50))
        frame = dpkt.ethernet.Ethernet(type=dpkt.ethernet.ETH_TYPE_IP6, data=packet)
    header = bytes(frame)
    assert read(header, len(header) + 4) == pair
    assert read(bytes(packet), len(header), IPV4 if len(pair[0]) == 4 else IPV6) == pair


@both
def test_snap_is_read(pair: tuple[bytes, bytes]) -> None:
    packet = encoder.ip_packet(*pair, 100)
    kind = b"\x08\x00" if len(pair[0]) == 4 else b"\x86\xdd"
    header = bytes(12) + (108).to_bytes(2, "big") + bytes.fromhex("aaaa03000000") + kind + packet
    assert read(header, 126) == pair
    other_oui = header.replace(bytes.fromhex("aaaa03000000"), bytes.fromhex("aaaa0300000c"))
    assert read(other_oui, 126) is None


@pytest.mark.parametrize("kind", [0x0806, 0x88CC, 0x88F7, 0x8863, 0x0026], ids=hex)
def test_a_frame_without_ip_has_no_addresses(kind: int) -> None:
    header = bytes(12) + kind.to_bytes(2, "big") + encoder.ip_packet(*FOUR, 100)
    assert read(header, 118) is None


@pytest.mark.parametrize("protocol", [0, 2, 7, 14, 99])
def test_a_header_of_an_unknown_protocol_has_no_addresses(protocol: int) -> None:
    assert read(encoder.ip_packet(*FOUR, 100), 100, protocol) is None


def test_the_version_must_be_what_the_frame_says() -> None:
    four, six = encoder.ip_packet(*FOUR, 100), encoder.ip_packet(*SIX, 100)
    assert read(bytes(12) + b"\x08\x00" + six, 118) is None
    assert read(bytes(12) + b"\x86\xdd" + four, 118) is None
    assert read(six, 100, IPV4) is None
    assert read(four, 100, IPV6) is None


def test_an_ipv4_header_of_less_than_five_words_is_none() -> None:
    assert read(b"\x44" + encoder.ip_packet(*FOUR, 100)[1:], 100, IPV4) is None


def label(value: int, *, bottom: bool = True) -> bytes:
    return (value << 12 | bottom << 8 | 64).to_bytes(4, "big")


def mpls(payload: bytes, *, top: int = 1000) -> bytes:
    return bytes(12) + b"\x88\x47" + label(top, bottom=False) + label(2000) + payload


@both
def test_a_label_stack_of_its_own_is_read(pair: tuple[bytes, bytes]) -> None:
    payload = encoder.ip_packet(*pair, 100)
    assert read(label(77) + payload, 104, MPLS) == pair


def test_an_ethernet_pseudowire_is_not_taken_for_ip() -> None:
    inner_four = bytes.fromhex("450000000001") + bytes(6) + b"\x08\x00" + encoder.ip_packet(*FOUR, 100)
    inner_six = bytes.fromhex("600000000001") + bytes(6) + b"\x86\xdd" + encoder.ip_packet(*SIX, 100)
    control_word = bytes(4)
    assert read(mpls(inner_four), 140) is None
    assert read(mpls(inner_six), 140) is None
    assert read(mpls(control_word + inner_four), 144) is None


def test_ipv4_under_labels_needs_a_checksum_that_holds() -> None:
    packet = bytearray(encoder.ip_packet(*FOUR, 100))
    assert read(mpls(bytes(packet)), 126) == FOUR
    packet[16] ^= 1
    assert read(mpls(bytes(packet)), 126) is None


def test_ipv4_options_are_in_the_checksum() -> None:
    head = bytearray(encoder.ip_packet(*FOUR, 100)[:20]) + b"\x94\x04\x00\x00"
    head[0] = 0x46
    head[10:12] = bytes(2)
    total = sum(int.from_bytes(head[at : at + 2], "big") for at in range(0, 24, 2))
    total = (total & 0xFFFF) + (total >> 16)
    head[10:12] = (~total & 0xFFFF).to_bytes(2, "big")
    assert read(mpls(bytes(head) + bytes(40)), 126) == FOUR
    assert read(mpls(bytes(head[:23])), 126) is None


def test_ipv6_under_labels_needs_a_length_that_fits() -> None:
    packet = encoder.ip_packet(*SIX, 100)
    assert read(mpls(packet), 126) == SIX
    assert read(mpls(packet), 300) is None


def test_an_explicit_null_says_what_is_below_it() -> None:
    four, six = encoder.ip_packet(*FOUR, 100), encoder.ip_packet(*SIX, 100)
    assert read(bytes(12) + b"\x88\x47" + label(0) + four, 122) == FOUR
    assert read(bytes(12) + b"\x88\x47" + label(2) + six, 122) == SIX
    assert read(bytes(12) + b"\x88\x47" + label(2) + four, 122) is None
    assert read(bytes(12) + b"\x88\x47" + label(0) + six, 122) is None


def test_endless_tags_and_labels_end() -> None:
    assert read(bytes(12) + b"\x81\x00\x00\x01" * 28, 1500) is None
    assert read(bytes(12) + b"\x88\x47" + label(5, bottom=False) * 28, 1500) is None


def test_pppoe_of_other_stages_and_protocols_has_no_addresses() -> None:
    packet = encoder.ip_packet(*FOUR, 100)
    session = bytes(12) + b"\x88\x64\x11\x00\x00\x01\x00\x66"
    assert read(session + b"\x00\x21" + packet, 126) == FOUR
    assert read(session + b"\xc0\x21" + packet, 126) is None
    assert read(session.replace(b"\x11\x00", b"\x11\x09") + b"\x00\x21" + packet, 126) is None
