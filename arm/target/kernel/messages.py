"""The rtnetlink messages that the kernel target reads and writes: routes, nexthop objects, links and neighbours.

Pure: bytes to frozen values and back. Reading takes what it knows and leaves the rest out; a message too short for its
fixed part gives None. Route requests are the bulk of ARM's writing: `RouteWriter` packs each with one call of struct.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from arm.model import Prefix
from arm.target.kernel import netlink as nl

ROUTE_BODY = struct.Struct("=BBBBBBBBI")
NEXTHOP_BODY = struct.Struct("=BBBBI")
LINK_BODY = struct.Struct("=BxHiII")
NEIGHBOUR_BODY = struct.Struct("=BxxxiHBB")
GROUP_MEMBER = struct.Struct("=IBBH")
PATH_HEADER = struct.Struct("=HBBi")
ZERO_ADDRESS = {nl.AF_INET: bytes(4), nl.AF_INET6: bytes(16)}


@dataclass(frozen=True, slots=True)
class Path:
    """One way out of the switch: a gateway on an interface; without a gateway, the interface itself."""

    gateway: bytes
    """Packed address (4 or 16 octets); empty for a destination that is on the link."""
    interface: int


@dataclass(frozen=True, slots=True)
class RouteMessage:
    """A route as the kernel shows it."""

    prefix: Prefix
    table: int
    protocol: int
    metric: int
    kind: int
    """RTN_UNICAST and so on."""
    flags: int
    """rtm_flags: RTM_F_OFFLOAD, RTM_F_TRAP, RTM_F_OFFLOAD_FAILED and others."""
    nexthop: int
    """Identifier of the nexthop object, 0 if the route has none."""
    paths: tuple[Path, ...]
    plain: bool
    """False for a route that holds for some type of service only."""


@dataclass(frozen=True, slots=True)
class NexthopMessage:
    """A nexthop object as the kernel shows it: a path, a blackhole, or a group of others."""

    number: int
    family: int
    protocol: int
    path: Path | None
    members: tuple[tuple[int, int], ...]
    """Of a group: (identifier, weight)."""
    resilient: bool = False


@dataclass(frozen=True, slots=True)
class LinkMessage:
    """An interface as the kernel shows it."""

    index: int
    name: str
    up: bool
    carrier: bool
    """False from the moment at which the kernel takes nexthop objects off the interface."""
    loopback: bool
    vrf_table: int | None
    """Table of a VRF device, None for any other interface."""


@dataclass(frozen=True, slots=True)
class NeighbourMessage:
    """An entry of the ARP or neighbour discovery table."""

    interface: int
    address: bytes
    state: int


def read_route(data: bytes, start: int, end: int) -> RouteMessage | None:
    """The route in an RTM_NEWROUTE or RTM_DELROUTE; None for another address family or a cache entry.

    Also None if the destination is no prefix of its family. A gateway is given as it is: it may be of a family that ARM
    does not know.
    """
    if end - start < 12:
        return None
    family, length, _, tos, table, protocol, _, kind, flags = ROUTE_BODY.unpack_from(data, start)
    if family not in ZERO_ADDRESS or flags & nl.RTM_F_CLONED:
        return None
    found = nl.attributes(data, start + 12, end)
    destination = found.get(nl.RTA_DST, ZERO_ADDRESS[family])
    if len(destination) != len(ZERO_ADDRESS[family]) or length > 8 * len(destination):
        return None
    wide = found.get(nl.RTA_TABLE)
    metric = found.get(nl.RTA_PRIORITY)
    nexthop = found.get(nl.RTA_NH_ID)
    paths: tuple[Path, ...] = ()
    if (interface := nl.number(found.get(nl.RTA_OIF))) is not None:
        paths = (Path(_gateway(found), interface),)
    elif nl.RTA_MULTIPATH in found:
        paths = _multipath(found[nl.RTA_MULTIPATH])
    return RouteMessage(
        prefix=(destination, length),
        table=nl.number(wide) or table,
        protocol=protocol,
        metric=nl.number(metric) or 0,
        kind=kind,
        flags=flags,
        nexthop=nl.number(nexthop) or 0,
        paths=paths,
        plain=tos == 0,
    )


def _gateway(found: dict[int, bytes]) -> bytes:
    """The gateway of a route; RTA_VIA holds one of another family behind two octets that name the family."""
    return found.get(nl.RTA_GATEWAY) or found.get(nl.RTA_VIA, b"")[2:]


def _multipath(data: bytes) -> tuple[Path, ...]:
    paths = []
    at = 0
    while at + 8 <= len(data):
        length, flags, _, interface = PATH_HEADER.unpack_from(data, at)
        if length < 8 or at + length > len(data):
            break
        if not flags & nl.RTNH_F_DEAD:
            paths.append(Path(_gateway(nl.attributes(data, at + 8, at + length)), interface))
        at += length + 3 & ~3
    return tuple(paths)


def read_nexthop(data: bytes, start: int, end: int) -> NexthopMessage | None:
    """The object in an RTM_NEWNEXTHOP or RTM_DELNEXTHOP."""
    if end - start < 8:
        return None
    family, _, protocol, _, _ = NEXTHOP_BODY.unpack_from(data, start)
    found = nl.attributes(data, start + 8, end)
    number = nl.number(found.get(nl.NHA_ID))
    if number is None:
        return None
    group = found.get(nl.NHA_GROUP)
    if group is not None:
        members = tuple(
            (member, weight + 1)
            for member, weight, _, _ in GROUP_MEMBER.iter_unpack(group[: len(group) // GROUP_MEMBER.size * 8])
        )
        resilient = found.get(nl.NHA_GROUP_TYPE, b"\0\0") != b"\0\0"
        return NexthopMessage(number, family, protocol, None, members, resilient)
    interface = nl.number(found.get(nl.NHA_OIF))
    path = None
    if interface is not None and nl.NHA_BLACKHOLE not in found:
        path = Path(found.get(nl.NHA_GATEWAY, b""), interface)
    return NexthopMessage(number, family, protocol, path, ())


def read_link(data: bytes, start: int, end: int) -> LinkMessage | None:
    """The interface in an RTM_NEWLINK or RTM_DELLINK."""
    if end - start < 16:
        return None
    family, _, index, flags, _ = LINK_BODY.unpack_from(data, start)
    if family != nl.AF_UNSPEC:
        return None  # bridge ports say of themselves what the link message of AF_UNSPEC says better
    found = nl.attributes(data, start + 16, end)
    info = found.get(nl.IFLA_LINKINFO, b"")
    inside = nl.attributes(info, 0, len(info))
    vrf_table = None
    if inside.get(nl.IFLA_INFO_KIND, b"").rstrip(b"\0") == b"vrf":
        settings = inside.get(nl.IFLA_INFO_DATA, b"")
        vrf_table = nl.number(nl.attributes(settings, 0, len(settings)).get(nl.IFLA_VRF_TABLE))
    return LinkMessage(
        index=index,
        name=found.get(nl.IFLA_IFNAME, b"").rstrip(b"\0").decode("utf-8", "replace"),
        up=bool(flags & nl.IFF_UP),
        carrier=bool(flags & (nl.IFF_RUNNING | nl.IFF_LOWER_UP)),
        loopback=bool(flags & nl.IFF_LOOPBACK),
        vrf_table=vrf_table,
    )


def read_neighbour(data: bytes, start: int, end: int) -> NeighbourMessage | None:
    """The entry in an RTM_NEWNEIGH or RTM_DELNEIGH; None for another address family."""
    if end - start < 12:
        return None
    family, interface, state, _, _ = NEIGHBOUR_BODY.unpack_from(data, start)
    address = nl.attributes(data, start + 12, end).get(nl.NDA_DST, b"")
    if family not in ZERO_ADDRESS or len(address) != len(ZERO_ADDRESS[family]):
        return None
    return NeighbourMessage(interface, address, state)


class RouteWriter:
    """Packs requests for ARM's own routes: one table, one metric, one protocol number."""

    def __init__(self, *, table: int, metric: int, protocol: int) -> None:
        self.table = table
        self.metric = metric
        self._narrow = table if table < 256 else 0
        self._protocol = protocol
        tail = nl.u32(nl.RTA_PRIORITY, metric) + nl.u32(nl.RTA_TABLE, table)
        self._tail = tail
        self._pack = {size: struct.Struct(f"=IHHII BBBBBBBBI HH{size}s {len(tail)}s HHI").pack for size in (4, 16)}
        self._pack_removal = {size: struct.Struct(f"=IHHII BBBBBBBBI HH{size}s {len(tail)}s").pack for size in (4, 16)}
        self._length = {size: 16 + 12 + 4 + size + len(tail) + 8 for size in (4, 16)}

    def install(self, prefix: Prefix, nexthop: int, sequence: int, *, replace: bool) -> bytes:
        """Request that puts a route in.

        `replace` changes the one that is there, and fails with ENOENT if there is none; without it a route that is
        there, whoever owns it, makes the request fail with EEXIST.
        """
        address, length = prefix
        size = len(address)
        return self._pack[size](
            self._length[size], nl.RTM_NEWROUTE, 0x101 if replace else 0x601, sequence, 0,
            2 if size == 4 else 10, length, 0, 0, self._narrow, self._protocol, 0, nl.RTN_UNICAST, 0,
            4 + size, nl.RTA_DST, address, self._tail, 8, nl.RTA_NH_ID, nexthop,
        )  # fmt: skip

    def remove(self, prefix: Prefix, sequence: int) -> bytes:
        """Request that takes a route out. The kernel matches the protocol number too: no other's route goes."""
        address, length = prefix
        size = len(address)
        return self._pack_removal[size](
            self._length[size] - 8, nl.RTM_DELROUTE, nl.NLM_F_REQUEST, sequence, 0,
            2 if size == 4 else 10, length, 0, 0, self._narrow, self._protocol, 0, nl.RTN_UNICAST, 0,
            4 + size, nl.RTA_DST, address, self._tail,
        )  # fmt: skip


