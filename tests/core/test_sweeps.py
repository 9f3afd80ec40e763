"""Routes that a session has left go a portion at a time: the rule holds in between, and whatever else may happen."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from checker import violations
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_engine_replay import DEFAULT, HOPS, World, config, prefix_of
from test_work import steps as work

from arm.core import rib as rib_module
from arm.model import (
    FAMILIES,
    Attributes,
    Family,
    Feed,
    FeedComplete,
    FeedDown,
    FeedUp,
    Plan,
    Prefix,
    RoutesLearned,
    TargetUp,
)

V4 = Family.IPV4
NAMES = ("reflector", "second")


class Sessions(World):
    """Two sessions that teach the same family; the table is judged by what each of them has taught last."""

    def __init__(self, slots: int = 30) -> None:
        super().__init__(config(slots))
        self.feeds: dict[str, Feed] = {}
        self.up: dict[str, bool] = {}
        self.taught: dict[str, dict[Prefix, tuple[int, bytes]]] = {name: {} for name in NAMES}
        """Prefix -> generation and next hop, without what a sweep has to drop."""

    def apply(self, plan: Plan | None) -> None:
        # In the middle of a sweep, the table is what the engine has not dropped yet: the rule holds for that, too.
        self.table = {route.prefix: route.attributes.next_hop for route in self.engine.families[V4].rib}
        super().apply(plan)

    def come(self, name: str) -> None:
        generation = self.feeds[name].generation + 1 if name in self.feeds else 1
        self.feeds[name] = Feed(name, "127.0.0.1", generation, 65000, "192.0.2.9")
        self.up[name] = True
        self.send(FeedUp(self.feeds[name], frozenset({V4})))

    def teach(self, name: str, hop: bytes, prefixes: list[Prefix]) -> None:
        feed = self.feeds[name]
        self.taught[name].update(dict.fromkeys(prefixes, (feed.generation, hop)))
        self.send(
            RoutesLearned(feed, [(self.interned.setdefault((feed, hop, b""), Attributes(feed, hop, b"")), prefixes)])
        )

    def take(self, name: str, prefixes: list[Prefix]) -> None:
        for prefix in prefixes:
            self.taught[name].pop(prefix, None)
        self.send(RoutesLearned(self.feeds[name], [(None, prefixes)]))

    def close(self, name: str) -> None:
        """End-of-RIB."""
        generation = self.feeds[name].generation
        self.taught[name] = {p: route for p, route in self.taught[name].items() if route[0] == generation}
        self.send(FeedComplete(self.feeds[name], V4))

    def go(self, name: str, *, lost: bool) -> None:
        """The session ends; `lost`: its routes go at once, otherwise they stay for very long."""
        self.up[name] = False
        if lost:
            self.taught[name].clear()
        self.send(FeedDown(self.feeds[name], "test", 1e9, frozenset({V4}) if lost else frozenset()))

    def sweep(self) -> None:
        self.apply(self.engine.sweep(self.now))

    def finish(self) -> int:
        """Sweep to the end; how many portions it took."""
        count = 0
        while self.engine.sweeping:
            self.sweep()
            count += 1
            assert count < 100_000
        return count

    def right(self) -> dict[Prefix, bytes]:
        """The table as it is to be: for each prefix the first session that teaches it, by name."""
        table: dict[Prefix, bytes] = {}
        for name in reversed(NAMES):
            table.update({prefix: hop for prefix, (_, hop) in self.taught[name].items()})
        return table


@pytest.fixture
def small_portions() -> Iterator[None]:
    """Portions of a few prefixes, so that a small table takes many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rib_module, "_PORTION", 8)
        patch.setattr(rib_module, "_PART_BITS", 12)
        yield


def both(world: Sessions, prefixes: list[Prefix]) -> None:
    for name, hop in zip(NAMES, HOPS, strict=False):
        world.come(name)
        world.teach(name, HOPS[3], [DEFAULT])
        world.teach(name, hop, prefixes)
        world.close(name)
    world.finish()
    world.send(TargetUp())


PREFIXES = sorted({prefix_of(n * 37 & 0x3C3, length) for n in range(40) for length in (8, 12, 16, 18, 20, 24)})
SOME = st.lists(st.sampled_from([*PREFIXES, DEFAULT]), min_size=1, max_size=8, unique=True)
NAME = st.sampled_from(NAMES)
STEPS = st.one_of(
    st.tuples(st.just("sweep")),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("teach"), NAME, st.sampled_from(HOPS), SOME),
    st.tuples(st.just("take"), NAME, SOME),
    st.tuples(st.just("go"), NAME, st.booleans()),
    st.tuples(st.just("come"), NAME),
    st.tuples(st.just("close"), NAME),
    st.tuples(st.just("traffic"), SOME),
    st.tuples(st.just("tick")),
)


