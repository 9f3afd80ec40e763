"""The analytics as a part of the daemon: one thread, a bounded queue before it, and what REST asks of it.

The sFlow listener hands over the octets of a datagram and goes on; nothing is taken apart on its thread. Without a
definition it hands over only datagrams with counters, so that analytics nobody uses cost nothing. When samples come
faster than they can be counted, datagrams are dropped and counted, and those that were not stand for them: the values
stay right, and get noisier. One lock is held for a batch of samples or for the answer to one question, a few
milliseconds each; it is never held while the engine is asked.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from arm.analytics.cache import Mark
from arm.analytics.definitions import ThresholdDefinition
from arm.analytics.flows import Flow
from arm.analytics.journal import Journal
from arm.analytics.registry import Registry
from arm.analytics.routes import Lookup
from arm.analytics.thresholds import Threshold
from arm.analytics.values import Key, Source, source_text, text_of
from arm.config import AnalyticsConfig
from arm.sflow.datagram import DatagramError
from arm.sflow.records import CounterSample, decode
from arm.walltime import CLOCK
from arm.worker import OnFailure, Worker

log = logging.getLogger(__name__)

_POLL: Final = 0.05
"""Seconds between two looks at the queue while definitions stand."""
_POLL_COUNTERS: Final = 0.5
_BATCH: Final = 64
"""Datagrams that are counted while the lock is held."""
_ATTEMPTS: Final = 3
"""Questions to the table for one batch: a key may need the route of an address that only another function finds."""
_PATIENCE: Final = 0.03
"""Seconds that the analytics stand still at most for each batch while the engine works: longer than it needs for what
it takes from the listener at once, and short enough that an engine that never rests does not end the analytics."""
_LESS_PATIENCE: Final = 0.003
"""The same while more than half of the queue is full."""
_GLANCE: Final = 0.002
"""Seconds between two looks at what the engine does: each takes the interpreter from it for a moment."""
_JUDGE_EVERY: Final = 0.2
_SWEEP_EVERY: Final = 1.0
_LOG_EVERY: Final = 10.0
_WATCH_SECONDS: Final = 10.0
_MOST_FAULT: Final = 200
"""Characters that are kept of what a bug says."""


class Tap(Protocol):
    """Where the datagrams come from: the sFlow listener."""

    def tap(self, callback: Callable[[bytes], None] | None, *, counters_only: bool = False) -> None: ...


class Analytics(Registry):
    """Everything that is defined and known. `start` and `stop` it; any thread may call the rest."""

    def __init__(
        self,
        config: AnalyticsConfig,
        tap: Tap,
        lookup: Lookup,
        *,
        local_as: int,
        directory: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        steady_ms: Callable[[], int] = CLOCK.steady_ms,
        country: Callable[[bytes], str | None] | None = None,
        busy: Callable[[], bool] = lambda: False,
        on_failure: OnFailure | None = None,
    ) -> None:
        """`lookup` asks the table; `directory` is where definitions are kept, None to forget them; `busy` tells that
        the engine is at work, which goes before."""
        super().__init__(config, lookup, local_as=local_as, directory=directory, clock=clock, country=country)
        self.steady_ms = steady_ms
        self.events = Journal("eventID")
        self.ended = Journal("flowID")
        self.dropped = 0
        """Datagrams for which the queue had no room."""
        self.failures = 0
        """Datagrams on which the program failed: a bug, logged."""
        self._tap = tap
        self._busy = busy
        self._queue: deque[bytes] = deque()
        self._received = 0
        self._factor = 1.0
        self._counted = (0, 0)
        self._patience = 0.0
        self._wake = threading.Event()
        self._stopping = False
        self._watch_until = 0.0
        self._next_judge = self._next_sweep = clock()
        self._log_after = 0.0
        self._logged = 0
        self._worker = Worker(self._run, name="analytics", on_failure=on_failure)
        self.recall()

    # --- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to count."""
        self._worker.start()
        self._retap()

    def stop(self) -> None:
        """End the thread, and let those who wait for events go."""
        self._tap.tap(None)
        self._stopping = True
        self._wake.set()
        self.events.close()
        self.ended.close()
        self._worker.join()

    def changed(self) -> None:
        """Have the listener hand over what is needed now."""
        if self._worker.alive:
            self._retap()

    def _retap(self) -> None:
        self._tap.tap(self._receive, counters_only=not (self.flows.active or self.flows.watch))
        self._wake.set()

    # --- the listener's thread ---------------------------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        self._received += 1
        if len(self._queue) >= self.config.queue:
            self.dropped += 1
        else:
            self._queue.append(data)

    # --- the thread of the analytics ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(_POLL if self.flows.active or self.flows.watch else _POLL_COUNTERS)
            self._wake.clear()
            while not self._stopping and self.step(self.clock()):
                pass

    def step(self, now: float) -> bool:
        """Count a batch of what waits, and do what is due; True if more waits. Made for one thread, or for a test."""
        queue = self._queue
        batch = [queue.popleft() for _ in range(min(len(queue), _BATCH))]
        if batch:
            try:
                self._count(batch, now)
            except Exception as problem:
                self._failed(problem, now)
        if now >= self._next_judge:
            self._next_judge = now + _JUDGE_EVERY
            self._judge(now)
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP_EVERY
            self._sweep(now)
        return bool(queue)

    def _count(self, batch: list[bytes], now: float) -> None:
        """Count a batch. The table is asked for what is missing in between, without the lock."""

        def failed(problem: Exception) -> None:
            self._failed(problem, now)

        self._patience = _PATIENCE if 2 * len(self._queue) < self.config.queue else _LESS_PATIENCE
        with self.lock:
            counting = bool(self.flows.active or self.flows.watch)
            for number, data in enumerate(batch):
                if not number & 7:
                    self._make_way()
                try:
                    if not counting or self.flows.read(data, self._factor):
                        self._counters(data, now)
                except Exception as problem:  # one datagram must not end the analytics, whatever is in it
                    self._failed(problem, now)
            portions = self.flows.take()
        answered = self.routes.resolve(now)
        with self.lock:
            self.flows.count(portions, now, failed, self._make_way)
        for attempt in range(_ATTEMPTS):
            if not self.flows.waiting:
                return
            answered = self.routes.resolve(now) and answered
            with self.lock:
                self.flows.settle(now, failed, last=not answered or attempt == _ATTEMPTS - 1)

    def _make_way(self) -> None:
        """Let the engine finish what it is at: only one thread runs at a time, and the routes go before."""
        while self._patience > 0 and self._busy():
            began = time.monotonic()
            time.sleep(_GLANCE)
            self._patience -= time.monotonic() - began

    def _failed(self, problem: Exception, now: float) -> None:
        self.failures += 1
        if now >= self._log_after:
            self._log_after = now + _LOG_EVERY
            log.error("analytics failed on a datagram count=%d", self.failures, exc_info=problem)

    def _counters(self, data: bytes, now: float) -> None:
        try:
            datagram = decode(data)
        except DatagramError:
            return
        for sample in datagram.samples:
            if isinstance(sample, CounterSample):
                self.metrics.take(datagram.agent, sample, now)

    def _put_aside(self, kind: str, one: Flow | Threshold, problem: Exception) -> None:
        """Go on without a definition whose upkeep has run into a bug; with the lock held."""
        one.fault = f"{type(problem).__name__}: {problem}"[:_MOST_FAULT]
        text = "analytics definition put aside, a bug in arm: define it anew to try again kind=%s name=%s error=%r"
        log.error(text, kind, one.name, str(problem), exc_info=problem)

    def _judge(self, now: float) -> None:
        if not self.thresholds:
            return
        events: list[dict[str, Any]] = []
        with self.lock:
            for threshold in self.thresholds.values():
                if threshold.fault is None:
                    try:
                        events += self._exceeded(threshold, now)
                    except Exception as problem:
                        self._put_aside("threshold", threshold, problem)
        stamp = self.steady_ms()
        self.events.add(*({**event, "timestamp": stamp} for event in events))

    def _exceeded(self, threshold: Threshold, now: float) -> list[dict[str, Any]]:
        """Events of one threshold."""
        definition = threshold.definition

        def allowed(source: Source) -> bool:
            return self._passes(source, definition)

        if not definition.by_flow:
            return threshold.readings(self.readings(definition.metric, now), now, allowed)
        flow = self.flows.active.get(definition.metric)
        return threshold.flows(flow, now, allowed) if flow is not None and flow.fault is None else []

    def _passes(self, source: Source, threshold: ThresholdDefinition) -> bool:
        if not threshold.filter:
            return True
        metrics = self.metrics.sources.get(source)
        if metrics is None:
            return False
        for name, accepted in threshold.filter.items():
            found = metrics.values.get(name)
            if found is None or show(found[0]) not in accepted:
                return False
        return True

    def _sweep(self, now: float) -> None:
        received, dropped = self._received, self.dropped
        new, lost = received - self._counted[0], dropped - self._counted[1]
        self._counted = received, dropped
        # what is counted stands for what was dropped in the second before
        self._factor = new / (new - lost) if new > lost else self._factor
        if self.flows.watch and now >= self._watch_until:
            self.flows.watch = False
            self._retap()
        ended: list[dict[str, Any]] = []
        with self.lock:
            stamp = self.steady_ms()
            for flow in self.flows.active.values():
                if flow.fault is None:
                    try:
                        ended += [_ended(flow, key, mark, now, stamp) for key, mark in flow.sweep(now)]
                    except Exception as problem:
                        self._put_aside("flow", flow, problem)
            self.metrics.expire(now)
        self.ended.add(*ended)
        if dropped > self._logged and now >= self._log_after:
            log.warning("analytics can not keep up datagrams_dropped=%d", dropped - self._logged)
            self._logged = dropped
            self._log_after = now + _LOG_EVERY

    # --- any thread --------------------------------------------------------------------------------------------------

    def watch_keys(self) -> None:
        """Have the keys of samples noted for some seconds."""
        self._watch_until = self.clock() + _WATCH_SECONDS
        if not self.flows.watch:
            self.flows.watch = True
            self._retap()


def _ended(flow: Flow, key: Key, mark: Mark, now: float, stamp: int) -> dict[str, Any]:
    """The entry of a logged flow that has ended; `stamp` is `now` in milliseconds since the epoch."""
    return {
        "name": flow.name,
        "agent": text_of(key[0][0]),
        "dataSource": source_text(key[0][1]),
        "flowKeys": flow.text(key),
        "value": mark.total,
        "start": stamp - int((now - mark.first) * 1000),
        "end": stamp - int((now - mark.last) * 1000),
    }


def show(value: float | str) -> str:
    """A metric as a filter of a threshold compares it: whole numbers without a fraction."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
