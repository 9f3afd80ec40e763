"""One address family: its table, its hardware, its choice, and how they keep up with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from arm.config import Config
from arm.core.backoff import Backoff
from arm.core.fib import Fib
from arm.core.plan import Planner
from arm.core.policy import Policy
from arm.core.rib import Rib, RouteChange
from arm.core.selection import Selection
from arm.core.traffic import Averages
from arm.core.watermark import WINDOW, Watermark
from arm.model import (
    COUNT_BITS,
    Attributes,
    Change,
    Entry,
    Family,
    FamilyStatus,
    Feed,
    Hits,
    Kind,
    Prefix,
    Problem,
    Severity,
    format_next_hop,
)

_FOUND: Final = Feed(name="found", peer="", generation=0, peer_as=0, router_id="")
"""The feed of what the target held at the start and the table knows nothing of."""


class FamilyEngine:
    """Everything the engine keeps for one family. Its methods leave their changes pending in `fib`."""

    def __init__(self, family: Family, config: Config, capacity: int, now: float) -> None:
        self.family = family
        self.rib = Rib(family)
        self.fib = Fib(family)
        self.planner = Planner(self.rib, self.fib, capacity)
        self.selection = Selection(
            planner=self.planner,
            policy=Policy(config.selection, family),
            config=config.selection,
            t=config.sflow.t,
            minvalue=config.target.minvalue,
            capacity=capacity,
            now=now,
        )
        self.sources = Averages(config.sflow.t, now)
        self._watermark = Watermark()
        self.settled = False
        """The table has been complete once: from then on there is a choice."""
        self.carried = False
        """The target takes changes of this family."""
        self._told = False
        """The target knows the choice and needs only what changes."""
        self.found: dict[Prefix, bytes] | None = None
        self.since: dict[Prefix, float] = {}
        """When an installed entry was put in or last changed."""
        self.hits = Hits()
        self._configured = capacity
        self._hardware: int | None = None
        self._pending_sources: dict[bytes, int] = {}
        self._recheck: dict[Prefix, float] = {}
        self._refused: dict[Prefix, bool] = {}
        """Where the target holds something else than planned; False where it did before, so that it has to wait."""
        self._backoff = Backoff()
        self._bars = False
        """Something was refused since covers in vain were last looked for."""

    # --- traffic -----------------------------------------------------------------------------------------------------

    def observe(self, destinations: Mapping[bytes, int], sources: Mapping[bytes, int], now: float) -> None:
        """Take in the packed sums of one batch. Before the table is complete they would match the wrong routes."""
        if not self.settled:
            return
        if destinations:
            self.selection.observe(destinations, now)
        # Nothing hurries about sources: once a second is enough, and then each address is looked up but once.
        pending = self._pending_sources
        for address, packed in sources.items():
            pending[address] = pending.get(address, 0) + packed

    def tick(self, now: float, seconds: float, *, frozen: bool, clean: bool) -> None:
        """Once a second."""
        self.hits = self.selection.take_hits(seconds)
        if not self.settled:
            return
        self._watermark.mark(len(self.rib), now)
        by_prefix: dict[Prefix, int] = {}
        unrouted = self.rib.add_up(self._pending_sources, by_prefix, remember=False)
        self._pending_sources = {}
        self.sources.add(by_prefix, unrouted >> COUNT_BITS, now)
        if clean and self._bars:
            self._bars = False
            self.planner.drop_orphans()
            self.selection.sync(now)
        if clean:
            self._backoff.clean(now)
            if not frozen:
                self.sources.forget_idle(now)
        due = sorted((prefix for prefix, at in self._recheck.items() if now >= at), key=lambda prefix: prefix[1])
        for prefix in due:
            del self._recheck[prefix]
            self.planner.barred.discard(prefix)
            self._repair([prefix], now)
        self.selection.tick(now, frozen=frozen, clean=clean)

    # --- the table ---------------------------------------------------------------------------------------------------

    def table_changed(self, changes: list[RouteChange], now: float) -> None:
        """Repair what the hardware holds after these changes of the table."""
        if not self.settled:
            return
        default = self.rib.default()
        if default is self.planner.default and not changes:
            return
        if default is not self.planner.default:
            self.planner.default_changed(default)
        if self.fib.entries:
            changes.sort(key=_length)
            for prefix, _, _ in changes:
                self.planner.route_changed(prefix, self.rib.winner(prefix))
        self.selection.sync(now, lost=True)

    def settle(self, now: float) -> None:
        """The table is complete for the first time: there is a default, and what was remembered can be chosen again."""
        self.settled = True
        self.planner.default_changed(self.rib.default())
        self.selection.settle(now)

    # --- the target --------------------------------------------------------------------------------------------------

    def start_target(self, found: dict[Prefix, bytes] | None) -> None:
        """The target takes changes of this family from now on; `found`, if it can tell, is what it holds."""
        self.carried, self._told, self.found = True, False, found
        self.planner.dead.clear()  # it says anew what it cannot reach

    def stop_target(self) -> None:
        """The target takes no changes of this family."""
        self.carried, self._told, self.found = False, False, None

    @property
    def waits_to_be_told(self) -> bool:
        """True if there is a choice that the target does not know as a whole."""
        return self.carried and self.settled and not self._told

    def tell(self, now: float) -> None:
        """Bring the target to the choice after it has come up: from what it says it holds, or from nothing."""
        self._told = True
        found, self.found = self.found, None
        if found is not None:
            self._adopt(found, now)
        elif not self.fib.is_new:
            # What the last one refused, and so was left as it was, need not be wrong in this one as well.
            self._repair(sorted((p for p in self.planner.barred if p in self.fib), key=lambda p: p[1]), now)
            self.fib.restate()

    def _adopt(self, found: Mapping[Prefix, bytes], now: float) -> None:
        """Take over what the target holds: what is right stays, the rest is repaired, then the choice goes on."""
        wanted = sorted(self.selection.served, key=self.selection.served.__getitem__, reverse=True)
        self.fib.take()
        for prefix in list(self.fib.entries):
            self.fib.assume(prefix, None)
        for prefix, next_hop in found.items():
            self.fib.assume(prefix, self._found_entry(prefix, next_hop))
        self.since = dict.fromkeys(found, now)
        self.selection.rebuild(now)
        for next_hop in tuple(self.planner.dead):
            self.next_hop_down(next_hop, now)
        # Twice: what is repaired first may have relied on something further inside that is wrong as well.
        for _ in range(2):
            self._repair(sorted(found, key=lambda prefix: prefix[1]), now)
        self.selection.put_back(wanted, now)

    def _found_entry(self, prefix: Prefix, next_hop: bytes) -> Entry:
        default, winner = self.planner.default, self.rib.winner(prefix)
        if default is not None and default.next_hop == next_hop:
            # Whatever it was put in for: as a cover it is right.
            return Entry(Kind.COVER, default)
        if winner is not None and winner.next_hop == next_hop:
            return Entry(Kind.ROUTE, winner)
        return Entry(Kind.ROUTE, Attributes(_FOUND, next_hop, b""))

    def _repair(self, prefixes: Sequence[Prefix], now: float) -> None:
        for prefix in prefixes:
            self.planner.verify(prefix)
        self.selection.sync(now)

    def is_there(self, prefix: Prefix) -> bool:
        """True if what the target held at a prefix counts by now; False while that is only waited with.

        Drift of what was found before the choice is told changes what was found.
        """
        if self.found is not None:
            self.found.pop(prefix, None)
            return False
        return self.carried

    def follow(self, prefix: Prefix, entry: Entry | None, now: float) -> None:
        """The target holds this at a prefix, whatever was planned. `check_refused` follows."""
        if self.fib.entries.get(prefix) != entry:
            self.fib.assume(prefix, entry)
            self._bar(prefix, now)

    def _bar(self, prefix: Prefix, now: float) -> None:
        """Nothing is put there for a while, and then it is looked at again."""
        self._refused[prefix] = prefix not in self.planner.barred
        self._bars = True
        due = self._backoff.refused(prefix, now)
        self.selection.refuse(prefix, due)
        self.planner.barred.add(prefix)
        self._recheck[prefix] = due

    def check_refused(self, now: float) -> None:
        """Where the target holds something else than planned: make right what is installed there and above.

        What the target refuses twice in a row is tried again when its time has come, not at once and for ever.
        """
        refused, self._refused = self._refused, {}
        if not refused:
            return
        self.selection.rebuild_some(tuple(refused), now)
        doubtful = {prefix for prefix, new in refused.items() if new}
        doubtful.update(above for prefix in refused for above in self.fib.ancestors(prefix) if refused.get(above, True))
        for prefix in sorted(doubtful, key=lambda p: p[1]):
            self.planner.distrust(prefix)
        self.selection.sync(now)

    def leaves(self, name: str, generation: int) -> None:
        """Routes that feeds of this name before `generation` have taught are being dropped: none is put in any more."""
        self.planner.leaving[name] = generation

    def left(self, name: str) -> None:
        """They have been dropped."""
        del self.planner.leaving[name]

    def next_hop_down(self, next_hop: bytes, now: float) -> None:
        """The target cannot reach a next hop: its routes come out."""
        self.planner.next_hop_lost(next_hop)
        self.selection.sync(now, lost=True)

    def next_hop_up(self, next_hop: bytes) -> None:
        """It can again: what it took out comes back."""
        self.planner.dead.discard(next_hop)
        for prefix in self.planner.barred:
            winner = self.rib.winner(prefix)
            if winner is not None and winner.next_hop == next_hop:
                self.selection.refuse(prefix, 0.0)
                self._recheck[prefix] = 0.0

    def set_hardware_capacity(self, slots: int | None) -> None:
        """What the hardware holds, capped by the configuration; it takes effect with the next tick."""
        self._hardware = slots
        self.selection.set_capacity(self._configured if slots is None else min(slots, self._configured))

    def reconfigure(self, config: Config, capacity: int, now: float) -> None:
        """Follow another configuration: its slots and its `[selection]`."""
        self._configured = capacity
        self.selection.reconfigure(config.selection, config.target.minvalue, now)
        self.set_hardware_capacity(self._hardware)

    # --- what is true ------------------------------------------------------------------------------------------------

    def note(self, changes: Sequence[Change], now: float) -> None:
        """Keep the times at which entries changed."""
        for change in changes:
            if change.entry is None:
                self.since.pop(change.prefix, None)
            else:
                self.since[change.prefix] = now

    def status(self, *, complete: bool) -> FamilyStatus:
        """A picture of it all."""
        default = self.planner.default or self.rib.default()
        return FamilyStatus(
            rib_prefixes=len(self.rib),
            learned_added=self.rib.added,
            learned_removed=self.rib.removed,
            active_prefixes=len(self.selection.averages),
            capacity=self.planner.capacity,
            installed_routes=len(self.fib) - self.fib.covers,
            installed_covers=self.fib.covers,
            added=self.fib.added,
            removed=self.fib.removed,
            replaced=self.fib.replaced,
            hits=self.hits,
            default_next_hop=format_next_hop(default.next_hop) if default is not None else None,
            complete=complete,
        )

    def problems(self, *, target_up: bool) -> list[Problem]:
        """What is wrong with this family."""
        found: list[Problem] = []
        if target_up and self.settled and not self.carried and self.planner.capacity and len(self.rib):
            text = f"No session towards the target carries {self.family.label}: its routes stay out of hardware. Give BIRD's session an {self.family.label.lower()} channel."  # noqa: E501
            found.append(Problem(Severity.WARNING, "target", text))
        if self.settled:
            found.extend(self.selection.pinned.problems())
        lost = self._watermark.loss(len(self.rib))
        if lost:
            text = f"The {self.family.label} table has {lost:,} routes fewer than within the last {WINDOW / 60:.0f} min; what was withdrawn is out of hardware. Look what BIRD's own peers send."  # noqa: E501
            found.append(Problem(Severity.ERROR, "table", text))
        held = self.selection.idleness.held
        if held:
            text = f"{held:,} of {len(self.selection.served):,} installed {self.family.label} routes have no traffic any more; they are kept. Look whether all ports are still sampled."  # noqa: E501
            found.append(Problem(Severity.ERROR, "selection", text))
        return found


def _length(change: RouteChange) -> int:
    return change[0][1]
