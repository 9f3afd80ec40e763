"""What is said of next hops, and which of them an entry can point to."""

import pytest
from fake_kernel import FakeKernel

from arm.model import Family, parse_address, parse_prefix
from arm.target.kernel.messages import LinkMessage, RouteMessage
from arm.target.kernel.nexthops import NextHops, UnreachableError
from arm.target.kernel.objects import Objects
from arm.target.kernel.topology import Path, Topology

A = parse_address("192.0.2.1")


class Switch:
    """One link to A, over a kernel in memory."""

    def __init__(self, *, up):
        self.topology = Topology(table=254, protocol=210)
        subnet = parse_prefix("192.0.2.0/24")
        self.topology.route(RouteMessage(subnet, 254, 2, 0, 1, 0, 0, (Path(b"", 1),), plain=True))
        objects = Objects(FakeKernel(lambda prefix, install: 0), table=254, protocol=210)
        self.nexthops = NextHops(self.topology, objects, table=254, used=lambda number: False)
        self.carrier(up=up)

    def carrier(self, *, up):
        self.topology.link(LinkMessage(1, "swp1", up=True, carrier=up, loopback=False, vrf_table=None))
        self.nexthops.refresh()

    def news(self):
        return [(group.next_hop, group.up) for group in self.nexthops.take_news()]


def test_the_last_word_on_a_next_hop_is_how_it_is():
    switch = Switch(up=False)
    with pytest.raises(UnreachableError, match="no carrier"):
        switch.nexthops.ensure(Family.IPV4, A)
    switch.carrier(up=True)
    assert switch.news() == [], "it counted as up, and is"
    switch.carrier(up=False)
    assert switch.news() == [(A, False)]
    switch.carrier(up=True)
    switch.carrier(up=False)
    assert switch.news() == [], "down was said last"
    switch.carrier(up=True)
    assert switch.news() == [(A, True)]


def test_a_cover_can_be_put_in_while_its_next_hop_cannot_be_reached():
    switch = Switch(up=False)
    number = switch.nexthops.ensure(Family.IPV4, A, cover=True)
    assert switch.nexthops.exists(number)
    with pytest.raises(UnreachableError, match="no carrier"):
        switch.nexthops.ensure(Family.IPV4, A)
    switch.carrier(up=True)
    assert switch.nexthops.ensure(Family.IPV4, A) == number
