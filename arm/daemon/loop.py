"""The engine's thread: everything that touches the table, the traffic and the choice happens here, one after the other.

I/O threads put events into a queue (`emit`), readers put questions. The loop takes what the sFlow listener has
gathered twenty times a second, so a sample waits at most that long, and publishes what is true once a second. `backlog`
tells the BGP thread how many prefixes wait here, so that it stops reading before memory fills.

Until the table is there, the BGP thread puts the routes into it itself, in the engine's turn
(docs/decisions/005-the-first-table.md). Invariants: whoever touches the engine holds `_turn`; what sessions teach is
taken in in the order of their `emit`.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty
from typing import Final, Protocol, TypeVar

from arm.core.engine import Engine
from arm.core.queries import Queries
from arm.daemon.waiting import Waiting
from arm.model import (
    Applied,
    Event,
    FeedComplete,
    FeedDown,
    FeedUp,
    Plan,
    Remembered,
    RoutesLearned,
    TargetDown,
    TargetUp,
    Traffic,
    TrafficBatch,
)
from arm.observe.distribution import REACTION_BOUNDS, TICK_BOUNDS, Histogram
from arm.observe.reader import Reader

log = logging.getLogger(__name__)

T = TypeVar("T")

_TAUGHT: Final = (RoutesLearned, FeedUp, FeedComplete, FeedDown)
"""Events of the sessions that teach, whose order counts."""

TAKE_EVERY: Final = 0.05
"""Seconds between two looks at the samples."""
TICK_EVERY: Final = 1.0
SWITCH_INTERVAL: Final = 0.0005
"""Seconds a thread keeps the interpreter once there is a table: short enough that samples do not wait for the engine.
Until then, nobody waits for anything but the table, and Python's own five milliseconds save a twentieth of the time."""
_CATCH_UP: Final = 0.05
"""Seconds that the thread of the sessions waits for its turn with the first table, before it queues what it has."""
_SERVE_FIRST: Final = 0.02
"""Seconds for which what waits is served between two portions of a sweep: about as long as a portion takes."""
ANSWER_WITHIN: Final = 2.0
"""Seconds after which who asked is told that the engine is busy."""


class Samples(Protocol):
    """Where the samples come from: the listener."""

    def take(self) -> TrafficBatch: ...


class _Question:
    """Something to be run on the engine's thread, and the place for its answer."""

    __slots__ = ("answer", "ask", "done", "error", "given_up")

    def __init__(self, ask: Callable[[Reader], object]) -> None:
        self.ask = ask
        self.done = threading.Event()
        self.answer: object = None
        self.error: BaseException | None = None
        self.given_up = False


class _Action:
    """Something to be done on the engine's thread, for which nobody waits."""

    __slots__ = ("act",)

    def __init__(self, act: Callable[[], Plan | None]) -> None:
        self.act = act


