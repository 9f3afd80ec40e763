"""Wanted against held against the full table, in /arm/diff/json."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fake_arm import FakeEngine, status

from arm.config import Config
from arm.model import Entry, Holding, Kind, Prefix, Route, parse_address, parse_prefix
from arm.observe.board import Board
from arm.web.app import create_app
from arm.web.readback import AGAINST_TABLE, EXTRA, MISSING, OTHER

STRAY = parse_address("192.0.2.99")
P, Q, COVER = parse_prefix("10.1.0.0/16"), parse_prefix("192.0.2.0/24"), parse_prefix("10.1.3.0/24")


class World:
    """An engine, and a target that holds what a test says."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.board = Board(self.engine.ask)
        self.board.publish(status())
        self.routes: dict[Prefix, bytes] = {prefix: entry.next_hop for prefix, entry in self.engine.entries.items()}
        self.holding: Callable[[], Holding | None] = lambda: Holding("read from the kernel", self.routes)

    def target(self, query: str = "") -> dict:
        self.board.holding = self.holding
        answer = create_app(self.board, Config()).test_client().get(f"/arm/diff/json{query}")
        assert answer.status_code == 200, answer.json
        return answer.json["target"]

    def differences(self) -> dict[str, str]:
        target = self.target()
        assert target["differences_number"] == len(target["differences"])
        return {one["prefix"]: one["what"] for one in target["differences"]}


@pytest.fixture
def world() -> World:
    return World()


def test_a_target_that_holds_what_was_wanted_shows_no_difference(world: World) -> None:
    target = world.target()
    assert (target["source"], target["routes"], target["differences"]) == ("read from the kernel", 3, [])
    assert world.target("?family=ipv6")["routes"] == 0


def test_what_is_missing_is_too_much_or_leads_elsewhere_is_told_with_all_three_next_hops(world: World) -> None:
    del world.routes[P]
    world.routes[Q] = b""
    world.routes[parse_prefix("203.0.113.0/24")] = STRAY
    assert world.differences() == {"10.1.0.0/16": MISSING, "192.0.2.0/24": OTHER, "203.0.113.0/24": EXTRA}
    rows = {one["prefix"]: one for one in world.target()["differences"]}
    assert rows["10.1.0.0/16"]["held"] is None
    assert rows["10.1.0.0/16"]["wanted"] == rows["10.1.0.0/16"]["table"] != ""
    assert rows["192.0.2.0/24"]["held"] == "unknown"
    assert (rows["203.0.113.0/24"]["held"], rows["203.0.113.0/24"]["wanted"]) == ("192.0.2.99", None)


def test_a_route_that_the_full_table_contradicts_is_told_and_a_cover_is_none(world: World) -> None:
    assert world.engine.entries[COVER].kind is Kind.COVER
    world.engine.table = {prefix: path for prefix, path in world.engine.table.items() if prefix not in (Q, COVER)}
    assert world.differences() == {"192.0.2.0/24": AGAINST_TABLE}


def test_what_changes_while_the_target_is_asked_is_no_difference(world: World) -> None:
    late = parse_prefix("198.51.100.0/24")

    def asked() -> Holding:
        path = world.engine.table[Q]
        world.engine.table[late] = path
        world.engine.entries = {**world.engine.entries, late: Entry(Kind.ROUTE, path)}
        return Holding("read from the kernel", world.routes)

    world.holding = asked
    assert world.differences() == {}


def test_a_table_that_changed_meanwhile_is_no_difference(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = world.engine.routes
    other = next(path for path in world.engine.table.values() if path.next_hop != world.engine.table[Q].next_hop)
    monkeypatch.setattr(
        world.engine,
        "routes",
        lambda prefixes: [Route(p, other) if len(prefixes) > 1 and p == Q else asked([p])[0] for p in prefixes],
    )
    assert world.differences() == {}


@pytest.mark.parametrize("fails", [True, False])
def test_a_target_that_cannot_tell_is_no_error_of_the_page(world: World, fails: bool) -> None:
    def asked() -> Holding | None:
        if fails:
            raise PermissionError(1, "operation not permitted")
        return None

    world.holding = asked
    target = world.target()
    assert (target["source"], target["routes"]) == (None, None)
    assert target["error"] == ("the target cannot be asked: operation not permitted" if fails else None)