def dump_routes(family: int, *, table: int = 0, protocol: int = 0) -> bytes:
    """Request for a dump; with strict checking the kernel filters by table and protocol (0: any)."""
    body = ROUTE_BODY.pack(family, 0, 0, 0, 0, protocol, 0, 0, 0)
    return nl.message(nl.RTM_GETROUTE, nl.NLM_F_DUMP, 0, body + (nl.u32(nl.RTA_TABLE, table) if table else b""))


def dump_nexthops() -> bytes:
    """Request for a dump of all nexthop objects."""
    return nl.message(nl.RTM_GETNEXTHOP, nl.NLM_F_DUMP, 0, NEXTHOP_BODY.pack(nl.AF_UNSPEC, 0, 0, 0, 0))


def dump_links() -> bytes:
    """Request for a dump of all interfaces."""
    return nl.message(nl.RTM_GETLINK, nl.NLM_F_DUMP, 0, LINK_BODY.pack(nl.AF_UNSPEC, 0, 0, 0, 0))


def dump_neighbours() -> bytes:
    """Request for a dump of both neighbour tables."""
    return nl.message(nl.RTM_GETNEIGH, nl.NLM_F_DUMP, 0, NEIGHBOUR_BODY.pack(nl.AF_UNSPEC, 0, 0, 0, 0))