class EngineLoop:
    """Runs an engine on the calling thread. Others may call `emit`, `ask`, `soon`, `backlog`, `stop` and `fail`."""

    def __init__(
        self,
        engine: Engine,
        *,
        samples: Samples,
        apply: Callable[[Plan], None],
        publish: Callable[[float], None],
        keep: Callable[[Sequence[Remembered]], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`publish` is called after each tick with the seconds that the tick took.

        `keep` is told what is chosen or given up (see Engine.take_turns) before `apply` is.
        """
        self._engine = engine
        self._queries = Queries(engine)
        self._samples = samples
        self._apply = apply
        self._publish = publish
        self._keep = keep
        if keep is not None:
            engine.keep_turns()
        self._clock = clock
        self._queue: Waiting[Event | _Question | _Action | None] = Waiting()
        self._turn = threading.Lock()
        self._settled = False
        """The table is there."""
        self._told = 0
        """Events of sessions that were queued; their thread's own count."""
        self._heard = 0
        """Those of them that have been taken in."""
        self._queued = 0
        self._handled = 0
        self._sizes: deque[int] = deque()
        """Prefixes in each RoutesLearned that waits."""
        self._stopping = False
        self.ticks = Histogram(TICK_BOUNDS)
        """Seconds that ticks took."""
        self.reactions = Histogram(REACTION_BOUNDS)
        """Seconds from the oldest sample that a plan may go back to until the target has applied it."""
        self._sampled: dict[int, float] = {}
        self.busy = False
        """True while the thread has something to do: what can wait makes way for it."""
        self.failure: BaseException | None = None
        """What made another thread give up; the loop ends on it."""

    # --- any thread --------------------------------------------------------------------------------------------------

    def emit(self, event: Event) -> None:
        """Queue an event, which never blocks. Routes of the first table are learned before this returns if possible.

        What sessions teach must come from one thread only: it is counted without a lock.
        """
        if isinstance(event, _TAUGHT):
            if isinstance(event, RoutesLearned):
                if not self._settled and self._caught_up() and self._learn(event):
                    return
                size = sum([len(prefixes) for _, prefixes in event.updates])
                self._sizes.append(size)
                self._queued += size
            self._told += 1
        self._queue.put(event)

    def _caught_up(self) -> bool:
        """On the thread of the sessions: True when the engine has taken in all that it has queued; waits a moment."""
        until = self._clock() + _CATCH_UP
        while self._told != self._heard and self._clock() < until:
            time.sleep(0.001)
        return self._told == self._heard

    def _learn(self, event: RoutesLearned) -> bool:
        """On the thread of the sessions: take in routes of which nothing that is queued has to know first.

        Not those of a family that has its table: a plan of this thread could overtake one of the engine's.
        """
        with self._turn:
            if self._stopping or not self._engine.only_fills(event):
                return False
            plan = self._engine.handle(event, self._clock())
        assert plan is None, "a table that is not complete calls for no change"
        return True

    def backlog(self) -> int:
        """Prefixes that wait to be learned."""
        return self._queued - self._handled

    def ask(self, question: Callable[[Reader], T], /) -> T:
        """Run `question` on the engine's thread; what it raises is raised here. TimeoutError if the engine is busy."""
        asked = _Question(question)
        self._queue.put(asked)
        if not asked.done.wait(ANSWER_WITHIN):
            asked.given_up = True
            raise TimeoutError("the engine is busy")
        if asked.error is not None:
            raise asked.error
        return asked.answer  # type: ignore[return-value]

    def soon(self, act: Callable[[], Plan | None]) -> None:
        """Have something done on the engine's thread, and the plan that it gives; safe in a signal handler."""
        self._queue.put(_Action(act))

    def stop(self) -> None:
        """End the loop; safe in a signal handler."""
        self._stopping = True
        self._queue.put(None)

    def fail(self, error: BaseException) -> None:
        """End the loop because a thread of the daemon cannot go on; the first one's reason is kept."""
        self.failure = self.failure or error
        self.stop()

    # --- the engine's thread -----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until `stop`."""
        try:
            self._run()
        finally:
            with self._turn:
                self._stopping = True

    def _run(self) -> None:
        clock = self._clock
        now = clock()
        next_take, next_tick = now, now + TICK_EVERY
        taken = now
        while not self._stopping:
            due = min(next_take, next_tick)
            if self._engine.sweeping:
                self._sweep(due)
            else:
                self.busy = False
                try:
                    item = self._queue.get(due - clock())
                    self.busy = True
                    self._serve(item)
                    self._serve_until(due)
                except Empty:
                    pass
            self.busy = True
            now = clock()
            if now >= next_take:
                batch = self._samples.take()
                if batch.samples:
                    with self._turn:
                        plan = self._engine.handle(Traffic(batch, now - taken), now)
                    if plan is not None:
                        self._sampled[plan.number] = taken
                    self._do(plan)
                taken = now
                next_take = now + TAKE_EVERY
            if now >= next_tick:
                with self._turn:
                    plan = self._engine.tick(now)
                self._do(plan)
                next_tick = max(next_tick + TICK_EVERY, now)
                seconds = clock() - now
                self.ticks.add(seconds)
                with self._turn:
                    self._publish(seconds)
                if not self._settled and self._engine.settled:
                    self._settled = True
                    sys.setswitchinterval(SWITCH_INTERVAL)
                    # The table is there to stay: the collector need not walk it again and again.
                    gc.collect()
                    gc.freeze()

    def _sweep(self, due: float) -> None:
        """Serve and sweep by turns until `due`, once at least: neither waits for the other for more than moments."""
        clock = self._clock
        while self._engine.sweeping and not self._stopping:
            self._serve_until(min(clock() + _SERVE_FIRST, due))
            with self._turn:
                plan = self._engine.sweep(clock())
            self._do(plan)
            if clock() >= due:
                break

    def _serve_until(self, due: float) -> None:
        """Serve what waits."""
        try:
            while self._clock() < due:
                self._serve(self._queue.get(0.0))
        except Empty:
            pass

    def _serve(self, item: Event | _Question | _Action | None) -> None:
        if item is None:
            return
        if isinstance(item, _Question):
            self._answer(item)
            return
        if isinstance(item, _Action):
            with self._turn:
                plan = item.act()
            self._do(plan)
            return
        with self._turn:
            plan = self._engine.handle(item, self._clock())
        if isinstance(item, _TAUGHT):
            self._heard += 1
        if isinstance(item, RoutesLearned):
            self._handled += self._sizes.popleft()
        elif isinstance(item, FeedComplete):
            size = len(self._engine.families[item.family].rib)
            log.info("table complete session=%s family=%s prefixes=%d", item.feed.name, item.family.label, size)
        elif isinstance(item, Applied):
            sampled = self._sampled.pop(item.plan, None)
            if sampled is not None and item.done:
                self.reactions.add(self._clock() - sampled)
        elif isinstance(item, (TargetDown, TargetUp)):
            # What was in flight is never told of, or not as a reaction to these samples.
            self._sampled.clear()
        self._do(plan)

    def _answer(self, question: _Question) -> None:
        if question.given_up:
            return
        try:
            with self._turn:
                question.answer = question.ask(self._queries)
        except BaseException as error:
            question.error = error
        question.done.set()

    def _do(self, plan: Plan | None) -> None:
        if self._keep is not None:
            with self._turn:
                turns = self._engine.take_turns()
            if turns:
                self._keep(turns)
        if plan is None:
            return
        if log.isEnabledFor(logging.DEBUG):
            log_changes(plan)
        self._apply(plan)


def log_changes(plan: Plan) -> None:
    """One line for each change, for those who want to see everything."""
    from arm.model import format_next_hop, format_prefix

    for change in plan.changes:
        prefix = format_prefix(change.prefix)
        if change.entry is None:
            log.debug("route removed prefix=%s reason=%r plan=%d", prefix, change.reason.value, plan.number)
        else:
            hop = format_next_hop(change.entry.next_hop)
            kind = change.entry.kind.value
            log.debug(
                "route installed prefix=%s kind=%s nexthop=%s reason=%r plan=%d",
                prefix, kind, hop, change.reason.value, plan.number,
            )  # fmt: skip