@pytest.mark.usefixtures("small_portions")
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(STEPS, max_size=60))
def test_the_rule_holds_after_every_portion_and_in_the_end_the_table_is_right(steps: list[tuple[object, ...]]) -> None:
    world = Sessions()
    both(world, PREFIXES)
    for step in steps:
        match step:
            case ("sweep",):
                world.sweep()
            case ("teach", str(name), bytes(hop), list(prefixes)) if world.up[name]:
                world.teach(name, hop, prefixes)
            case ("take", str(name), list(prefixes)) if world.up[name]:
                world.take(name, prefixes)
            case ("go", str(name), bool(lost)) if world.up[name]:
                world.go(name, lost=lost)
            case ("come", str(name)) if not world.up[name]:
                world.come(name)
            case ("close", str(name)) if world.up[name]:
                world.close(name)
            case ("traffic", list(prefixes)):
                world.traffic({prefix[0][:3] + b"\x07": (10_000, 3) for prefix in prefixes})
            case ("tick",):
                world.tick()
            case _:
                pass
    world.finish()
    world.tick()
    assert world.table == world.right()
    assert not violations(world.right(), world.hardware, world.right().get(DEFAULT))


@pytest.mark.usefixtures("small_portions")
def test_samples_and_updates_count_between_two_portions() -> None:
    world = Sessions()
    both(world, PREFIXES)
    world.go(NAMES[0], lost=True)
    world.sweep()
    assert world.engine.sweeping
    new = prefix_of(0x10, 22)
    world.teach(NAMES[1], HOPS[2], [new])
    assert world.table[new] == HOPS[2]
    world.traffic({PREFIXES[-1][0]: (10_000, 50), new[0]: (10_000, 50)})
    assert world.engine.sweeping
    assert set(world.hardware) == {new}, "what is about to go is not put in"


@pytest.mark.usefixtures("small_portions")
def test_a_session_that_comes_back_in_the_middle_keeps_what_it_teaches_anew() -> None:
    world = Sessions()
    both(world, PREFIXES)
    world.go(NAMES[0], lost=True)
    for _ in range(5):
        world.sweep()
    world.come(NAMES[0])
    again = PREFIXES[::5]
    world.teach(NAMES[0], HOPS[2], again)
    assert world.engine.sweeping
    world.finish()
    assert {prefix for prefix, hop in world.table.items() if hop == HOPS[2]} == set(again)


@pytest.mark.usefixtures("small_portions")
def test_a_session_that_drops_again_in_the_middle_loses_what_the_sweep_has_passed() -> None:
    world = Sessions()
    both(world, PREFIXES)
    world.go(NAMES[0], lost=True)
    for _ in range(5):
        world.sweep()
    world.come(NAMES[0])
    world.teach(NAMES[0], HOPS[2], PREFIXES)
    world.go(NAMES[0], lost=True)
    world.finish()
    assert set(world.table.values()) == {HOPS[1], HOPS[3]}


@pytest.mark.usefixtures("small_portions")
def test_the_first_table_is_settled_when_nothing_stale_is_left_in_it() -> None:
    world = Sessions()
    world.come(NAMES[0])
    world.teach(NAMES[0], HOPS[0], PREFIXES)
    world.go(NAMES[0], lost=False)
    world.come(NAMES[0])
    world.teach(NAMES[0], HOPS[1], PREFIXES[::2])
    world.close(NAMES[0])
    assert world.engine.sweeping
    assert not world.engine.settled
    world.finish()
    assert world.engine.settled
    assert set(world.table) == set(PREFIXES[::2])


def table_of(size: int) -> Sessions:
    world = Sessions(slots=10)
    chance = random.Random(size)
    prefixes = [(chance.randrange(1 << 24).to_bytes(3, "big") + b"\0", 24) for _ in range(size)]
    for name, hop in zip(NAMES, HOPS, strict=False):
        feed = world.feeds[name] = Feed(name, "127.0.0.1", 1, 65000, "192.0.2.9")
        world.engine.handle(FeedUp(feed), 0.0)
        world.engine.handle(RoutesLearned(feed, [(Attributes(feed, hop, b""), prefixes)]), 0.0)
        for family in FAMILIES:
            world.engine.handle(FeedComplete(feed, family), 0.0)
    return world


def test_a_portion_costs_the_same_whatever_the_table_holds_and_all_of_them_follow_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rib_module, "_PORTION", 500)
    totals, most = [], []
    for size in (8_000, 32_000):
        world = table_of(size)
        engine = world.engine
        gone = FeedDown(world.feeds[NAMES[0]], "test", 90.0, frozenset(FAMILIES))
        costs = [work(lambda engine=engine, gone=gone: engine.handle(gone, 1.0))]  # type: ignore[misc]
        while engine.sweeping:
            costs.append(work(lambda engine=engine: engine.sweep(1.0)))  # type: ignore[misc]
        assert engine.families[V4].rib.stale(NAMES[0], 99) == 0
        totals.append(sum(costs))
        most.append(max(costs))
    assert most[1] < 1.5 * most[0]
    assert totals[1] < 5 * totals[0]
