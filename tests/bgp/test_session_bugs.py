"""A bug in ARM that one peer's octets bring about ends that session and no other; a bug elsewhere ends the daemon."""

from __future__ import annotations

import dataclasses
import logging
import socket
from collections.abc import Callable

import pytest
from polling import until
from scripted_peer import LEARN, PUSH, REMOTE, Desk, Talk
from test_sessions import ANNOUNCEMENT, RAW, ending, talk_closed_silently

from arm.bgp.dialer import DAMP_FORGET, DAMP_LIMIT, Damper
from arm.bgp.events import SessionDown, SessionUp
from arm.bgp.learner import Learner
from arm.bgp.opens import make_open
from arm.bgp.wire import KEEPALIVE_MESSAGE, OPEN, UPDATE, end_of_rib, message
from arm.model import Family, FeedComplete, FeedDown, FeedUp, RoutesLearned, SessionState

Make = Callable[..., Desk]


def test_a_cut_off_prefix_with_a_path_identifier_ends_its_session_and_no_other(desk: Make) -> None:
    one = desk([dataclasses.replace(LEARN, add_path=True), PUSH])
    target = one.established(PUSH.address)
    one.wait(SessionUp)
    talk = one.established(opened=sending_paths())
    cut = b"\0\0" + len(RAW).to_bytes(2, "big") + RAW + b"\0\0\0\x01" + bytes((25,)) + b"\x0a\x00"
    talk.send(message(UPDATE, cut))
    assert ending(talk) == (3, 10)
    assert one.wait(FeedDown).reason.startswith("sent 3/10")
    answers: list[bool] = []
    one.speaker.send("target", ANNOUNCEMENT, answers.append)
    target.expect(UPDATE)
    until(lambda: answers == [True])
    assert one.count(SessionDown) == 0
    one.established(opened=sending_paths())
    one.wait(FeedUp, 2)


def sending_paths() -> bytes:
    """An OPEN that offers to send several paths of an IPv4 prefix (RFC 7911 section 4), added as a parameter."""
    plain = make_open(REMOTE)[19:]
    body = plain[:9] + bytes((plain[9] + 8,)) + plain[10:] + bytes((2, 6, 69, 4, 0, 1, 1, 2))
    return message(OPEN, body)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A learner that stumbles over each End-of-RIB; the call mends it."""

    def stumble(self: Learner, family: Family, now: float) -> None:
        raise KeyError(family)

    monkeypatch.setattr(Learner, "end_of_rib", stumble)
    return monkeypatch.undo


def test_a_bug_that_a_peers_octets_bring_about_ends_its_session_and_no_other(
    desk: Make, broken: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    one = desk()
    target = one.established(PUSH.address)
    talk = one.established()
    talk.send(ANNOUNCEMENT, end_of_rib(Family.IPV4))
    assert ending(talk) == (6, 0)
    down = one.wait(FeedDown)
    assert "KeyError" in down.reason
    assert "KeyError" in one.status().reason
    assert one.events.index(one.wait(RoutesLearned)) < one.events.index(down), "what came before counts"
    (record,) = [record for record in caplog.records if record.exc_info]
    assert (record.levelno, "session=reflector" in record.message) == (logging.ERROR, True)
    answers: list[bool] = []
    one.speaker.send("target", ANNOUNCEMENT, answers.append)
    target.expect(UPDATE)
    until(lambda: answers == [True])
    broken()

    def back() -> bool:
        talk = one.call()
        try:
            talk.establish()
        except (EOFError, ConnectionError):  # it is kept out for a while
            return False
        talk.send(end_of_rib(Family.IPV4))
        return True

    until(back)
    one.wait(FeedComplete)


def test_the_peer_is_kept_out_for_a_while_after_a_bug(desk: Make, broken: Callable[[], None]) -> None:
    one = desk()
    talk = one.established()
    talk.send(end_of_rib(Family.IPV4))
    assert ending(talk) == (6, 0)
    until(lambda: one.status().state is SessionState.IDLE)
    one.call().closed()
    assert one.count(FeedUp) == 1
    until(lambda: one.status().state is SessionState.ACTIVE)


def test_a_session_that_ended_by_a_bug_is_not_dialled_at_once(desk: Make, broken: Callable[[], None]) -> None:
    clock = Clock()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        peer = dataclasses.replace(LEARN, connect=True, port=server.getsockname()[1])
        one = desk([peer], retry=0.001, clock=clock.now)
        for bug in range(4):
            talk = Talk(server.accept()[0])
            talk.establish()
            talk.send(end_of_rib(Family.IPV4))
            assert ending(talk) == (6, 0)
            until(lambda: one.status().state is SessionState.IDLE)
            clock.ahead += 0.99 * 2.0**bug
            for _ in range(3):
                one.another_round()
                assert one.status().state is SessionState.IDLE
            assert one.count(FeedUp) == bug + 1
            clock.ahead += 0.01 * 2.0**bug
            one.another_round()


class Clock:
    """A clock that goes when told to; what is polled for does not wait for it."""

    def __init__(self) -> None:
        self.ahead = 1000.0

    def now(self) -> float:
        return self.ahead


def test_the_wait_doubles_up_to_its_limit_and_is_forgotten() -> None:
    damper = Damper()
    now, waits = 0.0, []
    for _ in range(12):
        waits.append(damper.bug(now) - now)
        assert damper.closed(now)
        now += waits[-1]
        assert not damper.closed(now)
        now += 30.0  # established, until the same octets have come again
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == DAMP_LIMIT
    now += DAMP_FORGET
    assert damper.bug(now) - now == 1


def stumble(*_: object) -> int:
    raise ZeroDivisionError


def test_a_bug_in_what_takes_the_events_or_answers_is_no_sessions_and_ends_the_thread(desk: Make) -> None:
    caught: list[BaseException] = []
    one = desk(on_failure=caught.append)
    target = one.established(PUSH.address)
    one.speaker.send("target", ANNOUNCEMENT, stumble)
    until(lambda: caught)
    assert isinstance(one.speaker.failed, ZeroDivisionError)
    target.expect(UPDATE)
    talk_closed_silently(target)
    one.fails = True


def test_a_bug_in_the_speakers_own_loop_ends_the_thread(desk: Make) -> None:
    caught: list[BaseException] = []
    one = desk(on_failure=caught.append)
    learner = one.established()
    one.speaker._backlog = stumble
    learner.send(KEEPALIVE_MESSAGE)
    until(lambda: caught)
    assert isinstance(one.speaker.failed, ZeroDivisionError)
    one.fails = True
