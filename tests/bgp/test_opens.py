"""OPEN messages, and the calls of the exabgp package that they rest on: an upgrade that changes them fails here."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_peer import LEARN, REMOTE

from arm.bgp.notifications import NotificationError, describe_notification, shutdown_communication
from arm.bgp.opens import agree, make_open, read_open
from arm.bgp.wire import HEADER_SIZE, OPEN, BgpError, read_header
from arm.model import Family

BIRD_2_0_12 = bytes.fromhex(
    "04fe7000f00a09090926"
    "02240104000100010104000200010200400a0078000101000002010041040000fe7046004700"
)  # fmt: skip


@given(
    asn=st.integers(1, 2**32 - 1),
    hold=st.sampled_from((0, 3, 90, 65535)),
    restart=st.integers(0, 4095),
    families=st.sets(st.sampled_from(Family), min_size=1),
    restarting=st.booleans(),
)
def test_an_open_is_read_as_it_was_made(
    asn: int, hold: int, restart: int, families: set[Family], restarting: bool
) -> None:
    peer = dataclasses.replace(LEARN, local_as=asn, hold_time=hold, restart_time=restart, families=frozenset(families))
    octets = make_open(peer, restarting=restarting)
    assert read_header(octets, 0) == (len(octets), OPEN)
    opened = read_open(octets[HEADER_SIZE:])
    assert (opened.asn, opened.hold_time, opened.router_id, opened.families) == (asn, hold, LEARN.router_id, families)
    assert opened.four_octet
    assert opened.route_refresh
    assert opened.restart_time == (restart or None)
    assert opened.restart_families == (families if restart else set())
    assert opened.restarting == (restarting and restart > 0)


def test_an_open_as_bird_sends_it() -> None:
    opened = read_open(BIRD_2_0_12)
    assert (opened.asn, opened.hold_time, opened.router_id) == (65136, 240, "10.9.9.9")
    assert opened.families == opened.restart_families == set(Family)
    assert (opened.restart_time, opened.restarting, opened.four_octet, opened.route_refresh) == (120, False, True, True)


def test_a_plain_rfc_4271_open_speaks_ipv4_with_two_octets() -> None:
    opened = read_open(bytes.fromhex("04fbf4005a0a00000100"))
    assert opened.families == {Family.IPV4}
    assert not opened.four_octet
    assert opened.restart_time is None
    agreed = agree(LEARN, opened)
    assert (agreed.families, agreed.four_octet, agreed.graceful, agreed.hold_time) == ({Family.IPV4}, False, False, 90)


def test_unknown_capabilities_are_ignored() -> None:
    opened = read_open(bytes.fromhex("04fbf4005a0a0000010a0208470201fff3020102"))
    assert opened.asn == 64500


def test_the_lower_hold_time_holds() -> None:
    opened = read_open(make_open(dataclasses.replace(REMOTE, hold_time=9))[HEADER_SIZE:])
    agreed = agree(LEARN, opened)
    assert (agreed.hold_time, agreed.keepalive) == (9, 3)
    opened = read_open(make_open(dataclasses.replace(REMOTE, hold_time=0))[HEADER_SIZE:])
    assert agree(LEARN, opened).hold_time == 0


def test_no_family_in_common_is_refused() -> None:
    opened = read_open(make_open(dataclasses.replace(REMOTE, families=frozenset({Family.IPV4})))[HEADER_SIZE:])
    with pytest.raises(BgpError) as caught:
        agree(dataclasses.replace(LEARN, families=frozenset({Family.IPV6})), opened)
    assert (caught.value.code, caught.value.subcode) == (2, 7)
    assert caught.value.data == bytes.fromhex("010400020001")


@given(st.binary(max_size=80))
def test_random_opens_raise_nothing_else(octets: bytes) -> None:
    for body in (octets, BIRD_2_0_12[:10] + octets, BIRD_2_0_12[:12] + octets):
        try:
            read_open(body)
        except BgpError:
            continue


@given(st.data())
def test_damaged_opens_raise_nothing_else(data: st.DataObject) -> None:
    octets = bytearray(BIRD_2_0_12)
    for _ in range(data.draw(st.integers(1, 5))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        agree(LEARN, read_open(bytes(octets)))
    except BgpError as error:
        assert 1 <= error.code <= 2  # noqa: PT017


@given(st.text(max_size=400))
def test_shutdown_words_fit_and_stay_text(words: str) -> None:
    data = shutdown_communication(words)
    assert data[0] == len(data) - 1 <= 255
    assert words.startswith(data[1:].decode())
    text = describe_notification(bytes((6, 2)) + data)
    assert text.startswith("6/2 Cease: Administrative Shutdown")
    assert "\n" not in text


@given(st.binary(max_size=60))
def test_any_notification_can_be_told(body: bytes) -> None:
    assert describe_notification(body).isprintable()
    NotificationError(body)
