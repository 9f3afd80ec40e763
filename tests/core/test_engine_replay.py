"""Replays: random events into the engine, the independent checker after every single operation."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from checker import violations
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arm.config import Config
from arm.core.engine import Engine
from arm.core.queries import Queries
from arm.model import (
    COUNT_BITS,
    DEFAULT_PREFIX,
    Applied,
    Attributes,
    Capacity,
    Change,
    Entry,
    Event,
    Family,
    Feed,
    FeedComplete,
    FeedDown,
    FeedUp,
    Kind,
    Plan,
    Prefix,
    RoutesLearned,
    TargetUp,
    Traffic,
    TrafficBatch,
    mask,
)

HOPS = [bytes([192, 0, 2, i]) for i in range(1, 5)]
DEFAULT = DEFAULT_PREFIX[Family.IPV4]


def prefix_of(number: int, length: int) -> Prefix:
    return mask(bytes([10, number & 255, (number >> 8) & 255, 0]), length), length


class World:
    """The truth beside the engine: the table as announced, and the hardware as the plans leave it."""

    def __init__(self, config: Config, *, refuse: random.Random | None = None) -> None:
        self.config = config
        self.engine = Engine(config, 0.0, 1_000_000)
        self.now = 0.0
        self.table: dict[Prefix, bytes] = {}
        self.hardware: dict[Prefix, Entry] = {}
        self.plans: list[Plan] = []
        self.refuse = refuse
        self.feed = Feed("reflector", "127.0.0.1", 1, 65000, "192.0.2.9")
        self.interned: dict[tuple[Feed, bytes, bytes], Attributes] = {}
        self.capacity = config.target.prefixes

    def attributes(self, hop: bytes, raw: bytes = b"") -> Attributes:
        key = (self.feed, hop, raw)
        return self.interned.setdefault(key, Attributes(self.feed, hop, raw))

    def default(self) -> bytes | None:
        return self.table.get(DEFAULT)

    def wrong(self) -> set[int]:
        return violations(self.table, self.hardware, self.default())

    def send(self, event: Event) -> None:
        self.apply(self.engine.handle(event, self.now))

    def tick(self, seconds: float = 1.0) -> None:
        self.now += seconds
        self.apply(self.engine.tick(self.now))

    def apply(self, plan: Plan | None) -> None:
        """Apply a plan change by change; no change may make anything wrong that was right before it."""
        if plan is None:
            # What was refused twice waits for its next check, so it can be wrong meanwhile.
            assert self.refuse is not None or not self.wrong()
            return
        self.plans.append(plan)
        wrong = self.wrong()
        failed: list[tuple[Change, str]] = []
        for change in plan.changes:
            if self.refuse is not None and (self.refuse.random() < 0.2 or self._depends(change, failed)):
                failed.append((change, "refused"))
                continue
            if self.refuse is not None and self._is_full(change):
                # What a refused removal did not free can not be taken: hardware says so.
                failed.append((change, "the table is full"))
                continue
            if change.entry is None:
                del self.hardware[change.prefix]
            else:
                self.hardware[change.prefix] = change.entry
            after = self.wrong()
            assert after <= wrong, f"{change} made {after - wrong} wrong"
            wrong = after
            assert len(self.hardware) <= self.capacity
        if self.refuse is None:
            assert not wrong
            self.believes()
        self.send(Applied(plan.number, len(plan.changes) - len(failed), failed))

    def _is_full(self, change: Change) -> bool:
        return change.entry is not None and change.prefix not in self.hardware and len(self.hardware) >= self.capacity

    def believes(self) -> None:
        believed = Queries(self.engine).installed(Family.IPV4)
        assert {p: e.next_hop for p, e in believed.items()} == {p: e.next_hop for p, e in self.hardware.items()}

    @staticmethod
    def _depends(change: Change, failed: list[tuple[Change, str]]) -> bool:
        def related(a: Prefix, b: Prefix) -> bool:
            short, long = sorted((a, b), key=lambda p: p[1])
            return mask(long[0], short[1]) == short[0]

        return any(related(change.prefix, other.prefix) for other, _ in failed)

    def announce(self, hop: bytes, prefixes: list[Prefix], raw: bytes = b"") -> None:
        self.table.update(dict.fromkeys(prefixes, hop))
        self.send(RoutesLearned(self.feed, [(self.attributes(hop, raw), prefixes)]))

    def withdraw(self, prefixes: list[Prefix]) -> None:
        for prefix in prefixes:
            self.table.pop(prefix, None)
        self.send(RoutesLearned(self.feed, [(None, prefixes)]))

    def traffic(self, seen: dict[bytes, tuple[int, int]]) -> None:
        batch = TrafficBatch()
        for address, (octets, samples) in seen.items():
            batch.destinations4[address] = octets << COUNT_BITS | samples
            batch.samples += samples
        self.send(Traffic(batch, 0.1))

    def start(self, *, default: bytes | None = HOPS[0]) -> None:
        self.send(FeedUp(self.feed))
        if default is not None:
            self.announce(default, [DEFAULT])
        self.send(FeedComplete(self.feed, Family.IPV4))
        self.send(FeedComplete(self.feed, Family.IPV6))
        self.send(TargetUp())


def config(slots: int = 12, reserve: float = 0.1, churn: int = 1000, idle_timeout: float = 20.0) -> Config:
    base = Config()
    return replace(
        base,
        target=replace(base.target, prefixes=slots, prefixes6=slots),
        selection=replace(base.selection, reserve=reserve, churn=churn, idle_timeout=idle_timeout),
    )


LENGTHS = [8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 24]
PREFIXES = st.builds(prefix_of, st.integers(0, 0x3FF), st.sampled_from(LENGTHS))
# Few distinct bits, so that prefixes nest and collide often.
DENSE = st.builds(lambda n, length: prefix_of(n * 37 & 0x3C3, length), st.integers(0, 40), st.sampled_from(LENGTHS))
SOME = st.lists(st.one_of(PREFIXES, DENSE), min_size=1, max_size=6, unique=True)
STEPS = st.one_of(
    st.tuples(st.just("announce"), st.sampled_from(HOPS), SOME),
    st.tuples(st.just("announce"), st.sampled_from(HOPS), SOME),
    st.tuples(st.just("withdraw"), SOME),
    st.tuples(st.just("withdraw known"), st.integers(0, 1000)),
    st.tuples(st.just("traffic"), st.lists(st.tuples(st.one_of(PREFIXES, DENSE), st.integers(1, 9)), max_size=12)),
    st.tuples(st.just("traffic"), st.lists(st.tuples(st.one_of(PREFIXES, DENSE), st.integers(1, 9)), max_size=12)),
    st.tuples(st.just("traffic known"), st.integers(0, 1000)),
    st.tuples(st.just("default"), st.one_of(st.none(), st.sampled_from(HOPS))),
    st.tuples(st.just("tick"), st.sampled_from([0.1, 1.0, 1.0, 7.0, 30.0])),
    st.tuples(st.just("capacity"), st.one_of(st.none(), st.integers(3, 12))),
    st.tuples(st.just("bounce"), st.booleans()),
    st.tuples(st.just("retarget"), st.booleans()),
    st.tuples(st.just("pin"), SOME),
    st.tuples(st.just("pin known"), st.integers(0, 1000)),
)


def perform(world: World, step: tuple[object, ...]) -> None:
    match step:
        case ("announce", bytes(hop), list(prefixes)):
            world.announce(hop, prefixes, raw=bytes([len(prefixes)]))
        case ("withdraw", list(prefixes)):
            world.withdraw(prefixes)
        case ("withdraw known", int(number)):
            known = sorted(p for p in world.table if p != DEFAULT)
            if known:
                world.withdraw([known[number % len(known)]])
        case ("traffic", list(seen)):
            world.traffic({prefix[0]: (count * 1000, count) for prefix, count in seen})
        case ("traffic known", int(number)):
            known = sorted(p for p in world.table if p != DEFAULT)
            some = random.Random(number).sample(known, min(len(known), 5))
            world.traffic({p[0][:3] + b"\x07": ((number + 1) * 10_000, 1 + number % 7) for p in some})
        case ("default", None):
            world.withdraw([DEFAULT])
        case ("default", bytes(hop)):
            world.announce(hop, [DEFAULT])
        case ("tick", float(seconds)):
            world.tick(seconds)
        case ("capacity", slots):
            # The target has room for what it holds; it only says that it would not take more.
            world.send(Capacity(Family.IPV4, slots, None, "test"))
        case ("pin", list(prefixes)):
            pin(world, prefixes)
        case ("pin known", int(number)):
            known = sorted(p for p in world.table if p != DEFAULT)
            pin(world, random.Random(number).sample(known, min(len(known), 4)))
        case ("bounce", bool(relearn)):
            bounce(world, relearn=relearn)
        case ("retarget", bool(kernel)):
            found = {p: e.next_hop for p, e in world.hardware.items()} if kernel else None
            if found is None:
                world.hardware.clear()
            else:
                # The kernel knows next hops, not what ARM put an entry in for: one that points to the default's next
                # hop is taken over as a cover.
                default = world.default()
                for prefix, entry in world.hardware.items():
                    if entry.next_hop == default:
                        world.hardware[prefix] = Entry(Kind.COVER, entry.attributes)
            world.send(TargetUp(found))
        case _:
            raise AssertionError(step)


def pin(world: World, prefixes: list[Prefix]) -> None:
    """A reload names these in selection.always."""
    new = replace(world.engine.config, selection=replace(world.engine.config.selection, always=tuple(prefixes)))
    world.apply(world.engine.reconfigure(new, world.now))


def bounce(world: World, *, relearn: bool) -> None:
    """The reflector's session drops and comes back, with all of the table or with half of it."""
    world.send(FeedDown(world.feed, "test", 90.0))
    world.feed = Feed("reflector", "127.0.0.1", world.feed.generation + 1, 65000, "192.0.2.9")
    world.send(FeedUp(world.feed))
    kept = sorted(world.table) if relearn else sorted(world.table)[::2]
    for prefix in kept:
        world.announce(world.table[prefix], [prefix])
    world.table = {prefix: world.table[prefix] for prefix in kept}
    world.send(FeedComplete(world.feed, Family.IPV4))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(STEPS, min_size=5, max_size=60),
    slots=st.sampled_from([4, 6, 12, 40]),
    default=st.one_of(st.none(), st.sampled_from(HOPS), st.sampled_from(HOPS)),
)
def test_the_rule_holds_after_every_operation(
    steps: list[tuple[object, ...]], slots: int, default: bytes | None
) -> None:
    world = World(config(slots))
    world.start(default=default)
    for step in steps:
        perform(world, step)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, min_size=5, max_size=40))
