"""What the target does with a session, in steps: plans, seconds, capacity, and the words about all of it.

Everything happens on the caller's thread, and time arrives as `now`: the thread of target.py goes by the clock, a test
by its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from arm.model import FAMILIES, Applied, Event, Family, Plan, format_next_hop, format_prefix
from arm.target.kernel import netlink as nl
from arm.target.kernel.capacity import CapacityEstimate
from arm.target.kernel.hardware import Readings
from arm.target.kernel.refusals import Refusals
from arm.target.kernel.session import KernelSession, KernelSettings

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
REMARKS = 10


class Work:
    """One session, with what is learned while it lasts."""

    def __init__(self, session: KernelSession, settings: KernelSettings, emit: Callable[[Event], None], now: float):
        self.session = session
        self._emit = emit
        self._capacities = {f: CapacityEstimate(f, ceiling=settings.slots.get(f, 0)) for f in FAMILIES}
        self.refusals = Refusals()
        self.next_tick = now + TICK_SECONDS

    def resize(self, slots: Mapping[Family, int]) -> None:
        """The configured numbers of slots may have changed."""
        for family, estimate in self._capacities.items():
            estimate.ceiling = slots.get(family, 0)

    def begin(self, readings: Readings) -> None:
        """Say how much room there is before the engine hears of the session: what the hardware said last, or nothing.

        What an earlier session learned from refusals does not outlive it.
        """
        for family, estimate in self._capacities.items():
            if family in readings:
                estimate.read(readings[family], self.session.ledger.count(family))
            self._tell(estimate)

    def apply(self, plan: Plan, now: float) -> Applied:
        """Carry out a plan, and learn from what was refused; OSError if an answer of the kernel was lost."""
        applied = self.session.apply(plan)
        if applied.failed:
            _, reason = applied.failed[0]
            log.warning("changes failed plan=%d failed=%d first=%r", plan.number, len(applied.failed), reason)
        self._learn(now)
        return applied

    def step(self, now: float, readings: Readings) -> None:
        """What has become due; `readings` is what the hardware says of its tables, if it has said something."""
        self.session.listen()
        if now >= self.next_tick:
            self.next_tick = now + TICK_SECONDS
            self.session.tick(now)
        self.session.audit_step()
        for family, reading in readings.items():
            self._capacities[family].read(reading, self.session.ledger.count(family))
        self._learn(now)
        for family, estimate in self._capacities.items():
            estimate.held(self.session.ledger.count(family))
            estimate.tick(now)
            self._tell(estimate)

    def _tell(self, estimate: CapacityEstimate) -> None:
        if (news := estimate.news()) is not None:
            log.info("capacity family=%s slots=%s source=%s", news.family.label, news.slots, news.source)
            self._emit(news)

    def _learn(self, now: float) -> None:
        for refused in self.session.applier.take_refusals():
            self.refusals.note(refused, now)
            if refused.room:
                estimate = self._capacities[refused.family]
                estimate.held(refused.most)
                estimate.refused(now, refused.held, refused.prefix)

    def counters(self) -> Mapping[str, int]:
        """What is counted since the session began, by name."""
        session, repairs, groups = self.session, self.session.repairs, self.session.nexthops.groups.values()
        flags = list(repairs.hardware.values())
        return {
            "routes_installed": len(session.ledger.routes),
            "routes_written": session.applier.written,
            "routes_restored": repairs.restored,
            "routes_lost": repairs.lost,
            "routes_shadowed": len(repairs.shadowed),
            "routes_offloaded": sum(bool(bits & nl.RTM_F_OFFLOAD) for bits in flags),
            "routes_trapped": sum(bool(bits & nl.RTM_F_TRAP) for bits in flags),
            "routes_refused": self.refusals.total,
            "routes_refused_for_room": self.refusals.for_room,
            "routes_refused_by_hardware": repairs.refused_by_hardware,
            "next_hops": len(groups),
            "next_hops_down": sum(not group.up for group in groups),
            "next_hop_messages": session.objects.messages,
        }

    def remarks(self, now: float) -> tuple[str, ...]:
        """Sentences about what an engineer should know now."""
        groups, shadowed = self.session.nexthops.groups.values(), self.session.repairs.shadowed
        full = [text for estimate in self._capacities.values() if (text := estimate.remark())]
        down = [f"next hop {format_next_hop(group.next_hop)} {group.reason}" for group in groups if not group.up]
        hidden = [f"{format_prefix(prefix)}: {what}" for prefix, what in shadowed.items()]
        return tuple((full + self.refusals.remarks(now) + down + hidden)[:REMARKS])
