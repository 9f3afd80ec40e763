"""What other programs do to ARM's routes, in real kernel tables: undone, or reported, and theirs left alone."""

import errno
from dataclasses import replace

import pytest
from fake_kernel import RefusingChannel
from namespaces import out, plan, put, wait_for

from arm.model import Drift, TargetUp, format_prefix, parse_prefix
from arm.target.kernel import netlink as nl
from arm.target.kernel import session as session_module
from arm.target.kernel.channel import OverrunError
from arm.target.kernel.messages import RouteMessage

pytestmark = pytest.mark.root

P4, Q4, P6, Q6 = "198.51.0.0/16", "198.51.100.0/24", "2001:db8::/32", "2001:db8:1::/48"
FAMILIES = [("-4", P4, Q4, "10.0.{}.2"), ("-6", P6, Q6, "fd00:{}::2")]
both = pytest.mark.parametrize(("family", "above", "below", "hop"), FAMILIES, ids=["IPv4", "IPv6"])


def drifts(events):
    return [(format_prefix(event.prefix), event.installed) for event in events.of(Drift)]


@both
def test_a_route_that_something_removed_is_put_back_and_reported(
    switch, open_session, events, family, above, below, hop
):
    session = open_session()
    session.apply(plan(put(below, hop.format(2)), put(above, hop.format(1))))
    own = switch.own()
    switch.ip(family, f"route del {below} metric 32")
    session.listen()
    assert switch.own() == own
    assert drifts(events) == [(below, True)]


@both
def test_a_route_that_something_changed_is_put_right(switch, open_session, events, family, above, below, hop):
    session = open_session()
    session.apply(plan(put(below, hop.format(1))))
    own = switch.own()
    switch.ip(family, f"route replace {below} via {hop.format(2)} metric 32 proto 210")
    session.listen()
    assert switch.own() == own
    assert drifts(events) == [(below, True)]


@both
def test_two_programs_that_both_insist_keep_no_core_busy(switch, open_session, events, family, above, below, hop):
    session = open_session()
    session.apply(plan(put(below, hop.format(1))))
    for _ in range(5):
        if switch.own():
            switch.ip(family, f"route del {below} metric 32")
        session.listen()
    assert len(events.of(Drift)) == 1
    assert switch.own() == {}
    session.tick(2.0)
    assert switch.own().keys() == {below}


@both
def test_a_better_foreign_route_is_reported_and_left_alone(switch, open_session, events, family, above, below, hop):
    session = open_session()
    session.apply(plan(put(below, hop.format(1))))
    switch.ip(family, f"route add {below} via {hop.format(2)} metric 5 proto static")
    session.listen()
    assert drifts(events) == [(below, True)]
    assert "protocol 4 with metric 5 stands in the way" in session.repairs.shadowed[parse_prefix(below)]
    assert switch.own().keys() == {below}
    switch.ip(family, f"route del {below} metric 5")
    session.listen()
    assert session.repairs.shadowed == {}
    assert switch.own().keys() == {below}


@both
def test_a_foreign_route_of_the_same_metric_is_not_replaced(switch, open_session, events, family, above, below, hop):
    switch.ip(family, f"route add {below} via {hop.format(2)} metric 32 proto static")
    session = open_session()
    applied = session.apply(plan(put(below, hop.format(1)), put(above, hop.format(1))))
    assert [format_prefix(change.prefix) for change, _ in applied.failed] == [below, above]
    assert "a route of protocol 4 has the same prefix and metric" in applied.failed[0][1]
    assert switch.own() == {}
    assert switch.own(protocol=4).keys() == {below}


@both
def test_a_route_whose_place_was_taken_is_lost_and_what_it_is_an_exception_to_comes_out(
    switch, open_session, events, family, above, below, hop
):
    session = open_session()
    session.apply(plan(put(below, hop.format(1)), put(above, hop.format(2))))
    switch.ip(family, f"route replace {below} via {hop.format(2)} metric 32 proto static")
    session.listen()
    assert sorted(drifts(events)) == sorted([(below, False), (above, False)])
    assert switch.own() == {}
    assert switch.own(protocol=4).keys() == {below}


def test_objects_that_something_flushed_return_with_their_routes(switch, open_session, events):
    session = open_session()
    session.apply(plan(put(Q4, "10.0.1.2"), put(P4, "10.0.2.2"), put(Q6, "fd00:1::2")))
    own = switch.own()
    switch.ip("nexthop flush")
    wait_for(lambda: switch.own() == {})
    session.listen()
    assert switch.own() == own
    assert switch.leads_to("198.51.100.7") == "d1"


def test_routes_with_our_mark_that_we_did_not_make_are_removed(switch, open_session):
    session = open_session()
    switch.ip("route add 203.0.113.0/24 via 10.0.1.2 metric 32 proto 210")
    switch.ip("route add 192.0.2.0/24 via 10.0.1.2 metric 32 proto static")
    session.listen()
    assert switch.own() == {}
    assert switch.own(protocol=4).keys() == {"192.0.2.0/24"}


def forget_notifications(session):
    for _ in session.monitor.read(1 << 20):
        pass


