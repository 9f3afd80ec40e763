"""The engine's thread: events, questions, samples, and how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from arm.config import Config
from arm.core.engine import Engine
from arm.daemon.loop import EngineLoop
from arm.model import (
    COUNT_BITS,
    Applied,
    Attributes,
    Event,
    Family,
    Feed,
    FeedComplete,
    FeedDown,
    FeedUp,
    Plan,
    Prefix,
    PrefixState,
    RoutesLearned,
    TargetUp,
    TrafficBatch,
    parse_prefix,
)

FEED = Feed("reflector", "127.0.0.1", 1, 65000, "192.0.2.1")
PREFIX = parse_prefix("192.0.2.0/24")
DEFAULT = parse_prefix("0.0.0.0/0")


class Samples:
    """Hands out one batch for each release of `ready`."""

    def __init__(self) -> None:
        self.batches: list[TrafficBatch] = []

    def take(self) -> TrafficBatch:
        return self.batches.pop() if self.batches else TrafficBatch()


class Running:
    """A loop on a thread of its own."""

    def __init__(self) -> None:
        self.samples = Samples()
        self.plans: list[Plan] = []
        self.planned = threading.Event()
        self.published = threading.Semaphore(0)
        self.kept: list[Prefix] = []
        self.kept_before: list[int] = []
        """How many were kept when the target was told of each plan."""
        self.engine = Engine(Config(), 0.0, 0)
        self.loop = EngineLoop(
            self.engine,
            samples=self.samples,
            apply=self._apply,
            keep=lambda rows: self.kept.extend(row[0] for row in rows),
            publish=lambda seconds: self.published.release(),
        )
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)

    def _apply(self, plan: Plan) -> None:
        self.plans.append(plan)
        self.kept_before.append(len(self.kept))
        if plan.changes:
            self.planned.set()

    def _run(self) -> None:
        try:
            self.loop.run()
        except BaseException as error:
            self.error = error


@contextmanager
def running() -> Iterator[Running]:
    run = Running()
    run.thread.start()
    try:
        yield run
    finally:
        run.loop.stop()
        run.thread.join(10)
        assert not run.thread.is_alive()


def teach(run: Running, prefixes: list[Prefix]) -> None:
    run.loop.emit(FeedUp(FEED))
    run.loop.emit(RoutesLearned(FEED, [(Attributes(FEED, bytes(4), b""), prefixes)]))
    run.loop.emit(FeedComplete(FEED, Family.IPV4))


def learners(run: Running) -> list[threading.Thread]:
    """The thread that took in each event of routes from now on."""
    threads = []
    handle = run.engine.handle

    def handled(event: Event, now: float) -> Plan | None:
        if isinstance(event, RoutesLearned):
            threads.append(threading.current_thread())
        return handle(event, now)

    run.engine.handle = handled  # type: ignore[method-assign]
    return threads


def test_events_samples_and_plans_flow_through() -> None:
    with running() as run:
        teach(run, [PREFIX])
        run.loop.emit(TargetUp())
        batch = TrafficBatch(destinations4={PREFIX[0]: 1000 << COUNT_BITS | 1}, samples=1)
        run.loop.ask(lambda engine: None)
        run.samples.batches.append(batch)
        assert run.planned.wait(10)
        assert [change.prefix for plan in run.plans for change in plan.changes] == [PREFIX]
        assert run.loop.ask(lambda engine: engine.state_of([PREFIX])) == [PrefixState.INSTALLED]


def test_what_is_chosen_is_written_down_before_the_target_hears_of_it() -> None:
    with running() as run:
        teach(run, [PREFIX])
        run.loop.emit(TargetUp())
        run.loop.ask(lambda engine: None)
        run.samples.batches.append(TrafficBatch(destinations4={PREFIX[0]: 1000 << COUNT_BITS | 1}, samples=1))
        assert run.planned.wait(10)
        assert (run.kept, run.kept_before[-1]) == ([PREFIX], 1)


def test_what_was_remembered_and_what_the_table_takes_out_is_written_down_already() -> None:
    with running() as run:
        run.engine.families[Family.IPV4].selection.recall(PREFIX, 1000.0, 1.0, chosen=True, now=0.0)
        run.loop.emit(TargetUp())
        teach(run, [PREFIX])
        assert run.planned.wait(10)
        run.loop.emit(RoutesLearned(FEED, [(None, [PREFIX])]))
        assert run.loop.ask(lambda engine: engine.state_of([PREFIX])) == [PrefixState.NO_ROUTE]
        assert [len(plan.changes) for plan in run.plans] == [1, 1]
        assert run.kept == []


def test_the_first_table_is_learned_by_who_brings_it_and_later_routes_by_the_engine() -> None:
    with running() as run:
        threads = learners(run)
        teach(run, [PREFIX])
        run.loop.emit(FeedComplete(FEED, Family.IPV6))
        assert threads == [threading.current_thread()]
        until = time.monotonic() + 10
        while threads[-1] is not run.thread and time.monotonic() < until:  # the next tick sees that the table is there
            run.loop.emit(RoutesLearned(FEED, [(Attributes(FEED, bytes(4), b""), [DEFAULT])]))
            assert run.loop.ask(lambda engine: run.engine.families[Family.IPV4].rib.winner(DEFAULT)) is not None
        assert threads[-1] is run.thread


def test_a_family_that_has_its_table_is_learned_by_the_engine_while_the_other_one_is_still_coming() -> None:
    with running() as run:
        threads = learners(run)
        run.loop.emit(FeedUp(FEED))
        run.loop.emit(FeedComplete(FEED, Family.IPV6))
        run.loop.ask(lambda engine: None)
        for prefix in ("2001:db8::/32", "192.0.2.0/24", "2001:db8:1::/48"):
            run.loop.emit(RoutesLearned(FEED, [(Attributes(FEED, bytes(4), b""), [parse_prefix(prefix)])]))
            run.loop.ask(lambda engine: None)
        assert threads == [run.thread, threading.current_thread(), run.thread]


def test_routes_of_the_first_table_wait_in_line_behind_what_the_engine_has_not_heard() -> None:
    handled: list[type] = []
    busy, go = threading.Event(), threading.Event()

    def record(event: Event, now: float) -> Plan | None:
        handled.append(type(event))
        return handle(event, now)

    def occupy(engine: object) -> None:
        busy.set()
        go.wait(10)

    with running() as run:
        handle, run.engine.handle = run.engine.handle, record  # type: ignore[method-assign]
        asker = threading.Thread(target=run.loop.ask, args=(occupy,))
        asker.start()
        assert busy.wait(10)
        teach(run, [PREFIX])
        assert handled == []
        assert run.loop.backlog() == 1
        go.set()
        asker.join(10)
        assert run.loop.ask(lambda engine: run.engine.families[Family.IPV4].rib.winner(PREFIX)) is not None
        assert handled == [FeedUp, RoutesLearned, FeedComplete]


def test_the_backlog_counts_prefixes_until_they_are_learned() -> None:
    run = Running()
    teach(run, [PREFIX, parse_prefix("10.0.0.0/8")])
    assert run.loop.backlog() == 2
    run.thread.start()
    run.loop.ask(lambda engine: None)
    assert run.loop.backlog() == 0
    run.loop.stop()
    run.thread.join(10)


def test_what_a_question_raises_is_raised_where_it_was_asked() -> None:
    with running() as run:
        with pytest.raises(ValueError, match="nonsense"):
            run.loop.ask(lambda engine: engine.explain("nonsense"))
        assert run.loop.ask(lambda engine: 7) == 7


def test_who_asks_a_busy_engine_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arm.daemon.loop.ANSWER_WITHIN", 0.05)
    busy, go = threading.Event(), threading.Event()

    def slow(engine: object) -> None:
        busy.set()
        go.wait(10)

    def ask_slowly() -> None:
        with pytest.raises(TimeoutError):
            run.loop.ask(slow)

    with running() as run:
        asker = threading.Thread(target=ask_slowly)
        asker.start()
        assert busy.wait(10)
        with pytest.raises(TimeoutError):
            run.loop.ask(lambda engine: 1)
        asker.join(10)
        assert not asker.is_alive()
        go.set()


def test_what_a_target_dropped_when_it_came_up_anew_counts_as_no_reaction() -> None:
    with running() as run:
        teach(run, [PREFIX])
        run.loop.emit(TargetUp())
        run.loop.ask(lambda engine: None)
        run.samples.batches.append(TrafficBatch(destinations4={PREFIX[0]: 1000 << COUNT_BITS | 1}, samples=1))
        assert run.planned.wait(10)
        plan = next(plan for plan in run.plans if plan.changes)
        run.loop.emit(TargetUp(epoch=2))
        run.loop.emit(Applied(plan.number, len(plan.changes)))
        run.loop.ask(lambda engine: None)
        assert sum(run.loop.reactions.copy().counts) == 0


def test_it_publishes_once_a_second() -> None:
    with running() as run:
        assert run.published.acquire(timeout=10)
        assert run.published.acquire(timeout=10)


def test_a_failure_elsewhere_ends_it() -> None:
    with running() as run:
        failure = RuntimeError("socket gone")
        run.loop.fail(failure)
        run.thread.join(10)
        assert not run.thread.is_alive()
        assert run.loop.failure is failure


def test_a_bug_in_the_engine_ends_it_with_the_bug() -> None:
    with running() as run:
        run.loop.emit("no event")  # type: ignore[arg-type]
        run.thread.join(10)
        assert isinstance(run.error, AssertionError)


def test_the_table_is_there_when_every_family_that_is_taught_is_complete() -> None:
    engine = Engine(Config(), 0.0, 0)
    assert not engine.settled, "nobody teaches anything"
    engine.handle(FeedUp(FEED, frozenset({Family.IPV4})), 0.0)
    assert not engine.settled
    engine.handle(FeedComplete(FEED, Family.IPV4), 1.0)
    assert engine.settled, "IPv6 is not waited for"
    other = Feed("reflector6", "::1", 1, 65000, "192.0.2.1")
    engine.handle(FeedUp(other, frozenset({Family.IPV6})), 2.0)
    assert not engine.settled
    engine.handle(FeedComplete(other, Family.IPV6), 3.0)
    assert engine.settled


def test_questions_samples_and_updates_are_served_between_two_portions_of_a_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("arm.core.rib._PORTION", 100)
    monkeypatch.setattr("arm.core.rib._PART_BITS", 8)
    rest = threading.Event()

    def slowly(now: float) -> Plan | None:
        """A few portions, and the rest when everything else has been seen to."""
        swept.append(now)
        return sweep(now) if len(swept) < 4 or rest.is_set() else None

    with running() as run:
        swept: list[float] = []
        sweep, run.engine.sweep = run.engine.sweep, slowly  # type: ignore[method-assign]
        teach(run, [PREFIX, *((bytes([10 + n % 50, n // 50, 0, 0]), 16) for n in range(5000))])
        run.loop.emit(TargetUp())
        run.loop.ask(lambda engine: None)
        # The session comes back, and what it has not taught again is dropped.
        again = Feed("reflector", "127.0.0.1", 2, 65000, "192.0.2.1")
        run.loop.emit(FeedUp(again, lost=frozenset({Family.IPV4})))
        run.loop.emit(RoutesLearned(again, [(Attributes(again, bytes(4), b""), [PREFIX])]))
        rib = run.engine.families[Family.IPV4].rib
        until = time.monotonic() + 10
        while len(swept) < 5 and time.monotonic() < until:
            assert run.loop.ask(lambda engine: len(rib)) > 1
        run.samples.batches.append(TrafficBatch(destinations4={PREFIX[0]: 1000 << COUNT_BITS | 1}, samples=1))
        assert run.planned.wait(10)
        assert [change.prefix for plan in run.plans for change in plan.changes] == [PREFIX]
        assert run.loop.ask(lambda engine: run.engine.sweeping)
        rest.set()
        while run.loop.ask(lambda engine: run.engine.sweeping) and time.monotonic() < until:
            pass
        assert run.loop.ask(lambda engine: len(rib)) == 1


def test_a_loop_that_sweeps_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arm.core.rib._PORTION", 1)
    with running() as run:
        teach(run, [(bytes([10, n >> 8, n & 255, 0]), 24) for n in range(20_000)])
        run.loop.emit(FeedDown(FEED, "test", 0.0, frozenset({Family.IPV4})))
        while not run.loop.ask(lambda engine: run.engine.sweeping):
            pass
    assert run.error is None
