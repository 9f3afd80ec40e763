"""The nexthop objects that the kernel holds for ARM, and the requests that change them.

`entries` is what the kernel has, as last read or written. The kernel takes objects away without a notification (those
of a link that goes down); `reload` after every event that may have done so keeps the picture true.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence
from typing import TypeAlias

from arm.model import Family
from arm.target.kernel import identifiers, messages
from arm.target.kernel import netlink as nl
from arm.target.kernel.channel import Requests
from arm.target.kernel.messages import NexthopMessage, Path

log = logging.getLogger(__name__)

BUCKETS = 64
"""Of a resilient group: enough for even shares of an ECMP set, few enough for an ASIC."""
SHARE, NO_SHARE = 255, 1
ADDRESS_FAMILY = {Family.IPV4: nl.AF_INET, Family.IPV6: nl.AF_INET6}
FAMILY_OF_SIZE = {4: Family.IPV4, 16: Family.IPV6}

Members: TypeAlias = Sequence[tuple[Path | None, int]]
"""What a group holds: paths (None: a blackhole) with their weights."""


class NumbersTakenError(OSError):
    """Another instance of ARM uses the numbers that this one's table would have."""


class Objects:
    """ARM's nexthop objects of one table."""

    def __init__(self, channel: Requests, *, table: int, protocol: int) -> None:
        self._channel = channel
        self._table = table
        self._protocol = protocol
        self.entries: dict[int, NexthopMessage] = {}
        self.resilient = False
        """Whether new groups are resilient: whether the kernel has such."""
        self.messages = 0
        """Requests that changed objects so far."""

    def reload(self) -> dict[int, NexthopMessage]:
        """Read all objects from the kernel; those of others are returned."""
        self.entries = {}
        others: dict[int, NexthopMessage] = {}
        for data in self._channel.dump(messages.dump_nexthops()):
            for kind, _, _, _, start, end in nl.frames(data):
                entry = messages.read_nexthop(data, start, end) if kind == nl.RTM_NEWNEXTHOP else None
                if entry is not None:
                    (self.entries if self.owns(entry) else others)[entry.number] = entry
        return others

    def owns(self, entry: NexthopMessage) -> bool:
        """Whether an object is ARM's, by protocol number and range of its number."""
        return entry.protocol == self._protocol and identifiers.is_ours(entry.number, self._table)

    def claim(self) -> None:
        """Claim the numbers of the table, before any object is made or removed. NumbersTakenError if others have them.

        Two that come at the same moment both see each other, and both give way.
        """
        self._check_claims()
        number = identifiers.claim(self._table)
        refused = self._send(messages.put_blackhole(number, nl.AF_INET, self._protocol))
        if refused is not None:
            # without it nothing else is refused either; the loopback interface that is still down is one reason
            log.warning("numbers of nexthop objects not claimed reason=%r", str(refused))
            return
        try:
            self._check_claims()
        except NumbersTakenError:
            self._send(messages.drop_nexthop(number))
            raise

    def _check_claims(self) -> None:
        for number, entry in self.reload().items():
            other = identifiers.claimed_by(number, self._table) if entry.protocol == self._protocol else None
            if other is not None:
                text = (
                    f"the ARM for table {other} has the nexthop numbers that table {self._table} would have, as both "
                    f"end in {self._table & 0xFF:#04x} (hexadecimal): use another table; if that ARM is gone for good, "
                    "take its routes out by 'arm flush' with its configuration"
                )
                raise NumbersTakenError(errno.EADDRINUSE, text)

    def unclaim(self) -> None:
        """Leave the numbers to others: for when no route and no object is left."""
        self._send(messages.drop_nexthop(identifiers.claim(self._table)))

    def probe(self) -> None:
        """Find out whether the kernel has resilient groups (5.13 and later); before any group is made."""
        number = identifiers.pick(identifiers.GROUP, self._table, b"probe", self.entries)
        self.resilient = True
        refused = self.write_group(number, [(None, SHARE)], Family.IPV4)
        if refused is None:
            self.drop(number)
        elif refused.number != errno.ENETDOWN:  # that is about the loopback interface, still down
            self.resilient = False
            log.warning("no resilient nexthop groups, next hops have no backup in the kernel reason=%r", str(refused))

    def groups(self) -> list[int]:
        """Numbers of the groups that are there."""
        return [number for number in self.entries if identifiers.kind_of(number) == identifiers.GROUP]

    def paths(self, number: int) -> set[Path]:
        """The paths of a group that carry traffic."""
        held = entry.members if (entry := self.entries.get(number)) is not None else ()
        members = [self.entries.get(member) for member, weight in held if weight != NO_SHARE or len(held) == 1]
        return {member.path for member in members if member is not None and member.path is not None}

    def write_group(self, number: int, wanted: Members, family: Family) -> nl.Refusal | None:
        """Make a group hold what it shall, with the objects of its paths made before; what the kernel refused.

        Sends nothing if the group holds that already. A backup that is refused is left out. `family` is that of the
        routes that use the group.
        """
        members = []
        for path, weight in wanted:
            member = self._blackhole(family) if path is None else self._path(path, family)
            if isinstance(member, nl.Refusal):
                if weight == NO_SHARE:
                    continue  # better without a backup than not at all
                return member
            members.append((member, weight))
        present = self.entries.get(number)
        if present is not None and _equal(present.members, members):
            return None
        # The kernel lets no group change its type or its number of buckets.
        buckets = BUCKETS if (self.resilient if present is None else present.resilient) else 0
        refused = self._send(messages.put_group(number, tuple(members), buckets, self._protocol))
        if refused is None:
            self.entries[number] = NexthopMessage(number, 0, self._protocol, None, tuple(members), buckets > 0)
        return refused

    def drop(self, number: int) -> None:
        """Remove an object; one that is gone already is no error."""
        self._send(messages.drop_nexthop(number))
        self.entries.pop(number, None)

    def drop_unused_paths(self) -> None:
        """Remove the paths and blackholes that no group holds."""
        held = {member for entry in self.entries.values() for member, _ in entry.members}
        for number in [n for n in self.entries if identifiers.kind_of(n) != identifiers.GROUP and n not in held]:
            self.drop(number)

    def _path(self, path: Path, family: Family) -> int | nl.Refusal:
        """Number of the object of a path, made if need be."""
        address_family = ADDRESS_FAMILY[FAMILY_OF_SIZE[len(path.gateway)] if path.gateway else family]
        for number, entry in self.entries.items():
            if entry.path == path and entry.family == address_family:
                return number
        number = identifiers.pick(identifiers.PATH, self._table, identifiers.describe_path(path), self.entries)
        entry = NexthopMessage(number, address_family, self._protocol, path, ())
        return self._make(entry, messages.put_path(number, path, address_family, self._protocol))

    def _blackhole(self, family: Family) -> int | nl.Refusal:
        """Number of the blackhole of a family, made if need be."""
        number = identifiers.preferred(identifiers.BLACKHOLE, self._table, bytes([family]))
        if number in self.entries:
            return number
        entry = NexthopMessage(number, ADDRESS_FAMILY[family], self._protocol, None, ())
        return self._make(entry, messages.put_blackhole(number, ADDRESS_FAMILY[family], self._protocol))

    def _make(self, entry: NexthopMessage, request: bytes) -> int | nl.Refusal:
        refused = self._send(request)
        if refused is not None:
            return refused
        self.entries[entry.number] = entry
        return entry.number

    def _send(self, request: bytes) -> nl.Refusal | None:
        self.messages += 1
        return self._channel.request(request)


def _equal(present: Sequence[tuple[int, int]], wanted: Sequence[tuple[int, int]]) -> bool:
    """Whether two groups forward alike; the weight of a member that the kernel left alone does not matter."""
    if len(present) == len(wanted) == 1:
        return present[0][0] == wanted[0][0]
    return sorted(present) == sorted(wanted)