def spoil(switch):
    switch.ip(f"route del {Q4} metric 32")
    switch.ip(f"-6 route replace {Q6} via fd00:2::2 metric 32 proto 210")
    switch.ip("route add 203.0.113.0/24 via 10.0.1.2 metric 32 proto 210")


def test_an_audit_finds_what_no_notification_told(switch, open_session, events):
    session = open_session()
    session.apply(plan(put(Q4, "10.0.1.2"), put(Q6, "fd00:1::2")))
    own = switch.own()
    spoil(switch)
    forget_notifications(session)
    session.tick(1000.0)
    while session.auditing:
        session.audit_step()
    assert switch.own() == own
    assert len(events.of(Drift)) == 2


def test_an_audit_leaves_out_what_a_plan_changes_meanwhile(switch, open_session, events):
    session = open_session()
    many = [put(f"198.{n >> 8}.{n & 255}.0/24", "10.0.1.2") for n in range(3000)]
    session.apply(plan(*many))
    session.tick(1000.0)
    session.audit_step()
    session.apply(plan(*(out(f"198.{n >> 8}.{n & 255}.0/24") for n in range(0, 3000, 3))))
    session.apply(plan(*(put(f"198.{n >> 8}.{n & 255}.0/24", "10.0.2.2") for n in range(1, 3000, 3))))
    while session.auditing:
        session.audit_step()
    assert events.of(Drift) == []
    assert len(switch.own()) == 2000


def test_lost_notifications_lead_to_a_look_at_the_whole_kernel(switch, open_session, events, monkeypatch):
    session = open_session()
    session.apply(plan(put(Q4, "10.0.1.2"), put(Q6, "fd00:1::2")))
    own = switch.own()
    spoil(switch)
    switch.ip("route add 192.0.2.1/32 via 10.0.2.2 dev d2 proto static")
    forget_notifications(session)

    def overrun(most):
        raise OverrunError

    with monkeypatch.context() as patched:
        patched.setattr(session.monitor, "read", overrun)
        session.listen()
    assert switch.own() == own
    assert len(events.of(Drift)) == 2
    assert session.apply(plan(put(Q4, "192.0.2.1"))).failed == []


def hardware(session, prefix, flags):
    """The notification by which a driver tells of a route: RTM_NEWROUTE from the kernel, with flags."""
    number = session.ledger.routes[parse_prefix(prefix)]
    session._watcher.own(
        RouteMessage(parse_prefix(prefix), 254, 210, 32, nl.RTN_UNICAST, flags, number, (), plain=True)
    )
    session.listen()


def test_a_route_that_the_hardware_refused_counts_as_out_and_the_estimate_shrinks(switch, open_session, events):
    session = open_session()
    session.apply(plan(put(Q4, "10.0.1.2"), put(P4, "10.0.2.2"), put("203.0.113.0/24", "10.0.1.2")))
    hardware(session, "203.0.113.0/24", nl.RTM_F_OFFLOAD)
    hardware(session, Q4, nl.RTM_F_OFFLOAD_FAILED)
    assert sorted(drifts(events)) == sorted([(Q4, False), (P4, False)])
    assert switch.own().keys() == {"203.0.113.0/24"}
    assert [(one.room, one.held) for one in session.applier.take_refusals()] == [(True, 2)]
    assert session.repairs.hardware == {parse_prefix("203.0.113.0/24"): nl.RTM_F_OFFLOAD}


def test_what_the_hardware_had_refused_before_a_start_comes_out(switch, open_session, events, monkeypatch):
    first = open_session()
    first.apply(plan(put(Q4, "10.0.1.2"), put(P4, "10.0.2.2"), put("203.0.113.0/24", "10.0.1.2")))
    first.close()
    dump = session_module.read_kernel

    def flagged(*arguments, **named):
        return [
            replace(route, flags=nl.RTM_F_OFFLOAD_FAILED if route.prefix == parse_prefix(Q4) else nl.RTM_F_OFFLOAD)
            for route in dump(*arguments, **named)
        ]

    monkeypatch.setattr(session_module, "read_kernel", flagged)
    second = open_session()
    second.listen()
    assert events.of(TargetUp)[-1].found.keys() >= {parse_prefix(Q4)}
    assert sorted(drifts(events)) == sorted([(Q4, False), (P4, False)])
    assert switch.own().keys() == {"203.0.113.0/24"}


def test_a_route_that_can_not_be_put_back_is_reported_with_the_reason(switch, open_session, events):
    channel = None

    def wrap(inner):
        nonlocal channel
        channel = RefusingChannel(inner, lambda prefix, install: 0)
        return channel

    session = open_session(wrap=wrap)
    session.apply(plan(put(Q4, "10.0.1.2"), put(P4, "10.0.2.2")))
    channel.verdict = lambda prefix, install: errno.ENOSPC if install else 0
    switch.ip(f"route del {Q4} metric 32")
    session.listen()
    assert sorted(drifts(events)) == sorted([(Q4, False), (P4, False)])
    assert "no space left on device" in events.of(Drift)[0].what
    assert switch.own() == {}
