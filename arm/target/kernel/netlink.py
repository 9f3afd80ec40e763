"""Netlink framing and constants: what every rtnetlink message of the kernel target is made of (RFC 3549).

Pure: bytes to values and back. Numbers are those of linux/netlink.h, linux/rtnetlink.h and linux/nexthop.h; they are
kept here, in one place, because no library that ARM depends on knows nexthop objects. Netlink is in the byte order of
the host, addresses inside it in network order.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

HEADER = struct.Struct("=IHHII")
"""Length, type, flags, sequence number, port id."""
ATTRIBUTE = struct.Struct("=HH")
U32 = struct.Struct("=I")

NLMSG_ERROR = 2
NLMSG_DONE = 3

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP = 0x300
NLM_F_DUMP_INTR = 0x10
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_ACK_TLVS = 0x200

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_GETNEXTHOP = 104, 105, 106

RTNLGRP_LINK = 1
RTNLGRP_NEIGH = 3
RTNLGRP_IPV4_ROUTE = 7
RTNLGRP_IPV6_ROUTE = 11
RTNLGRP_NEXTHOP = 32
GROUPS = (RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP)

RTM_F_CLONED = 0x200
RTM_F_OFFLOAD = 0x4000
RTM_F_TRAP = 0x8000
RTM_F_OFFLOAD_FAILED = 0x20000000
RTN_UNICAST = 1
RTN_BLACKHOLE = 6
RT_SCOPE_UNIVERSE = 0
RT_TABLE_MAIN = 254
RTNH_F_DEAD = 0x1
RTNH_F_ONLINK = 0x4

RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_MULTIPATH = 1, 4, 5, 6, 9
RTA_TABLE, RTA_VIA, RTA_NH_ID = 15, 18, 30

NHA_ID, NHA_GROUP, NHA_GROUP_TYPE, NHA_BLACKHOLE, NHA_OIF, NHA_GATEWAY = 1, 2, 3, 4, 5, 6
NHA_RES_GROUP = 12
NHA_RES_GROUP_BUCKETS, NHA_RES_GROUP_IDLE_TIMER = 1, 2
NEXTHOP_GRP_TYPE_MPATH, NEXTHOP_GRP_TYPE_RES = 0, 1
NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF

IFLA_IFNAME, IFLA_LINKINFO = 3, 18
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
IFLA_VRF_TABLE = 1
IFF_UP, IFF_LOOPBACK, IFF_RUNNING, IFF_LOWER_UP = 0x1, 0x8, 0x40, 0x10000

NDA_DST = 1
NUD_INCOMPLETE, NUD_FAILED = 0x01, 0x20
NTF_USE = 0x01

AF_UNSPEC, AF_INET, AF_INET6 = 0, 2, 10


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that the kernel did not carry out."""

    number: int
    """errno, positive."""
    text: str
    """What the kernel says about it, if it says anything."""

    def __str__(self) -> str:
        name = errno.errorcode.get(self.number, str(self.number))
        return f"{name}: {self.text or os.strerror(self.number).lower()}"


def frames(data: bytes) -> Iterator[tuple[int, int, int, int, int, int]]:
    """The messages in a buffer: (type, flags, sequence, port id, start of the payload, end of the message).

    Stops at a length that leads nowhere: the kernel does not send one, and there is nothing behind it to be trusted.
    """
    at, size = 0, len(data)
    while at + 16 <= size:
        length, kind, flags, sequence, port = HEADER.unpack_from(data, at)
        if length < 16 or at + length > size:
            return
        yield kind, flags, sequence, port, at + 16, at + length
        at += length + 3 & ~3


def attributes(data: bytes, start: int, end: int) -> dict[int, bytes]:
    """The attributes between two offsets, by type without its flag bits; of a repeated type the last one."""
    found: dict[int, bytes] = {}
    unpack = ATTRIBUTE.unpack_from
    while start + 4 <= end:
        length, kind = unpack(data, start)
        if length < 4 or start + length > end:
            break
        found[kind & NLA_TYPE_MASK] = data[start + 4 : start + length]
        start += length + 3 & ~3
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute with its padding."""
    return ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) & 3)


def u32(kind: int, value: int) -> bytes:
    """One attribute that holds a 32-bit number."""
    return ATTRIBUTE.pack(8, kind) + U32.pack(value)


def message(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    """A request, padded so that the next one may follow."""
    length = 16 + len(payload)
    return HEADER.pack(length, kind, flags | NLM_F_REQUEST, sequence, 0) + payload + bytes(-length & 3)


def acknowledged(request: bytes) -> bytes:
    """The same request with NLM_F_ACK: the kernel answers it also when all goes well."""
    length, kind, flags, sequence, port = HEADER.unpack_from(request)
    return HEADER.pack(length, kind, flags | NLM_F_ACK, sequence, port) + request[16:]


def numbered(request: bytes, sequence: int) -> bytes:
    """The same request with another sequence number."""
    length, kind, flags, _, port = HEADER.unpack_from(request)
    return HEADER.pack(length, kind, flags, sequence, port) + request[16:]


def done_error(data: bytes, start: int, end: int) -> int:
    """The error, positive, with which the kernel ended a dump by NLMSG_DONE; 0 if the dump is whole."""
    code: int = struct.unpack_from("=i", data, start)[0] if end - start >= 4 else 0
    return max(0, -code)


def number(value: bytes | None) -> int | None:
    """The 32-bit number in an attribute's value, None without one."""
    return U32.unpack(value)[0] if value is not None and len(value) == 4 else None


def refusal(data: bytes, flags: int, start: int, end: int) -> Refusal | None:
    """What an NLMSG_ERROR says; None if it is an acknowledgement. The socket must have NETLINK_CAP_ACK set.

    OSError if it is too short to say anything.
    """
    if end - start < 4:
        raise OSError(errno.EBADMSG, "an answer of the kernel is cut off")
    code = struct.unpack_from("=i", data, start)[0]
    if code == 0:
        return None
    text = ""
    if flags & NLM_F_ACK_TLVS:
        # With NETLINK_CAP_ACK the header of the request stands in front of the attributes, its payload does not.
        text = attributes(data, start + 4 + 16, end).get(1, b"").rstrip(b"\0").decode("ascii", "replace")
    return Refusal(-code, text)
