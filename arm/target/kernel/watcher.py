"""Sorts what the kernel tells: into the topology what others do, aside what touches ARM's own routes.

A notification is about the past. Nothing is done here; `Findings` says what has to be looked at, and the session does
it once the queue is read, links before next hops before routes. Pure but for the topology it feeds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from arm.model import Prefix
from arm.target.kernel import messages
from arm.target.kernel import netlink as nl
from arm.target.kernel.ledger import Ledger
from arm.target.kernel.messages import RouteMessage
from arm.target.kernel.topology import Topology

HARDWARE = nl.RTM_F_OFFLOAD | nl.RTM_F_TRAP | nl.RTM_F_OFFLOAD_FAILED


@dataclass(slots=True)
class Findings:
    """What has to be looked at."""

    paths: bool = False
    """Next hops may resolve otherwise now."""
    objects: bool = False
    """The kernel may have taken nexthop objects away."""
    drift: dict[Prefix, str] = field(default_factory=dict)
    """Own routes that something removed or changed, with what happened."""
    taken: dict[Prefix, str] = field(default_factory=dict)
    """Own routes in whose place another program put its own."""
    shadowed: dict[Prefix, str] = field(default_factory=dict)
    """Own routes beside which a better one of another program stands; an empty sentence: not any more."""
    strays: set[Prefix] = field(default_factory=set)
    """Routes that bear ARM's mark and that ARM did not make."""
    hardware: dict[Prefix, int] = field(default_factory=dict)
    """Own routes of which the hardware says something: RTM_F_OFFLOAD, RTM_F_TRAP, RTM_F_OFFLOAD_FAILED."""


class Watcher:
    """Reads notifications."""

    def __init__(self, topology: Topology, ledger: Ledger, *, table: int, metric: int) -> None:
        self._topology = topology
        self._ledger = ledger
        self._table = table
        self._metric = metric
        self._findings = Findings()

    def take(self) -> Findings:
        """What was found since the last call."""
        found, self._findings = self._findings, Findings()
        return found

    def feed(self, buffers: Iterable[bytes]) -> None:
        """Read buffers of the monitor."""
        for data in buffers:
            for kind, flags, _, _, start, end in nl.frames(data):
                if kind in (nl.RTM_NEWROUTE, nl.RTM_DELROUTE):
                    route = messages.read_route(data, start, end)
                    if route is not None:
                        self._route(route, gone=kind == nl.RTM_DELROUTE, replaced=bool(flags & nl.NLM_F_REPLACE))
                elif kind in (nl.RTM_NEWNEIGH, nl.RTM_DELNEIGH):
                    self._neighbour(data, start, end, gone=kind == nl.RTM_DELNEIGH)
                elif kind in (nl.RTM_NEWLINK, nl.RTM_DELLINK):
                    self._link(data, start, end, gone=kind == nl.RTM_DELLINK)
                elif kind in (nl.RTM_NEWNEXTHOP, nl.RTM_DELNEXTHOP):
                    self._findings.objects = self._findings.paths = True

    def own(self, route: RouteMessage, *, gone: bool = False) -> None:
        """Take in what is said of a route with ARM's mark, by a notification or an audit."""
        prefix = route.prefix
        number = self._ledger.routes.get(prefix)
        if gone:
            if route.metric == self._metric and number is not None:
                self._findings.drift[prefix] = "removed by another program"
                self._findings.hardware.pop(prefix, None)
            return
        if number is None or route.metric != self._metric:
            self._findings.strays.add(prefix)
        elif route.nexthop != number or route.kind != nl.RTN_UNICAST:
            self._findings.drift[prefix] = "changed by another program"
        else:
            self._findings.drift.pop(prefix, None)
            if route.flags & HARDWARE:
                self._findings.hardware[prefix] = route.flags & HARDWARE

    def foreign(self, route: RouteMessage, *, gone: bool = False, replaced: bool = False) -> None:
        """Take in what is said of a route of another program in ARM's table, when ARM has one to the same prefix."""
        if route.prefix not in self._ledger.routes or not route.plain:
            return
        if replaced and route.metric == self._metric:
            self._findings.taken[route.prefix] = f"replaced by a route of protocol {route.protocol}"
        best = next(iter(self._topology.foreign(route.prefix)), None)
        better = best is not None and best.metric < self._metric
        self._findings.shadowed[route.prefix] = (
            f"a route of protocol {best.protocol} with metric {best.metric} stands in the way"
            if best and better
            else ""
        )

    def _route(self, route: RouteMessage, *, gone: bool, replaced: bool) -> None:
        if self._topology.owns(route):
            self.own(route, gone=gone)
            return
        self._topology.route(route, gone=gone)
        self._findings.paths = True
        if route.table == self._table:
            self.foreign(route, gone=gone, replaced=replaced)

    def _neighbour(self, data: bytes, start: int, end: int, *, gone: bool) -> None:
        entry = messages.read_neighbour(data, start, end)
        if entry is None:
            return
        before = self._topology.neighbours.get((entry.interface, entry.address))
        self._topology.neighbour(entry, gone=gone)
        after = self._topology.neighbours.get((entry.interface, entry.address))
        if ((before or 0) ^ (after or 0)) & nl.NUD_FAILED or (before is None) != (after is None):
            self._findings.paths = True

    def _link(self, data: bytes, start: int, end: int, *, gone: bool) -> None:
        link = messages.read_link(data, start, end)
        if link is None or (not gone and self._topology.links.get(link.index) == link):
            return
        self._topology.link(link, gone=gone)
        self._findings.paths = self._findings.objects = True
