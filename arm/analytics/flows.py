"""The definitions that stand, and every flow sample counted by each of them.

Samples are gathered in portions and counted by the column, definition by definition: see `portion`. A sample that needs
a route which is not known yet waits until the engine has been asked, at most MOST_WAITING of them. No clock, no lock
and no thread: the service sees to those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from arm.analytics.cache import FlowCache, Mark
from arm.analytics.compiler import Compiler, Test
from arm.analytics.definitions import FlowDefinition
from arm.analytics.functions import Surroundings
from arm.analytics.intake import Intake
from arm.analytics.portion import Compute, Portion
from arm.analytics.routes import KEYS as TABLE_KEYS
from arm.analytics.routes import Unresolved
from arm.analytics.sample import AMOUNTS, KEYS, VALUES
from arm.analytics.values import Key, text_of

MOST_WAITING: Final = 4000
_ENDED_AFTER: Final = 5.0
"""Time constants without a sample after which a logged flow has ended; two seconds at least."""


@dataclass(slots=True)
class Flow:
    """A definition at work."""

    name: str
    definition: FlowDefinition
    keys: tuple[str, ...]
    test: Test | None
    amount: str
    """What a sample stands for; every sample that has it and all keys is counted."""
    plan: dict[str, Compute]
    cache: FlowCache
    routed: bool
    """It needs the table."""
    fault: str | None = None
    """Why it was put aside: a bug that its upkeep has run into. It counts nothing until it is defined anew."""

    def text(self, key: Key) -> str:
        """The flow as users see it: its keys joined."""
        return self.definition.fs.join(text_of(value) for value in key[1:])

    def count(self, portion: Portion, now: float) -> None:
        """Count samples; routes.Unresolved, and none of them counted."""
        if self.test is not None:
            portion = portion.where(self.test(portion))
        for name in (self.amount, *self.keys):
            if portion.size == 0:
                return
            portion = portion.having(name)
        amounts = portion.column(self.amount)
        columns = [portion.column(name) for name in self.keys]
        if amounts is None or None in columns or portion.size == 0:
            return
        keys: Iterable[Key] = zip(portion.sources, *columns, strict=True)
        cache = self.cache
        weight = cache.weight(now)
        if cache.marks is None:
            cache.add(keys, amounts, weight, portion.totals(self.amount))
        else:
            keys = list(keys)
            cache.add(keys, amounts, weight, portion.totals(self.amount))
            cache.mark(keys, amounts, now)

    def sweep(self, now: float) -> list[tuple[Key, Mark]]:
        """Once a second: forget what has decayed; the logged flows that have ended."""
        return self.cache.sweep(now, max(2.0, _ENDED_AFTER * self.definition.t))


class Flows:
    """All definitions: `read` datagrams, `take` what they had, `count` it."""

    def __init__(self, around: Surroundings, capacity: int) -> None:
        self.active: dict[str, Flow] = {}
        self.unresolved = 0
        """Samples that were not counted because the engine had no time to tell the route."""
        self.seen: dict[str, float] = {}
        """Flow keys, and when a sample last had them; filled while `watch` is set."""
        self.watch = False
        self._around = around
        self._capacity = capacity
        self._plan: dict[str, Compute] = around.routes.plan()
        self._intake = Intake(self._plan)
        self._routed = False
        self._waiting: list[tuple[Portion, Flow]] = []

    @property
    def samples(self) -> int:
        """Flow samples looked at."""
        return self._intake.samples

    @property
    def malformed(self) -> int:
        """Datagrams, records or values that were cut off, or did not make sense."""
        return self._intake.malformed

    # --- definitions -------------------------------------------------------------------------------------------------

    def compile(self, name: str, definition: FlowDefinition, now: float) -> Flow:
        """A definition made ready, but not yet put to work; LanguageError."""
        compiler = Compiler(self._around)
        keys = compiler.keys(definition.keys)
        test = compiler.filter(definition.filter)
        cache = FlowCache(definition.t, self._capacity, now, log=definition.log)
        return Flow(
            name=name,
            definition=definition,
            keys=keys,
            test=test,
            amount=AMOUNTS[definition.value],
            plan=compiler.plan,
            cache=cache,
            routed=compiler.routed,
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
        self._plan.clear()
        self._plan.update(self._around.routes.plan())
        for flow in self.active.values():
            self._plan.update(flow.plan)
        self._routed = any(flow.routed for flow in self.active.values())
        self._waiting.clear()

    # --- samples -----------------------------------------------------------------------------------------------------

    def read(self, data: bytes, factor: float) -> bool:
        """Gather the flow samples of a datagram; each stands for its sampling rate times `factor`. True if there are
        counter samples too. Never raises."""
        return self._intake.read(data, factor)

    def take(self) -> list[Portion]:
        """What has been gathered. Where definitions need the table, unknown routes are put down to be asked for."""
        portions = self._intake.take()
        if self._routed or self.watch:
            for portion in portions:
                for name in ("ipsource", "ipdestination", "ip6source", "ip6destination"):
                    self._around.routes.want(portion.column(name) or ())
        return portions

    def count(
        self,
        portions: list[Portion],
        now: float,
        failed: Callable[[Exception], None],
        make_way: Callable[[], None] = lambda: None,
    ) -> None:
        """Count samples by every definition, and empty the list; `make_way` is called in between, again and again.

        `failed` is told what a definition raised on some samples: a bug, and no reason for the others not to count.
        """
        while portions:
            portion = portions.pop()
            for flow in self.active.values():
                make_way()
                self._count(flow, portion, now, failed)
            if self.watch:
                self._look(portion, now)

    def _count(self, flow: Flow, portion: Portion, now: float, failed: Callable[[Exception], None]) -> None:
        """Count samples by one definition: those that need a route which is not known yet wait for it."""
        if flow.fault is not None:
            return
        try:
            while portion.size:
                try:
                    flow.count(portion, now)
                    return
                except Unresolved as problem:
                    missing = problem.portion.within(portion, problem.missing)
                    self._wait(portion.where(missing), flow)
                    portion = portion.where([not each for each in missing])
        except Exception as problem:
            failed(problem)

    def _wait(self, portion: Portion, flow: Flow) -> None:
        if self.waiting + portion.size > MOST_WAITING:
            self.unresolved += portion.size
        else:
            self._waiting.append((portion, flow))

    def _look(self, portion: Portion, now: float) -> None:
        """Note which keys the samples have."""
        for name in (*KEYS, *VALUES, *TABLE_KEYS):
            try:
                column = portion.column(name)
            except Unresolved:
                continue
            if column is not None and any(value is not None for value in column):
                self.seen[name] = now

    @property
    def waiting(self) -> int:
        """Samples that wait for a route."""
        return sum(portion.size for portion, _ in self._waiting)

    def settle(self, now: float, failed: Callable[[Exception], None], *, last: bool) -> None:
        """Count the samples that waited, now that the table has been asked.

        Those that need yet another address wait on, unless it is the `last` time: then they are given up.
        """
        waiting, self._waiting = self._waiting, []
        for portion, flow in waiting:
            if self.active.get(flow.name) is flow:
                self._count(flow, portion, now, failed)
        if last:
            self.unresolved += self.waiting
            self._waiting.clear()
