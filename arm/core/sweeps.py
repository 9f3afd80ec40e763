"""Routes that sessions have left are dropped a portion at a time.

To drop the half of a table takes seconds, and the engine must not let samples, updates and questions wait for so long.
So a sweep is begun by an event and goes on between others. What a portion takes out of the table goes out of hardware
by the plan of that portion, so the rule holds after each one, as if BGP had withdrawn the routes one after the other:
shorter prefixes before what is inside them, so that none draws the packets of a more-specific that has gone before it.
What is about to go is not put into hardware meanwhile.

Invariant: at most one sweep of a session and family goes on, the one that drops the most. Updates, and the session that
comes back, may come in the middle: a sweep drops what feeds before its generation have taught, whenever it gets there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from arm.core.family import FamilyEngine
from arm.core.feeds import Sweep
from arm.core.relearned import Relearned
from arm.core.rib import RouteChange
from arm.model import Family


class Sweeps:
    """Those that are not at their end, the oldest first. True while there are any."""

    def __init__(self, families: Mapping[Family, FamilyEngine], relearned: Relearned) -> None:
        self._families = families
        self._relearned = relearned
        self._running: dict[Sweep, Iterator[tuple[list[RouteChange], bool]]] = {}

    def __bool__(self) -> bool:
        return bool(self._running)

    def of(self, family: Family) -> bool:
        """True while routes of this family are being dropped."""
        return any(sweep.family is family for sweep in self._running)

    def begin(self, sweeps: Sequence[Sweep], now: float) -> None:
        """Begin to drop routes, and go on until there is nothing left or a portion is done: small tables are over."""
        for sweep in sweeps:
            self._put(sweep)
        while sweeps and self._running:
            if not self.step(now):
                break

    def step(self, now: float) -> bool:
        """Drop the next portion, and have its hardware repaired; True if it was the last of its sweep."""
        sweep, steps = next(iter(self._running.items()))
        changes, over = next(steps)
        if over:
            del self._running[sweep]
            self._families[sweep.family].left(sweep.name)
        self._relearned.forget()
        self._families[sweep.family].table_changed(changes, now)
        return over

    def _put(self, sweep: Sweep) -> None:
        """Put a sweep in line, unless there is nothing to drop, or one that goes on drops it."""
        state = self._families[sweep.family]
        if not state.rib.stale(sweep.name, sweep.generation):
            return
        for other in self._running:
            if (other.name, other.family) == (sweep.name, sweep.family):
                if other.generation >= sweep.generation:
                    return
                # It has passed parts of the table that hold what is to go now, too.
                del self._running[other]
                break
        state.leaves(sweep.name, sweep.generation)
        self._running[sweep] = state.rib.sweep(sweep.name, sweep.generation, state.fib.entries)
