"""The choice: which routes get the slots of one family.

It works on what the samples touch. Each prefix with traffic has an estimate of what it will carry (core/estimate.py);
each installed route one for itself and all that rides along. A batch of samples is the moment at which a route can
have become worth a slot; the installed route that is worth least for its slots stands at the top of a queue
(core/ranking.py). A tick therefore costs what changed, not what the table holds.

- A route with traffic that misses goes in at once while slots are free: with the covers it needs, or not at all.
- Where a shorter route of the table with the same next hop carries more for its slots, it goes in instead
  (core/aggregate.py).
- When no slot is free, it takes the place of the routes worth least if it is expected to carry more than they do
  together, by `SWAP_Z` standard errors, by `SWAP_GAIN` and by what a change is worth now (`Payback` in core/budget.py),
  so that noise does not churn the hardware. The last free slots, fewer than a minute's swaps and a twentieth
  of all, count as taken.
- What BGP or the target took out is put back when its route is there again, without waiting for a sample: into a free
  slot, or as if it had one.
- What finds the second's changes spent while slots are free is put in with the next ones.
- What rides along with an installed route, or goes the default's way anyway, needs nothing.
- An idle route stays until its slot is wanted or `idle_timeout` has passed; without samples nothing is judged at all.
- `churn` bounds the changes a second (core/budget.py); what is `BURST_Z` standard errors above the weakest borrows
  from the next second; what correctness needs (core/plan.py) does not wait at all.

The traffic of an interval is judged by the choice that stood before it: `hits` never grades the samples that chose.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from typing import Final

from arm.config import SelectionConfig
from arm.core.aggregate import Offer, offers
from arm.core.budget import Payback
from arm.core.estimate import Record
from arm.core.eviction import Eviction
from arm.core.plan import Planner
from arm.core.policy import Policy
from arm.core.standing import Standing, Victims, forget
from arm.core.tally import Tally
from arm.model import COUNT_BITS, COUNT_MASK, Hits, Kind, Prefix, Reason, contains

SWAP_Z: Final = 0.5
BURST_Z: Final = 3.0
SWAP_GAIN: Final = 1.1
_VICTIMS: Final = 64
"""Installed routes that one newcomer may push out."""
_LOOKS: Final = 4
"""Prefixes that were worth too little alone and are looked at again each second."""
_MOST_OVERLOOKED: Final = 20_000
_CATCH_UP: Final = 4096
"""Prefixes that found the changes spent and are tried again in a second."""
_LOOK_FOR: Final = 4096
"""Awaited prefixes that are looked at in a second, one after the other: some milliseconds."""
_MOST_WAITING: Final = 100_000
_LAST: Final = 0.05
"""The share of all slots that at most count as the last free ones: where there are few, an empty one is a loss."""
_RECENT: Final = 60.0
"""Seconds for which a miss of a route that was taken out counts as `removed`."""


class Selection(Standing):
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
        super().__init__(
            planner=planner, policy=policy, config=config, t=t, minvalue=minvalue, capacity=capacity, now=now
        )
        self._eviction = Eviction(self)
        self._tally = Tally()
        self._overlooked: dict[Prefix, None] = {}
        self._waiting: dict[Prefix, None] = {}
        """What missed while slots were free and no change was left."""
        self._payback = Payback(now)
        self._cheapest: float | None = None
        """The price of a slot, while nothing changes."""
        self._spared: dict[int, Victims] = {}
        """By the slots that they would free, the routes that an offer was not clearly better than; the same."""
        self._known_at = 0
        self.swaps = 0

    # --- samples -----------------------------------------------------------------------------------------------------

    def observe(self, seen: Mapping[bytes, int], now: float) -> None:
        """Take in the packed sums (see TrafficBatch) of destination addresses and act on what they show."""
        by_prefix: dict[Prefix, int] = {}
        unrouted = self.planner.rib.add_up(seen, by_prefix, remember=True)
        self._tally.no_route += unrouted >> COUNT_BITS
        self._tally.samples += unrouted & COUNT_MASK
        self.estimates.advance(now, self._carried.values())
        missed = self._judge(by_prefix, now)
        self.averages.add(by_prefix, unrouted >> COUNT_BITS, now)
        if missed:
            self._choose(missed, now)
            self._eviction.keep_pinned(now)

    def _judge(self, by_prefix: Mapping[Prefix, int], now: float) -> list[Prefix]:
        """Count the traffic, and what the standing choice did with it; the prefixes that missed."""
        tally, fib, rib = self._tally, self.planner.fib, self.planner.rib
        entries, match = fib.entries, fib.match
        records, carried, served, touched = self.estimates.records, self._carried, self.served, self.touched
        long, middle, short = self.estimates.weights
        weight = self.averages.weight(now)
        default = self.planner.default
        default_hop = default.next_hop if default is not None else None
        missed: list[Prefix] = []
        all_octets = all_samples = 0
        for prefix, packed in by_prefix.items():
            octets, count = packed >> COUNT_BITS, packed & COUNT_MASK
            all_octets += octets
            all_samples += count
            record = records.get(prefix)
            known = record is not None
            if record is None:
                record = records[prefix] = [0.0, 0.0, 0.0, 0.0]
            record[0] += count * long
            record[1] += count * middle
            record[2] += count * short
            record[3] += octets * long
            at = match(prefix)
            if at is not None and entries[at].kind is Kind.ROUTE:
                tally.installed += octets
                served[at] = served.get(at, 0.0) + octets * weight
                touched[at] = now
                sums = carried.get(at)
                if sums is None:
                    carried[at] = record if at == prefix else record.copy()
                elif sums is not record:
                    if at != prefix and sums is records.get(at):
                        sums = carried[at] = sums.copy()
                    sums[0] += count * long
                    sums[1] += count * middle
                    sums[2] += count * short
                    sums[3] += octets * long
                continue
            if rib.next_hop(prefix) == default_hop:
                tally.free += octets
            elif self.policy.refusal(prefix) is not None:
                tally.excluded += octets
            else:
                missed.append(prefix)
                if now - self._gone.get(prefix, -_RECENT) < _RECENT:
                    tally.removed += octets
                elif known:
                    tally.no_slot += octets
                else:
                    tally.new += octets
        tally.samples += all_samples
        self.estimates.count(all_samples, all_octets)
        return missed

    def take_hits(self, seconds: float) -> Hits:
        """What became of the traffic since the last call, over `seconds`."""
        tally, self._tally = self._tally, Tally()
        return tally.hits(max(seconds, 1e-9))

    # --- choosing ----------------------------------------------------------------------------------------------------

    def _choose(self, missed: list[Prefix], now: float) -> None:
        ranked = sorted(((self.worth(prefix), prefix) for prefix in missed), reverse=True)
        entries, overlooked = self.planner.fib.entries, self._overlooked
        budget = self._budget
        budget.refill(now)
        self._moved()
        cheap = False
        for worth, prefix in ranked:
            if not budget.open and not (budget.lends and self._is_burst(prefix, worth)):
                if self.free > 0:
                    self._waiting[prefix] = None
                continue
            # A cover has its slot already: to turn it into a route costs nothing.
            if prefix not in entries:
                cheap = cheap or (self.free < 1 and worth <= self._price() * SWAP_GAIN)
                if cheap:
                    overlooked[prefix] = None
                    continue
            self._try(prefix, now)

    def _try(self, prefix: Prefix, now: float) -> bool:
        """Admit what misses unless policy or the target is against it; False if there was nothing to try."""
        if self.averages.rate(prefix, now) < self.minvalue or self._is_refused(prefix, now):
            return False
        if self.planner.needs_no_slot(prefix):
            return False
        before = self.planner.fib.pending
        self._admit(prefix, now)
        self._budget.left -= self.planner.fib.pending - before
        return True

    def _is_burst(self, prefix: Prefix, worth: float) -> bool:
        """True if what misses is above the weakest route by `BURST_Z` standard errors while all slots are taken."""
        if self.free > 0:
            return False
        error = worth / math.sqrt(self.estimates.samples(self.estimates.records[prefix]))
        return worth - BURST_Z * error > self._price()

    def _is_refused(self, prefix: Prefix, now: float) -> bool:
        return self._refused.get(prefix, 0.0) > now

    def _price(self) -> float:
        """What the weakest installed route carries for each of its slots."""
        self._keep_up()
        if self._cheapest is None:
            weakest = self._ranking.weakest()
            self._keep_up()
            self._cheapest = self._ranking.keys[weakest] if weakest is not None else 0.0
        return self._cheapest

    def _moved(self) -> None:
        """Forget what was worked out for the prefixes that miss: samples or changes have come since."""
        self._cheapest = None
        self._spared.clear()
        self._known_at = self._ranking.corrections

    def _keep_up(self) -> None:
        """The same if the ranking has found out more since."""
        if self._known_at != self._ranking.corrections:
            self._moved()

    def _catch_up(self, now: float) -> None:
        """Put in what found the changes spent, while slots are free: its next sample may be minutes away."""
        waiting = self._waiting
        for prefix in list(islice(waiting, _CATCH_UP)):
            if not self._budget.open or self.free < 1:
                break
            del waiting[prefix]
            if self.planner.rib.winner(prefix) is not None:
                self._try(prefix, now)
        if self.free < 1:
            waiting.clear()
        for prefix in list(islice(waiting, max(len(waiting) - _MOST_WAITING, 0))):
            del waiting[prefix]

    # --- what was chosen before --------------------------------------------------------------------------------------

    def _bring_back(self, now: float, *, frozen: bool) -> None:
        """Put back what is of use again: who waits for samples waits for minutes, if its traffic is little.

        Where no slot is free, it has to be worth more than others, as if it had a sample now; or it is given up.
        """
        if not self.awaited or not self._budget.open:
            return
        some = tuple(islice(self.awaited, _LOOK_FOR))
        for prefix in some:  # the others come first in the next second
            self.awaited[prefix] = self.awaited.pop(prefix)
        if self.free > 0:
            before = self.planner.fib.pending
            self.put_back(some, now, self._budget.left)
            self._budget.left -= self.planner.fib.pending - before
        elif not frozen:
            wanted = [prefix for prefix in some if self._is_of_use(prefix)]
            for prefix in wanted:
                del self.awaited[prefix]
            self.given_up += wanted
            self._choose([prefix for prefix in wanted if prefix in self.estimates.records], now)

    # --- later -------------------------------------------------------------------------------------------------------

    def _look_again(self, now: float) -> None:
        """Of what was worth too little alone, try a few that could share a shorter route with others."""
        looks, overlooked, covering = _LOOKS, self._overlooked, self.planner.rib.covering
        while looks and overlooked and self._budget.open:
            prefix = next(iter(overlooked))
            del overlooked[prefix]
            around = [route.attributes.next_hop for route in islice(covering(prefix), 2)]
            if len(around) == 2 and around[0] == around[1]:
                looks -= self._try(prefix, now)
        for prefix in list(islice(overlooked, max(len(overlooked) - _MOST_OVERLOOKED, 0))):
            del overlooked[prefix]

    def _admit(self, prefix: Prefix, now: float) -> None:
        """Find slots for what misses, alone or with what would ride along, where they would carry clearly more."""
        price = self._price()
        for offer in offers(
            self.planner, self.policy, prefix, self.worth, price, lambda other: self._is_refused(other, now)
        ):
            if self._take(offer, prefix, now):
                break

    def _take(self, offer: Offer, prefix: Prefix, now: float) -> bool:
        """Put in what is offered for a prefix that misses; False, with nothing changed, if there is no room for it."""
        reason = Reason.NEW
        joined = [self.estimates.records[other] for other in offer.joined if other in self.estimates.records]
        if offer.slots > max(self.free, 0):
            leaving = self._make_room(offer)
            if leaving is None:
                return False
            joined += leaving
            reason = Reason.SWAP
            self.swaps += 1
            self._payback.note(now)
        elif self._is_among_the_last(now) and offer.gain - self._price() * offer.slots < self._least(offer):
            return False
        if offer.prefix != prefix:
            reason = Reason.AGGREGATE
        self._moved()
        stands = self.planner.install(offer.prefix, reason, max(self.free, 0))
        self.sync(now)
        if stands and joined:
            self._add_to(offer.prefix, joined)
        return True

    def _make_room(self, offer: Offer) -> list[Record] | None:
        """Take out what is worth less than an offer, and before that what would ride along with it.

        Returns the records of the latter; None, with nothing changed, if the offer is not clearly better.
        """
        lacking = offer.slots - self.free
        leaving = [rider for rider in offer.riders if self.planner.slots_freed(rider) > 0][:lacking]
        lacking -= len(leaving)
        # One batch may have thousands that miss, and the same few routes to weigh them against.
        self._keep_up()
        spared = self._spared.get(lacking)
        if (
            spared is not None
            and not any(contains(offer.prefix, other) for other in spared.weighed)
            and not self._exceeds(offer, spared, lacking)
        ):
            return None
        victims = self.victims(lacking, _VICTIMS, offer.prefix)
        if not self._exceeds(offer, victims, lacking):
            self.rank_again(victims.prefixes)
            self._keep_up()
            if not any(contains(offer.prefix, other) for other in victims.weighed):
                self._spared[lacking] = victims
            return None
        records = [self._carried[rider] for rider in leaving if rider in self._carried]
        for victim in (*victims.prefixes, *leaving):
            if victim in self.planner.fib:
                self.planner.withdraw(victim, Reason.SWAP)
        self.rank_again(victims.prefixes)
        return records

    def _is_among_the_last(self, now: float) -> bool:
        """True for the free slots that the swaps of a minute would take, which are few of all."""
        return self.free < min(self._payback.lately(now), _LAST * self.usable)

    def _least(self, offer: Offer) -> float:
        """What an offer must win to be worth its changes."""
        return self._payback.samples(self.estimates.now) * self.estimates.one_sample * offer.slots

    def _exceeds(self, offer: Offer, victims: Victims, lacking: int) -> bool:
        """True if an offer adds clearly more than the victims carry together, less the credit for slots left over."""
        if lacking > 0 and not victims.prefixes:
            return False
        records = self.estimates.records
        error2 = 0.0
        for prefix in (offer.prefix, *offer.joined):
            record = records.get(prefix)
            if record is not None:
                error2 += self.estimates.worth(record) ** 2 / self.estimates.samples(record)
        # What has just made room for others would take turns with them, if it were told that others wait.
        total = 0.0 if offer.prefix in self._gone else -victims.credit
        for victim in victims.prefixes:
            record = self._carried.get(victim)
            if record is not None:
                value = self.estimates.worth(record)
                total += value
                error2 += value * value / self.estimates.samples(record)
        least = max(SWAP_Z * math.sqrt(error2), self._least(offer))
        return offer.gain - total > least and offer.gain > total * SWAP_GAIN

    def tick(self, now: float, *, frozen: bool, clean: bool) -> None:
        """Once a second: shrink to the capacity, see to pinned routes; with `clean` also to what is idle or forgotten.

        `frozen` (no samples) leaves alone what only the samples could judge.
        """
        self._budget.refill(now)
        self._eviction.shrink(now)
        seconds, self._rounded = now - self._rounded, now
        self._ranking.go_round(seconds)
        self._eviction.pin(now, again=clean)
        self._bring_back(now, frozen=frozen)
        if not frozen:
            self._moved()
            self._catch_up(now)
            self._look_again(now)
        if clean:
            if not frozen:
                self._drop_idle(now)
                self.sync(now)
                self.averages.forget_idle(now)
                self.estimates.forget_idle(self.served)
                self._give_up(now)
            forget(self._gone, now - _RECENT)
            forget(self._refused, now - _RECENT)
        self._eviction.keep_pinned(now)
