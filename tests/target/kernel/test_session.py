"""ARM's routes in real kernel tables: plans, next hops that come and go, restarts and the end."""

import pytest
from namespaces import out, plan, put, wait_for

from arm.model import (
    FAMILIES,
    NextHopDown,
    NextHopUp,
    TargetUp,
    join_next_hops,
    parse_address,
    parse_prefix,
)
from arm.target.kernel import KernelSettings, flush_kernel, identifiers, read_installed

pytestmark = pytest.mark.root

P4, Q4, P6, Q6 = "198.51.0.0/16", "198.51.100.0/24", "2001:db8::/32", "2001:db8:1::/48"


def heard(session, events, kind, count=1):
    """Listen until so many events of a kind are there; they are returned."""

    def there():
        session.listen()
        return len(events.of(kind)) >= count

    wait_for(there)
    return {event.next_hop for event in events.of(kind)}


def test_a_plan_puts_routes_of_both_families_where_their_next_hops_lead(switch, open_session):
    session = open_session()
    applied = session.apply(plan(put(Q4, "10.0.1.2"), put("203.0.113.0/24", "10.0.2.2"), put(Q6, "fd00:1::2")))
    assert (applied.done, applied.failed) == (3, [])
    assert switch.leads_to("198.51.100.7") == "d1"
    assert switch.leads_to("203.0.113.7") == "d2"
    assert switch.leads_to("2001:db8:1::7") == "d1"
    assert switch.leads_to("192.0.2.1") == "d0"
    session.apply(plan(put(Q4, "10.0.2.2"), out("203.0.113.0/24")))
    assert switch.leads_to("198.51.100.7") == "d2"
    assert switch.leads_to("203.0.113.7") == "d0"
    assert switch.own().keys() == {Q4, Q6}


def test_the_backup_takes_over_in_the_kernel_when_a_cable_is_cut(switch, open_session, events):
    session = open_session()
    session.apply(plan(put(Q4, "10.0.1.2"), put(Q6, "fd00:1::2")))
    written = session.applier.written
    switch.carrier(1, up=False)
    wait_for(lambda: switch.leads_to("198.51.100.7") == "d0" and switch.leads_to("2001:db8:1::7") == "d0")
    both = {parse_address("10.0.1.2"), parse_address("fd00:1::2")}
    assert heard(session, events, NextHopDown, 2) == both
    switch.carrier(1, up=True)
    assert heard(session, events, NextHopUp, 2) == both
    assert switch.leads_to("198.51.100.7") == "d1"
    assert switch.leads_to("2001:db8:1::7") == "d1"
    assert session.applier.written == written


def test_without_a_backup_the_routes_go_with_their_link_but_exceptions_return_as_covers(switch, open_session, events):
    session = open_session(backup=False)
    session.apply(plan(put(Q4, "10.0.1.2"), put("203.0.113.0/24", "10.0.1.2"), put(P4, "10.0.2.2")))
    switch.ip("link set d1 down")
    heard(session, events, NextHopDown)
    assert switch.own().keys() == {Q4, P4}
    assert switch.leads_to("198.51.100.7") == "d0"
    assert switch.leads_to("198.51.1.7") == "d2"
    switch.ip("link set d1 up")
    heard(session, events, NextHopUp)
    assert switch.leads_to("198.51.100.7") == "d1"


def test_when_the_default_goes_too_exceptions_drop_rather_than_follow_the_route_above(switch, open_session, events):
    session = open_session()
    session.apply(plan(put(Q4, "10.0.0.2"), put(P4, "10.0.2.2"), put(Q6, "fd00:0::2"), put(P6, "fd00:2::2")))
    switch.ip("link set d0 down")
    heard(session, events, NextHopDown, 2)
    assert switch.leads_to("198.51.100.7") == ""
    assert switch.leads_to("2001:db8:1::7") == ""
    assert switch.leads_to("198.51.1.7") == "d2"


