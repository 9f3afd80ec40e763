"""The list of all prefixes with traffic: made from the one before, and the same as one made from nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
from fake_arm import SCALE, FakeEngine, attributes, status

from arm.bgp.attributes import as_path
from arm.model import Attributes, Entry, Family, Prefix, Route, format_prefix
from arm.observe.board import Board
from arm.web import active
from arm.web.active import Active

PATHS = [
    attributes("10.0.0.134", path, localpref=localpref)
    for path in ((), (64500,), (64500, 64501), (64501, 4200000001), (70_000, 64500 + (1 << 16)), (64502, 64502))
    for localpref in (None, 100)
]
NUMBERS = sorted({number for one in PATHS for _, numbers in as_path(one) for number in numbers} | {1, 64999})


def prefix(number: int) -> Prefix:
    return bytes((10, number >> 8, number & 255, 0)), 24


class Changing(FakeEngine):
    """An engine whose table and traffic change at random; it counts the routes that it is asked for."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__({}, {}, {})
        self.table: dict[Prefix, Attributes] = {}
        self.entries: dict[Prefix, Entry] = {}
        self.chance = chance
        self.asked = 0

    def step(self) -> None:
        told: list[tuple[Attributes | None, list[Prefix]]] = []
        for number in self.chance.sample(range(300), 20):
            path = self.chance.choice([None, *PATHS])
            told.append((path, [prefix(number)]))
            if path is None:
                self.table.pop(prefix(number), None)
            else:
                self.table[prefix(number)] = path
        self.told.note(told)
        rates = self.traffic["destination"]
        for number in self.chance.sample(range(300), 60):
            # few different rates, so that many are equal, and some are nothing at all
            rates[prefix(number)] = self.chance.choice((0.0, 64.0, 576.0, 1500.0, float(number + 1)))
        for number in self.chance.sample(range(300), 20):
            rates.pop(prefix(number), None)

    def routes(self, prefixes: Sequence[Prefix]) -> list[Route | None]:
        self.asked += len(prefixes)
        return super().routes(prefixes)


def paths(found: Active) -> Mapping[Prefix, Attributes]:
    return {one: route.attributes for one, route in found.routes.items()}


@pytest.mark.parametrize("groups", [3, 100])
@pytest.mark.parametrize("seed", range(4))
def test_a_list_made_from_the_one_before_is_as_one_made_from_nothing(
    seed: int, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active, "_MOST_GROUPS", groups)
    monkeypatch.setattr(active, "PORTION", 16)
    engine = Changing(random.Random(seed))
    latest: Active | None = None
    for _ in range(25):
        for _ in range(engine.chance.randrange(3)):
            engine.step()
        # a board of its own each time: it would share the traffic for half a second
        latest = Active.ask(Board(engine.ask), Family.IPV4, "destination", latest)
        new = Active.ask(Board(engine.ask), Family.IPV4, "destination", None)
        assert paths(latest) == paths(new) == {p: engine.table[p] for p in latest.snapshot.rates if p in engine.table}
        listed = latest.listed()
        assert [(route.prefix, rate) for route, rate in listed] == [
            (route.prefix, rate) for route, rate in new.listed()
        ]
        places = {route.prefix: place for place, (route, _) in enumerate(listed, 1)}
        for number in NUMBERS:
            through = latest.through(number)
            assert {route.prefix for route in through} == {
                route.prefix for route, _ in listed if any(number in some for _, some in as_path(route.attributes))
            }
            assert len(through) == len({route.prefix for route in through})
            assert latest.positions(through) == [places[route.prefix] for route in through]


def test_only_new_traffic_and_told_routes_are_asked_for_again() -> None:
    engine = Changing(random.Random(1))
    for number in range(200):
        engine.table[prefix(number)] = PATHS[1]
        engine.traffic["destination"][prefix(number)] = 1.0 + number
    first = Active.ask(Board(engine.ask), Family.IPV4, "destination", None)
    assert engine.asked == 200
    engine.traffic["destination"][prefix(250)] = 5.0
    engine.table[prefix(250)] = PATHS[2]
    engine.table[prefix(7)] = PATHS[3]
    engine.told.note([(PATHS[2], [prefix(250)]), (PATHS[3], [prefix(7)]), (PATHS[3], [prefix(299)])])
    second = Active.ask(Board(engine.ask), Family.IPV4, "destination", first)
    assert engine.asked == 202
    assert second.routes[prefix(7)].attributes is PATHS[3]
    engine.told.forget()
    Active.ask(Board(engine.ask), Family.IPV4, "destination", second)
    assert engine.asked == 202 + 201


def test_a_search_after_a_long_silence_sees_the_table_of_now() -> None:
    now = [1000.0]
    engine = FakeEngine()
    board = Board(engine.ask, clock=lambda: now[0])
    board.publish(status())
    assert "10.1.0.0/16" in [
        format_prefix(r.prefix) for r in active.active(board, Family.IPV4, "destination").through(64510)
    ]
    changed = engine.table[(bytes((10, 0, 0, 0)), 8)]
    engine.table[(bytes((10, 1, 0, 0)), 16)] = changed
    engine.told.note([(changed, [(bytes((10, 1, 0, 0)), 16)])])
    now[0] += 3600
    found = active.active(board, Family.IPV4, "destination")
    assert "10.1.0.0/16" not in [format_prefix(route.prefix) for route in found.through(64510)]
    assert found.snapshot.scale == SCALE
