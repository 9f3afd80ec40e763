"""The board: latest status, questions, shared answers, threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_arm import NOW_MS, FakeEngine, status
from polling import until

from arm.model import Family
from arm.observe.board import RENEWALS, Board, Busy, Starting
from arm.observe.reader import Reader


def test_the_latest_status_is_read() -> None:
    board = Board(FakeEngine().ask)
    with pytest.raises(Starting):
        board.status()
    board.publish(status(NOW_MS))
    board.publish(status(NOW_MS + 1000))
    assert board.status().time_ms == NOW_MS + 1000


def test_earlier_is_the_newest_that_is_old_enough() -> None:
    board = Board(FakeEngine().ask)
    assert board.earlier(10) is None
    for second in range(5):
        board.publish(status(NOW_MS + second * 1000))
    earlier = board.earlier(2)
    assert earlier is not None
    assert earlier.time_ms == NOW_MS + 2000
    oldest = board.earlier(60)
    assert oldest is not None
    assert oldest.time_ms == NOW_MS


def test_recent_is_what_was_published_within_so_many_seconds() -> None:
    board = Board(FakeEngine().ask)
    assert board.recent(10) == []
    for second in range(100):
        board.publish(status(NOW_MS + second * 1000))
    assert [one.time_ms for one in board.recent(3)] == [NOW_MS + 97_000, NOW_MS + 98_000, NOW_MS + 99_000]
    assert len(board.recent(1000)) == 61


def test_a_timeout_of_the_engine_is_busy_and_its_errors_come_through() -> None:
    def slow(question: object) -> object:
        raise TimeoutError

    with pytest.raises(Busy, match="ask again"):
        Board(slow).ask(lambda engine: 1)  # type: ignore[arg-type]

    def wrong(engine: Reader) -> int:
        raise ValueError("no prefix")

    with pytest.raises(ValueError, match="no prefix"):
        Board(FakeEngine().ask).ask(wrong)


def test_a_shared_answer_is_given_again_until_it_is_old() -> None:
    now = [100.0]
    engine = FakeEngine()
    board = Board(engine.ask, clock=lambda: now[0])

    def question(reader: Reader) -> int:
        return len(reader.installed(Family.IPV4))

    assert board.shared("installed", question) == 3
    now[0] += 0.5
    board.shared("installed", question)
    assert engine.questions == 1
    board.shared("other", question)
    assert engine.questions == 2
    now[0] += 0.1
    board.shared("installed", question)
    assert engine.questions == 3


def test_an_error_is_not_shared() -> None:
    board = Board(FakeEngine().ask)

    def wrong(engine: Reader) -> int:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        board.shared("x", wrong)
    assert board.shared("x", lambda engine: 5) == 5


def test_shared_answers_do_not_pile_up() -> None:
    board = Board(FakeEngine().ask)
    for key in range(1000):
        board.shared(key, lambda engine: object())
    assert len(board._shared) <= 64


def test_those_who_ask_at_once_wait_for_one_answer() -> None:
    asked = threading.Semaphore(0)
    release = threading.Event()
    engine = FakeEngine()

    def slow(reader: Reader) -> int:
        asked.release()
        assert release.wait(5)
        return 7

    board = Board(engine.ask)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(board.shared, "slow", slow) for _ in range(8)]
        assert asked.acquire(timeout=5)
        release.set()
        assert [answer.result(5) for answer in answers] == [7] * 8
    assert engine.questions == 1


def test_an_old_answer_is_given_while_the_next_one_is_made_by_nobody_who_asks() -> None:
    now = [0.0]
    board = Board(FakeEngine().ask, clock=lambda: now[0])
    made: list[str] = []
    go = threading.Event()

    def make() -> int:
        made.append(threading.current_thread().name)
        assert len(made) != 2 or go.wait(5)
        return len(made)

    def ask() -> int:
        return board.once("key", 2.0, make, stale=8.0)

    assert ask() == 1
    now[0] = 3.0
    assert [ask(), ask()] == [1, 1]
    go.set()
    until(lambda: ask() == 2)
    assert made == [threading.current_thread().name, "renew"]
    now[0] = 14.0
    assert ask() == 3
    assert made[-1] == threading.current_thread().name


def test_answers_that_many_share_are_not_forgotten_for_those_of_one() -> None:
    now = [0.0]
    board = Board(FakeEngine().ask, clock=lambda: now[0])
    made: list[int] = []
    for number in range(500):
        now[0] += 1.0
        board.once(("of one", number), 0.5, lambda: None)
        board.once("of many", 2.0, lambda: made.append(1))
    assert len(made) == pytest.approx(500 / 3, abs=2)
    assert len(board._shared) <= 64


def test_an_answer_that_can_not_be_renewed_is_tried_again() -> None:
    now = [0.0]
    board = Board(FakeEngine().ask, clock=lambda: now[0])
    tries: list[int] = []

    def make() -> int:
        tries.append(1)
        if len(tries) == 2:
            raise Busy("busy")
        return len(tries)

    assert board.once("key", 2.0, make, stale=8.0) == 1
    now[0] = 3.0
    until(lambda: board.once("key", 2.0, make, stale=8.0) == 3)


def test_readers_and_the_publisher_never_trip_over_each_other() -> None:
    board = Board(FakeEngine().ask)
    board.publish(status(NOW_MS))
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        last = 0
        while not done.is_set():
            latest = board.status().time_ms
            assert latest >= last
            last = latest
            points = board.trend()
            assert all(len(column) == len(points.times_ms) for column in points.columns.values())
            assert list(points.times_ms) == sorted(points.times_ms)
            assert all(one.time_ms >= NOW_MS for one in board.recent(60))
        seen.append(last)

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        for second in range(1, 400):
            board.publish(status(NOW_MS + second * 1000))
        done.set()
        for reader in readers:
            reader.result(10)
    assert len(seen) == 4


def test_a_bug_in_an_answer_that_is_renewed_is_logged_and_told_to_who_asks_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    board = Board(FakeEngine().ask, clock=lambda: now[0])
    board.once("key", 2.0, lambda: 1, stale=8.0)

    def make() -> int:
        raise ZeroDivisionError("a bug")

    now[0] = 3.0
    assert board.once("key", 2.0, make, stale=8.0) == 1
    until(lambda: "this is a bug in arm" in caplog.text)
    now[0] = 30.0
    with pytest.raises(ZeroDivisionError):
        board.once("key", 2.0, make, stale=8.0)


def test_only_so_many_answers_are_renewed_at_a_time() -> None:
    now = [0.0]
    board = Board(FakeEngine().ask, clock=lambda: now[0])
    gate = threading.Event()
    making = []

    def make(key: int) -> int:
        if now[0]:
            making.append(key)
            assert gate.wait(10.0)
        return int(now[0])

    for key in range(12):
        board.once(key, 2.0, lambda key=key: make(key), stale=8.0)  # type: ignore[misc]
    now[0] = 3.0
    try:
        for key in range(12):
            assert board.once(key, 2.0, lambda key=key: make(key), stale=8.0) == 0  # type: ignore[misc]
        until(lambda: len(making) == RENEWALS)
        assert sum(thread.name == "renew" for thread in threading.enumerate()) == RENEWALS
    finally:
        gate.set()
    # the others have their turn
    until(lambda: all(board.once(k, 2.0, lambda k=k: make(k), stale=8.0) == 3 for k in range(12)))  # type: ignore[misc]
