"""One group for each BGP next hop, shared by all its routes, kept as the topology wants it.

A next hop that moves, dies or comes back is one message to its group, however many routes hang on it. The group of a
next hop that can be reached holds its paths and, last and with no share of the traffic, a *backup*: the path of the
default route. When the kernel loses the paths (a link goes down), the backup takes over inside the kernel at that very
moment: the routes act as covers (they follow the default, which is never wrong) before ARM even hears of it.

The kernel removes a group, and all routes that use it, when its last member goes. A member without traffic is possible
in a resilient group only: there the shares are counted in whole buckets, and one of 255 to 1 rounds to none. Where the
default leaves by the same link, the backup is a dead end.

Invariants:
- The group of a next hop that cannot be reached holds the default route's paths, or a blackhole where there is no
  default: both are what a packet without an installed route meets.
- A number stands for one next hop as long as any route uses it.
- What is said of a next hop (`take_news`) alternates between down and up, and the last word is how it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from arm.model import Family, format_next_hop, parse_address, split_next_hops
from arm.target.kernel import identifiers
from arm.target.kernel.messages import Path
from arm.target.kernel.objects import FAMILY_OF_SIZE, NO_SHARE, SHARE, Objects
from arm.target.kernel.topology import Topology

DEAD_END = parse_address("100::")
"""A gateway that no host has (the discard prefix, RFC 6666), for both families: a router may well answer ARP for an
address that it merely has a route to, but no one answers neighbour discovery so."""


class UnreachableError(Exception):
    """A next hop has no path, or the kernel refuses its object; the text says why."""


@dataclass(slots=True, eq=False)
class Group:
    """The object of one BGP next hop for the routes of one family."""

    family: Family
    next_hop: bytes
    number: int
    up: bool = False
    reason: str = ""
    """Why it is not up."""
    settled: bool = False
    """The kernel holds what the topology wanted when it was last asked."""
    told_up: bool = True
    """What the engine takes it for: a next hop that nothing was said of counts as up."""


class NextHops:
    """The groups of all BGP next hops that the engine uses, or asked for in vain."""

    def __init__(
        self,
        topology: Topology,
        objects: Objects,
        *,
        table: int,
        used: Callable[[int], bool],
        backup: bool = True,
    ) -> None:
        """`used` tells of an object's number whether any route of ARM's uses it."""
        self._topology = topology
        self._objects = objects
        self._used = used
        self._table = table
        self._backup = backup
        self.groups: dict[tuple[Family, bytes], Group] = {}
        self.by_number: dict[int, Group] = {}
        self._news: dict[tuple[Family, bytes], Group] = {}

    def reload(self) -> set[int]:
        """Read the kernel's objects; the numbers of groups that ARM had and that the kernel has no more."""
        had = set(self._objects.groups())
        self._topology.nexthops = self._objects.reload()
        return had - self._objects.entries.keys()

    def adopt(self, numbers: Iterable[tuple[int, Family]]) -> None:
        """Take up groups that an earlier start left and routes use, those whose BGP next hop can be told.

        A next hop that is its own gateway can be told: its number is made from it. The others are known again when the
        engine asks for them.
        """
        for number, family in numbers:
            gateways = {path.gateway for path in self._objects.paths(number)}
            if len(gateways) == 1 and len(next_hop := gateways.pop()) in FAMILY_OF_SIZE:
                what = identifiers.describe_next_hop(family, next_hop)
                if identifiers.preferred(identifiers.GROUP, self._table, what) == number:
                    self._add(Group(family, next_hop, number, up=True))

    def ensure(self, family: Family, next_hop: bytes, *, cover: bool = False) -> int:
        """Number of the group for routes of a family over a next hop, made if need be. Raises UnreachableError.

        A cover needs no next hop that can be reached: while it cannot, its group leads the default's way.
        """
        group = self.groups.get((family, next_hop))
        if group is None:
            group = self._claim(family, next_hop)
            self._settle(group)
        elif group.up and group.number not in self._objects.entries:
            self._settle(group)  # it was removed when its last route went
        if not group.up and cover and group.number not in self._objects.entries:
            self._fall_back(group)
        if not group.up and not (cover and group.number in self._objects.entries):
            raise UnreachableError(f"next hop {format_next_hop(next_hop)} {group.reason}")
        return group.number

    def exists(self, number: int) -> bool:
        """Whether the kernel has an object, as last read."""
        return number in self._objects.entries

    def take_news(self) -> list[Group]:
        """Groups that are not what was said of them last, in the order in which they changed; call it said."""
        news, self._news = self._news, {}
        changed = [group for group in news.values() if group.up != group.told_up]
        for group in changed:
            group.told_up = group.up
        return changed

    def refresh(self) -> None:
        """Bring every group to what the topology wants now."""
        for group in self.groups.values():
            self._settle(group)

    def settled(self) -> bool:
        """False if the kernel refused a group's latest change, so that it should be tried again."""
        return all(group.settled for group in self.groups.values())

    def forget(self) -> None:
        """Remove the objects that no route uses; next hops that are down stay known, to tell when they are back."""
        for number in [n for n in self._objects.groups() if not self._used(n)]:
            self._objects.drop(number)
        idle = [group for group in self.groups.values() if group.up and group.told_up and not self._used(group.number)]
        for group in idle:
            del self.groups[group.family, group.next_hop], self.by_number[group.number]
        self._objects.drop_unused_paths()

    def to_default(self, family_of: Callable[[int], Family | None]) -> None:
        """Point every group at the default's path: the first step of taking all routes out, safe in any order."""
        for number in self._objects.groups():
            group = self.by_number.get(number)
            family = group.family if group is not None else family_of(number)
            if family is not None:
                self._objects.write_group(number, self._members(family, ()), family)

    def drop_all(self) -> None:
        """Remove every object of ARM's, and with the groups the routes that use them."""
        for number in self._objects.groups():
            self._objects.drop(number)
        self._objects.drop_unused_paths()
        self._objects.unclaim()
        self.groups.clear()
        self.by_number.clear()
        self._news.clear()

    def silent_paths(self) -> Iterator[Path]:
        """Gateways of ours that do not answer: nobody sends to them now, so ARM has to ask whether they are back."""
        for hop in {hop for group in self.groups.values() for hop in split_next_hops(group.next_hop)}:
            yield from self._topology.resolve(hop).silent

    def _claim(self, family: Family, next_hop: bytes) -> Group:
        """A number for a next hop: the one it had before a restart, if nothing else can be behind it.

        If the group that has the number forwards elsewhere, the next hop moved meanwhile, or the number is that of
        another next hop with the same checksum. To change the group could then misdirect the other one's routes.
        """
        what = identifiers.describe_next_hop(family, next_hop)
        number = identifiers.preferred(identifiers.GROUP, self._table, what)
        if number in self.by_number or (
            self._used(number) and self._objects.paths(number) != set(self._resolve(next_hop)[0])
        ):
            number = identifiers.pick(
                identifiers.GROUP, self._table, what, self._objects.entries.keys() | self.by_number.keys()
            )
        return self._add(Group(family, next_hop, number))

    def _add(self, group: Group) -> Group:
        self.groups[group.family, group.next_hop] = self.by_number[group.number] = group
        return group

    def _resolve(self, next_hop: bytes) -> tuple[tuple[Path, ...], str]:
        """Paths of all next hops of a set that can be reached; the reason of the first that can not."""
        found = [self._topology.resolve(hop) for hop in split_next_hops(next_hop)]
        paths = tuple(dict.fromkeys(path for one in found for path in one.paths))
        return paths, next((one.reason for one in found if one.reason), "")

    def _settle(self, group: Group) -> None:
        """Write a group that is up, or that routes use; one that never was reachable gets no object.

        What the kernel knows and the topology does not yet (a link that went down this moment) makes it refuse the
        paths; then the default's have to do until the next refresh.
        """
        paths, reason = self._resolve(group.next_hop)
        refused = None
        if paths:
            refused = self._objects.write_group(group.number, self._members(group.family, paths), group.family)
            reason = f"has no object: {refused}"
        else:
            reason = f"cannot be reached: {reason}"
        group.settled = refused is None
        group.up = bool(paths) and refused is None
        group.reason = "" if group.up else reason
        if group.up != group.told_up:
            self._news[group.family, group.next_hop] = group
        if not group.up and (group.number in self._objects.entries or self._used(group.number)):
            self._fall_back(group)

    def _fall_back(self, group: Group) -> None:
        """Let a group that is down lead the default's way."""
        refused = self._objects.write_group(group.number, self._members(group.family, ()), group.family)
        group.settled = group.settled and refused is None

    def _members(self, family: Family, paths: tuple[Path, ...]) -> list[tuple[Path | None, int]]:
        """What a group shall hold; None is the blackhole."""
        default = self._topology.default_paths(family)
        if not paths:
            return [(path, SHARE) for path in default] or [(None, SHARE)]
        wanted: list[tuple[Path | None, int]] = [(path, SHARE) for path in paths]
        if self._objects.resilient and self._backup:
            taken = {path.interface for path in paths}
            spare = [path for path in default if path.interface not in taken] or self._dead_end(family, taken)
            wanted += [(path, NO_SHARE) for path in spare[:1]]
        return wanted

    def _dead_end(self, family: Family, taken: Collection[int]) -> list[Path]:
        """A backup for next hops on the default's own link: a gateway that nobody has, on another link.

        When that link goes, the default goes with it. A group without a member would take its routes along, and an
        exception's addresses would follow the route above it. A group cannot hold a blackhole beside a path, but a
        packet to a gateway that does not answer is dropped as well, until ARM has put the blackhole there.
        """
        interface = self._topology.spare_interface(family, taken)
        return [Path(DEAD_END, interface)] if interface is not None else []