def test_recorded_events_replay_to_the_same_plans(steps: list[tuple[object, ...]]) -> None:
    def run() -> list[tuple[tuple[Prefix, object, str], ...]]:
        world = World(config())
        world.start()
        for step in steps:
            perform(world, step)
        return [
            tuple((c.prefix, c.entry and (c.entry.kind, c.entry.next_hop), c.reason) for c in plan.changes)
            for plan in world.plans
        ]

    assert run() == run()


def tiny(rng: random.Random) -> Prefix:
    """One of the 63 prefixes of a tree of five levels: everything nests in everything."""
    length = rng.randrange(8, 14)
    return mask(bytes([10, rng.randrange(32) << 3, 0, 0]), length), length


def random_step(rng: random.Random) -> tuple[object, ...]:
    """A step that fits a tiny world: mostly changes of the table below what is installed."""
    some = list({tiny(rng) for _ in range(rng.choice([1, 1, 2, 5]))})
    return rng.choice(
        [
            ("announce", rng.choice(HOPS[:3]), some),
            ("announce", rng.choice(HOPS[:3]), some),
            ("withdraw", some),
            ("withdraw known", rng.randrange(1000)),
            ("traffic", [(prefix, rng.randrange(1, 50)) for prefix in some]),
            ("traffic known", rng.randrange(1000)),
            ("traffic known", rng.randrange(1000)),
            ("tick", rng.choice([0.1, 1.0, 5.0, 3000.0] if rng.random() < 0.1 else [0.1, 1.0, 5.0])),
            ("default", rng.choice(HOPS[:3])) if rng.random() < 0.3 else ("traffic known", rng.randrange(1000)),
            ("bounce", rng.random() < 0.5) if rng.random() < 0.2 else ("tick", 1.0),
            ("pin", some) if rng.random() < 0.3 else ("pin known", rng.randrange(1000)),
            ("retarget", rng.random() < 0.5) if rng.random() < 0.2 else ("tick", 1.0),
        ]
    )


