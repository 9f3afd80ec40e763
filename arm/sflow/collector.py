"""Datagrams in, bytes per address out: what the listener does with what it receives.

No socket, no thread and no clock of its own: `now` is passed in, so a recorded list of datagrams gives the same
batches again. Calls must not overlap, the listener sees to that; only `status` may be called by other threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from arm.model import COUNT_BITS, ListenerStatus, TrafficBatch
from arm.sflow.agents import Agent, Agents
from arm.sflow.datagram import COUNTERS, DISCARDED, FLOW, DatagramError, read_header, walk
from arm.sflow.packet import Buffer
from arm.sflow.records import Datagram, decode

Subscriber: TypeAlias = Callable[[Datagram], None]
Tap: TypeAlias = Callable[[bytes], None]

_MAX_SCALED: Final = 1 << 40
"""Octets that one sample may stand for (a jumbo frame sampled 1 in 100 million): more is a mistake, and one such
mistake would outweigh all that is true."""


class Collector:
    """Adds up samples between two calls of `take`, and keeps the counters."""

    def __init__(self, *, agent: bytes | None = None) -> None:
        """`agent` is the packed address of the only agent whose samples count, None for all."""
        self.last_sample: float | None = None
        """`now` of the latest datagram with a flow sample that counted."""
        self.last_error = ""
        """What was wrong with the latest malformed datagram."""
        self.last_error_at = 0
        """Which one that was: how many had come by then, itself among them."""
        self.subscriber_errors = 0
        self.last_subscriber_error: Exception | None = None
        self._agents = Agents(agent)
        self._batch = TrafficBatch()
        self._subscribers: tuple[Subscriber, ...] = ()
        self._counter_subscribers: tuple[Subscriber, ...] = ()
        self._tap: Tap | None = None
        self._counter_tap: Tap | None = None
        """The tap where it leaves out what has no counter sample: then it costs nothing for what it leaves out."""
        self._datagrams = 0
        self._flow_samples = 0
        self._counter_samples = 0
        self._discarded = 0
        self._malformed = 0
        self._other_agents = 0
        self._skipped = 0

    @property
    def pending(self) -> int:
        """Samples that the next `take` gives."""
        return self._batch.samples

    @property
    def datagrams(self) -> int:
        """Datagrams that have come."""
        return self._datagrams

    @property
    def malformed(self) -> int:
        """Datagrams that did not decode to their end."""
        return self._malformed

    def subscribe(self, callback: Subscriber) -> None:
        """Have `callback` called with every datagram that has a header, of every agent, in the thread that receives."""
        self._subscribers = (*self._subscribers, callback)

    def subscribe_counters(self, callback: Subscriber) -> None:
        """As `subscribe`, but only with datagrams that have counter samples of an agent that counts.

        Those are few, so that the others need not be decoded in full for it.
        """
        self._counter_subscribers = (*self._counter_subscribers, callback)

    def tap(self, callback: Tap | None, *, counters_only: bool = False) -> None:
        """Have `callback` called with the octets of every datagram, of every agent, before anyone decodes them.

        It must be quick and must not raise. `counters_only` leaves out what has no counter sample, of agents that
        count. None ends it; there is one tap.
        """
        self._tap = None if counters_only else callback
        self._counter_tap = callback if counters_only else None

    def take(self, fresh: TrafficBatch | None = None) -> TrafficBatch:
        """All that came since the last call, the caller's from now on; `fresh`, an empty one, takes its place."""
        batch, self._batch = self._batch, TrafficBatch() if fresh is None else fresh
        return batch

    def interval(self) -> None:
        """To be called about once a second: what was lost lately sets what samples stand for."""
        self._agents.interval()

    def receive(self, data: Buffer, size: int, now: float) -> None:
        """Take the datagram in `data[:size]`. Never raises, whatever is in it."""
        self._datagrams += 1
        try:
            address, sub_agent, sequence, uptime_ms, count, offset = read_header(data, size)
        except DatagramError as problem:
            self._malformed += 1
            self.last_error, self.last_error_at = str(problem), self._datagrams
            return
        agent = self._agents.find(address, sub_agent, sequence, now)
        agent.datagram(sequence, uptime_ms, now)
        before = self._counter_samples
        if agent.counted:
            self._count(agent, data, size, offset, count, now)
        else:
            self._other_agents += 1
        if self._subscribers:
            self._publish(data, size, self._subscribers)
        tap = self._tap
        if tap is not None:
            tap(bytes(data[:size]))
        if self._counter_samples != before or not agent.counted:
            tap = self._counter_tap
            if tap is not None:
                tap(bytes(data[:size]))
        if self._counter_subscribers and self._counter_samples != before:
            self._publish(data, size, self._counter_subscribers)

    def _count(self, agent: Agent, data: Buffer, size: int, offset: int, count: int, now: float) -> None:
        """Add the samples to the batch. This is the hot path: one turn of the loop for each sample."""
        batch = self._batch
        destinations4, sources4 = batch.destinations4, batch.sources4
        sources = agent.sources
        flows = skipped = counters = 0
        rate = agent.rate
        try:
            for kind, _, _, _, key, sequence, rate_, length, src, dst in walk(data, size, offset, count):
                if kind == FLOW:
                    flows += 1
                    source = sources.get(key)
                    if source is None:
                        source = self._agents.new_source(agent, key, sequence)
                    if sequence == source.expected:
                        source.expected = sequence + 1
                    else:
                        source.jump(sequence)
                    rate = rate_
                    value = rate * length
                    if dst is None or src is None or not 0 < value <= _MAX_SCALED:
                        skipped += 1
                        continue
                    if source.factor != 1.0:
                        value = int(value * source.factor)
                    value = value << COUNT_BITS | 1
                    if len(dst) == 4:
                        destinations4[dst] = destinations4.get(dst, 0) + value
                        sources4[src] = sources4.get(src, 0) + value
                    else:
                        batch.destinations6[dst] = batch.destinations6.get(dst, 0) + value
                        batch.sources6[src] = batch.sources6.get(src, 0) + value
                elif kind == COUNTERS:
                    counters += 1
                elif kind == DISCARDED:
                    self._discarded += 1
        except DatagramError as problem:
            self._malformed += 1
            self.last_error, self.last_error_at = str(problem), self._datagrams
        agent.rate = rate
        agent.flow_samples += flows
        agent.counter_samples += counters
        batch.samples += flows - skipped
        self._flow_samples += flows
        self._counter_samples += counters
        self._skipped += skipped
        if flows > skipped:
            self.last_sample = now

    def _publish(self, data: Buffer, size: int, subscribers: tuple[Subscriber, ...]) -> None:
        datagram = decode(bytes(data[:size]))
        for callback in subscribers:
            try:
                callback(datagram)
            except Exception as problem:  # a subscriber's mistake must not stop the traffic of everyone else
                self.subscriber_errors += 1
                self.last_subscriber_error = problem

    def status(self, now: float, steady_ms: int, kernel_drops: int = 0) -> ListenerStatus:
        """The counters since the start. `steady_ms` is the time of day at `now`."""
        return ListenerStatus(
            datagrams=self._datagrams,
            flow_samples=self._flow_samples,
            counter_samples=self._counter_samples,
            discarded_packet_samples=self._discarded,
            malformed=self._malformed,
            kernel_drops=kernel_drops,
            other_agents=self._other_agents,
            skipped_samples=self._skipped,
            agents=self._agents.status(now, steady_ms),
        )
