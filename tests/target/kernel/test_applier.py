"""A plan against a kernel that refuses: what is applied, what is left out, what is said of it."""

import errno

import pytest
from fake_kernel import FakeKernel
from hypothesis import given
from hypothesis import strategies as st
from namespaces import out, plan, put

from arm.model import Change, Entry, Kind, Plan, Reason, contains, mask, parse_address, parse_prefix
from arm.target.kernel.applier import Applier
from arm.target.kernel.ledger import Ledger
from arm.target.kernel.messages import LinkMessage, RouteMessage, RouteWriter
from arm.target.kernel.nexthops import NextHops
from arm.target.kernel.objects import Objects
from arm.target.kernel.topology import Path, Topology

HOPS = ("10.0.1.2", "10.0.2.2")


def applier_on(kernel):
    topology = Topology(table=254, protocol=210)
    for index in (1, 2):
        topology.link(LinkMessage(index, f"d{index}", up=True, carrier=True, loopback=False, vrf_table=None))
        connected = parse_prefix(f"10.0.{index}.0/24")
        topology.route(RouteMessage(connected, 254, 2, 0, 1, 0, 0, (Path(b"", index),), plain=True))
    ledger = Ledger()
    objects = Objects(kernel, table=254, protocol=210)
    nexthops = NextHops(topology, objects, table=254, used=ledger.uses)
    writer = RouteWriter(table=254, metric=32, protocol=210)
    return Applier(kernel, writer, ledger, nexthops, topology), ledger


addresses = st.integers(0, 255).map(lambda top: bytes([198, 51, top & 0xF8, (top & 7) << 5]))
prefixes = st.tuples(addresses, st.integers(8, 28)).map(lambda pair: (mask(*pair), pair[1]))
changes = st.tuples(prefixes, st.one_of(st.none(), st.sampled_from(HOPS)))


@given(st.lists(changes, max_size=40), st.sets(st.integers(0, 60)))
def test_nothing_that_depends_on_a_refusal_is_applied_and_the_report_is_true(wanted, bad):
    asked = 0

    def verdict(prefix, install):
        nonlocal asked
        asked += 1
        return errno.ENOSPC if asked in bad else 0

    kernel = FakeKernel(verdict)
    applier, ledger = applier_on(kernel)
    made = [
        put(f"{'.'.join(map(str, prefix[0]))}/{prefix[1]}", hop) if hop else Change(prefix, None, Reason.IDLE)
        for prefix, hop in wanted
    ]
    applied = applier.apply(Plan(1, tuple(made)))
    for at, (prefix, _, code) in enumerate(kernel.log):
        if code == errno.ENOSPC:
            for later, install, _ in kernel.log[at + 1 :]:
                assert prefix == later or not contains(later, prefix)
                assert install or prefix == later or not contains(prefix, later)
    assert applied.done == len(made) - len(applied.failed)
    assert ledger.routes == kernel.routes
    failed = {id(change) for change, _ in applied.failed}
    expected = {}
    for change in made:
        if id(change) not in failed:
            if change.entry is None:
                expected.pop(change.prefix, None)
            else:
                expected[change.prefix] = change.entry
    assert kernel.routes.keys() == expected.keys()


def test_what_is_right_already_is_not_written():
    kernel = FakeKernel()
    applier, _ = applier_on(kernel)
    applier.apply(plan(put("198.51.100.0/24", HOPS[0])))
    applied = applier.apply(plan(put("198.51.100.0/24", HOPS[0]), out("203.0.113.0/24")))
    assert (applied.done, len(applied.failed)) == (2, 0)
    assert len(kernel.log) == 1


def test_a_removal_of_what_is_gone_succeeds():
    kernel = FakeKernel()
    applier, ledger = applier_on(kernel)
    applier.apply(plan(put("198.51.100.0/24", HOPS[0])))
    kernel.routes.clear()
    assert applier.apply(plan(out("198.51.100.0/24"))).failed == []
    assert not ledger.routes


def test_a_replacement_of_what_is_gone_puts_it_in():
    kernel = FakeKernel()
    applier, _ = applier_on(kernel)
    applier.apply(plan(put("198.51.100.0/24", HOPS[0])))
    kernel.routes.clear()
    assert applier.apply(plan(put("198.51.100.0/24", HOPS[1]))).failed == []
    assert len(kernel.routes) == 1


@pytest.mark.parametrize(
    ("hop", "sentence"),
    [
        ("192.0.2.99", "next hop 192.0.2.99 cannot be reached: no route leads to it"),
        ("2001:db8::1", "next hop 2001:db8::1 cannot be reached: no route leads to it"),
    ],
)
def test_a_next_hop_without_a_way_fails_with_the_reason_and_takes_its_dependents_along(hop, sentence):
    kernel = FakeKernel()
    applier, _ = applier_on(kernel)
    applied = applier.apply(
        plan(put("198.51.100.0/24", hop), put("198.51.0.0/16", HOPS[0]), put("203.0.113.0/24", HOPS[1]))
    )
    assert [reason for _, reason in applied.failed] == [sentence, "left out: a change that it depends on failed"]
    assert applied.done == 1
    assert kernel.routes.keys() == {parse_prefix("203.0.113.0/24")}


def test_what_was_refused_is_told_with_the_number_that_stood():
    kernel = FakeKernel(lambda prefix, install: errno.ENOSPC if install and len(kernel.routes) >= 7 else 0)
    applier, ledger = applier_on(kernel)
    entry = Entry(Kind.ROUTE, put("10.0.0.0/8", HOPS[0]).entry.attributes)
    made = tuple(Change((bytes([20, 0, number, 0]), 24), entry, Reason.NEW) for number in range(20))
    applied = applier.apply(Plan(1, made))
    assert len(applied.failed) == 13
    assert all(reason == "ENOSPC: no space left on device" for _, reason in applied.failed)
    refusals = applier.take_refusals()
    assert {(one.family.label, one.room, one.held) for one in refusals} == {("IPv4", True, 7)}
    assert [one.prefix for one in refusals] == [change.prefix for change, _ in applied.failed]
    assert applier.take_refusals() == []
    assert len(ledger.routes) == 7
    assert parse_address("20.0.0.0") in {address for address, _ in kernel.routes}
