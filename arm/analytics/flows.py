"""The definitions that stand, and every flow sample counted by each of them.

Samples are counted in portions, definition by definition: what runs for each sample and definition is then one turn of
a short loop. A key that several definitions have is worked out once, and kept in the sample.

A sample that needs a route which is not known yet waits in `waiting` until the engine has been asked, at most
MOST_WAITING of them. No clock, no lock and no thread: the service sees to those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from arm.analytics.cache import FlowCache
from arm.analytics.compiler import Compiler, Test
from arm.analytics.definitions import FlowDefinition
from arm.analytics.functions import Surroundings
from arm.analytics.routes import KEYS as TABLE_KEYS
from arm.analytics.routes import Unresolved
from arm.analytics.sample import AMOUNTS, KEYS, MOST_VALUE, PLAN, SOURCE, VALUES, Compute, Sample
from arm.analytics.values import Key, Source, text_of
from arm.sflow.datagram import FLOW, DatagramError, read_header, walk

MOST_WAITING: Final = 4000
_PORTION: Final = 112
"""Samples that are counted together: between two looks at whether others have to go before pass a few tenths of a
millisecond."""
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
    amount_of: Any
    """Sample -> what it stands for, or None."""
    plan: Mapping[str, Compute]
    cache: FlowCache
    routed: bool
    """It needs the table."""
    names: frozenset[str]
    """Keys it looks at."""

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
        self._plan: dict[str, Compute] = {**PLAN, **around.routes.plan()}
        self._sources: dict[Source, Source] = {}
        self._blank: dict[str, None] = {}
        self._routed = False
        self._waiting: list[tuple[Sample, Flow]] = []

    # --- definitions -------------------------------------------------------------------------------------------------

    def compile(self, name: str, definition: FlowDefinition, now: float) -> Flow:
        """A definition made ready, but not yet put to work; LanguageError."""
        compiler = Compiler(self._around)
        keys, key_of = compiler.keys(definition.keys)
        test = compiler.filter(definition.filter)
        cache = FlowCache(definition.t, self._capacity, now, log=definition.log)
        return Flow(
            name=name,
            definition=definition,
            keys=keys,
            key_of=key_of,
            test=test,
            amount_of=itemgetter(AMOUNTS[definition.value]),
            plan=compiler.plan,
            cache=cache,
            routed=compiler.routed,
            names=frozenset(compiler.names),
        )

    def put(self, flow: Flow) -> None:
        """Put a definition to work, in place of one of the same name."""
        self.active[flow.name] = flow
        self._replan()

    def remove(self, name: str) -> None:
        """End a definition; KeyError."""
        del self.active[name]
        self._replan()

    def _replan(self) -> None:
        plan = {**PLAN, **self._around.routes.plan()}
        for flow in self.active.values():
            plan.update(flow.plan)
        self._plan = plan
        names = frozenset((*KEYS, *VALUES))
        looked = (name for flow in self.active.values() for name in flow.names if name in names)
        self._blank = dict.fromkeys((SOURCE, "agent", *looked))
        self._routed = any(flow.routed for flow in self.active.values())
        self._waiting.clear()

    # --- samples -----------------------------------------------------------------------------------------------------

    def read(self, data: bytes, factor: float) -> list[Sample]:
        """The flow samples of a datagram; each stands for its sampling rate times `factor`. Never raises.

        Where definitions need the table, the routes that are not known yet are put down to be asked for.
        """
        found: list[Sample] = []
        routed, want = self._routed or self.watch, self._around.routes.want
        try:
            header = read_header(data, len(data))
            agent = header.agent
            for walked in walk(data, len(data), header.offset, header.sample_count):
                if walked[0] != FLOW:
                    continue
                self.samples += 1
                rate = walked[6]
                if not 0 < rate <= MOST_VALUE or rate * walked[7] > MOST_VALUE:
                    self.malformed += 1
                    continue
                source = (agent, walked[4])
                # one tuple for each source: comparing keys then is one of identity
                source = self._sources.setdefault(source, source)
                found.append(Sample(self._plan, self._blank, data, walked, source, agent, rate * factor))
                if routed:
                    want(walked[8], walked[9])
        except DatagramError:
            self.malformed += 1
        return found

    def count(self, samples: list[Sample], now: float, make_way: Callable[[], None] = lambda: None) -> None:
        """Count samples by every definition, and empty the list; `make_way` is called in between, again and again."""
        while samples:
            # A few at a time, which are given up before the next are taken apart: so their memory serves again.
            some = samples[-_PORTION:]
            del samples[-_PORTION:]
            make_way()
            if self.active:
                for sample in some:
                    sample.load()
            for flow in self.active.values():
                make_way()
                self._count_all(flow, some, now)
            for sample in some:
                if sample.malformed:
                    self.malformed += 1
            if self.watch:
                for sample in some[::8]:
                    self._look(sample, now)

    def _count_all(self, flow: Flow, samples: list[Sample], now: float) -> None:
        weight = flow.cache.weight(now)
        try:
            chosen = samples if flow.test is None else list(filter(flow.test, samples))
            keys = list(map(flow.key_of, chosen))
        except Unresolved:
            self._count_singly(flow, samples, now)
            return
        amounts = list(map(flow.amount_of, chosen))
        flow.cache.add(keys, amounts, weight)
        if flow.cache.marks is not None:
            flow.cache.mark(keys, amounts, now)

    def _count_singly(self, flow: Flow, samples: Iterable[Sample], now: float) -> None:
        """As `count`, one by one: those that need a route which is not known yet wait for it."""
        for sample in samples:
            try:
                self._count(flow, sample, now)
            except Unresolved:
                if len(self._waiting) < MOST_WAITING:
                    self._waiting.append((sample, flow))
                else:
                    self.unresolved += 1

    def _count(self, flow: Flow, sample: Sample, now: float) -> None:
        if flow.test is not None and not flow.test(sample):
            return
        keys, amounts = [flow.key_of(sample)], [flow.amount_of(sample)]
        flow.cache.add(keys, amounts, flow.cache.weight(now))
        if flow.cache.marks is not None:
            flow.cache.mark(keys, amounts, now)

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
                self._count(flow, sample, now)
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
