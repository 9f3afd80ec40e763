"""The definitions that stand, and every flow sample counted by each of them.

A sample that needs a route which is not known yet waits in `waiting` until the engine has been asked, at most
MOST_WAITING of them. No clock, no lock and no thread: the service sees to those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from arm.analytics.cache import FlowCache
from arm.analytics.compiler import Compiler, Test
from arm.analytics.definitions import FlowDefinition
from arm.analytics.functions import Surroundings
from arm.analytics.routes import KEYS as TABLE_KEYS
from arm.analytics.routes import Unresolved
from arm.analytics.sample import KEYS, SOURCE, VALUES, Compute, Sample
from arm.analytics.values import Key, Source, text_of
from arm.sflow.datagram import FLOW, DatagramError, read_header, walk

MOST_WAITING: Final = 4000
MOST_VALUE: Final = 1 << 40
"""Octets, or anything else, that one sample may stand for: more is an agent's mistake."""
_ADDRESSES: Final = ("ipsource", "ipdestination", "ip6source", "ip6destination")
_ENDED_AFTER: Final = 5.0
"""Time constants without a sample after which a logged flow has ended; two seconds at least."""


@dataclass(slots=True)
class Flow:
    """A definition at work."""

    name: str
    definition: FlowDefinition
    keys: tuple[str, ...]
    key_of: Any
    """Sample -> Key."""
    test: Test | None
    value: str
    plan: Mapping[str, Compute]
    cache: FlowCache
    weight: float = 1.0
    """Of the batch under way."""

    def text(self, key: Key) -> str:
        """The flow as users see it: its keys joined."""
        return self.definition.fs.join(text_of(value) for value in key[1:])


class Flows:
    """All definitions. `take` counts a datagram."""

    def __init__(self, around: Surroundings, capacity: int) -> None:
        self.active: dict[str, Flow] = {}
        self.samples = 0
        """Flow samples looked at."""
        self.unresolved = 0
        """Samples that were not counted because the engine had no time to tell the route."""
        self.malformed = 0
        """Datagrams or records that were cut off, or did not make sense."""
        self.seen: dict[str, float] = {}
        """Flow keys, and when a sample last had them; filled while `watch` is set."""
        self.watch = False
        self._around = around
        self._capacity = capacity
        self._plan: dict[str, Compute] = {}
        self._sources: dict[Source, Source] = {}
        self._waiting: list[tuple[Sample, Flow]] = []
        self._watching = 0

    # --- definitions -------------------------------------------------------------------------------------------------

    def compile(self, name: str, definition: FlowDefinition, now: float) -> Flow:
        """A definition made ready, but not yet put to work; LanguageError."""
        compiler = Compiler(self._around)
        keys, key_of = compiler.keys(definition.keys)
        test = compiler.filter(definition.filter)
        cache = FlowCache(definition.t, self._capacity, now, log=definition.log)
        return Flow(name, definition, keys, key_of, test, definition.value, compiler.plan, cache)

    def put(self, flow: Flow) -> None:
        """Put a definition to work, in place of one of the same name."""
        self.active[flow.name] = flow
        self._replan()

    def remove(self, name: str) -> None:
        """End a definition; KeyError."""
        del self.active[name]
        self._replan()

    def _replan(self) -> None:
        plan = self._around.routes.plan()
        for flow in self.active.values():
            plan.update(flow.plan)
        self._plan = plan
        self._waiting.clear()

    # --- samples -----------------------------------------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """Before a batch of datagrams."""
        for flow in self.active.values():
            flow.weight = flow.cache.weight(now)

    def take(self, data: bytes, factor: float, now: float) -> None:
        """Count the flow samples of a datagram; each stands for its sampling rate times `factor`. Never raises."""
        try:
            header = read_header(data, len(data))
            agent = header.agent
            for walked in walk(data, len(data), header.offset, header.sample_count):
                if walked[0] == FLOW:
                    self._sample(data, walked, agent, factor, now)
        except DatagramError:
            self.malformed += 1

    def _sample(self, data: bytes, walked: Any, agent: bytes, factor: float, now: float) -> None:
        self.samples += 1
        rate, frame = walked[6], walked[7]
        if not 0 < rate <= MOST_VALUE or rate * frame > MOST_VALUE:
            self.malformed += 1
            return
        source = (agent, walked[4])
        # one tuple for each source: comparing keys then is one of identity
        source = self._sources.setdefault(source, source)
        sample = Sample(self._plan, data, walked, source, agent, rate * factor)
        for flow in self.active.values():
            try:
                self._count(sample, flow, now)
            except Unresolved:
                if len(self._waiting) < MOST_WAITING:
                    for name in _ADDRESSES:  # so that one question is enough for all keys of nearly every flow
                        self._around.routes.want(sample[name])
                    self._waiting.append((sample, flow))
                else:
                    self.unresolved += 1
        if sample.malformed:
            self.malformed += 1
        if self.watch:
            self._watching += 1
            if self._watching & 7 == 0:
                self._look(sample, now)

    def _count(self, sample: Sample, flow: Flow, now: float) -> None:
        value = sample[flow.value]
        if value is None:
            return
        if flow.test is not None and not flow.test(sample):
            return
        key = flow.key_of(sample)
        if None in key:
            return
        amount = value * sample.rate  # type: ignore[operator]  # the values are numbers, whatever the keys are
        if amount > MOST_VALUE:
            self.malformed += 1
            return
        flow.cache.add(key, amount * flow.weight)
        if flow.cache.marks is not None:
            flow.cache.mark(key, amount, now)

    def _look(self, sample: Sample, now: float) -> None:
        """Note which keys the sample has."""
        for name in (*KEYS, *VALUES, *TABLE_KEYS):
            try:
                if sample[name] is not None:
                    self.seen[name] = now
            except Unresolved:
                pass

    @property
    def waiting(self) -> int:
        """Samples that wait for a route."""
        return len(self._waiting)

    def settle(self, now: float, *, last: bool) -> None:
        """Count the samples that waited, now that the table has been asked.

        Those that need yet another address wait on, unless it is the `last` time: then they are given up.
        """
        waiting, self._waiting = self._waiting, []
        for sample, flow in waiting:
            if self.active.get(flow.name) is not flow:
                continue
            try:
                self._count(sample, flow, now)
            except Unresolved:
                if last:
                    self.unresolved += 1
                else:
                    self._waiting.append((sample, flow))

    def sweep(self, now: float) -> list[tuple[Flow, Key, float, float, float]]:
        """Once a second: forget what has decayed; (flow, key, first, last, total) of logged flows that have ended."""
        if len(self._sources) > 10_000:
            self._sources.clear()
        ended = []
        for flow in self.active.values():
            idle = max(2.0, _ENDED_AFTER * flow.definition.t)
            for key, mark in flow.cache.sweep(now, idle):
                ended.append((flow, key, mark.first, mark.last, mark.total))
        return ended


__all__ = ["MOST_WAITING", "SOURCE", "Flow", "Flows"]
