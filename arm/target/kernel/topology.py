"""What the kernel knows that ARM does not decide: interfaces, neighbours, and every route that is not ARM's own.

A BGP next hop is an address; a route needs a gateway on an interface. `Topology.resolve` finds it as the kernel's own
lookup would, among the routes of others. ARM's own routes are left out: they point at next hops, so that a next hop
found through them would hang on itself. Pure: messages of the monitor go in, answers come out.

Rules:
- A next hop does not resolve through a default route: every address would, and a dead one would look alive. The default
  route has its own answer, `default_paths`.
- A path counts while its interface is one that routes may leave by, is up, has a carrier, and its gateway has not
  failed to answer.
- A route all of whose paths are out counts as not there, and the next worse or shorter one is asked. If one of them has
  a gateway of a kind that ARM does not know, the kernel does forward by it, and no other route stands in for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from arm.model import Family, Prefix, format_address, mask
from arm.target.kernel import netlink as nl
from arm.target.kernel.messages import LinkMessage, NeighbourMessage, NexthopMessage, Path, RouteMessage

GATEWAY_SIZES = (0, 4, 16)
"""Octets: none for a destination on the link, IPv4, IPv6."""
LINK_LOCAL = b"\xfe\x80"


@dataclass(frozen=True, slots=True)
class Resolution:
    """The ways to a next hop; none of them and a reason if there is none."""

    paths: tuple[Path, ...]
    reason: str = ""
    silent: tuple[Path, ...] = ()
    """Paths that would do if their gateway answered."""


class Topology:
    """Interfaces, neighbours, foreign routes and foreign nexthop objects of one table."""

    def __init__(self, *, table: int, protocol: int, interfaces: Sequence[str] = ()) -> None:
        self._table = table
        self._protocol = protocol
        self._interfaces = frozenset(interfaces)
        self.links: dict[int, LinkMessage] = {}
        self.neighbours: dict[tuple[int, bytes], int] = {}
        """(interface, address) -> state of all that have one."""
        self.nexthops: dict[int, NexthopMessage] = {}
        self._routes: dict[int, dict[Prefix, list[RouteMessage]]] = {}
        self._lengths: dict[tuple[int, int], dict[int, int]] = {}
        """(table, octets of the address) -> prefix length -> number of prefixes."""

    # --- what the kernel says ---

    def link(self, message: LinkMessage, *, gone: bool = False) -> None:
        """Take in a notification. Routes of an interface that is down are forgotten: not every kernel says they go."""
        if gone:
            self.links.pop(message.index, None)
        else:
            self.links[message.index] = message
        if gone or not message.up:
            for table in self._routes.values():
                lost = [
                    r for routes in table.values() for r in routes if any(p.interface == message.index for p in r.paths)
                ]
                for route in lost:
                    if all(path.interface == message.index for path in route.paths):
                        self.route(route, gone=True)
            for key in [key for key in self.neighbours if key[0] == message.index]:
                del self.neighbours[key]

    def neighbour(self, message: NeighbourMessage, *, gone: bool = False) -> None:
        """Take in a notification."""
        if gone:
            self.neighbours.pop((message.interface, message.address), None)
        else:
            self.neighbours[message.interface, message.address] = message.state

    def nexthop(self, message: NexthopMessage, *, gone: bool = False) -> None:
        """Take in a notification about any nexthop object; foreign routes may use them."""
        if gone:
            self.nexthops.pop(message.number, None)
        else:
            self.nexthops[message.number] = message

    def owns(self, message: RouteMessage) -> bool:
        """Whether a route is ARM's own, by table and protocol number."""
        return message.protocol == self._protocol and message.table == self._table

    def route(self, message: RouteMessage, *, gone: bool = False) -> None:
        """Take in a notification about a route of others, in whatever table; ARM's own and local ones are left out."""
        if message.table == 255 or not message.plain or self.owns(message):
            return
        table = self._routes.setdefault(message.table, {})
        lengths = self._lengths.setdefault((message.table, len(message.prefix[0])), {})
        routes = table.get(message.prefix)
        if routes is None:
            if gone:
                return
            routes = table[message.prefix] = []
            lengths[message.prefix[1]] = lengths.get(message.prefix[1], 0) + 1
        kept = [route for route in routes if not (route.metric == message.metric and _same(route, message, gone=gone))]
        if not gone:
            kept.append(message)
            kept.sort(key=lambda route: route.metric)
        routes[:] = kept
        if not kept:
            del table[message.prefix]
            lengths[message.prefix[1]] -= 1
            if not lengths[message.prefix[1]]:
                del lengths[message.prefix[1]]

    def clear(self) -> None:
        """Forget all but the nexthop objects, before the kernel is read anew."""
        self.links.clear()
        self.neighbours.clear()
        self._routes.clear()
        self._lengths.clear()

    # --- what ARM asks ---

    def foreign(self, prefix: Prefix) -> Sequence[RouteMessage]:
        """Routes of others in ARM's own table to exactly this prefix, best metric first."""
        return self._routes.get(self._table, {}).get(prefix, ())

    def resolve(self, next_hop: bytes) -> Resolution:
        """The ways to one BGP next hop of 4, 16 or 32 octets (RFC 2545: global, then link-local address)."""
        if len(next_hop) == 32:
            return self._resolve_pair(next_hop[:16], next_hop[16:])
        if len(next_hop) not in (4, 16):
            return Resolution((), "is not an address")
        if next_hop[:2] == LINK_LOCAL:
            return self._resolve_link_local(next_hop)
        reason = ""
        silent: tuple[Path, ...] = ()
        for route in self._matches(next_hop):
            if route.prefix[1] == 0:
                return Resolution((), reason or "only the default route leads to it", silent)
            if route.kind != nl.RTN_UNICAST:
                return Resolution((), reason or "the route to it drops", silent)
            paths = tuple(Path(path.gateway or next_hop, path.interface) for path in self._paths(route))
            alive = tuple(path for path in paths if not self.fault(path))
            silent += tuple(path for path in paths if self.is_silent(path))
            if alive:
                return Resolution(alive, silent=silent)
            if paths:
                reason = reason or self.fault(paths[0])
            if any(len(path.gateway) not in GATEWAY_SIZES for path in paths):
                break
        return Resolution((), reason or "no route leads to it", silent)

    def default_paths(self, family: Family) -> tuple[Path, ...]:
        """The ways of the default route that the kernel has for a family, answering or not; none if there is none."""
        for route in self._matches(bytes(family.bits // 8), default=True):
            if route.kind == nl.RTN_UNICAST:
                alive = tuple(path for path in self._paths(route) if not self._link_fault(path))
                if alive:
                    return alive
        return ()

    def spare_interface(self, family: Family, taken: Collection[int]) -> int | None:
        """An interface, other than those taken, that is alive and on which the tables have hosts; None without one."""
        found = {
            path.interface
            for table in self._tables()
            for prefix, routes in self._routes.get(table, {}).items()
            if len(prefix[0]) * 8 == family.bits
            for route in routes
            for path in route.paths
            if not path.gateway and path.interface not in taken and not self.fault(path)
        }
        return min(found, default=None)

    def is_silent(self, path: Path) -> bool:
        """Whether the gateway of a path did not answer when the kernel last asked it."""
        return bool(self.neighbours.get((path.interface, path.gateway), 0) & nl.NUD_FAILED)

    def fault(self, path: Path) -> str:
        """Why nothing of ARM's can leave by a path; empty if it can."""
        if reason := self._link_fault(path):
            return reason
        name = self.links[path.interface].name
        if self._interfaces and name not in self._interfaces:
            return f"{name} is not among target.interfaces"
        return f"{format_address(path.gateway)} does not answer on {name}" if self.is_silent(path) else ""

    def _link_fault(self, path: Path) -> str:
        """Why the kernel takes no nexthop object for a path; empty if it does."""
        if len(path.gateway) not in GATEWAY_SIZES:
            return "its gateway has an address of a kind that ARM does not know"
        link = self.links.get(path.interface)
        if link is None:
            return "its interface is gone"
        if link.loopback:
            return "it is this machine's own address"
        if not link.up:
            return f"{link.name} is down"
        return "" if link.carrier else f"{link.name} has no carrier"

    def _resolve_pair(self, address: bytes, link_local: bytes) -> Resolution:
        """The link-local address is used on the link of the global one, if that is directly connected."""
        if address[:2] == LINK_LOCAL or not any(address):
            return self._resolve_link_local(link_local)
        found = self.resolve(address)
        direct = tuple(Path(link_local, path.interface) for path in found.paths if path.gateway == address)
        if not direct:
            return found
        alive = tuple(path for path in direct if not self.fault(path))
        silent = tuple(path for path in direct if self.is_silent(path))
        return Resolution(alive, "" if alive else self.fault(direct[0]), silent)

    def _resolve_link_local(self, address: bytes) -> Resolution:
        """A link-local address says nothing of its link: the one on which it answers, or the only one there is."""
        candidates = [interface for interface, of in self.neighbours if of == address]
        if not candidates:
            candidates = [index for index, link in self.links.items() if self._may_use(link)]
        if len(candidates) != 1:
            return Resolution((), "is link-local, and which interface it is on is not clear")
        path = Path(address, candidates[0])
        reason = self.fault(path)
        silent = (path,) if self.is_silent(path) else ()
        return Resolution((), reason, silent) if reason else Resolution((path,))

    def _may_use(self, link: LinkMessage) -> bool:
        return link.up and not link.loopback and (not self._interfaces or link.name in self._interfaces)

    def _tables(self) -> Iterator[int]:
        """The tables that a lookup passes: a VRF's own alone, otherwise the main table is behind ARM's."""
        yield self._table
        if self._table != nl.RT_TABLE_MAIN and all(link.vrf_table != self._table for link in self.links.values()):
            yield nl.RT_TABLE_MAIN

    def _matches(self, address: bytes, *, default: bool = False) -> Iterator[RouteMessage]:
        """Routes that contain an address, best first."""
        for table in self._tables():
            lengths = (0,) if default else sorted(self._lengths.get((table, len(address)), ()), reverse=True)
            routes = self._routes.get(table, {})
            for length in lengths:
                yield from routes.get((mask(address, length), length), ())

    def _paths(self, route: RouteMessage) -> Iterator[Path]:
        """The paths of a route, through nexthop objects where it uses them."""
        if route.paths or not route.nexthop:
            yield from route.paths
            return
        entry = self.nexthops.get(route.nexthop)
        for number in [member for member, _ in entry.members] or [route.nexthop] if entry else []:
            member = self.nexthops.get(number)
            if member is not None and member.path is not None:
                yield member.path


def _same(old: RouteMessage, new: RouteMessage, *, gone: bool) -> bool:
    """Whether a notification speaks of a known route of the same prefix and metric.

    IPv4 holds one route for each prefix and metric unless it was appended, and IPv6 sends a multipath route whole; so a
    new one takes the place of the old. One that goes is matched by its owner.
    """
    return not gone or old.protocol == new.protocol
