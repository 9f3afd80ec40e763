"""Whatever one netlink message contains, it is put aside or used, and ends nothing."""

import struct

from fake_kernel import FakeKernel
from hypothesis import given
from hypothesis import strategies as st

from arm.model import Family, parse_address, parse_prefix
from arm.target.kernel import messages
from arm.target.kernel import netlink as nl
from arm.target.kernel.ledger import Ledger
from arm.target.kernel.messages import LinkMessage, Path, RouteMessage
from arm.target.kernel.nexthops import NextHops
from arm.target.kernel.objects import Objects
from arm.target.kernel.topology import Topology
from arm.target.kernel.watcher import Watcher

HOPS = [parse_address("10.0.1.2"), parse_address("fd00:1::2"), parse_address("192.0.2.1")]


class World:
    """Everything of a session that a message reaches, without a kernel."""

    def __init__(self) -> None:
        self.topology = Topology(table=254, protocol=210)
        self.objects = Objects(FakeKernel(), table=254, protocol=210)
        self.ledger = Ledger()
        self.nexthops = NextHops(self.topology, self.objects, table=254, used=self.ledger.uses)
        self.watcher = Watcher(self.topology, self.ledger, table=254, metric=32)
        for index in (1, 2):
            self.topology.link(LinkMessage(index, f"d{index}", True, True, False, None))
            self.topology.route(
                RouteMessage(parse_prefix(f"10.0.{index}.0/24"), 254, 4, 0, 1, 0, 0, (Path(b"", index),), plain=True)
            )

    def ask(self) -> None:
        """Everything that is asked of the topology in a second."""
        for hop in HOPS:
            self.nexthops.groups.pop((Family.IPV4, hop), None)
            self.topology.resolve(hop)
        self.nexthops.refresh()
        for family in Family:
            self.topology.default_paths(family)
            self.topology.spare_interface(family, ())


lengths = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 18, 19, 20, 33])
values = lengths.flatmap(lambda size: st.binary(min_size=size, max_size=size))
small = st.integers(0, 3).map(lambda index: struct.pack("=I", index))
attributes = st.lists(st.tuples(st.integers(0, 32), st.one_of(values, small)), max_size=6).map(
    lambda found: b"".join(nl.attribute(kind, value) for kind, value in found)
)
gateways = st.sampled_from([nl.RTA_GATEWAY, nl.RTA_VIA]).flatmap(
    lambda kind: values.map(lambda v: nl.attribute(kind, v))
)
hops = st.lists(st.tuples(st.integers(-2, 3), gateways), max_size=3).map(
    lambda found: nl.attribute(
        nl.RTA_MULTIPATH, b"".join(struct.pack("=HBBi", 8 + len(g), 0, 0, index) + g for index, g in found)
    )
)
routes = st.tuples(
    st.sampled_from([nl.AF_INET, nl.AF_INET6]), st.integers(0, 255), gateways, small, attributes, st.booleans(), hops
).map(
    lambda r: nl.message(
        nl.RTM_NEWROUTE, 0, 0,
        messages.ROUTE_BODY.pack(r[0], r[1], 0, 0, 254, 4, 0, 1, 0)
        + (r[6] if r[5] else nl.attribute(nl.RTA_OIF, r[3]) + r[2]) + r[4],
    )
)  # fmt: skip
others = st.tuples(st.sampled_from([16, 17, 24, 25, 28, 29, 104, 105]), st.binary(max_size=20), attributes).map(
    lambda m: nl.message(m[0], 0, 0, m[1] + m[2])
)


@given(st.lists(st.one_of(routes, others), max_size=8))
def test_no_message_of_the_kernel_raises_anything(found: list[bytes]) -> None:
    world = World()
    for group in HOPS:
        world.nexthops._claim(Family.IPV4, group)
    for data in found:
        world.watcher.feed([data])
        world.ask()


def route_by(gateway: bytes, prefix: str = "192.0.2.0/24") -> bytes:
    """A notification about a route whose gateway is of another family."""
    address, length = parse_prefix(prefix)
    body = messages.ROUTE_BODY.pack(nl.AF_INET, length, 0, 0, 254, 4, 0, 1, 0)
    body += nl.attribute(nl.RTA_DST, address) + nl.u32(nl.RTA_OIF, 1) + nl.attribute(nl.RTA_VIA, b"\0\1" + gateway)
    return nl.message(nl.RTM_NEWROUTE, 0, 0, body)


def test_a_next_hop_behind_a_gateway_of_an_unknown_kind_cannot_be_reached_and_no_shorter_route_stands_in() -> None:
    world = World()
    world.watcher.feed([route_by(parse_address("fe80::1"), "192.0.0.0/16"), route_by(b"\x00\x11\x22\x33\x44\x55\x66")])
    found = world.topology.resolve(parse_address("192.0.2.1"))
    assert found.paths == ()
    assert found.reason == "its gateway has an address of a kind that ARM does not know"
    assert world.topology.resolve(parse_address("192.0.3.1")).paths == (Path(parse_address("fe80::1"), 1),)
