"""The choice: which routes get the slots of one family.

It works on what the samples touch. With forward decay (core/traffic.py) the order of two prefixes changes only when one
of them is sampled, so a batch of samples is the only moment at which a route can have become worth a slot; and the
installed route that is worth least is found with a heap whose entries are lower bounds, because a worth only grows
until the route goes. A tick therefore costs what changed, not what the table or the choice holds.

- A route with traffic that misses goes in at once while slots are free: with the covers it needs, or not at all.
- When none is free it takes the place of the routes worth least if it carries more *significantly*: by `SWAP_Z`
  standard errors, so that noise does not churn the hardware. With c samples behind a rate r its standard error is
  r/sqrt(c).
- What rides along with an installed route, or goes the default's way anyway, needs nothing.
- An idle route stays until its slot is wanted or `idle_timeout` has passed; without samples nothing is judged at all.
- `churn` bounds the changes a second; what correctness needs (core/plan.py) does not wait for it.

The traffic of an interval is judged by the choice that stood before it: `hits` never grades the samples that chose.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from arm.config import SelectionConfig
from arm.core.plan import Planner
from arm.core.policy import Policy
from arm.core.rib import Rib
from arm.core.traffic import Averages
from arm.model import COUNT_BITS, COUNT_MASK, Hits, Kind, Prefix

SWAP_Z: Final = 2.0
_MOST_EXCEPTIONS: Final = 4096
"""No route is worth more covers than that."""
_VICTIMS: Final = 64
"""Installed routes that one newcomer may push out."""
_RECENT: Final = 60.0
"""Seconds for which a miss of a route that was taken out counts as `removed`."""


@dataclass(slots=True)
class _Tally:
    """Scaled bytes of the current interval by what became of them."""

    installed: int = 0
    free: int = 0
    new: int = 0
    removed: int = 0
    no_slot: int = 0
    excluded: int = 0
    no_route: int = 0
    samples: int = 0

    def hits(self, seconds: float) -> Hits:
        return Hits(
            self.installed / seconds, self.free / seconds, self.new / seconds, self.removed / seconds,
            self.no_slot / seconds, self.excluded / seconds, self.no_route / seconds, self.samples,
        )  # fmt: skip


def resolve(rib: Rib, seen: Mapping[bytes, int], by_prefix: dict[Prefix, int]) -> int:
    """Add packed sums by address to `by_prefix` by longest match; the packed sum of what has no route."""
    unrouted = 0
    match = rib.match
    for address, packed in seen.items():
        prefix = match(address)
        if prefix is None:
            unrouted += packed
        else:
            by_prefix[prefix] = by_prefix.get(prefix, 0) + packed
    return unrouted


class Selection:
    """The choice for one family: `observe` is called for each batch, `tick` once a second, `sync` after repairs."""

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
        self.averages = Averages(t, now)
        self.served: dict[Prefix, float] = {}
        """Installed routes and the weighted bytes they have carried, riders included."""
        self.touched: dict[Prefix, float] = {}
        """When an installed route last carried a sample."""
        self._served_samples: dict[Prefix, float] = {}
        self._heap: list[tuple[float, Prefix]] = []
        self._gone: dict[Prefix, float] = {}
        self._refused: dict[Prefix, float] = {}
        self._tally = _Tally()
        self.minvalue = minvalue
        self._idle_timeout = config.idle_timeout
        self._reserve = config.reserve
        self._churn = config.churn
        self._tokens = float(config.churn)
        self._tokens_at = now
        self.swaps = 0
        self.set_capacity(capacity)

    def set_capacity(self, slots: int) -> None:
        """Use so many slots from now on; a share of them stays free for what BGP changes need at once."""
        self.planner.capacity = slots
        self.usable = max(slots - math.ceil(slots * self._reserve), min(slots, 1))

    def reconfigure(self, config: SelectionConfig, minvalue: float, now: float) -> None:
        """Go by other rules from now on: what they refuse comes out; what they ask for comes with ticks and samples."""
        before, pinned = self.planner.fib.pending, self.policy.always
        self.policy, self.minvalue = Policy(config, self.policy.family), minvalue
        self._idle_timeout, self._reserve, self._churn = config.idle_timeout, config.reserve, config.churn
        for prefix in list(self.served):
            entry = self.planner.fib.entries.get(prefix)
            allowed = prefix in self.policy.always or self.policy.refusal(prefix) is None
            if not allowed and entry is not None and entry.kind is Kind.ROUTE:
                self.planner.withdraw(prefix, "policy")
        self.sync(before, now)
        for prefix in (p for p in pinned if p in self.served):
            heapq.heappush(self._heap, (self.served[prefix], prefix))

    # --- samples -----------------------------------------------------------------------------------------------------

    def observe(self, seen: Mapping[bytes, int], now: float) -> None:
        """Take in the packed sums (see TrafficBatch) of destination addresses and act on what they show."""
        by_prefix: dict[Prefix, int] = {}
        unrouted = resolve(self.planner.rib, seen, by_prefix)
        self._tally.no_route += unrouted >> COUNT_BITS
        self._tally.samples += unrouted & COUNT_MASK
        missed = self._judge(by_prefix, now)
        self.averages.add(by_prefix, unrouted >> COUNT_BITS, now)
        if missed:
            self._choose(missed, now)

    def _judge(self, by_prefix: Mapping[Prefix, int], now: float) -> list[Prefix]:
        """Count what the standing choice did with the traffic; the prefixes that missed."""
        tally, fib, rib = self._tally, self.planner.fib, self.planner.rib
        entries, match = fib.entries, fib.match
        known = self.averages.bytes
        weight = self.averages.weight(now)
        count_weight = weight * self.averages.t
        default = self.planner.default
        default_hop = default.next_hop if default is not None else None
        missed: list[Prefix] = []
        for prefix, packed in by_prefix.items():
            octets, count = packed >> COUNT_BITS, packed & COUNT_MASK
            tally.samples += count
            at = match(prefix)
            if at is not None and entries[at].kind is Kind.ROUTE:
                tally.installed += octets
                self.served[at] = self.served.get(at, 0.0) + octets * weight
                self._served_samples[at] = self._served_samples.get(at, 0.0) + count * count_weight
                self.touched[at] = now
                continue
            winner = rib.winner(prefix)
            if winner is not None and winner.next_hop == default_hop:
                tally.free += octets
            elif self.policy.refusal(prefix) is not None:
                tally.excluded += octets
            else:
                missed.append(prefix)
                if now - self._gone.get(prefix, -_RECENT) < _RECENT:
                    tally.removed += octets
                elif prefix in known:
                    tally.no_slot += octets
                else:
                    tally.new += octets
        return missed

    def take_hits(self, seconds: float) -> Hits:
        """What became of the traffic since the last call, over `seconds`."""
        tally, self._tally = self._tally, _Tally()
        return tally.hits(max(seconds, 1e-9))

    # --- choosing ----------------------------------------------------------------------------------------------------

    @property
    def free(self) -> int:
        """Slots that the choice may still take; the reserve is not among them."""
        return self.usable - len(self.planner.fib)

    def _choose(self, missed: list[Prefix], now: float) -> None:
        sums = self.averages.bytes
        floor = self.minvalue / self.averages.scale(now)
        missed.sort(key=sums.__getitem__, reverse=True)
        self._refill(now)
        for prefix in missed:
            if sums[prefix] < floor or self._tokens < 1:
                return
            if self._refused.get(prefix, 0.0) > now or self.planner.needs_no_slot(prefix):
                continue
            before = self.planner.fib.pending
            free = max(self.free, 0)
            if (free or prefix in self.planner.fib) and self.planner.install(prefix, "new", free):
                self.sync(before, now)
            elif not self._swap(prefix, now):
                return
            self._tokens -= self.planner.fib.pending - before

    def _refill(self, now: float) -> None:
        self._tokens = min(self._tokens + (now - self._tokens_at) * self._churn, float(self._churn))
        self._tokens_at = now

    def _swap(self, prefix: Prefix, now: float) -> bool:
        """Put `prefix` in for what is worth less. False if not even one slot could be had for it."""
        worth = self.averages.bytes[prefix]
        error2 = worth * worth / self._samples(self.averages.samples[prefix], now)
        weakest = self._weakest()
        if weakest is None or not self._exceeds(worth, error2, [weakest], now):
            return False
        attributes = self.planner.rib.winner(prefix)
        needed = self.planner.requirements(prefix, attributes, _MOST_EXCEPTIONS) if attributes is not None else None
        if needed is None:
            return True
        lacking = 1 + len(needed) - self.free
        victims, aside = self._victims(prefix, lacking)
        if victims and self._exceeds(worth, error2, victims, now):
            before = self.planner.fib.pending
            for victim in victims:
                if self.planner.fib.entries.get(victim) is not None:
                    self.planner.withdraw(victim, "swap")
            self.planner.install(prefix, "swap", self.free)
            self.swaps += 1
            self.sync(before, now)
        else:
            aside += victims
        for kept in aside:
            heapq.heappush(self._heap, (self.served.get(kept, 0.0), kept))
        return True

    def _samples(self, weighted: float, now: float) -> float:
        return max(weighted * self.averages.scale(now), 1e-3)

    def _exceeds(self, worth: float, error2: float, victims: list[Prefix], now: float) -> bool:
        """True if `worth` is above what the victims carry together by SWAP_Z standard errors."""
        total = 0.0
        for victim in victims:
            value = self.served.get(victim, 0.0)
            total += value
            if value:
                error2 += value * value / self._samples(self._served_samples.get(victim, 0.0), now)
        return worth - total > SWAP_Z * math.sqrt(error2)

    def _weakest(self) -> Prefix | None:
        """The installed route that has carried least, left at the top of the heap."""
        heap, served = self._heap, self.served
        while heap:
            worth, prefix = heap[0]
            current = served.get(prefix)
            if current is None or prefix in self.policy.always:
                heapq.heappop(heap)
            elif current > worth:
                heapq.heapreplace(heap, (current, prefix))
            else:
                return prefix
        return None

    def _victims(self, newcomer: Prefix, lacking: int) -> tuple[list[Prefix], list[Prefix]]:
        """The weakest routes whose slots add up to `lacking`, taken off the heap; and those passed over, likewise."""
        victims: list[Prefix] = []
        aside: list[Prefix] = []
        while lacking > 0 and len(victims) + len(aside) < _VICTIMS:
            prefix = self._weakest()
            if prefix is None:
                break
            heapq.heappop(self._heap)
            freed = self.planner.slots_freed(prefix)
            if freed > 0 and prefix != newcomer:
                victims.append(prefix)
                lacking -= freed
            else:
                aside.append(prefix)
        if lacking > 0:
            return [], aside + victims
        return victims, aside

    # --- keeping up with what happened to the hardware ---------------------------------------------------------------

    def sync(self, since: int, now: float) -> None:
        """Follow the changes pending from position `since` on: what is served, and by what."""
        for change in self.planner.fib.changes_since(since):
            prefix = change.prefix
            if change.entry is not None and change.entry.kind is Kind.ROUTE:
                if prefix not in self.served:
                    self._serve(prefix, now)
                continue
            worth = self.served.pop(prefix, None)
            if worth is None:
                continue
            samples = self._served_samples.pop(prefix, 0.0)
            self.touched.pop(prefix, None)
            above = self.planner.fib.match(prefix)
            if change.reason == "rides along" and above is not None:
                self.served[above] = self.served.get(above, 0.0) + worth
                self._served_samples[above] = self._served_samples.get(above, 0.0) + samples
            else:
                self._gone[prefix] = now

    def _shrink(self, now: float) -> None:
        """Take out what no longer fits, the least worth first."""
        fib = self.planner.fib
        while self.planner.free < 0 and len(fib):
            before = fib.pending
            victims, aside = self._victims((b"", 0), min(-self.planner.free, _VICTIMS // 2))
            for prefix in victims:
                if prefix in fib:
                    self.planner.withdraw(prefix, "capacity")
            if not victims:
                # Only exceptions are left to choose from: a route with nothing above it always frees its slot.
                some = next((p for p in aside if p in fib), next(iter(fib.entries)))
                self.planner.demote(next(reversed(list(fib.ancestors(some))), some), "capacity")
            for prefix in aside:
                heapq.heappush(self._heap, (self.served.get(prefix, 0.0), prefix))
            self.sync(before, now)

    def refuse(self, prefix: Prefix, until: float) -> None:
        """Do not try this prefix again before `until`: the target did not take it."""
        self._refused[prefix] = until

    def rebuild(self, now: float) -> None:
        """Start anew with what is installed, after the target has told what it really holds."""
        routes = [prefix for prefix, entry in self.planner.fib.entries.items() if entry.kind is Kind.ROUTE]
        self.served = {prefix: self.averages.bytes.get(prefix, 0.0) for prefix in routes}
        self._served_samples = {prefix: self.averages.samples.get(prefix, 0.0) for prefix in routes}
        self.touched = dict.fromkeys(routes, now)
        self._heap = [(worth, prefix) for prefix, worth in self.served.items()]
        heapq.heapify(self._heap)

    def thaw(self, now: float) -> None:
        """Samples come again: nothing was idle while there were none."""
        self.touched = dict.fromkeys(self.touched, now)

    def rebuild_some(self, prefixes: Sequence[Prefix], now: float) -> None:
        """As rebuild, for prefixes of which the target holds something else than was planned."""
        for prefix in prefixes:
            entry = self.planner.fib.entries.get(prefix)
            if entry is None or entry.kind is Kind.COVER:
                self.served.pop(prefix, None)
                self._served_samples.pop(prefix, None)
                self.touched.pop(prefix, None)
            elif prefix not in self.served:
                self._serve(prefix, now)

    def _serve(self, prefix: Prefix, now: float) -> None:
        self.served[prefix] = self.averages.bytes.get(prefix, 0.0)
        self._served_samples[prefix] = self.averages.samples.get(prefix, 0.0)
        self.touched[prefix] = now
        heapq.heappush(self._heap, (self.served[prefix], prefix))

    def remember(self, prefix: Prefix, rate: float, samples: float, now: float) -> None:
        """Start with what was known of a prefix before a restart."""
        self.averages.seed(prefix, rate, samples, now)

    def weakest_rate(self, now: float) -> float | None:
        """Bytes per second that the installed route worth least carries."""
        weakest = self._weakest()
        return None if weakest is None else self.served[weakest] * self.averages.scale(now)

    def memory(self, most: int, now: float) -> list[tuple[Prefix, float, float, bool]]:
        """(prefix, bytes/s, samples, chosen) for a later run: the chosen first, by worth, then the busiest others."""
        scale = self.averages.scale(now)
        served = sorted(self.served.items(), key=lambda item: -item[1])[:most]
        found = [(p, worth * scale, self._served_samples.get(p, 0.0) * scale, True) for p, worth in served]
        others = heapq.nlargest(most - len(found), self.averages.bytes.items(), key=lambda item: item[1])
        samples = self.averages.samples
        found += [(p, worth * scale, samples[p] * scale, False) for p, worth in others if p not in self.served]
        return found

    def tick(self, now: float, *, frozen: bool, clean: bool) -> None:
        """Once a second: shrink to the capacity, see to pinned routes; with `clean` also to what is idle or forgotten.

        `frozen` (no samples) leaves alone what only the samples could judge.
        """
        self._refill(now)
        self._shrink(now)
        before = self.planner.fib.pending
        for prefix in self.policy.always:
            entry = self.planner.fib.entries.get(prefix)
            if (entry is None or entry.kind is Kind.COVER) and self._refused.get(prefix, 0.0) <= now:
                self.planner.install(prefix, "always", self.planner.free)
        if clean:
            if not frozen:
                idle = [p for p, at in self.touched.items() if now - at > self._idle_timeout]
                for prefix in idle:
                    if prefix in self.planner.fib and prefix not in self.policy.always:
                        self.planner.withdraw(prefix, "idle")
                self.averages.forget_idle(now)
            for memory in (self._gone, self._refused):
                for prefix in [p for p, at in memory.items() if now - at > _RECENT]:
                    del memory[prefix]
        self.sync(before, now)
