"""Reads the kernel: everything ARM has to know, into the topology, and ARM's own routes apart.

A dump of a table with a hundred thousand routes takes a few tenths of a second, so it is done at the start, after lost
notifications, and once in a while to be sure.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence

from arm.model import FAMILIES, Family
from arm.target.kernel import messages
from arm.target.kernel import netlink as nl
from arm.target.kernel.channel import Requests
from arm.target.kernel.messages import RouteMessage, RouteWriter
from arm.target.kernel.objects import ADDRESS_FAMILY
from arm.target.kernel.topology import Topology


def read_kernel(requests: Requests, topology: Topology, *, table: int) -> list[RouteMessage]:
    """Fill the topology with interfaces, neighbours and the routes of others; ARM's own routes are returned."""
    topology.clear()
    for data, start, end in _entries(requests, messages.dump_links(), nl.RTM_NEWLINK):
        if (link := messages.read_link(data, start, end)) is not None:
            topology.link(link)
    for data, start, end in _entries(requests, messages.dump_neighbours(), nl.RTM_NEWNEIGH):
        if (neighbour := messages.read_neighbour(data, start, end)) is not None:
            topology.neighbour(neighbour)
    own = []
    for family in FAMILIES:
        for number in dict.fromkeys((table, nl.RT_TABLE_MAIN)):
            for route in read_routes(requests, family, table=number):
                if topology.owns(route):
                    own.append(route)
                else:
                    topology.route(route)
    return own


def read_routes(requests: Requests, family: Family, *, table: int, protocol: int = 0) -> Iterator[RouteMessage]:
    """The routes of one family in one table, of one protocol or (0) of all. A table that is not there has none."""
    request = messages.dump_routes(ADDRESS_FAMILY[family], table=table, protocol=protocol)
    try:
        for data, start, end in _entries(requests, request, nl.RTM_NEWROUTE):
            route = messages.read_route(data, start, end)
            if route is not None and route.table == table:
                yield route
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def remove_routes(requests: Requests, routes: Iterable[RouteMessage]) -> int:
    """Take out routes of ARM's, of whatever metric, shortest prefix first; how many the kernel removed."""
    ordered = sorted(routes, key=lambda route: route.prefix[1])
    removed = 0
    for at in range(0, len(ordered), 1000):
        batch = ordered[at : at + 1000]
        first = requests.reserve(len(batch))
        packed = [
            RouteWriter(table=route.table, metric=route.metric, protocol=route.protocol).remove(
                route.prefix, first + index
            )
            for index, route in enumerate(batch)
        ]
        removed += len(batch) - len(requests.execute(packed, first))
    return removed


def _entries(requests: Requests, request: bytes, wanted: int) -> Iterator[tuple[bytes, int, int]]:
    buffers: Sequence[bytes] = requests.dump(request)
    for data in buffers:
        for kind, _, _, _, start, end in nl.frames(data):
            if kind == wanted:
                yield data, start, end
