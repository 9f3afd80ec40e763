"""How BGP next hops are resolved among the routes of others."""

import pytest

from arm.model import Family, parse_address, parse_prefix
from arm.target.kernel import netlink as nl
from arm.target.kernel.messages import LinkMessage, NeighbourMessage, NexthopMessage, Path, RouteMessage
from arm.target.kernel.topology import Topology

A = parse_address


def link(index, *, up=True, carrier=True, loopback=False, vrf_table=None):
    return LinkMessage(index, f"d{index}", up, carrier, loopback, vrf_table)


def route(prefix, *paths, table=254, metric=0, kind=nl.RTN_UNICAST, protocol=4, nexthop=0):
    return RouteMessage(parse_prefix(prefix), table, protocol, metric, kind, 0, nexthop, paths, plain=True)


@pytest.fixture
def topology():
    made = Topology(table=254, protocol=210)
    for index in (1, 2, 3):
        made.link(link(index))
        made.route(route(f"10.0.{index}.0/24", Path(b"", index)))
        made.route(route(f"fd00:{index}::/64", Path(b"", index)))
    made.route(route("0.0.0.0/0", Path(A("10.0.3.2"), 3)))
    return made


def paths(topology, next_hop):
    return topology.resolve(A(next_hop)).paths


def test_a_neighbour_on_the_link_is_its_own_gateway(topology):
    assert paths(topology, "10.0.1.2") == (Path(A("10.0.1.2"), 1),)
    assert paths(topology, "fd00:2::2") == (Path(A("fd00:2::2"), 2),)


def test_a_remote_next_hop_is_reached_by_the_gateway_of_the_longest_route(topology):
    topology.route(route("192.0.2.0/24", Path(A("10.0.1.2"), 1)))
    topology.route(route("192.0.2.1/32", Path(A("10.0.2.2"), 2)))
    assert paths(topology, "192.0.2.1") == (Path(A("10.0.2.2"), 2),)
    assert paths(topology, "192.0.2.9") == (Path(A("10.0.1.2"), 1),)
    topology.route(route("192.0.2.1/32", Path(A("10.0.2.2"), 2)), gone=True)
    assert paths(topology, "192.0.2.1") == (Path(A("10.0.1.2"), 1),)


def test_the_better_metric_counts_and_the_worse_takes_over(topology):
    topology.route(route("192.0.2.0/24", Path(A("10.0.1.2"), 1), metric=20))
    topology.route(route("192.0.2.0/24", Path(A("10.0.2.2"), 2), metric=10))
    assert paths(topology, "192.0.2.1") == (Path(A("10.0.2.2"), 2),)
    topology.link(link(2, carrier=False))
    assert paths(topology, "192.0.2.1") == (Path(A("10.0.1.2"), 1),)
    topology.link(link(2))
    assert paths(topology, "192.0.2.1") == (Path(A("10.0.2.2"), 2),)


def test_an_equal_cost_route_gives_all_its_living_paths(topology):
    topology.route(route("192.0.2.0/24", Path(A("10.0.1.2"), 1), Path(A("10.0.2.2"), 2)))
    assert len(paths(topology, "192.0.2.1")) == 2
    topology.neighbour(NeighbourMessage(1, A("10.0.1.2"), nl.NUD_FAILED))
    found = topology.resolve(A("192.0.2.1"))
    assert found.paths == (Path(A("10.0.2.2"), 2),)
    assert found.silent == (Path(A("10.0.1.2"), 1),)


def test_a_route_of_a_nexthop_object_is_followed_through_it(topology):
    topology.nexthops = {
        7: NexthopMessage(7, nl.AF_INET, 4, Path(A("10.0.1.2"), 1), ()),
        8: NexthopMessage(8, nl.AF_INET, 4, Path(A("10.0.2.2"), 2), ()),
        9: NexthopMessage(9, 0, 4, None, ((7, 1), (8, 1))),
    }
    topology.route(route("192.0.2.0/24", nexthop=7))
    topology.route(route("192.0.3.0/24", nexthop=9))
    assert paths(topology, "192.0.2.1") == (Path(A("10.0.1.2"), 1),)
    assert paths(topology, "192.0.3.1") == (Path(A("10.0.1.2"), 1), Path(A("10.0.2.2"), 2))


def test_arms_own_routes_lead_to_no_next_hop(topology):
    topology.route(route("192.0.2.0/24", Path(A("10.0.1.2"), 1), protocol=210))
    assert topology.resolve(A("192.0.2.1")).reason == "only the default route leads to it"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.link(link(1, carrier=False)), "d1 has no carrier"),
        (lambda t: t.link(link(1), gone=True), "only the default route leads to it"),
        (lambda t: t.link(link(1, up=False, carrier=False)), "only the default route leads to it"),
        (lambda t: t.neighbour(NeighbourMessage(1, A("10.0.1.2"), nl.NUD_FAILED)), "10.0.1.2 does not answer on d1"),
        (lambda t: t.route(route("10.0.1.2/32", kind=nl.RTN_BLACKHOLE)), "the route to it drops"),
        (lambda t: t.link(link(1, loopback=True)), "it is this machine's own address"),
    ],
    ids=["carrier", "interface gone", "interface down", "silent", "blackhole", "loopback"],
)
def test_a_next_hop_that_cannot_be_reached_says_why(topology, change, reason):
    change(topology)
    found = topology.resolve(A("10.0.1.2"))
    assert (found.paths, found.reason) == ((), reason)


def test_the_default_paths_are_those_of_the_kernels_default_route(topology):
    assert topology.default_paths(Family.IPV4) == (Path(A("10.0.3.2"), 3),)
    assert topology.default_paths(Family.IPV6) == ()
    topology.link(link(3, carrier=False))
    assert topology.default_paths(Family.IPV4) == ()


def test_the_default_counts_whether_arm_may_use_its_interface_or_not_and_whether_it_answers_or_not():
    topology = Topology(table=254, protocol=210, interfaces=("d1",))
    for index in (1, 3):
        topology.link(link(index))
        topology.route(route(f"10.0.{index}.0/24", Path(b"", index)))
    topology.route(route("0.0.0.0/0", Path(A("10.0.3.2"), 3)))
    topology.neighbour(NeighbourMessage(3, A("10.0.3.2"), nl.NUD_FAILED))
    assert topology.default_paths(Family.IPV4) == (Path(A("10.0.3.2"), 3),)
    assert topology.resolve(A("10.0.3.9")).reason == "d3 is not among target.interfaces"


def test_a_table_without_a_vrf_falls_through_to_main_and_a_vrf_does_not():
    plain, vrf = (Topology(table=1001, protocol=210) for _ in range(2))
    vrf.link(link(9, vrf_table=1001))
    for topology in (plain, vrf):
        topology.link(link(1))
        topology.route(route("10.0.1.0/24", Path(b"", 1)))
        topology.route(route("192.0.2.0/24", Path(A("10.0.1.2"), 1), table=1001))
        assert paths(topology, "192.0.2.1")
    assert paths(plain, "10.0.1.2")
    assert not paths(vrf, "10.0.1.2")


def test_a_link_local_address_is_found_where_it_answers(topology):
    assert "not clear" in topology.resolve(A("fe80::9")).reason
    topology.neighbour(NeighbourMessage(2, A("fe80::9"), 2))
    assert paths(topology, "fe80::9") == (Path(A("fe80::9"), 2),)
    pair = A("fd00:1::2") + A("fe80::77")
    assert topology.resolve(pair).paths == (Path(A("fe80::77"), 1),)