def test_a_recursive_next_hop_is_followed_to_another_interface_with_one_message_for_all_routes(switch, open_session):
    switch.ip("route add 192.0.2.1/32 via 10.0.1.2 dev d1 proto static")
    switch.ip("-6 route add 2001:db8:ffff::1/128 via fd00:1::2 dev d1 proto static")
    session = open_session()
    many = [put(f"198.51.{number}.0/24", "192.0.2.1") for number in range(200)]
    assert session.apply(plan(*many, put(Q6, "2001:db8:ffff::1"))).failed == []
    assert switch.leads_to("198.51.100.7") == "d1"
    messages, written = session.objects.messages, session.applier.written
    switch.ip("route replace 192.0.2.1/32 via 10.0.2.2 dev d2 proto static")
    switch.ip("-6 route replace 2001:db8:ffff::1/128 via fd00:2::2 dev d2 proto static")
    session.listen()
    assert switch.leads_to("198.51.100.7") == "d2"
    assert switch.leads_to("2001:db8:1::7") == "d2"
    assert session.applier.written == written
    assert session.objects.messages - messages == 4  # a path and a group for each of the two


def test_a_next_hop_without_a_way_is_refused_reported_and_taken_up_when_a_route_appears(switch, open_session, events):
    session = open_session()
    applied = session.apply(plan(put(Q4, "192.0.2.1"), put(P4, "10.0.1.2")))
    assert [change.prefix for change, _ in applied.failed] == [parse_prefix(Q4), parse_prefix(P4)]
    assert "only the default route leads to it" in applied.failed[0][1]
    assert [event.next_hop for event in events.of(NextHopDown)] == [parse_address("192.0.2.1")]
    assert switch.own() == {}
    switch.ip("route add 192.0.2.1/32 via 10.0.1.2 dev d1 proto static")
    assert heard(session, events, NextHopUp) == {parse_address("192.0.2.1")}
    assert session.apply(plan(put(Q4, "192.0.2.1"))).failed == []
    switch.ip("route del 192.0.2.1/32")
    heard(session, events, NextHopDown, 2)
    assert switch.leads_to("198.51.100.7") == "d0"


def test_a_gateway_that_stops_answering_counts_as_down_until_it_answers_again(switch, open_session, events):
    switch.sysctl("net.ipv4.neigh.d1.retrans_time_ms=20")
    switch.sysctl("net.ipv6.neigh.d1.retrans_time_ms=20")
    session = open_session()
    session.apply(plan(put(Q4, "10.0.1.2"), put(Q6, "fd00:1::2")))
    switch.ip("addr del 10.0.1.2/24 dev port", namespace=switch.peers[1])
    switch.ip("addr del fd00:1::2/64 dev port", namespace=switch.peers[1])
    switch.ip("-6 route del local default dev lo", namespace=switch.peers[1])
    switch.ip("route del local default dev lo", namespace=switch.peers[1])
    for gateway in ("10.0.1.2", "fd00:1::2"):
        switch.ip(f"neigh replace {gateway} dev d1 nud none")
        switch.ip(f"neigh replace {gateway} dev d1 use")
    both = {parse_address("10.0.1.2"), parse_address("fd00:1::2")}
    assert heard(session, events, NextHopDown, 2) == both
    assert switch.leads_to("198.51.100.7") == "d0"
    assert switch.leads_to("2001:db8:1::7") == "d0"
    switch.ip("addr add 10.0.1.2/24 dev port", namespace=switch.peers[1])
    switch.ip("addr add fd00:1::2/64 dev port nodad", namespace=switch.peers[1])

    def back():
        session.tick(1.0)
        return len(events.of(NextHopUp)) == 2

    wait_for(back)
    assert switch.leads_to("198.51.100.7") == "d1"
    assert switch.leads_to("2001:db8:1::7") == "d1"


def test_several_paths_become_one_group_that_shares_the_traffic_and_survives_a_loss(switch, open_session, events):
    session = open_session()
    hops4 = join_next_hops([parse_address("10.0.1.2"), parse_address("10.0.2.2")])
    hops6 = join_next_hops([parse_address("fd00:1::2"), parse_address("fd00:2::2")])
    assert session.apply(plan(put(Q4, hops4), put(Q6, hops6))).failed == []
    switch.sysctl("net.ipv4.fib_multipath_hash_policy=0")
    assert {switch.leads_to(f"198.51.100.{last}") for last in range(1, 60)} == {"d1", "d2"}
    assert {switch.leads_to(f"2001:db8:1::{last:x}") for last in range(1, 60)} == {"d1", "d2"}
    switch.carrier(1, up=False)
    wait_for(lambda: {switch.leads_to(f"198.51.100.{last}") for last in range(1, 30)} == {"d2"})
    session.listen()
    assert events.of(NextHopDown) == []
    switch.carrier(1, up=True)

    def shared_again():
        session.listen()
        return {switch.leads_to(f"198.51.100.{last}") for last in range(1, 60)} == {"d1", "d2"}

    wait_for(shared_again)