def put_path(number: int, path: Path, family: int, protocol: int) -> bytes:
    """Request that makes the nexthop object of one path.

    RTNH_F_ONLINK: that the gateway is on the link is known from the routes. Without it the kernel would look the
    gateway up in its table, where one of ARM's own routes may cover it.
    """
    flags = nl.RTNH_F_ONLINK if path.gateway else 0
    body = NEXTHOP_BODY.pack(family, 0, protocol, 0, flags)
    body += nl.u32(nl.NHA_ID, number) + nl.u32(nl.NHA_OIF, path.interface)
    if path.gateway:
        body += nl.attribute(nl.NHA_GATEWAY, path.gateway)
    return nl.message(nl.RTM_NEWNEXTHOP, nl.NLM_F_CREATE | nl.NLM_F_REPLACE, 0, body)


def put_blackhole(number: int, family: int, protocol: int) -> bytes:
    """Request that makes a nexthop object which drops."""
    body = NEXTHOP_BODY.pack(family, 0, protocol, 0, 0)
    body += nl.u32(nl.NHA_ID, number) + nl.attribute(nl.NHA_BLACKHOLE, b"")
    return nl.message(nl.RTM_NEWNEXTHOP, nl.NLM_F_CREATE | nl.NLM_F_REPLACE, 0, body)


def put_group(number: int, members: tuple[tuple[int, int], ...], buckets: int, protocol: int) -> bytes:
    """Request that makes a group of (identifier, weight), or replaces its members.

    `buckets` above 0 makes it resilient, with so many buckets and no idle time: a member that comes back takes its
    buckets at once, busy or not.
    """
    body = NEXTHOP_BODY.pack(nl.AF_UNSPEC, 0, protocol, 0, 0) + nl.u32(nl.NHA_ID, number)
    body += nl.attribute(
        nl.NHA_GROUP, b"".join(GROUP_MEMBER.pack(member, weight - 1, 0, 0) for member, weight in members)
    )
    if buckets:
        body += nl.attribute(nl.NHA_GROUP_TYPE, struct.pack("=H", nl.NEXTHOP_GRP_TYPE_RES))
        table = nl.attribute(nl.NHA_RES_GROUP_BUCKETS, struct.pack("=H", buckets)) + nl.u32(
            nl.NHA_RES_GROUP_IDLE_TIMER, 0
        )
        body += nl.attribute(nl.NHA_RES_GROUP | nl.NLA_F_NESTED, table)
    return nl.message(nl.RTM_NEWNEXTHOP, nl.NLM_F_CREATE | nl.NLM_F_REPLACE, 0, body)


def drop_nexthop(number: int) -> bytes:
    """Request that removes a nexthop object, and with it every route that uses it."""
    return nl.message(nl.RTM_DELNEXTHOP, 0, 0, NEXTHOP_BODY.pack(nl.AF_UNSPEC, 0, 0, 0, 0) + nl.u32(nl.NHA_ID, number))


def resolve_neighbour(path: Path) -> bytes:
    """Request that makes the kernel look for the gateway's link-layer address, as a packet to it would."""
    family = nl.AF_INET if len(path.gateway) == 4 else nl.AF_INET6
    body = NEIGHBOUR_BODY.pack(family, path.interface, 0, nl.NTF_USE, 0) + nl.attribute(nl.NDA_DST, path.gateway)
    return nl.message(nl.RTM_NEWNEIGH, nl.NLM_F_CREATE, 0, body)
