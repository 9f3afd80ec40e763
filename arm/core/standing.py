"""What stands in hardware of one family, and what each installed route carries with all that rides along with it.

The half of the choice (core/selection.py) that keeps up with changes, whoever decided them: the choice, BGP or
the target. Invariants, after `sync`: `served`, `touched` and `_carried` name installed routes only; each of them
stands in the ranking, unless it has been set aside in the middle of a decision.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from arm.config import SelectionConfig
from arm.core.budget import Budget
from arm.core.estimate import Estimates, Record
from arm.core.idleness import Idleness
from arm.core.pinned import Pinned
from arm.core.plan import Planner
from arm.core.policy import Policy
from arm.core.ranking import NEVER, Ranking
from arm.core.traffic import Averages
from arm.model import Kind, Prefix, Reason, Remembered, contains

_LUMPS: Final = 8
"""Routes of more slots than are lacking that are weighed against smaller ones."""


class Victims(NamedTuple):
    """Installed routes that would make room."""

    prefixes: list[Prefix]
    credit: float
    """What the slots are worth that they free beyond what is lacking, at the price of a slot."""
    weighed: list[Prefix]
    """All routes that were looked at to find them."""


class Standing:
    """The installed routes of one family, their worth, and the limits that hold for them."""

    def __init__(
        self,
        *,
        planner: Planner,
        policy: Policy,
        config: SelectionConfig,
        t: float,
        minvalue: float,
        capacity: int,
        now: float,
    ) -> None:
        self.planner = planner
        self.policy = policy
        self.pinned = Pinned(planner, policy)
        self.served: dict[Prefix, float] = {}
        """Installed routes and the bytes they have carried, riders included, weighted as in `averages`."""
        self.averages = Averages(t, now, self.served)
        """The traffic of the last moments, for people; the choice goes by `estimates`."""
        self.estimates = Estimates(now)
        self.touched: dict[Prefix, float] = {}
        """When an installed route last carried a sample."""
        self._carried: dict[Prefix, Record] = {}
        """Record of each installed route with its riders; the prefix's own one as long as it has none."""
        self._ranking = Ranking(self._key)
        self.awaited: dict[Prefix, float] = {}
        """What was chosen, and since when the table or the target has had no use for it: its slot is for it to take
        again. Before the table is there, that is the choice of an earlier run."""
        self.given_up: list[Prefix] = []
        """What is awaited no more, though it has not come back, since this was last emptied."""
        self._gone: dict[Prefix, float] = {}
        self._refused: dict[Prefix, float] = {}
        self.minvalue = minvalue
        self.idleness = Idleness(now)
        self._idle_timeout = config.idle_timeout
        self._reserve = config.reserve
        self._budget = Budget(config.churn, now)
        self._rounded = now
        self._smaller = False
        """There are fewer slots than before, and nothing has been taken out for it yet."""
        self.set_capacity(capacity)

    def set_capacity(self, slots: int) -> None:
        """Use so many slots from now on; a share of them stays free for what BGP changes need at once."""
        self._smaller = self._smaller or slots < self.planner.capacity
        self.planner.capacity = slots
        self.usable = max(slots - math.ceil(slots * self._reserve), min(slots, 1))

    def reconfigure(self, config: SelectionConfig, minvalue: float, now: float) -> None:
        """Go by other rules from now on: what they refuse comes out; what they ask for comes with ticks and samples."""
        pinned = self.policy.always
        self.policy, self.minvalue = Policy(config, self.policy.family), minvalue
        self.pinned = Pinned(self.planner, self.policy)
        self._idle_timeout, self._reserve = config.idle_timeout, config.reserve
        self._budget.per_second = config.churn
        for prefix in list(self.served):
            entry = self.planner.fib.entries.get(prefix)
            if self.policy.refusal(prefix) is not None and entry is not None and entry.kind is Kind.ROUTE:
                self.planner.withdraw(prefix, Reason.POLICY)
        self.sync(now)
        for prefix in (p for p in (*pinned, *self.policy.always) if p in self.served):
            self._ranking.put(prefix)

    def take_limit(self) -> int:
        """Entries that may stand now: without those of the reserve if there are fewer slots since the last call."""
        smaller, self._smaller = self._smaller, False
        return self.usable if smaller else self.planner.capacity

    @property
    def free(self) -> int:
        """Slots that the choice may still take; the reserve is not among them."""
        return self.usable - len(self.planner.fib)

    def worth(self, prefix: Prefix) -> float:
        """What the prefix itself is expected to carry, in the unit of `estimates`."""
        record = self.estimates.records.get(prefix)
        return self.estimates.worth(record) if record is not None else 0.0

    def _key(self, prefix: Prefix) -> float:
        """What an installed route carries for each slot that it takes."""
        if self.pinned.keeps(prefix) or prefix not in self.planner.fib:
            return NEVER
        freed = self.planner.slots_freed(prefix)
        if freed < 1:
            return NEVER
        record = self._carried.get(prefix)
        return self.estimates.worth(record) / freed if record is not None else 0.0

    def weakest_rate(self, now: float) -> float | None:
        """Bytes per second that the installed route worth least carries."""
        weakest = self._ranking.weakest()
        return None if weakest is None else self.served[weakest] * self.averages.scale(now)

    # --- keeping up with what happened to the hardware ---------------------------------------------------------------

    def sync(self, now: float, *, lost: bool = False) -> None:
        """Follow the changes that have been planned since the last call: what is served, and by what.

        With `lost` it was not the choice that took routes out: they are awaited.
        """
        for change in self.planner.fib.news():
            prefix = change.prefix
            if change.entry is not None and change.entry.kind is Kind.ROUTE:
                if prefix not in self.served:
                    self._serve(prefix, now)
                    self.awaited.pop(prefix, None)
                continue
            served = self.served.get(prefix)
            if served is None:
                continue
            record = self._drop(prefix)
            above = self.planner.fib.match(prefix)
            if change.reason is Reason.RIDES and above is not None:
                self.served[above] = self.served.get(above, 0.0) + served
                if record is not None:
                    self._add_to(above, [record])
            else:
                self._gone[prefix] = now
                if lost:
                    self.awaited[prefix] = now

    def _add_to(self, above: Prefix, records: Iterable[Record]) -> None:
        """Let an installed route be judged with what rides along with it from now on."""
        sums = self._carried.get(above)
        if sums is None:
            sums = [0.0, 0.0, 0.0, 0.0]
        elif sums is self.estimates.records.get(above):
            sums = sums.copy()
        for record in records:
            for n, value in enumerate(record):
                sums[n] += value
        self._carried[above] = sums
        if above in self.served:
            self._ranking.put(above)

    def take_over(self, prefix: Prefix) -> None:
        """Judge a route that has just gone in by all that goes through it, whatever has carried that before."""
        records, match = self.estimates.records, self.planner.fib.match
        joined = [p for p in self.planner.rib.more_specifics(prefix) if p in records and match(p) == prefix]
        if joined:
            through = [p for p in (prefix, *joined) if p in records]
            self.served[prefix] = sum(self.averages.bytes.get(p, 0.0) for p in through)
            self._carried.pop(prefix, None)
            self._add_to(prefix, [records[p] for p in through])

    def _give_up(self, now: float) -> None:
        """Do not await any more what has been too long away, or is more than twice the slots could take."""
        latest = now - self._idle_timeout
        gone = [prefix for prefix, at in self.awaited.items() if at < latest]
        over = len(self.awaited) - len(gone) - 2 * self.planner.capacity
        if over > 0:
            gone = heapq.nsmallest(len(gone) + over, self.awaited, key=self.awaited.__getitem__)
        for prefix in gone:
            del self.awaited[prefix]
        self.given_up += gone

    def _serve(self, prefix: Prefix, now: float) -> None:
        self.served[prefix] = self.averages.bytes.get(prefix, 0.0)
        self.touched[prefix] = now
        record = self.estimates.records.get(prefix)
        if record is not None and prefix not in self._carried:
            self._carried[prefix] = record
        self._ranking.put(prefix)

    def _drop(self, prefix: Prefix) -> Record | None:
        """An installed route is none any more; the record of what it carried."""
        self.served.pop(prefix, None)
        self.touched.pop(prefix, None)
        self._ranking.drop(prefix)
        return self._carried.pop(prefix, None)

    def victims(self, lacking: int, most: int, outside: Prefix | None = None) -> Victims:
        """The routes that free `lacking` slots at the least loss, taken off the ranking; none if they would be many.

        Those inside `outside` stay: what goes in there may need their slots itself. A route with many covers may be the
        weakest by the slot and yet carry more than any newcomer: it is weighed against the next ones, and stands in
        nobody's way.
        """
        weighed: list[Prefix] = []
        victims: list[tuple[float, Prefix]] = []
        aside: list[tuple[float, Prefix]] = []
        lumps: list[tuple[float, int, tuple[float, Prefix]]] = []
        loss = price = credit = 0.0
        left = lacking
        while left > 0 and len(victims) < most and len(aside) < most and len(lumps) < _LUMPS:
            taken = self._ranking.take()
            if taken is None:
                break
            if taken[0] >= NEVER:
                self._ranking.restore([taken])
                break
            prefix = taken[1]
            weighed.append(prefix)
            if outside is not None and contains(outside, prefix):
                aside.append(taken)
                continue
            freed = self.planner.slots_freed(prefix)
            record = self._carried.get(prefix)
            value = self.estimates.worth(record) if record is not None else 0.0
            if 0 < freed <= left:
                victims.append(taken)
                loss, price, left = loss + value, value / freed, left - freed
                continue
            aside.append(taken)
            if freed >= lacking:
                lumps.append((value, freed, taken))
        if left > 0:
            loss = math.inf
        for value, freed, taken in lumps:
            rest = price * (freed - lacking)
            if value - rest < loss:
                aside += victims
                aside.remove(taken)
                victims, loss, credit, left = [taken], value - rest, rest, 0
        if left > 0:
            aside, victims = aside + victims, []
        self._ranking.restore(aside)
        return Victims([prefix for _, prefix in victims], credit, weighed)

    def rank_again(self, prefixes: Iterable[Prefix]) -> None:
        """Bring installed routes back into the ranking, or look at them again."""
        for prefix in prefixes:
            if prefix in self.served:
                self._ranking.put(prefix)

    def _drop_idle(self, now: float) -> None:
        """Take out what nothing has gone to for long, unless that is too much of it all (core/idleness.py)."""
        always, latest = self.policy.always, now - self._idle_timeout
        idle = [p for p, at in self.touched.items() if at < latest and p in self.planner.fib and p not in always]
        if self.idleness.allows(len(idle), len(self.touched), now):
            for prefix in idle:
                if prefix in self.planner.fib:
                    self.planner.withdraw(prefix, Reason.IDLE)

    def refuse(self, prefix: Prefix, until: float) -> None:
        """Do not try this prefix again before `until`: the target did not take it."""
        self._refused[prefix] = until

    def rebuild(self, now: float) -> None:
        """Start anew with what is installed, after the target has told what it really holds."""
        for known in (self.served, self.touched, self._carried):
            known.clear()
        self._ranking.clear()
        for prefix, entry in self.planner.fib.entries.items():
            if entry.kind is Kind.ROUTE:
                self._serve(prefix, now)

    def thaw(self, now: float) -> None:
        """Samples come again: nothing was idle while there were none."""
        self.touched = dict.fromkeys(self.touched, now)
        self.awaited = dict.fromkeys(self.awaited, now)

    def rebuild_some(self, prefixes: Sequence[Prefix], now: float) -> None:
        """As rebuild, for prefixes of which the target holds something else than was planned."""
        for prefix in prefixes:
            entry = self.planner.fib.entries.get(prefix)
            if entry is None or entry.kind is Kind.COVER:
                self._drop(prefix)
            elif prefix not in self.served:
                self._serve(prefix, now)

    # --- what was chosen before --------------------------------------------------------------------------------------

    def settle(self, now: float) -> None:
        """There is a table: the choice of an earlier run goes in. What is of no use yet is awaited from now, unless it
        rides along."""
        # What stood may have stood in slots of the reserve, as exceptions that BGP brought.
        self.put_back(tuple(self.awaited), now, reserve=True)
        riding = [prefix for prefix in self.awaited if self.planner.needs_no_slot(prefix)]
        for prefix in riding:
            del self.awaited[prefix]
        self.given_up += riding
        self.awaited = dict.fromkeys(self.awaited, now)

    def put_back(
        self, prefixes: Iterable[Prefix], now: float, most: float = math.inf, *, reserve: bool = False
    ) -> None:
        """Install what was chosen before, as it was, where there is a use for it and a free slot; samples judge it.

        At most so many changes are made, and those that the last route needs. `reserve`: its slots are free as well.
        """
        before = self.planner.fib.pending
        for prefix in prefixes:
            free = self.planner.free if reserve else self.free
            if free < 1 or self.planner.fib.pending - before >= most:
                break
            if self._is_of_use(prefix):
                self.planner.install(prefix, Reason.REMEMBERED, free)
        self.sync(now)

    def _is_of_use(self, prefix: Prefix) -> bool:
        """True if the table has a route that goes elsewhere than its packets would go now, and policy allows it."""
        winner, default = self.planner.rib.winner(prefix), self.planner.default
        if winner is None or (default is not None and winner.next_hop == default.next_hop):
            return False
        return self.policy.refusal(prefix) is None and not self.planner.needs_no_slot(prefix)

    # --- over a restart ----------------------------------------------------------------------------------------------

    def recall(self, prefix: Prefix, rate: float, samples: float, *, chosen: bool, now: float) -> None:
        """Start with what `memory` said of a prefix; call it in that order, before the table is there."""
        if samples > 0:
            self.averages.seed(prefix, rate, samples, now)
            self.estimates.seed(prefix, rate, samples)
        if chosen:
            self.awaited[prefix] = now

    def memory(self, most: int) -> list[Remembered]:
        """(prefix, bytes/s, samples of an hour, chosen) for a later run: the chosen first, by worth, then the busiest.

        Of a chosen route it is what rides along as well, since that is why it was chosen. What is awaited is chosen.
        """
        chosen = self._best(((p, record) for p, record in self._carried.items() if p in self.served), most)
        # What was put back after an earlier restart, and has carried nothing since, is chosen without a record.
        chosen += [p for p in self.served if p not in self._carried]
        chosen += [p for p in self.awaited if p not in self.served]
        known = frozenset(chosen)
        others = self._best(((p, r) for p, r in self.estimates.records.items() if p not in known), most - len(chosen))
        return [(p, *self._remembered(p), True) for p in chosen] + [(p, *self._remembered(p), False) for p in others]

    def remembrance(self, prefix: Prefix) -> Remembered:
        """The same of one prefix that is not awaited."""
        return prefix, *self._remembered(prefix), prefix in self.served

    def _best(self, records: Iterable[tuple[Prefix, Record]], most: int) -> list[Prefix]:
        worth = self.estimates.worth
        return [p for _, p in heapq.nlargest(most, ((worth(record), p) for p, record in records))]

    def _remembered(self, prefix: Prefix) -> tuple[float, float]:
        record = self._carried.get(prefix) or self.estimates.records.get(prefix)
        return self.estimates.remembered(record) if record and record[0] > 0 else (0.0, 0.0)


def forget(memory: dict[Prefix, float], before: float) -> None:
    """Drop what was noted before a moment."""
    for prefix in [prefix for prefix, at in memory.items() if at < before]:
        del memory[prefix]