def test_a_link_local_next_hop_is_used_on_the_link_of_its_global_address(switch, open_session):
    pair = parse_address("fd00:1::2") + parse_address("fe80::99")
    session = open_session()
    assert session.apply(plan(put(Q6, pair))).failed == []
    route = switch.ip("-6 route get 2001:db8:1::7")
    assert "via fe80::99 dev d1" in route


def test_a_bare_link_local_next_hop_needs_one_interface_that_is_clear(switch, open_session):
    session = open_session()
    applied = session.apply(plan(put(Q6, "fe80::99")))
    assert "which interface it is on is not clear" in applied.failed[0][1]
    session.close()
    again = open_session(interfaces=("d2",))
    assert again.apply(plan(put(Q6, "fe80::99"))).failed == []
    assert "via fe80::99 dev d2" in switch.ip("-6 route get 2001:db8:1::7")


def test_a_next_hop_by_an_interface_that_is_not_configured_is_refused(switch, open_session):
    session = open_session(interfaces=("d1",))
    applied = session.apply(plan(put(Q4, "10.0.2.2"), put("203.0.113.0/24", "10.0.1.2")))
    assert [reason for _, reason in applied.failed] == [
        "next hop 10.0.2.2 cannot be reached: d2 is not among target.interfaces"
    ]


def test_a_restart_finds_what_it_left_and_writes_nothing_that_is_right(switch, open_session, events):
    switch.ip("route add 192.0.2.1/32 via 10.0.2.2 dev d2 proto static")
    first = open_session()
    same = [put(Q4, "10.0.1.2"), put(P4, "10.0.2.2"), put(Q6, "fd00:1::2"), put("203.0.113.0/24", "192.0.2.1")]
    first.apply(plan(*same))
    first.close()  # as after SIGKILL: nothing is tidied
    before = switch.own()
    switch.ip("route replace 192.0.2.1/32 via 10.0.2.2 dev d2 proto static")
    second = open_session()
    found = events.of(TargetUp)[-1].found
    assert found[parse_prefix(Q4)] == parse_address("10.0.1.2")
    assert found[parse_prefix(Q6)] == parse_address("fd00:1::2")
    assert found[parse_prefix("203.0.113.0/24")] == b""  # recursive: not to be told from its gateway
    assert second.apply(plan(*same)).failed == []
    assert second.applier.written == 0
    assert switch.own() == before
    assert second.apply(plan(put(Q4, "10.0.2.2"), *same[1:])).failed == []
    assert second.applier.written == 1


def test_a_next_hop_that_moved_during_a_restart_is_followed_at_once(switch, open_session, events):
    first = open_session()
    first.apply(plan(put(Q4, "10.0.1.2")))
    first.close()
    switch.carrier(1, up=False)
    wait_for(lambda: switch.leads_to("198.51.100.7") == "d0")
    switch.carrier(1, up=True)
    second = open_session()
    wait_for(lambda: second.listen() or "d1" in {link.name for link in second._topology.links.values() if link.carrier})
    assert second.apply(plan(put(Q4, "10.0.1.2"))).failed == []
    assert switch.leads_to("198.51.100.7") == "d1"


def test_what_cannot_be_reached_at_a_start_is_told_after_what_was_found(switch, open_session, events):
    first = open_session()
    first.apply(plan(put(Q4, "10.0.1.2"), put(Q6, "fd00:1::2"), put("203.0.113.0/24", "10.0.2.2")))
    first.close()
    second = open_session(interfaces=("d0", "d2"))
    assert heard(second, events, NextHopDown, 2) == {parse_address("10.0.1.2"), parse_address("fd00:1::2")}
    kinds = [type(event) for event in events if isinstance(event, (TargetUp, NextHopDown))]
    assert kinds == [TargetUp, TargetUp, NextHopDown, NextHopDown]
    assert events.of(TargetUp)[-1].found[parse_prefix(Q4)] == parse_address("10.0.1.2")


