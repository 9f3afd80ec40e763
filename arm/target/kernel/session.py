"""One stretch of work with the kernel: from the dump at its start to the loss of an answer or the stop.

Everything happens on the caller's thread, in small steps: apply a plan, look at what happened, do what a second brings.

Rules:
- What the dump shows is what is found. Nothing is written before the engine's first plan but the nexthop groups of next
  hops that moved meanwhile, and the removal of own routes of another metric, which no configuration stands behind.
- What happened is looked at in one order: links and objects, next hops, then routes.
- Drift that is found while a plan is carried out is told when the plan has been answered (arm/target/base.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from arm.model import (
    FAMILIES,
    Applied,
    Event,
    Family,
    NextHopDown,
    NextHopUp,
    Plan,
    Prefix,
    TargetUp,
    format_next_hop,
)
from arm.target.kernel import messages
from arm.target.kernel import netlink as nl
from arm.target.kernel.applier import Applier
from arm.target.kernel.audit import Audit
from arm.target.kernel.census import read_kernel, remove_routes
from arm.target.kernel.channel import Channel, Monitor, OverrunError, Requests
from arm.target.kernel.ledger import UNKNOWN, Ledger
from arm.target.kernel.messages import RouteWriter
from arm.target.kernel.nexthops import NextHops
from arm.target.kernel.objects import Objects
from arm.target.kernel.repair import Repairs
from arm.target.kernel.topology import Topology
from arm.target.kernel.watcher import HARDWARE, Findings, Watcher

log = logging.getLogger(__name__)

READ_AT_ONCE = 4096
"""Notifications read before what they mean is looked at."""
AUDIT_SECONDS = 60.0
FORGET_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class KernelSettings:
    """Where in the kernel ARM's routes go, and how they are told from others."""

    table: int = nl.RT_TABLE_MAIN
    metric: int = 32
    protocol: int = 210
    interfaces: tuple[str, ...] = ()
    slots: Mapping[Family, int] = field(default_factory=lambda: dict.fromkeys(FAMILIES, 10000))
    """Configured capacity."""
    backup: bool = True
    """Give each next hop the default's path as a backup inside the kernel."""
    netns: str | None = None
    """Network namespace other than the process's own, by name."""


