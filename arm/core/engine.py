"""The engine: events in, plans out. No socket, no thread, no clock: recorded events replay to the same plans.

One thread owns it. `handle` takes an event and returns the changes it calls for, as a Plan that is safe in its order;
`tick` is called once a second, and `sweep` as often as there is time while `sweeping`. Everything that is wrong in the
hardware because the table changed is repaired in the very plan of that event; what traffic calls for follows the
selection. Until the table of a family is complete for the first time, nothing of that family is planned.

While the target is down, or does not carry a family, the choice goes on as if it were there; when it comes back it is
told the whole choice, longest prefixes first, so that the rule holds for a target that starts empty.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from arm.config import Config
from arm.core.family import FamilyEngine
from arm.core.feeds import Feeds, shrinks
from arm.core.inflight import InFlight
from arm.core.relearned import Relearned
from arm.core.rib import RouteChange
from arm.core.sweeps import Sweeps
from arm.model import (
    FAMILIES,
    Applied,
    Attributes,
    Capacity,
    Change,
    ChangeRecord,
    Drift,
    Entry,
    Event,
    Family,
    FamilyStatus,
    FeedComplete,
    FeedDown,
    FeedUp,
    Kind,
    NextHopDown,
    NextHopUp,
    Plan,
    Prefix,
    Problem,
    Reason,
    Remembered,
    RoutesLearned,
    Severity,
    TargetDown,
    TargetUp,
    Traffic,
    What,
    family_of,
)

_LOG_SIZE: Final = 10_000
_CLEAN_EVERY: Final = 10.0


class Engine:
    """The state of both families, and the only thing that changes it."""

    def __init__(self, config: Config, now: float, epoch_ms: int) -> None:
        """`epoch_ms` is `now` in steady milliseconds (arm/walltime.py), to date the change log."""
        self.config = config
        self._epoch_ms = epoch_ms - int(now * 1000)
        self.now = now
        slots = config.target.slots
        self.families = {family: FamilyEngine(family, config, slots[family], now) for family in FAMILIES}
        self._feeds = Feeds(hold=config.bgp.restart_time)
        self._target_up = False
        self._epoch = 0
        self._numbers = 0
        self._in_flight = InFlight()
        self._drifts = 0
        """Number of the latest Drift about a route that stands no more."""
        self._log: deque[ChangeRecord] = deque(maxlen=_LOG_SIZE)
        self._logged = 0
        self._relearned = Relearned()
        self._sweeps = Sweeps(self.families, self._relearned)
        self._last_sample: float | None = None
        self._cleaned = now
        self._ticked = now
        self.changes_refused = 0
        self._turned: list[Prefix] | None = None
        """Prefixes that have become installed routes, or are none any more, for who keeps the choice."""

    # --- events ------------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> Plan | None:
        """Take in one event; the changes it calls for, if any."""
        self.now = now
        complete: frozenset[Family] = frozenset()
        match event:
            case Traffic():
                self._traffic(event, now)
            case RoutesLearned():
                if self._feeds.is_current(event.feed):
                    self._learn(event)
            case FeedUp():
                self._sweeps.begin(self._feeds.up(event), now)
            case FeedComplete():
                complete = self._feed_complete(event, now)
            case FeedDown():
                if self._feeds.is_current(event.feed):
                    self._sweeps.begin(self._feeds.down(event, now), now)
            case TargetUp():
                complete = self._start_target(event)
            case TargetDown():
                self._target_up = False
                self._in_flight.void(FAMILIES)
                for family in self.families.values():
                    family.stop_target()
            case Applied():
                self._applied(event, now)
            case NextHopDown():
                for family in self.families.values():
                    family.next_hop_down(event.next_hop, now)
            case NextHopUp():
                for family in self.families.values():
                    family.next_hop_up(event.next_hop)
            case Drift():
                self._drifts = max(self._drifts, event.number)
                self._record(event.prefix, What.RESTORED if event.installed else What.FAILED, None, event.what)
                if not event.installed and self.families[family_of(event.prefix)].is_there(event.prefix):
                    self._in_flight.lost(event.prefix)
                    self._correct(now)
            case Capacity():
                self.families[event.family].set_hardware_capacity(event.slots)
            case _:
                assert_never(event)
        return self._plan(complete)

    def tick(self, now: float) -> Plan | None:
        """Once a second: deadlines, held back losses, capacity, pinned and idle routes."""
        self.now = now
        self._sweeps.begin(self._feeds.expired(now), now)
        for feed, held, _ in self._feeds.held():
            rib = self.families[held].rib
            if not shrinks(len(rib), rib.stale(feed.name, feed.generation)):
                self._sweeps.begin([self._feeds.release(feed, held)], now)
        clean = now - self._cleaned >= _CLEAN_EVERY
        if clean:
            self._cleaned = now
        seconds, self._ticked = now - self._ticked, now
        for state in self.families.values():
            state.tick(now, seconds, frozen=self.frozen, clean=clean)
        return self._plan(frozenset())

    @property
    def sweeping(self) -> bool:
        """True while routes are being dropped that sessions have left: `sweep` has something to do."""
        return bool(self._sweeps)

    def sweep(self, now: float) -> Plan | None:
        """Drop the next portion of what sessions have left: between two events, as often as there is time."""
        self.now = now
        if not self._sweeps:
            return None
        self._sweeps.step(now)
        return self._plan(self._settle())

    def reconfigure(self, config: Config, now: float) -> Plan | None:
        """Follow another configuration in what concerns slots, `[selection]` and stale samples."""
        self.config, self.now = config, now
        for family, slots in config.target.slots.items():
            self.families[family].reconfigure(config, slots, now)
        return self._plan(frozenset())

    @property
    def settled(self) -> bool:
        """True when every family that a session teaches has been complete once, and there is one."""
        taught = self._feeds.taught()
        return bool(taught) and all(self.families[family].settled for family in taught)

    def only_fills(self, event: RoutesLearned) -> bool:
        """True if all routes are of families that have not been complete yet: to take them in calls for no plan."""
        settled = [family.bits // 8 for family in FAMILIES if self.families[family].settled]
        return not settled or not any(prefixes and len(prefixes[0][0]) in settled for _, prefixes in event.updates)

    @property
    def in_flight(self) -> int:
        """Plans that the target has not answered."""
        return len(self._in_flight)

    @property
    def frozen(self) -> bool:
        """True while there is no sFlow to judge by."""
        return self._last_sample is None or self.now - self._last_sample > self.config.sflow.stale

    # --- traffic -----------------------------------------------------------------------------------------------------

    def _traffic(self, event: Traffic, now: float) -> None:
        batch = event.batch
        if batch.samples:
            if self.frozen:
                for state in self.families.values():
                    state.selection.thaw(now)
            self._last_sample = now
        self.families[Family.IPV4].observe(batch.destinations4, batch.sources4, now)
        self.families[Family.IPV6].observe(batch.destinations6, batch.sources6, now)

    # --- the table ---------------------------------------------------------------------------------------------------

    def _learn(self, event: RoutesLearned) -> None:
        if any(family.settled for family in self.families.values()):
            self._relearned.note(event.updates)
        else:
            self._relearned.forget()
        # One walk for both families: it is the first look at what another thread has made, and a tenth of learning.
        of_size: dict[int, list[tuple[Attributes | None, Sequence[Prefix]]]] = {4: [], 16: []}
        for update in event.updates:
            if update[1]:
                of_size[len(update[1][0][0])].append(update)
        for family in self.families.values():
            updates = of_size[family.family.bits // 8]
            if not family.settled:  # nothing is installed yet that could be wrong
                family.rib.load(event.feed, updates)
                continue
            entries = family.fib.entries
            # Repairs start when the table has taken in all of it: made in between, they would follow a next hop that
            # the same event takes back.
            changes: list[RouteChange] = []
            for attributes, prefixes in updates:
                if attributes is None:
                    family.rib.withdraw(event.feed, prefixes, changes, entries)
                else:
                    family.rib.announce(attributes, prefixes, changes, entries)
            family.table_changed(changes, self.now)

    def _settle(self) -> frozenset[Family]:
        """Choose from now on where the table is complete for the first time, and free of what an older feed left."""
        for family, state in self.families.items():
            if not state.settled and self._feeds.is_complete(family) and not self._sweeps.of(family):
                state.settle(self.now)
        return self._tell()

    def _feed_complete(self, event: FeedComplete, now: float) -> frozenset[Family]:
        feed, family = event.feed, event.family
        if not self._feeds.is_current(feed):
            return frozenset()
        self._feeds.complete(feed, family)
        state = self.families[family]
        if shrinks(len(state.rib), state.rib.stale(feed.name, feed.generation)):
            self._feeds.hold(feed, family, now)
        else:
            self._sweeps.begin([self._feeds.release(feed, family)], now)
        return self._settle()

    # --- the target --------------------------------------------------------------------------------------------------

    def _start_target(self, event: TargetUp) -> frozenset[Family]:
        self._target_up = True
        self._epoch, self._drifts = event.epoch, 0
        lost = [family for family in FAMILIES if family not in event.families]
        self._refuse(self._in_flight.void([*event.anew, *lost]))
        for family in lost:
            self.families[family].stop_target()
        for family in event.families & event.anew:
            found = event.found
            self.families[family].start_target(
                None if found is None else {p: hop for p, hop in found.items() if family_of(p) is family}
            )
        self._correct(self.now)
        return self._tell()

    def _tell(self) -> frozenset[Family]:
        """Tell the target the whole choice of the families that have one now."""
        told: set[Family] = set()
        if self._target_up:
            for family, state in self.families.items():
                if state.waits_to_be_told:
                    state.tell(self.now)
                    told.add(family)
        return frozenset(told)

    def _applied(self, event: Applied, now: float) -> None:
        self._refuse(self._in_flight.answer(event.plan, event.failed))
        self._correct(now)

    def _refuse(self, refused: Sequence[tuple[Change, str]]) -> None:
        """Count and log what the target did not do."""
        self.changes_refused += len(refused)
        for change, text in refused:
            self._record(change.prefix, What.FAILED, None, text)

    def _correct(self, now: float) -> None:
        """Where the target holds something else than was planned, and nothing in flight will change that: follow it."""
        certain = self._in_flight.take_certain()
        if not certain:
            return
        for prefix, entry in certain.items():
            self.families[family_of(prefix)].follow(prefix, entry, now)
        for family in self.families.values():
            family.check_refused(now)

    # --- plans -------------------------------------------------------------------------------------------------------

    def _plan(self, complete: frozenset[Family]) -> Plan | None:
        """Number what has been decided since the last plan; nothing goes to a target that is not there."""
        changes: list[Change] = []
        undo: list[Entry | None] = []
        for state in self.families.values():
            if state.fib.pending:
                some, old = state.fib.take()
                state.note(some, self.now)
                self._note(some, old)
                if state.carried:
                    changes += some
                    undo += old
        for state in self.families.values():
            if state.selection.given_up:
                if self._turned is not None:
                    self._turned += state.selection.given_up
                state.selection.given_up.clear()
        if not self._target_up or not (changes or complete):
            return None
        self._numbers += 1
        self._in_flight.send(self._numbers, changes, undo)
        return Plan(self._numbers, tuple(changes), complete, self._epoch, self._in_flight.answered, self._drifts)

    def _note(self, changes: Sequence[Change], before: Sequence[Entry | None]) -> None:
        """Take down what is decided: in the change log, and for who keeps the choice."""
        for change, old_entry in zip(changes, before, strict=True):
            if change.reason is Reason.RESENT:
                continue
            if (
                self._turned is not None
                and change.reason is not Reason.REMEMBERED  # who keeps the choice knows of it
                and _is_route(change.entry) != _is_route(old_entry)
            ):
                self._turned.append(change.prefix)
            put = What.INSTALLED if old_entry is None else What.REPLACED
            self._record(change.prefix, What.REMOVED if change.entry is None else put, change.reason)

    def keep_turns(self) -> None:
        """From now on, `take_turns` tells what is chosen and what is given up."""
        self._turned = []

    def take_turns(self) -> list[Remembered]:
        """What has been chosen or given up since the last call, as in `memory`."""
        if not self._turned:
            return []
        turned, self._turned = dict.fromkeys(self._turned), []
        found = [(prefix, self.families[family_of(prefix)].selection) for prefix in turned]
        # what is awaited was chosen, and is so still
        return [selection.remembrance(prefix) for prefix, selection in found if prefix not in selection.awaited]

    def _record(self, prefix: Prefix, what: What, reason: Reason | None, detail: str = "") -> None:
        self._logged += 1
        self._log.append(ChangeRecord(self._logged, self.steady_ms(self.now), prefix, what, reason, detail))

    def steady_ms(self, at: float) -> int:
        """A moment of the engine's clock in steady milliseconds (arm/walltime.py)."""
        return self._epoch_ms + int(at * 1000)

    # --- questions ---------------------------------------------------------------------------------------------------

    def changes(self, after: int) -> Sequence[ChangeRecord]:
        """The change log behind number `after`, oldest first."""
        skip = max(0, len(self._log) - (self._logged - after))
        return tuple(self._log[i] for i in range(skip, len(self._log)))

    def relearned(self, after: int) -> tuple[int, Sequence[Prefix] | None]:
        """A number that grows with what the table is told, and what it was told since it was `after`, if known."""
        return self._relearned.number, self._relearned.since(after)

    def memory(self, most: int) -> Mapping[Family, list[Remembered]]:
        """What a later run should know: prefix, bytes/s, samples, chosen; the chosen first, at most `most` each."""
        found: dict[Family, list[Remembered]] = {}
        for family in FAMILIES:
            found[family] = self.families[family].selection.memory(most)
        return found

    def family_status(self, family: Family) -> FamilyStatus:
        """The state of one family."""
        return self.families[family].status(complete=self._feeds.is_complete(family))

    def kept_routes(self) -> dict[str, float]:
        """Sessions that are down while their routes are kept, and for how many seconds more."""
        return {name: max(0.0, until - self.now) for name, until in self._feeds.waiting().items()}

    def problems(self) -> tuple[Problem, ...]:
        """What the engine itself is worried about."""
        found: list[Problem] = []
        for feed, family, until in self._feeds.held():
            stale = self.families[family].rib.stale(feed.name, feed.generation)
            found.append(Problem(Severity.ERROR, "table", f"{feed.name} came back without {stale:,} of its {family.label} routes; they are kept for {max(0, until - self.now):.0f} s more. Look whether BIRD's own peers are up."))  # fmt: skip # noqa: E501
        for state in self.families.values():
            found.extend(state.problems(target_up=self._target_up))
        return tuple(found)


def _is_route(entry: Entry | None) -> bool:
    return entry is not None and entry.kind is Kind.ROUTE