def test_own_routes_of_another_metric_are_removed_at_the_start_and_foreign_ones_are_not(switch, open_session, events):
    switch.ip("route add 203.0.113.0/24 via 10.0.1.2 proto 210 metric 77")
    switch.ip("-6 route add 2001:db8:77::/48 via fd00:1::2 proto 210 metric 77")
    switch.ip("route add 192.0.2.0/24 via 10.0.1.2 proto static metric 77")
    open_session()
    assert events.of(TargetUp)[0].found == {}
    assert switch.own() == {}
    assert "192.0.2.0/24" in switch.ip("route show proto static")


@pytest.mark.parametrize("daemon", [True, False], ids=["by the session", "by the emergency command"])
def test_a_flush_removes_routes_and_objects_with_few_requests_and_nothing_of_others(switch, open_session, daemon):
    switch.ip("nexthop add id 7 via 10.0.1.2 dev d1 proto static")
    switch.ip("route add 192.0.2.0/24 nhid 7 proto static")
    session = open_session()
    many = [put(f"198.51.{number}.0/24", "10.0.1.2") for number in range(256)]
    session.apply(plan(*many, put(P4, "10.0.2.2"), put(Q6, "fd00:1::2")))
    if daemon:
        messages = session.objects.messages
        session.flush()
        assert session.objects.messages - messages < 20
    else:
        session.close()
        assert flush_kernel(KernelSettings(netns=switch.name)) == 258
    assert switch.own() == {}
    assert [entry["id"] for entry in switch.json("nexthop show")] == [7]
    assert switch.leads_to("192.0.2.5") == "d1"


def test_objects_that_no_route_uses_any_more_are_removed(switch, open_session):
    session = open_session()
    session.apply(plan(put(Q4, "10.0.1.2"), put("203.0.113.0/24", "10.0.2.2")))
    session.apply(plan(out(Q4), out("203.0.113.0/24")))
    session.tick(1000.0)
    assert [entry["id"] for entry in switch.json("nexthop show")] == [identifiers.claim(254)]
    assert session.apply(plan(put(Q4, "10.0.1.2"))).failed == []


def test_a_table_of_its_own_is_used_behind_a_rule_and_resolves_through_main(switch, open_session):
    switch.ip("rule add pref 100 lookup 1001")
    switch.ip("-6 rule add pref 100 lookup 1001")
    session = open_session(table=1001)
    assert session.apply(plan(put(Q4, "10.0.1.2"), put(Q6, "fd00:1::2"))).failed == []
    assert switch.own() == {}
    assert switch.own(table="1001").keys() == {Q4, Q6}
    assert switch.leads_to("198.51.100.7") == "d1"
    assert switch.leads_to("2001:db8:1::7") == "d1"
    assert read_installed(KernelSettings(netns=switch.name, table=1001)).keys() == {parse_prefix(Q4), parse_prefix(Q6)}
    session.flush()
    assert switch.own(table="1001") == {}


def test_two_instances_with_tables_of_their_own_do_not_touch_each_other(switch, open_session):
    one, other = open_session(table=1001), open_session(table=1002)
    one.apply(plan(put(Q4, "10.0.1.2")))
    other.apply(plan(put(Q4, "10.0.2.2")))
    one.flush()
    other.tick(1000.0)
    assert switch.own(table="1002").keys() == {Q4}


def test_a_kernel_without_resilient_groups_is_served_with_plain_ones(switch, open_session, events):
    session = open_session()
    session.objects.resilient = False  # as `probe` leaves it on a kernel before 5.13
    session.apply(plan(put(Q4, "10.0.1.2"), put(P4, "10.0.2.2")))
    assert [entry.get("type") for entry in switch.json("nexthop show") if "group" in entry] == [None, None]
    switch.carrier(1, up=False)
    heard(session, events, NextHopDown)
    assert switch.leads_to("198.51.100.7") == "d0"
    assert len(FAMILIES) == 2