class KernelSession:
    """ARM's routes in one kernel table."""

    def __init__(
        self,
        settings: KernelSettings,
        emit: Callable[[Event], None],
        *,
        wrap: Callable[[Channel], Requests] = lambda channel: channel,
    ) -> None:
        """Opens the sockets; OSError if that is not allowed. `wrap` puts something between ARM and the kernel."""
        self._settings = settings
        self._emit = emit
        self._channel = Channel(settings.netns)
        self._auditor = Channel(settings.netns)
        self._audit: Audit | None = None
        self.monitor = Monitor(ignore=self._channel.port, netns=settings.netns)
        self._requests = requests = wrap(self._channel)
        table, metric, protocol = settings.table, settings.metric, settings.protocol
        self.ledger = Ledger()
        self._topology = Topology(table=table, protocol=protocol, interfaces=settings.interfaces)
        self.objects = Objects(requests, table=table, protocol=protocol)
        self.nexthops = NextHops(
            self._topology, self.objects, table=table, used=self.ledger.uses, backup=settings.backup
        )
        self._watcher = Watcher(self._topology, self.ledger, table=table, metric=metric)
        writer = RouteWriter(table=table, metric=metric, protocol=protocol)
        self.applier = Applier(requests, writer, self.ledger, self.nexthops, self._topology, meanwhile=self.listen)
        self.repairs = Repairs(self.applier, self.ledger, self.nexthops, emit)
        self._now = self._next_audit = self._next_forget = 0.0
        self._busy = False
        self._told_by_hardware: dict[Prefix, int] = {}
        """What the hardware says of the routes that were found."""

    def close(self) -> None:
        """Close the sockets; routes stay."""
        self.monitor.close()
        self._auditor.close()
        self._channel.close()

    def open(self, now: float) -> TargetUp:
        """Read the kernel, take up what is ARM's, and say what that is. OSError, NumbersTakenError among them."""
        self._now = now
        self._next_audit, self._next_forget = now + AUDIT_SECONDS, now + FORGET_SECONDS
        self.objects.claim()
        self.nexthops.reload()
        self.objects.probe()
        own = read_kernel(self._requests, self._topology, table=self._settings.table)
        stale = [route for route in own if route.metric != self._settings.metric]
        if stale:
            log.warning("removing own routes of another metric count=%d", remove_routes(self._requests, stale))
        for route in own:
            if route.metric == self._settings.metric:
                self.ledger.put(route.prefix, route.nexthop if route.kind == nl.RTN_UNICAST else UNKNOWN)
                if route.flags & HARDWARE:
                    self._told_by_hardware[route.prefix] = route.flags & HARDWARE
        families = ((number, self.ledger.family_of(number)) for number in list(self.ledger.users) if number != UNKNOWN)
        self.nexthops.adopt((number, family) for number, family in families if family is not None)
        self.nexthops.refresh()
        known = {group.number: group.next_hop for group in self.nexthops.groups.values()}
        found = {prefix: known.get(number, b"") for prefix, number in self.ledger.routes.items()}
        log.info("kernel read table=%d own_routes=%d next_hops=%d", self._settings.table, len(found), len(known))
        return TargetUp(found)

    def apply(self, plan: Plan) -> Applied:
        """Carry out a plan; OSError if an answer of the kernel was lost.

        Drift that is found meanwhile is told by the next call of any method, when the plan's answer is under way.
        """
        self.repairs.tell()
        with self.repairs.held_back():
            return self.applier.apply(plan)

    def _begin(self) -> None:
        """Once the engine knows what was found, what is wrong with it: next hops, routes that the hardware refused."""
        self.repairs.tell()
        self._tell_next_hops()
        refused, self._told_by_hardware = self._told_by_hardware, {}
        self.repairs.hardware_says(refused)

    def listen(self) -> None:
        """Look at what happened meanwhile, and do what it calls for."""
        if self._busy:
            return  # called from within a repair
        self._busy = True
        try:
            self._begin()
            try:
                self._watcher.feed(self.monitor.read(READ_AT_ONCE))
                findings = self._watcher.take()
            except OverrunError:
                log.warning("notifications lost, reading the kernel anew")
                findings = self._read_anew()
            self._follow(findings)
        finally:
            self._busy = False

    def tick(self, now: float) -> None:
        """What a second brings: silent neighbours are asked, refused groups tried again, leftovers removed."""
        self._now = now
        for path in set(self.nexthops.silent_paths()):
            self._requests.request(messages.resolve_neighbour(path))
        if not self.nexthops.settled():
            self._follow(Findings(paths=True, objects=True))
        if now >= self._next_forget:
            self._next_forget = now + FORGET_SECONDS
            self.nexthops.forget()
        if now >= self._next_audit:
            self._next_audit = now + AUDIT_SECONDS
            settings = self._settings
            self._audit = self._audit or Audit(
                self._auditor, self.ledger, table=settings.table, metric=settings.metric, protocol=settings.protocol
            )
        self.listen()
        self.repairs.restore(now)

    @property
    def auditing(self) -> bool:
        """Whether a comparison with the kernel is under way, and `audit_step` has something to do."""
        return self._audit is not None

    def audit_step(self) -> None:
        """Go on with the comparison by one buffer of routes, a few milliseconds."""
        if self._audit is None:
            return
        routes = self._audit.step()
        for route in routes or ():
            self._watcher.own(route)
        if routes is None:
            findings = self._watcher.take()
            findings.drift |= dict.fromkeys(self._audit.finish(), "removed by another program")
            findings.objects = True
            self._audit = None
            self._follow(findings)

    def flush(self) -> None:
        """Take every route of ARM's out, with a number of requests that does not grow with the routes.

        First all groups point at the default's path. From then on any order of removal is right.
        """
        self.nexthops.to_default(self.ledger.family_of)
        self.nexthops.drop_all()
        self.ledger.clear()
        remove_routes(self._requests, read_kernel(self._requests, self._topology, table=self._settings.table))

    def _read_anew(self) -> Findings:
        """Read everything, and compare what the kernel has with what ARM put there."""
        missing = set(self.ledger.routes)
        for route in read_kernel(self._requests, self._topology, table=self._settings.table):
            if route.metric == self._settings.metric:
                missing.discard(route.prefix)
            self._watcher.own(route)
        findings = self._watcher.take()
        findings.drift |= dict.fromkeys(missing, "removed by another program")
        findings.paths = findings.objects = True
        return findings

    def _follow(self, findings: Findings) -> None:
        died: set[int] = set()
        if findings.objects or findings.drift:
            died = self.nexthops.reload()
        if findings.paths or died:
            self.nexthops.refresh()
            self._tell_next_hops()
        for number in died:
            self.repairs.revive(number)
        self.repairs.taken(findings.taken)
        self.repairs.shadow(findings.shadowed)
        strays = [prefix for prefix in findings.strays if prefix not in self.ledger.routes]
        if strays:
            log.warning("removing routes with our protocol that we did not make count=%d", len(strays))
            self.applier.remove(strays)
        self.repairs.note(findings.drift)
        self.repairs.restore(self._now)
        self.repairs.hardware_says(findings.hardware)

    def _tell_next_hops(self) -> None:
        news = self.nexthops.take_news()
        for group in news:
            if not group.up:
                log.warning("next hop down next_hop=%s reason=%r", format_next_hop(group.next_hop), group.reason)
                self._emit(NextHopDown(group.next_hop, group.reason))
        for group in news:
            if group.up:
                log.info("next hop up next_hop=%s", format_next_hop(group.next_hop))
                self._emit(NextHopUp(group.next_hop))
