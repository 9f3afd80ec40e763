"""What the engine believes while its target has not answered yet, and once it has."""

from __future__ import annotations

from dataclasses import replace

from test_engine_replay import DEFAULT, HOPS, World, config

from arm.config import Config
from arm.core.inflight import InFlight
from arm.core.queries import Queries
from arm.model import (
    COUNT_BITS,
    FAMILIES,
    Applied,
    Change,
    Drift,
    Family,
    FeedComplete,
    FeedUp,
    Plan,
    Prefix,
    Reason,
    RoutesLearned,
    TargetDown,
    TargetUp,
    Traffic,
    TrafficBatch,
    parse_prefix,
)

A, B, C = HOPS[0], HOPS[1], HOPS[2]
P = parse_prefix("10.1.1.0/24")
Q = parse_prefix("10.1.2.0/24")


class Late(World):
    """A world whose target answers when the test says so, and then what it says."""

    def apply(self, plan: Plan | None) -> None:
        if plan is not None:
            self.plans.append(plan)

    def answer(self, plan: Plan, *failed: Prefix) -> None:
        refused = []
        for change in plan.changes:
            if change.prefix in failed:
                refused.append((change, "the kernel says no"))
            elif change.entry is None:
                self.hardware.pop(change.prefix, None)
            else:
                self.hardware[change.prefix] = change.entry
        self.send(Applied(plan.number, len(plan.changes) - len(refused), tuple(refused)))

    def carries(self, *prefixes: Prefix) -> None:
        """Samples for these prefixes."""
        self.traffic({prefix[0][:3] + b"\x09": (1000, 10) for prefix in prefixes})

    def nexthop(self, prefix: Prefix) -> bytes | None:
        entry = Queries(self.engine).installed(Family.IPV4).get(prefix)
        return entry and entry.next_hop


def started() -> Late:
    """Default over A, P and Q over B; the target is up and has answered all."""
    world = Late(config(slots=10, reserve=0.0))
    world.start(default=A)
    world.announce(B, [P, Q])
    for plan in world.plans:
        world.answer(plan)
    world.plans.clear()
    return world


def test_a_failure_that_a_newer_plan_has_overtaken_takes_nothing_back() -> None:
    world = started()
    world.carries(P)
    world.announce(C, [P])
    first, second = world.plans
    assert [change.entry and change.entry.next_hop for change in (*first.changes, *second.changes)] == [B, C]
    world.answer(first, P)
    world.answer(second)
    assert world.nexthop(P) == C
    world.believes()
    world.withdraw([P])
    world.answer(world.plans[-1])
    assert world.hardware == {}


def test_when_both_fail_what_stood_before_both_stands() -> None:
    world = started()
    world.carries(P)
    world.answer(world.plans[-1])
    world.announce(C, [P])
    world.announce(HOPS[3], [P])
    _, second, third = world.plans
    world.answer(second, P)
    assert len(world.plans) == 3, "what the third does decides"
    world.answer(third, P)
    # It points to B, the table says otherwise: that must go, at once.
    assert [(change.prefix, change.entry and change.entry.next_hop) for change in world.plans[-1].changes][-1] in [
        (P, None),
        (P, HOPS[3]),
    ]
    world.answer(world.plans[-1])
    world.believes()
    assert not world.wrong()


def test_answers_out_of_their_order_come_to_the_same() -> None:
    world = started()
    world.carries(P)
    world.announce(C, [P])
    first, second = world.plans
    assert second.changes[0].entry is not None
    world.hardware[P] = second.changes[0].entry
    world.send(Applied(second.number, 1))
    assert world.engine.in_flight == 2
    world.send(Applied(first.number, 0, ((first.changes[0], "no"),)))
    assert world.engine.in_flight == 0
    assert world.nexthop(P) == C


def test_what_is_lost_under_a_newer_plan_is_not_lost_behind_it() -> None:
    world = started()
    world.carries(P)
    world.answer(world.plans[-1])
    world.announce(C, [P])
    replacing = world.plans[-1]
    world.send(Drift(P, "removed by another program", installed=False, number=1))
    world.answer(replacing)
    assert world.nexthop(P) == C
    world.believes()


def test_what_is_lost_under_a_plan_that_fails_is_gone() -> None:
    world = started()
    world.carries(P)
    world.answer(world.plans[-1])
    world.announce(C, [P])
    replacing = world.plans[-1]
    del world.hardware[P]
    world.send(Drift(P, "removed by another program", installed=False, number=1))
    world.answer(replacing, P)
    assert world.nexthop(P) is None
    world.believes()


def test_a_plan_says_which_answers_and_which_losses_it_knows_of() -> None:
    world = started()
    world.carries(P)
    first = world.plans[-1]
    world.carries(Q)
    assert world.plans[-1].answered < first.number
    world.answer(first)
    world.answer(world.plans[-1])
    world.send(Drift(P, "removed by another program", installed=False, number=4))
    world.announce(C, [Q])
    assert (world.plans[-1].answered, world.plans[-1].drifts) == (first.number + 1, 4)


def test_after_the_target_went_down_a_late_answer_means_nothing() -> None:
    world = started()
    world.carries(P)
    first = world.plans[-1]
    world.send(TargetDown("gone"))
    world.send(TargetUp({}, epoch=2))
    again = world.plans[-1]
    world.send(Applied(first.number, 0, ((first.changes[0], "no"),)))
    assert world.nexthop(P) == B
    world.answer(again)
    world.believes()


def test_a_family_that_the_target_does_not_carry_gets_no_plan_and_is_reported() -> None:
    world = Late(replace(Config(), target=replace(Config().target, prefixes=10, prefixes6=10)))
    v6 = parse_prefix("2001:db8:1::/48")
    hops = [bytes.fromhex("20010db8ffff000000000000000000") + bytes([n]) for n in (1, 2)]
    world.send(FeedUp(world.feed, frozenset(FAMILIES)))
    world.send(TargetUp(families=frozenset({Family.IPV4}), anew=frozenset({Family.IPV4})))
    for hop, prefix in zip(hops, [parse_prefix("::/0"), v6], strict=True):
        world.send(RoutesLearned(world.feed, [(world.attributes(hop), [prefix])]))
    world.announce(A, [DEFAULT])
    for family in FAMILIES:
        world.send(FeedComplete(world.feed, family))
    world.send(TargetUp(families=frozenset({Family.IPV4}), anew=frozenset()))
    seen = {v6[0][:8] + bytes(7) + b"\x01": 5000 << COUNT_BITS | 50}
    world.plans.clear()
    for _ in range(5):
        batch = TrafficBatch(samples=50)
        batch.destinations6.update(seen)
        world.send(Traffic(batch, 0.1))
        world.tick()
    assert not [change for plan in world.plans for change in plan.changes if len(change.prefix[0]) == 16]
    assert any("IPv6" in problem.text for problem in world.engine.problems())
    both = frozenset(FAMILIES)
    world.send(TargetUp(families=both, anew=frozenset({Family.IPV6}), epoch=2))
    assert [change.prefix for change in world.plans[-1].changes] == [v6]
    assert not any("IPv6" in problem.text for problem in world.engine.problems())


def test_accounts_of_plans_without_failures_keep_nothing() -> None:
    accounts = InFlight()
    for number in range(1, 1000):
        accounts.send(number, [Change(P, None, Reason.NEW)], [None])
        assert accounts.answer(number, ()) == []
    assert len(accounts) == 0
    assert accounts.take_certain() == {}
    assert accounts.answered == 999
