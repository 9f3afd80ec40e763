"""Two instances in one kernel whose tables would give their nexthop objects the same numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from namespaces import Events, plan, put, wait_for

from arm.model import Applied, TargetDown, TargetUp
from arm.target.kernel import KernelSettings, KernelTarget, flush_kernel, identifiers
from arm.target.kernel.objects import NumbersTakenError

MAIN, OTHER = 254, 1022
Q4, R4 = "198.51.100.0/24", "203.0.113.0/24"

tables = st.integers(1, (1 << 28) - 1)


@given(tables, tables)
def test_a_claim_says_which_table_it_is_for_and_stands_in_nobody_elses_way(mine, other):
    found = identifiers.claimed_by(identifiers.claim(other), mine)
    agree = mine != other and mine & 0xFF == other & 0xFF
    assert found == (other if agree else None)
    assert not identifiers.is_ours(identifiers.claim(other), mine)
    assert not identifiers.is_ours(identifiers.claim(mine), mine)


@pytest.mark.root
def test_the_second_instance_stays_down_and_the_first_ones_routes_stand(switch, open_session, events):
    first = open_session(table=MAIN)
    assert first.apply(plan(put(Q4, "10.0.1.2"))).failed == []
    own = switch.own()
    with pytest.raises(NumbersTakenError, match="the ARM for table 254 has the nexthop numbers that table 1022"):
        open_session(table=OTHER)
    for now in (11.0, 22.0, 70.0):  # leftovers are removed every ten seconds
        first.tick(now)
    assert switch.own() == own
    assert first.apply(plan(put(R4, "10.0.2.2"))).failed == []


@pytest.mark.root
def test_routes_of_a_stopped_instance_are_not_touched_either(switch, open_session):
    first = open_session(table=OTHER)
    assert first.apply(plan(put(Q4, "10.0.1.2"))).failed == []
    first.close()
    own = switch.own(table=str(OTHER))
    with pytest.raises(NumbersTakenError, match=r"table 1022 .* table 254"):
        open_session(table=MAIN)
    with pytest.raises(NumbersTakenError):
        flush_kernel(KernelSettings(netns=switch.name, table=MAIN))
    assert switch.own(table=str(OTHER)) == own != {}
    assert flush_kernel(KernelSettings(netns=switch.name, table=OTHER)) == 1
    assert switch.json("nexthop show") == []
    assert open_session(table=MAIN).apply(plan(put(Q4, "10.0.1.2"))).failed == []


@pytest.mark.root
def test_tables_of_other_octets_and_a_restart_go_on_as_ever(switch, open_session):
    sessions = [open_session(table=table) for table in (MAIN, 1001, 1257 + 1)]
    for session in sessions:
        assert session.apply(plan(put(Q4, "10.0.1.2"))).failed == []
    for session in sessions:
        session.tick(11.0)
    assert all(switch.own(table=table) for table in ("main", "1001", "1258"))
    sessions[0].close()
    assert open_session(table=MAIN).ledger.routes.keys() == sessions[0].ledger.routes.keys()


@pytest.mark.root
def test_a_target_says_whose_numbers_they_are_and_comes_up_when_it_may(switch, monkeypatch):
    monkeypatch.setattr("arm.target.kernel.target.LAST_RETRY", 0.05)
    monkeypatch.setattr("arm.target.kernel.target.FIRST_RETRY", 0.05)
    first, second = Events(), Events()
    one = KernelTarget(KernelSettings(netns=switch.name, table=MAIN), find=lambda: None)
    two = KernelTarget(KernelSettings(netns=switch.name, table=OTHER), find=lambda: None)
    one.start(first.append)
    wait_for(lambda: first.of(TargetUp))
    try:
        two.start(second.append)
        wait_for(lambda: second.of(TargetDown))
        assert two.status().reason.startswith(
            "the ARM for table 254 has the nexthop numbers that table 1022 would have"
        )
        assert not two.status().up
        one.apply(plan(put(Q4, "10.0.1.2")))
        wait_for(lambda: first.of(Applied))
        one.stop(flush=True)
        wait_for(lambda: second.of(TargetUp))
    finally:
        one.stop(flush=True)
        two.stop(flush=True)
    assert switch.json("nexthop show") == []


@pytest.mark.root
@pytest.mark.parametrize("attempt", range(5))
def test_of_two_that_start_together_at_most_one_comes_up_at_a_time(switch, monkeypatch, attempt):
    monkeypatch.setattr("arm.target.kernel.target.FIRST_RETRY", 0.01)
    events = Events(), Events()
    targets = [
        KernelTarget(KernelSettings(netns=switch.name, table=table), find=lambda: None) for table in (MAIN, OTHER)
    ]
    try:
        for target, told in zip(targets, events, strict=True):
            target.start(told.append)
        wait_for(lambda: any(told.of(TargetUp) for told in events))
        wait_for(lambda: all(told.of(TargetUp) or told.of(TargetDown) for told in events))
        assert sum(target.status().up for target in targets) == 1
    finally:
        for target in targets:
            target.stop(flush=True)
