"""What becomes of the routes of a session that ends: each row of the table of decision 073, and the same over TCP."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from scripted_peer import LEARN, REMOTE, Desk, opening
from test_session_bugs import broken as broken  # a fixture
from test_sessions import ending, talk_closed_silently

from arm.bgp.opens import agree, make_open, read_open
from arm.bgp.retention import Loss, forgotten, kept
from arm.bgp.wire import HEADER_SIZE, OPEN, UPDATE, end_of_rib, message, notification
from arm.model import FAMILIES, Family, FeedDown, FeedUp

Make = Callable[..., Desk]

V4, V6 = Family.IPV4, Family.IPV6
BOTH, NONE = frozenset(FAMILIES), frozenset[Family]()
RESTART = 100
HOLD = 60


def opened(*, restarting: bool, listed: dict[Family, int] | None) -> bytes:
    """The peer's OPEN: graceful restart with these families and flags, or without it."""
    plain = make_open(dataclasses.replace(REMOTE, hold_time=HOLD, restart_time=0))[HEADER_SIZE:]
    if listed is None:
        return message(OPEN, plain)
    value = ((0x8000 if restarting else 0) | RESTART).to_bytes(2, "big")
    value += b"".join(bytes((0, family, 1, flags)) for family, flags in listed.items())
    added = bytes((2, 2 + len(value), 64, len(value))) + value
    return message(OPEN, plain[:9] + bytes((plain[9] + len(added),)) + plain[10:] + added)


LISTINGS: dict[str, dict[Family, int] | None] = {
    "not negotiated": None,
    "lists nothing": {},
    "lists IPv4": {V4: 0},
    "lists both": {V4: 0, V6: 0x80},
}
ROWS = [
    (Loss.SILENT, "lists both", RESTART, NONE),
    (Loss.SILENT, "lists IPv4", RESTART, {V6}),
    (Loss.SILENT, "lists nothing", HOLD, NONE),
    (Loss.SILENT, "not negotiated", HOLD, NONE),
    (Loss.NOTIFIED, "lists both", HOLD, NONE),
    (Loss.NOTIFIED, "lists IPv4", HOLD, {V6}),
    (Loss.NOTIFIED, "lists nothing", HOLD, NONE),
    (Loss.NOTIFIED, "not negotiated", HOLD, NONE),
    (Loss.HARD, "lists both", 0, BOTH),
    (Loss.HARD, "lists IPv4", 0, BOTH),
    (Loss.HARD, "lists nothing", 0, BOTH),
    (Loss.HARD, "not negotiated", 0, BOTH),
]


@pytest.mark.parametrize(("loss", "listing", "seconds", "lost"), ROWS)
def test_routes_stay_as_the_table_says(loss: Loss, listing: str, seconds: float, lost: set[Family]) -> None:
    received = read_open(opened(restarting=False, listed=LISTINGS[listing])[HEADER_SIZE:])
    assert kept(agree(LEARN, received), loss) == (seconds, lost)


def test_every_case_is_a_row_of_the_table() -> None:
    assert {(loss, listing) for loss, listing, _, _ in ROWS} == {(a, b) for a in Loss for b in LISTINGS}


def test_the_peers_restart_time_means_nothing_if_arm_did_not_offer_graceful_restart() -> None:
    received = read_open(opened(restarting=False, listed={V4: 0, V6: 0})[HEADER_SIZE:])
    agreement = agree(dataclasses.replace(LEARN, restart_time=0), received)
    assert kept(agreement, Loss.SILENT) == (HOLD, NONE)


@pytest.mark.parametrize("listing", [{V4: 0, V6: 0}, {}, None])
def test_routes_stay_for_a_while_without_any_timers(listing: dict[Family, int] | None) -> None:
    received = dataclasses.replace(
        read_open(opened(restarting=False, listed=listing)[HEADER_SIZE:]), hold_time=0, restart_time=0
    )
    seconds, lost = kept(agree(LEARN, received), Loss.SILENT)
    assert 0 < seconds <= 90
    assert lost == NONE


@pytest.mark.parametrize(
    ("restarting", "listed", "lost"),
    [
        (True, {V4: 0x80, V6: 0x80}, NONE),
        (True, {V4: 0x80, V6: 0}, {V6}),
        (True, {V4: 0x80}, {V6}),
        (True, {}, BOTH),
        (False, {V4: 0, V6: 0}, NONE),  # as BIRD says it after a reset of the session
        (False, {V4: 0x80}, NONE),
        (False, {}, NONE),
        (False, None, NONE),
    ],
)
def test_a_peer_that_restarted_says_what_it_has_lost(
    desk: Make, restarting: bool, listed: dict[Family, int] | None, lost: set[Family]
) -> None:
    octets = opened(restarting=restarting, listed=listed)
    assert forgotten(read_open(octets[HEADER_SIZE:])) == lost
    one = desk()
    one.established(opened=octets)
    assert one.wait(FeedUp).lost == lost


def test_how_a_session_ends_decides_over_tcp_too(desk: Make, broken: Callable[[], None]) -> None:
    one = desk()
    both = opened(restarting=False, listed={V4: 0, V6: 0})

    def ended() -> tuple[float, frozenset[Family]]:
        down = one.wait(FeedDown, one.count(FeedUp))
        return down.retain, down.lost

    talk = one.established(opened=both)
    talk.reset()
    assert ended() == (RESTART, NONE)
    talk = one.established(opened=both)
    one.established(opened=both)
    talk_closed_silently(talk)
    assert one.wait(FeedDown, 2).retain == RESTART, "the peer had restarted and called again"
    one.speaker.reset("reflector", "test")
    assert ended() == (HOLD, NONE)
    talk = one.established(opened=both)
    talk.send(notification(6, 9))
    assert ended() == (0, BOTH)
    talk = one.established(opened=both)
    talk.send(notification(6, 4))
    assert ended() == (HOLD, NONE)
    talk = one.established(opened=both)
    talk.send(message(UPDATE, bytes.fromhex("00ff0000")))
    assert ended() == (HOLD, NONE)
    talk = one.established(opened=opening(restart_time=RESTART, hold_time=3))
    assert ending(talk) == (4, 0)
    assert ended() == (RESTART, NONE)
    talk = one.established(opened=both)
    talk.send(end_of_rib(V4))
    assert ending(talk) == (6, 0), "a bug"
    assert ended() == (HOLD, NONE)
