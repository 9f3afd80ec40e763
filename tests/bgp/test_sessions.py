"""Sessions against a scripted peer on loopback: who gets in, what ends a session, and what the engine is told."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Callable

import pytest
from polling import until
from scripted_peer import LEARN, PUSH, REMOTE, Desk, Talk, opening

from arm.bgp.events import RefreshRequested, SessionDown, SessionUp
from arm.bgp.messages import encode_update, encode_withdrawal, path_attributes
from arm.bgp.notifications import shutdown_communication
from arm.bgp.opens import make_open, read_open
from arm.bgp.peer import Peer
from arm.bgp.speaker import PAUSE_ABOVE, Speaker
from arm.bgp.tcp import listen
from arm.bgp.wire import (
    KEEPALIVE,
    KEEPALIVE_MESSAGE,
    NOTIFICATION,
    OPEN,
    ROUTE_REFRESH,
    UPDATE,
    end_of_rib,
    end_of_rib_family,
    message,
    notification,
    route_refresh,
)
from arm.model import (
    Family,
    FeedComplete,
    FeedDown,
    FeedUp,
    Role,
    RoutesLearned,
    SessionState,
    parse_prefix,
)

Make = Callable[..., Desk]

RAW = path_attributes(as_path=(64501,), next_hop=bytes((192, 0, 2, 1)), local_pref=100)
PREFIXES = [parse_prefix("198.51.100.0/24"), parse_prefix("203.0.113.0/24")]
ANNOUNCEMENT = b"".join(encode_update(RAW, b"", PREFIXES))


# --- who gets in -----------------------------------------------------------------------------------------------------


def test_an_address_that_is_no_peers_is_refused_and_counted(desk: Make) -> None:
    one = desk()
    one.call("127.0.0.77").closed()
    until(lambda: one.speaker.refused == 1)
    assert one.events == []


def test_peers_of_one_address_are_told_apart_by_the_address_they_connect_to(desk: Make) -> None:
    second = dataclasses.replace(PUSH, address=LEARN.address, local_address="127.0.0.100")
    first = dataclasses.replace(LEARN, local_address="127.0.0.1")
    one = desk([first, second])
    one.call(to="127.0.0.100").establish()
    one.wait(SessionUp)
    one.call(to="127.0.0.1").establish()
    one.wait(FeedUp)


@pytest.mark.parametrize(
    ("changes", "code", "subcode"),
    [
        ({"local_as": 64999}, 2, 2),
        ({"router_id": LEARN.router_id}, 2, 3),
        ({"router_id": "0.0.0.0"}, 2, 3),
        ({"hold_time": 2}, 2, 6),
    ],
)
def test_a_peer_that_is_not_the_configured_one_is_told_why(
    desk: Make, changes: dict[str, object], code: int, subcode: int
) -> None:
    one = desk()
    talk = one.call()
    talk.expect(OPEN)
    talk.send(opening(**changes))
    assert talk.notified() == (code, subcode)
    until(lambda: one.status().reason.startswith(f"sent {code}/{subcode}"))
    assert one.status().state is SessionState.ACTIVE
    assert one.events == []


@pytest.mark.parametrize(
    ("octets", "code", "subcode"),
    [
        (b"\0" * 19, 1, 1),
        (b"\xff" * 16 + b"\x00\x12\x01", 1, 2),
        (b"\xff" * 16 + b"\x20\x00\x02", 1, 2),
        (b"\xff" * 16 + b"\x00\x14\x04\x00", 1, 2),
        (b"\xff" * 16 + b"\x00\x13\x63", 1, 3),
        (message(OPEN, b"\x03" + bytes(9)), 2, 1),
        (KEEPALIVE_MESSAGE, 5, 1),
    ],
)
def test_nonsense_before_the_session_gets_the_right_code(desk: Make, octets: bytes, code: int, subcode: int) -> None:
    talk = desk().call()
    talk.expect(OPEN)
    talk.send(octets)
    assert talk.notified() == (code, subcode)


def test_an_update_before_the_keepalive_is_a_state_machine_error(desk: Make) -> None:
    talk = desk().call()
    talk.expect(OPEN)
    talk.send(make_open(REMOTE), ANNOUNCEMENT)
    assert talk.notified() == (5, 2)


@pytest.mark.parametrize(
    ("octets", "code", "subcode"),
    [
        (make_open(REMOTE), 5, 3),
        (message(UPDATE, bytes.fromhex("00ff0000")), 3, 1),
        (message(UPDATE, bytes.fromhex("0000000021c633640000")), 3, 10),
    ],
)
def test_nonsense_in_the_session_gets_the_right_code(desk: Make, octets: bytes, code: int, subcode: int) -> None:
    one = desk()
    talk = one.established()
    talk.send(ANNOUNCEMENT, octets)
    assert ending(talk) == (code, subcode)
    down = one.wait(FeedDown)
    assert down.reason.startswith(f"sent {code}/{subcode}")
    learned = one.wait(RoutesLearned)
    assert [found for _, found in learned.updates] == [PREFIXES], "what came before the fault counts"
    assert one.events.index(learned) < one.events.index(down)


def ending(talk: Talk) -> tuple[int, int]:
    """Code and subcode of the NOTIFICATION, whatever UPDATEs come before it."""
    while True:
        kind, body = talk.receive()
        if kind == NOTIFICATION:
            talk.closed()
            return body[0], body[1]


# --- a learning session ----------------------------------------------------------------------------------------------


def test_arm_offers_what_it_speaks(desk: Make) -> None:
    opened = read_open(desk().call().expect(OPEN))
    assert (opened.asn, opened.hold_time, opened.router_id) == (LEARN.local_as, LEARN.hold_time, LEARN.router_id)
    assert opened.families == opened.restart_families == {Family.IPV4, Family.IPV6}
    assert opened.four_octet
    assert opened.route_refresh
    assert opened.restart_time == LEARN.restart_time
    assert opened.restarting, "a daemon that has just started says so"


def test_the_restart_bit_is_gone_after_the_restart_time(desk: Make) -> None:
    one = desk([dataclasses.replace(LEARN, restart_time=1)])
    assert until(lambda: not read_open(one.call().expect(OPEN)).restarting)


def test_routes_become_events_in_order(desk: Make) -> None:
    one = desk()
    talk = one.established()
    talk.send(ANNOUNCEMENT, *encode_withdrawal(PREFIXES[:1]), end_of_rib(Family.IPV4), end_of_rib(Family.IPV6))
    one.wait(FeedComplete, 2)
    assert isinstance(one.events[0], FeedUp)
    feed = one.events[0].feed
    assert (feed.name, feed.peer, feed.generation, feed.peer_as) == ("reflector", "127.0.0.1", 1, 64500)
    assert feed.router_id == REMOTE.router_id
    updates = [update for event in one.events if isinstance(event, RoutesLearned) for update in event.updates]
    assert [(attributes and attributes.raw, found) for attributes, found in updates] == [
        (RAW, PREFIXES),
        (None, PREFIXES[:1]),
    ]
    assert [event.family for event in one.events if isinstance(event, FeedComplete)] == [Family.IPV4, Family.IPV6]
    status = one.status()
    assert (status.prefixes_announced_in, status.prefixes_withdrawn_in) == (2, 1)
    assert status.families == (Family.IPV4, Family.IPV6)


def test_messages_may_come_in_any_pieces(desk: Make) -> None:
    one = desk()
    talk = one.established()
    for octet in ANNOUNCEMENT + end_of_rib(Family.IPV4):
        talk.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk.send(bytes((octet,)))
    one.wait(FeedComplete)
    assert [found for _, found in one.wait(RoutesLearned).updates] == [PREFIXES]


def test_a_large_table_comes_in_batches(desk: Make) -> None:
    one = desk()
    talk = one.established()
    many = [((i << 8).to_bytes(4, "big"), 24) for i in range(1 << 16, (1 << 16) + 20_000)]
    talk.send(*encode_update(RAW, b"", many), end_of_rib(Family.IPV4))
    one.wait(FeedComplete)
    batches = [[p for _, found in e.updates for p in found] for e in one.events if isinstance(e, RoutesLearned)]
    assert [prefix for batch in batches for prefix in batch] == many
    assert max(map(len, batches)) < 6000


def test_only_families_of_both_sides_are_spoken(desk: Make) -> None:
    one = desk()
    one.established(opened=opening(families=frozenset({Family.IPV6})))
    assert one.wait(FeedUp).families == {Family.IPV6}


def test_a_peer_without_end_of_rib_is_complete_when_it_is_quiet(desk: Make) -> None:
    one = desk(quiet=0.3)
    talk = one.established(opened=opening(restart_time=0))
    for _ in range(4):
        talk.send(ANNOUNCEMENT)
        time.sleep(0.1)
    assert one.count(FeedComplete) == 0
    one.wait(FeedComplete, 2)


def test_a_silent_peer_is_nudged_with_the_end_of_rib_that_arm_owes(desk: Make) -> None:
    talk = desk().established()
    assert end_of_rib_family(talk.expect(UPDATE)) is Family.IPV4
    assert end_of_rib_family(talk.expect(UPDATE)) is Family.IPV6
    started = time.monotonic()
    assert talk.receive()[0] == KEEPALIVE
    assert talk.receive()[0] == KEEPALIVE
    assert time.monotonic() - started > 0.9, "RFC 4271: not more than one keepalive a second"


def test_a_session_that_comes_back_is_a_new_feed(desk: Make) -> None:
    one = desk()
    one.established().reset()
    first = one.wait(FeedDown)
    one.established()
    second = one.wait(FeedUp, 2)
    assert (first.feed.generation, second.feed.generation) == (1, 2)
    assert first.feed.name == second.feed.name
    assert first.retain == REMOTE.restart_time
    assert one.status().flaps == 1


def test_without_graceful_restart_routes_stay_for_a_hold_time(desk: Make) -> None:
    one = desk()
    one.established(opened=opening(restart_time=0, hold_time=30)).reset()
    assert one.wait(FeedDown).retain == 30


def test_a_peers_notification_ends_graceful_restart_and_is_told(desk: Make) -> None:
    one = desk()
    talk = one.established()
    talk.send(notification(6, 2, shutdown_communication("maintenance at 3 am\nticket 42")))
    talk_closed_silently(talk)
    down = one.wait(FeedDown)
    assert "maintenance at 3 am ticket 42" in down.reason
    assert "Administrative Shutdown" in one.status().reason
    assert down.retain == LEARN.hold_time


def talk_closed_silently(talk: Talk) -> None:
    """Closed, with no NOTIFICATION in answer to one (RFC 4271 section 6.4)."""
    try:
        while True:
            assert talk.receive()[0] != NOTIFICATION
    except EOFError:
        pass


# --- timers ----------------------------------------------------------------------------------------------------------


def test_a_silent_peer_loses_the_session_after_the_hold_time(desk: Make) -> None:
    one = desk()
    talk = one.established(opened=opening(hold_time=3))
    started = time.monotonic()
    assert ending(talk) == (4, 0)
    assert 2.5 < time.monotonic() - started < 5
    assert one.wait(FeedDown).retain == REMOTE.restart_time, "a silent peer may be restarting"


def test_keepalives_come_in_time_and_keep_the_session(desk: Make) -> None:
    one = desk([dataclasses.replace(LEARN, hold_time=3)])
    talk = one.established()
    talk.send(end_of_rib(Family.IPV4), end_of_rib(Family.IPV6))
    end = time.monotonic() + 4.5
    heard = 0
    talk.sock.settimeout(1.2)
    while time.monotonic() < end:
        if talk.receive()[0] == KEEPALIVE:
            heard += 1
            talk.send(KEEPALIVE_MESSAGE)
    assert heard >= 4
    assert one.status().state is SessionState.ESTABLISHED


def test_reading_stops_while_the_engine_is_behind_and_the_session_stays(desk: Make) -> None:
    one = desk([dataclasses.replace(LEARN, hold_time=3)])
    talk = one.established()
    one.backlog = PAUSE_ABOVE + 1
    talk.send(KEEPALIVE_MESSAGE)
    until(lambda: one.speaker.paused)
    talk.send(ANNOUNCEMENT)
    end = time.monotonic() + 4
    heard = 0
    while time.monotonic() < end:
        heard += talk.receive()[0] == KEEPALIVE
    assert heard >= 3, "keepalives go on"
    assert one.count(RoutesLearned) == 0
    assert one.status().state is SessionState.ESTABLISHED, "the hold timer waits: it is ARM that does not read"
    one.backlog = 0
    one.wait(RoutesLearned)


# --- collisions ------------------------------------------------------------------------------------------------------


def test_the_accepted_connection_stays_if_the_peer_has_the_higher_identifier(desk: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = desk([dataclasses.replace(LEARN, connect=True, port=server.getsockname()[1], router_id="9.9.9.9")])
        dialled = Talk(server.accept()[0])
        called = one.call()
        dialled.expect(OPEN)
        called.expect(OPEN)
        dialled.send(make_open(REMOTE))
        assert dialled.receive()[0] == KEEPALIVE
        called.send(make_open(REMOTE))
        assert dialled.notified() == (6, 7)
        assert called.receive()[0] == KEEPALIVE
        called.send(KEEPALIVE_MESSAGE)
        one.wait(FeedUp)


def test_the_dialled_connection_stays_if_arm_has_the_higher_identifier(desk: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = dataclasses.replace(LEARN, connect=True, port=server.getsockname()[1], router_id="200.0.0.1")
        one = desk([peer])
        dialled = Talk(server.accept()[0])
        called = one.call()
        dialled.expect(OPEN)
        called.expect(OPEN)
        dialled.send(make_open(REMOTE))
        assert dialled.receive()[0] == KEEPALIVE
        called.send(make_open(REMOTE))
        assert called.notified() == (6, 7)
        dialled.send(KEEPALIVE_MESSAGE)
        one.wait(FeedUp)


def test_a_second_connection_does_not_disturb_an_established_session(desk: Make) -> None:
    one = desk([dataclasses.replace(LEARN, restart_time=0)])
    first = one.established()
    second = one.call()
    second.expect(OPEN)
    second.send(make_open(REMOTE))
    assert second.notified() == (6, 7)
    first.send(ANNOUNCEMENT)
    one.wait(RoutesLearned)
    assert one.count(FeedDown) == 0


def test_a_restarted_peer_replaces_its_old_connection(desk: Make) -> None:
    one = desk()
    first = one.established()
    second = one.call()
    second.establish()
    down, up = one.wait(FeedDown), one.wait(FeedUp, 2)
    assert one.events.index(down) < one.events.index(up)
    assert down.retain == REMOTE.restart_time
    talk_closed_silently(first)


def test_a_peer_that_calls_again_gives_up_its_unfinished_connection(desk: Make) -> None:
    one = desk()
    first = one.call()
    first.expect(OPEN)
    one.established()
    first.closed()
    assert one.count(FeedUp) == 1


# --- dialling --------------------------------------------------------------------------------------------------------


def test_arm_dials_until_somebody_answers(desk: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    one = desk([dataclasses.replace(LEARN, connect=True, port=port)], retry=0.05)
    until(lambda: "ECONNREFUSED" in one.status().reason)
    with socket.create_server(("127.0.0.1", port)) as server:
        talk = Talk(server.accept()[0])
        talk.establish()
        one.wait(FeedUp)
        talk.reset()
        one.wait(FeedDown)
        Talk(server.accept()[0]).establish()
        assert one.wait(FeedUp, 2).feed.generation == 2


# --- a pushing session -----------------------------------------------------------------------------------------------


def test_a_target_session_sends_what_it_is_given_and_says_when(desk: Make) -> None:
    one = desk()
    answers: list[bool] = []
    one.speaker.send("target", ANNOUNCEMENT, answers.append)
    until(lambda: answers == [False])
    talk = one.established(PUSH.address)
    assert one.wait(SessionUp).families == {Family.IPV4, Family.IPV6}
    one.speaker.send("target", iter([ANNOUNCEMENT, end_of_rib(Family.IPV4)]), answers.append)
    until(lambda: answers == [False, True])
    assert message(UPDATE, talk.expect(UPDATE)) == ANNOUNCEMENT
    assert end_of_rib_family(talk.expect(UPDATE)) is Family.IPV4
    assert one.status(PUSH.address).updates_out == 2
    talk.reset()
    assert "reset" in one.wait(SessionDown).reason.lower()


def test_what_waits_for_a_peer_that_does_not_read_is_answered_when_it_goes(desk: Make) -> None:
    one = desk()
    talk = one.established(PUSH.address)
    answers: list[bool] = []
    made = 0

    def endless() -> object:
        nonlocal made
        while True:
            made += 1
            yield ANNOUNCEMENT * 1000

    one.speaker.send("target", endless(), answers.append)  # type: ignore[arg-type]
    until(lambda: made > 10)
    until(lambda: len({made, time.sleep(0.2), made}) == 2, what="the socket is full")
    assert answers == []
    talk.reset()
    until(lambda: answers == [False])


def test_what_a_target_announces_is_not_learned(desk: Make) -> None:
    one = desk()
    one.established(PUSH.address).send(ANNOUNCEMENT)
    until(lambda: one.status(PUSH.address).updates_in == 1)
    assert one.count(RoutesLearned) == 0


def test_a_route_refresh_of_the_target_is_told(desk: Make) -> None:
    one = desk()
    talk = one.established(PUSH.address)
    talk.send(route_refresh(Family.IPV4))
    assert one.wait(RefreshRequested).family is Family.IPV4
    assert one.count(SessionUp) == 1


def test_arm_asks_for_a_route_refresh(desk: Make) -> None:
    one = desk()
    talk = one.established()
    talk.send(end_of_rib(Family.IPV4), end_of_rib(Family.IPV6))
    one.wait(FeedComplete, 2)
    one.speaker.refresh("reflector")
    bodies = []
    while len(bodies) < 2:
        kind, body = talk.receive()
        bodies += [body] if kind == ROUTE_REFRESH else []
    assert bodies == [bytes.fromhex("00010001"), bytes.fromhex("00020001")]


# --- the end ---------------------------------------------------------------------------------------------------------


def test_stopping_says_so_to_the_peers(desk: Make) -> None:
    one = desk()
    talk = one.established(PUSH.address)
    one.speaker.stop("switch goes to the workshop")
    body = talk.expect(NOTIFICATION)
    assert body == bytes((6, 2)) + shutdown_communication("switch goes to the workshop")
    assert one.status().state is SessionState.IDLE


def test_stopping_to_keep_the_routes_is_silent(desk: Make) -> None:
    one = desk()
    talk = one.established(PUSH.address)
    one.speaker.stop(keep=True)
    talk_closed_silently(talk)


def test_what_comes_after_the_end_is_answered(desk: Make) -> None:
    one = desk()
    one.speaker.stop()
    answers: list[bool] = []
    one.speaker.send("target", ANNOUNCEMENT, answers.append)
    one.speaker.reset("target", "too late")
    one.speaker.refresh("reflector")
    until(lambda: answers == [False])


def test_a_speaker_that_was_never_started_closes_its_sockets() -> None:
    listener = listen("127.0.0.1", 0)
    speaker = Speaker(listeners=[listener], peers=[LEARN], emit=lambda event: None)
    speaker.stop()
    assert listener.fileno() == -1
    speaker.stop()


def test_an_answer_never_comes_within_send(desk: Make) -> None:
    one = desk()
    lock = threading.Lock()
    answers: list[bool] = []

    def done(written: bool) -> None:
        with lock:
            answers.append(written)

    for stopped in (False, True):
        if stopped:
            one.speaker.stop()
        with lock:
            one.speaker.send("target", b"", done)
            assert len(answers) == stopped
        until(lambda: len(answers) == 1 + stopped)  # noqa: B023
    assert answers == [False, False]


def test_a_session_that_was_shut_takes_nobody_in(desk: Make) -> None:
    one = desk()
    talk = one.established(PUSH.address)
    one.speaker.shut("target", "bye", keep=False)
    assert talk.notified() == (6, 2)
    one.call(PUSH.address).closed()
    assert one.status(PUSH.address).state is SessionState.IDLE


def test_a_bug_in_the_thread_is_seen_from_outside(desk: Make) -> None:
    caught: list[BaseException] = []
    one = desk(on_failure=caught.append)
    one.speaker.watch("target", lambda event: 1 / 0)
    target = one.call(PUSH.address)
    target.expect(OPEN)
    target.send(make_open(REMOTE), KEEPALIVE_MESSAGE)
    until(lambda: caught)
    assert isinstance(one.speaker.failed, ZeroDivisionError)
    talk_closed_silently(target)
    one.fails = True


@pytest.mark.parametrize(
    ("peers", "text"),
    [
        ([LEARN, dataclasses.replace(PUSH, name="reflector")], "named"),
        ([LEARN, dataclasses.replace(PUSH, address=LEARN.address)], "same address"),
    ],
)
def test_peers_that_can_not_stand_side_by_side_are_refused(peers: list[Peer], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Speaker(listeners=[], peers=peers, emit=lambda event: None)


def test_roles_are_what_the_configuration_calls_them() -> None:
    assert [role.value for role in Role] == ["learn", "push"]
