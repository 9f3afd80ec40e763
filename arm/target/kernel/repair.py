"""Puts right what happened to ARM's routes behind its back, or says that it cannot.

Rules:
- What something else did to a route is undone, at most once a second for each prefix: two programs that both insist do
  not keep a core busy.
- A route of another program is left alone, even where it took the place of ARM's.
- What cannot be put right is reported with Drift(installed=False), and no route stays above a missing exception: the
  routes around it come out first, shortest prefix first, so that its addresses follow the default.
- What is found while a plan is carried out is told behind the plan's answer (arm/target/base.py).
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from arm.model import Drift, Prefix, family_of, format_prefix
from arm.target.kernel import netlink as nl
from arm.target.kernel.applier import Applier
from arm.target.kernel.ledger import Ledger
from arm.target.kernel.nexthops import NextHops
from arm.target.kernel.refusals import Refused

log = logging.getLogger(__name__)

RESTORE_SECONDS = 1.0
BY_HARDWARE = "refused by the hardware"


class Repairs:
    """What is to be put right, and what was."""

    def __init__(self, applier: Applier, ledger: Ledger, nexthops: NextHops, emit: Callable[[Drift], None]) -> None:
        self._applier = applier
        self._ledger = ledger
        self._nexthops = nexthops
        self._emit = emit
        self._untold: list[Drift] = []
        self._plan_under_way = False
        self._drift: dict[Prefix, str] = {}
        self._restored_at: dict[Prefix, float] = {}
        self.hardware: dict[Prefix, int] = {}
        """What the hardware says of routes: RTM_F_OFFLOAD, RTM_F_TRAP or RTM_F_OFFLOAD_FAILED."""
        self.shadowed: dict[Prefix, str] = {}
        """Routes beside which a better one of another program stands, with a sentence on it."""
        self.restored = 0
        self.lost = 0
        """Routes given up; also the number of the latest Drift about one."""
        self.refused_by_hardware = 0

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """While a plan is carried out, drift is kept for `tell`."""
        self._plan_under_way = True
        try:
            yield
        finally:
            self._plan_under_way = False

    def tell(self) -> None:
        """Tell what was found during the latest plan, now that it is answered; the plan may have put some of it right.

        Does nothing while a plan is carried out.
        """
        if self._plan_under_way:
            return
        untold, self._untold = self._untold, []
        for drift in untold:
            self._emit(replace(drift, installed=drift.installed or drift.prefix in self._ledger.routes))

    def _say(self, drift: Drift) -> None:
        if self._plan_under_way:
            self._untold.append(drift)
        else:
            self._emit(drift)

    def revive(self, number: int) -> None:
        """The kernel took a group away, and with it its routes; the next hops are refreshed since.

        Where the next hop lives on another path, all of them return. Where it is dead, only the exceptions do, as
        covers: without them, the route above would draw their addresses to its own next hop.
        """
        prefixes = self._ledger.over(number)
        for prefix in prefixes:
            self._ledger.drop(prefix)
        group = self._nexthops.by_number.get(number)
        if group is None or not self._nexthops.exists(number):
            self.give_up(dict.fromkeys(prefixes, "its nexthop object was removed"))
            return
        kept = prefixes if group.up else [prefix for prefix in prefixes if any(self._ledger.ancestors(prefix))]
        refused = self._applier.restore([(prefix, number) for prefix in kept], replace=False)
        failed = {prefix: str(why) for prefix, why in refused.items() if why.number != errno.EEXIST}
        self.restored += len(kept) - len(failed)
        log.warning("routes went with their next hop gone=%d restored=%d", len(prefixes), len(kept) - len(failed))
        for prefix in refused.keys() - failed.keys():
            self._ledger.put(prefix, number)
        self.give_up(failed)

    def note(self, drift: Mapping[Prefix, str]) -> None:
        """Routes that something else removed or changed."""
        self._drift |= {prefix: what for prefix, what in drift.items() if prefix in self._ledger.routes}

    def restore(self, now: float) -> None:
        """Put back what is due."""
        due = {p: w for p, w in self._drift.items() if now - self._restored_at.get(p, -1e9) >= RESTORE_SECONDS}
        if not due:
            return
        routes = {prefix: self._ledger.routes.get(prefix, 0) for prefix in due}
        routes = {prefix: number for prefix, number in routes.items() if self._nexthops.exists(number)}
        refused: dict[Prefix, nl.Refusal] = {}
        for changed in (True, False):
            some = [(p, number) for p, number in routes.items() if due[p].startswith("changed") == changed]
            refused |= self._applier.restore(some, replace=changed)
        gone = {}
        put_back: list[Prefix] = []
        for prefix, what in due.items():
            del self._drift[prefix]
            refusal = refused.get(prefix)
            if prefix not in routes or (refusal and refusal.number == errno.EEXIST and not self._blocker(prefix)):
                continue  # it went with its next hop, or stands again already
            if refusal is not None:
                gone[prefix] = f"{what}, and cannot be put back: {self._blocker(prefix) or refusal}"
                continue
            self._restored_at[prefix] = now
            self.restored += 1
            put_back.append(prefix)
            self._say(Drift(prefix, what, installed=True))
        if put_back:
            log.warning("routes put back count=%d example=%s", len(put_back), format_prefix(put_back[0]))
        self.give_up(gone)
        self._restored_at = {p: at for p, at in self._restored_at.items() if now - at < RESTORE_SECONDS}

    def taken(self, prefixes: Mapping[Prefix, str]) -> None:
        """Another program put its route in the place of ARM's: its will be done, and the engine told."""
        self.give_up({prefix: what for prefix, what in prefixes.items() if prefix in self._ledger.routes})

    def hardware_says(self, flags: Mapping[Prefix, int]) -> None:
        """Word from the hardware on routes. One that it refused counts as out, whatever the kernel's table says."""
        known = {prefix: bits for prefix, bits in flags.items() if prefix in self._ledger.routes}
        self.hardware |= known
        # What came before a refusal in the same breath and was taken tells a full table from one unlucky route.
        held = self._ledger.counts()
        for prefix in known:
            held[family_of(prefix)] -= 1
        refused = []
        for prefix, bits in known.items():
            family = family_of(prefix)
            if bits & nl.RTM_F_OFFLOAD_FAILED:
                refused.append(prefix)
                self._applier.refusals.append(Refused(prefix, BY_HARDWARE, True, held[family], held[family]))
            else:
                held[family] += 1
        self.refused_by_hardware += len(refused)
        self.give_up(dict.fromkeys(refused, BY_HARDWARE))

    def give_up(self, prefixes: Mapping[Prefix, str]) -> None:
        """Routes that are not where they should be: they and what they are exceptions to come out, and that is said."""
        if not prefixes:
            return
        why = dict(prefixes)
        for prefix in prefixes:
            for above in self._ledger.ancestors(prefix):
                why.setdefault(above, f"taken out: its exception {format_prefix(prefix)} is not in place")
        self._applier.remove(why)
        prefix, what = next(iter(why.items()))
        log.warning("routes lost count=%d example=%s what=%r", len(why), format_prefix(prefix), what)
        for prefix, what in why.items():
            self.hardware.pop(prefix, None)
            self.shadowed.pop(prefix, None)
            self.lost += 1
            self._applier.lose(self.lost, prefix)
            self._say(Drift(prefix, what, installed=False, number=self.lost))

    def shadow(self, prefixes: Mapping[Prefix, str]) -> None:
        """Routes of others that stand in the way, or (an empty sentence) do so no more."""
        for prefix, what in prefixes.items():
            if not what or prefix not in self._ledger.routes:
                self.shadowed.pop(prefix, None)
            elif self.shadowed.get(prefix) != what:
                self.shadowed[prefix] = what
                log.warning("route in the way prefix=%s what=%r", format_prefix(prefix), what)
                self._say(Drift(prefix, what, installed=True))

    def _blocker(self, prefix: Prefix) -> str:
        return self._applier.in_the_way(prefix)
