"""BGP storms: the rule and the slot limit hold after every single operation, whatever BGP does, with the slots full."""

from __future__ import annotations

import random

import pytest
from checker import Judge, violations
from storm import BLOCKS, SPAN, Storm, Update, on_the_wire, prefix_at

from arm.core.plan import Planner
from arm.core.queries import Queries
from arm.model import (
    DEFAULT_PREFIX,
    FAMILIES,
    Attributes,
    Entry,
    Family,
    Feed,
    FeedDown,
    Kind,
    Prefix,
)

RATE, SECONDS = 10_000, 30
"""Updates per second, both families together, and for how long."""
SLOTS = 1000


def busy(slots: int, *, size: int) -> Storm:
    """A table of about that many prefixes for each family, and more traffic than the slots do for."""
    storm = Storm(slots)
    storm.fill(size)
    storm.complete()
    for _ in range(20):
        storm.traffic(slots // 4, spread=slots * 6)
        storm.now += 0.1
    return storm


def full(slots: int) -> Storm:
    """The same with some 17,000 prefixes for each family; all slots but the reserve are taken."""
    storm = busy(slots, size=20_000)
    assert storm.full()
    return storm


class Changes:
    """What a storm announces: two of five updates concern what is installed, or what lies just inside it."""

    def __init__(self, storm: Storm) -> None:
        self.storm = storm
        self.look()

    def look(self) -> None:
        """Take note of what is there now."""
        storm = self.storm
        self.known = {f: [p for p in storm.tables[f] if p[1]] for f in FAMILIES}
        self.installed = {f: list(Queries(storm.engine).installed(f)) for f in FAMILIES}

    def one(self) -> Update:
        storm, chance = self.storm, self.storm.chance
        family = chance.choice(FAMILIES)
        kind = chance.random()
        withdraws = chance.random() < 0.25
        if kind < 0.2:
            prefix = chance.choice(self.installed[family])
        elif kind < 0.4:
            # Mostly more-specifics that were not there: each costs a slot, or the route above it its place.
            prefix = inside(chance, family, chance.choice(self.installed[family]))
            withdraws = chance.random() < 0.05
        elif kind < 0.8:
            prefix = chance.choice(self.known[family])
        else:
            prefix = prefix_at(family, chance.randrange(1 << SPAN), chance.randrange(4, SPAN + 1))
        return prefix, None if withdraws else chance.randrange(len(storm.hops[family]))


def inside(chance: random.Random, family: Family, prefix: Prefix) -> Prefix:
    base, around = BLOCKS[family]
    room = SPAN - (prefix[1] - around)
    bits = len(base) * 8
    unit = (int.from_bytes(prefix[0], "big") - int.from_bytes(base, "big")) >> (bits - around - SPAN)
    return prefix_at(
        family, unit | chance.getrandbits(room) if room else unit, SPAN - chance.randrange(min(room, 4) + 1)
    )


def test_ten_thousand_updates_a_second_for_thirty_seconds_never_break_the_rule_nor_the_limit() -> None:
    storm = full(SLOTS)
    changes = Changes(storm)
    first = storm.updates
    for _ in range(SECONDS):
        changes.look()
        for tenth in range(10):
            due = first + RATE * (round(storm.now) - 1) + RATE // 10 * (tenth + 1)
            while storm.updates < due:
                storm.learn([changes.one() for _ in range(storm.chance.choice((1, 3, 20, 100)))])
            storm.now += 0.1
            storm.traffic(40, spread=6000)
        storm.now -= 1.0
        storm.tick()
    assert storm.updates - first >= RATE * SECONDS
    for family in FAMILIES:
        planner = storm.engine.families[family].planner
        assert planner.repaired > 10_000, "the storm must have concerned what is installed"
        assert storm.judges[family].most >= SLOTS - 5, "the slots must have been full"
        assert storm.used(family) > SLOTS * 0.9


def aggregated(slots: int) -> Storm:
    """Nothing but a default and the whole block, which is installed."""
    storm = Storm(slots)
    storm.learn([(DEFAULT_PREFIX[family], 0) for family in FAMILIES] + [(BLOCKS[family], 1) for family in FAMILIES])
    storm.complete()
    storm.traffic(50, spread=1 << SPAN)
    assert all(set(Queries(storm.engine).installed(family)) == {BLOCKS[family]} for family in FAMILIES)
    return storm


def deaggregate(storm: Storm, traffic: int) -> list[int]:
    """Announce every longest prefix with another next hop than the block's, in no order; the units in that order."""
    order = list(range(1 << SPAN))
    storm.chance.shuffle(order)
    at = 0
    while at < len(order):
        some = order[at : at + storm.chance.choice((1, 10, 500))]
        at += len(some)
        storm.learn([(prefix_at(family, unit, SPAN), 2 + unit % 4) for unit in some for family in FAMILIES])
        storm.now += 0.03
        if len(some) > 10:
            storm.traffic(traffic, spread=1 << SPAN)
    return order


def test_a_deaggregation_below_an_installed_route_never_breaks_the_rule_nor_the_limit() -> None:
    slots = 2000
    storm = aggregated(slots)
    storm.carry = on_the_wire()
    order = deaggregate(storm, slots // 20)
    storm.tick()
    for family in FAMILIES:
        assert len(storm.tables[family]) == 2 + (1 << SPAN)
        assert storm.judges[family].most == slots, "the slots must have been full"
        assert BLOCKS[family] not in Queries(storm.engine).installed(family), "no slots would do for its exceptions"
    for start in range(0, len(order), 1000):
        gone = [prefix_at(family, unit, SPAN) for unit in order[start : start + 1000] for family in FAMILIES]
        storm.learn([(prefix, None) for prefix in gone])
    storm.traffic(50, spread=1 << SPAN)
    assert all(set(Queries(storm.engine).installed(family)) == {BLOCKS[family]} for family in FAMILIES)


@pytest.mark.parametrize("politely", [True, False])
def test_a_peer_that_takes_everything_away_and_comes_back_never_breaks_the_rule_nor_the_limit(politely: bool) -> None:
    storm = full(1000)
    storm.carry = on_the_wire()
    tables = {family: dict(storm.tables[family]) for family in FAMILIES}
    if politely:
        everything = [prefix for family in FAMILIES for prefix in tables[family]]
        storm.chance.shuffle(everything)
        for start in range(0, len(everything), 250):
            storm.learn([(prefix, None) for prefix in everything[start : start + 250]])
    else:
        storm.send(FeedDown(storm.feed, "hold timer expired", retain=5.0))
        for _ in range(4):
            storm.tick()
            storm.traffic(40, spread=6000)
        assert storm.full(), "its routes are kept for a while"
        storm.forget()
        for _ in range(3):
            storm.tick()
            storm.sweep()
    assert [storm.used(family) for family in FAMILIES] == [0, 0]
    storm.came_up()
    back = [(prefix, hop) for family in FAMILIES for prefix, hop in tables[family].items()]
    storm.chance.shuffle(back)
    for start in range(0, len(back), 250):
        storm.learn(back[start : start + 250])
        if start % 1000 == 0:
            storm.traffic(20, spread=6000)
    storm.complete()
    for _ in range(20):
        storm.now += 0.1
        storm.traffic(250, spread=6000)
    storm.tick()
    assert storm.full()


# --- the judge is judged -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_both_checkers_agree(family: Family) -> None:
    chance = random.Random(family)
    block, depth = BLOCKS[family], BLOCKS[family][1] + 5
    judge = Judge(block, depth, 1000)
    table: dict[Prefix, bytes] = {}
    installed: dict[Prefix, Entry] = {}
    feed = Feed("test", "", 1, 0, "")
    hops = [bytes([n]) * 4 for n in range(1, 4)]
    seen = 0
    for _ in range(1500):
        length = chance.randrange(6)
        prefix = prefix_at(family, chance.randrange(32) << (SPAN - 5), length)
        if chance.random() < 0.05:
            prefix = DEFAULT_PREFIX[family]
        hop = chance.choice(hops) if chance.random() < 0.6 else None
        if chance.random() < 0.5:
            judge.learn(prefix, hop)
            if hop is None:
                table.pop(prefix, None)
            else:
                table[prefix] = hop
        elif prefix[1] and (hop is not None or prefix in installed):
            before = set(judge.wrong)
            if hop is None:
                del installed[prefix]
            else:
                installed[prefix] = Entry(
                    Kind.COVER if hop == judge.default else Kind.ROUTE, Attributes(feed, hop, b"")
                )
            worse = False
            try:
                judge.apply(prefix, hop)
            except AssertionError:
                worse = True
            assert worse == bool(judge.wrong - before)
        default = table.get(DEFAULT_PREFIX[family])
        # To the packet it is all the same what an entry to the default's next hop was put in for.
        meant = {
            p: Entry(Kind.COVER if entry.next_hop == default else Kind.ROUTE, entry.attributes)
            for p, entry in installed.items()
        }
        shift, low = judge.table.shift, judge.table.base
        addresses = violations(table, meant, default)
        units = {unit for address in addresses if 0 <= (unit := (address - low) >> shift) < judge.table.size}
        assert units <= judge.wrong
        assert bool(units) == bool(judge.wrong)
        seen += bool(units)
    assert seen > 100


def rage(storm: Storm) -> None:
    changes = Changes(storm)
    for _ in range(1000):
        storm.learn([changes.one() for _ in range(20)])


def test_a_planner_that_forgets_exceptions_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Planner, "_cover_or_demote", lambda *_: None)
    storm = busy(300, size=3000)
    with pytest.raises(AssertionError, match="are wrong after"):
        rage(storm)


def test_a_planner_that_overfills_is_caught() -> None:
    storm = aggregated(300)
    for family in FAMILIES:
        storm.engine.families[family].planner.capacity = 400
    with pytest.raises(AssertionError, match="takes slot 301 of 300"):
        deaggregate(storm, 0)
