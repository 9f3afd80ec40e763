"""ARM's routes in real kernel tables: plans, next hops, and what others do to them."""

import pytest
from namespaces import Events, Switch, out, plan, put

from arm.model import Drift, NextHopDown, NextHopUp, TargetUp, parse_address, parse_prefix

pytestmark = pytest.mark.root


def test_a_plan_puts_routes_of_both_families_where_their_next_hops_lead(switch, open_session):
    session = open_session()
    applied = session.apply(
        plan(
            put("198.51.100.0/24", "10.0.1.2"),
            put("203.0.113.0/24", "10.0.2.2"),
            put("2001:db8:1::/48", "fd00:1::2"),
        )
    )
    assert (applied.done, applied.failed) == (3, [])
    assert switch.leads_to("198.51.100.7") == "d1"
    assert switch.leads_to("203.0.113.7") == "d2"
    assert switch.leads_to("2001:db8:1::7") == "d1"
    assert switch.leads_to("192.0.2.1") == "d0"
    session.apply(plan(put("198.51.100.0/24", "10.0.2.2"), out("203.0.113.0/24")))
    assert switch.leads_to("198.51.100.7") == "d2"
    assert switch.leads_to("203.0.113.7") == "d0"
    assert len(switch.own()) == 2


def test_the_backup_takes_over_in_the_kernel_when_a_cable_is_cut(switch, open_session, events):
    session = open_session()
    session.apply(plan(put("198.51.100.0/24", "10.0.1.2"), put("2001:db8:1::/48", "fd00:1::2")))
    switch.carrier(1, up=False)
    assert switch.leads_to("198.51.100.7") == "d0"
    assert switch.leads_to("2001:db8:1::7") == "d0"
    session.listen()
    assert {event.next_hop for event in events.of(NextHopDown)} == {parse_address("10.0.1.2"), parse_address("fd00:1::2")}
    switch.carrier(1, up=True)
    session.listen()
    assert {event.next_hop for event in events.of(NextHopUp)} == {parse_address("10.0.1.2"), parse_address("fd00:1::2")}
    assert switch.leads_to("198.51.100.7") == "d1"
    assert switch.leads_to("2001:db8:1::7") == "d1"
