"""What stands in the kernel, for people: `arm show diff` and `arm flush`, with or without a daemon."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from arm.model import FAMILIES, Prefix
from arm.target.kernel.census import read_routes
from arm.target.kernel.channel import Channel
from arm.target.kernel.messages import Path
from arm.target.kernel.nexthops import Group
from arm.target.kernel.objects import Objects
from arm.target.kernel.session import KernelSession, KernelSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InstalledRoute:
    """A route of ARM's as the kernel has it."""

    nexthop: int
    """Number of its nexthop object, 0 without one."""
    paths: frozenset[Path]
    """Where it leads now."""
    flags: int
    """rtm_flags: what the hardware says."""


def read_installed(settings: KernelSettings) -> Mapping[Prefix, InstalledRoute]:
    """ARM's own routes, read from the kernel on the caller's thread. OSError if it cannot be asked."""
    channel = Channel(settings.netns)
    try:
        objects = Objects(channel, table=settings.table, protocol=settings.protocol)
        objects.reload()
        paths = {number: frozenset(objects.paths(number)) for number in objects.groups()}
        return {
            route.prefix: InstalledRoute(route.nexthop, paths.get(route.nexthop, frozenset(route.paths)), route.flags)
            for family in FAMILIES
            for route in read_routes(channel, family, table=settings.table, protocol=settings.protocol)
            if route.metric == settings.metric
        }
    finally:
        channel.close()


def next_hop_of(route: InstalledRoute, groups: Mapping[int, Group]) -> bytes:
    """The BGP next hop that an installed route stands for: that of its group, empty if ARM does not know the group.

    A group that leads elsewhere for now, since its next hop is down, stands for its next hop all the same.
    """
    group = groups.get(route.nexthop)
    return group.next_hop if group is not None else b""


def flush_kernel(settings: KernelSettings) -> int:
    """Take every route of ARM's out; how many there were. Needs no daemon; one that runs would put them back.

    All of them follow the default from the first moment on, so that no packet goes astray while they are removed.
    """
    session = KernelSession(settings, lambda _: None)
    try:
        session.open(0.0)
        count = len(session.ledger.routes)
        session.flush()
    finally:
        session.close()
    return count