@pytest.mark.parametrize("slots", [3, 5, 8, 16, 64])
@pytest.mark.parametrize("default", [HOPS[0], None])
def test_the_rule_holds_where_everything_nests_in_everything(slots: int, default: bytes | None) -> None:
    for seed in range(40):
        rng = random.Random(f"{seed} {slots} {default!r}")
        world = World(config(slots, churn=rng.choice([1, 2, 1000]), idle_timeout=rng.choice([20.0, 86_400.0])))
        world.start(default=default)
        for _ in range(120):
            step = random_step(rng)
            if step[0] != "default" or default is not None:
                perform(world, step)


def busy_table(rng: random.Random, size: int) -> Iterator[tuple[Prefix, bytes]]:
    for _ in range(size):
        yield prefix_of(rng.randrange(1 << 12), rng.choice(LENGTHS)), rng.choice(HOPS)


@pytest.mark.parametrize("seed", range(5))
def test_a_target_that_refuses_changes_ends_with_nothing_wrong(seed: int) -> None:
    rng = random.Random(seed)
    world = World(config(slots=30), refuse=random.Random(seed))
    world.start()
    for prefix, hop in busy_table(rng, 150):
        world.announce(hop, [prefix])
    for _ in range(40):
        known = sorted(world.table)
        world.traffic({p[0][:3] + b"\x01": (rng.randrange(1, 10**6), 3) for p in rng.sample(known, 20)})
        world.announce(rng.choice(HOPS), rng.sample(known[1:], 2))
        if rng.random() < 0.2:
            pin(world, rng.sample(known[1:], 8))
        world.tick()
    world.refuse = None
    for _ in range(70):
        world.now += 1
        plan = world.engine.tick(world.now)
        while plan is not None:
            for change in plan.changes:
                if change.entry is None:
                    world.hardware.pop(change.prefix, None)
                else:
                    world.hardware[change.prefix] = change.entry
            plan = world.engine.handle(Applied(plan.number, len(plan.changes)), world.now)
    assert not world.wrong()
    world.believes()
