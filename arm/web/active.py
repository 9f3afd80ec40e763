"""All prefixes with traffic, with their routes and states: what sorting, filtering and adding up start from.

The routes of all of them are asked of the engine once. From then on, only those are asked for again that BGP has told
since (`Reader.relearned`), and those whose traffic is new: a few hundred instead of tens of thousands, so that a list
is never older than the moment at which it was made and costs the engine next to nothing.

`Active` does not change once it is made, and is shared by all who ask within a second or two.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, TypeVar

from arm.bgp.attributes import as_path
from arm.model import Family, Prefix, PrefixState, Route, TrafficSnapshot
from arm.observe.board import Board
from arm.observe.reader import Reader
from arm.web.topprefixes import rank, traffic

T = TypeVar("T")

KEPT_SECONDS = 2.0
STALE_SECONDS = 8.0
"""For so much longer the list of before is given, while the next one is made: nobody who searches waits for it."""
PORTION = 1_000
"""Prefixes that the engine is asked for at once: two to five milliseconds of its time."""
RIGHT = (PrefixState.INSTALLED, PrefixState.RIDES, PrefixState.DEFAULT)
"""States in which packets take their own way, in hardware or by default."""
_REMEMBERED_SECONDS: Final = 1e6
"""For so long the next list is made from the latest one: days."""
_MOST_GROUPS: Final = 100


class _Group:
    """Some routes, and their path attributes one after the other: to look through these is to read memory in order."""

    __slots__ = ("_ends", "_octets", "routes")

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        attributes = [route.attributes.raw for route in routes]
        self._octets = b"".join(attributes)
        self._ends = list(accumulate(map(len, attributes)))

    def having(self, octets: bytes) -> Iterator[Route]:
        """Routes in whose attributes these octets stand; now and then also one before such a route."""
        at = self._octets.find(octets)
        while at >= 0:
            place = bisect_right(self._ends, at)
            yield self.routes[place]
            at = self._octets.find(octets, self._ends[place])


class Active:
    """Prefixes with traffic at one moment, and their routes. Any thread may ask."""

    __slots__ = ("_groups", "_listed", "_lock", "_rising", "number", "routes", "snapshot")

    def __init__(
        self, snapshot: TrafficSnapshot, number: int, routes: Mapping[Prefix, Route], groups: Sequence[_Group]
    ) -> None:
        """`number` is that of `Reader.relearned`; each route is in one of the groups, which may have others too."""
        self.snapshot = snapshot
        self.number = number
        self.routes = routes
        """Of those that the table has a route for."""
        self._groups = groups
        self._lock = threading.Lock()
        self._listed: Sequence[tuple[Route, float]] | None = None
        self._rising: list[float] = []

    @classmethod
    def ask(cls, board: Board, family: Family, direction: str, before: Active | None) -> Active:
        """As it is now; what was known `before` is not asked for again where it still holds."""
        snapshot = traffic(board, family, direction)
        after = before.number if before is not None else -1
        number, told = board.ask(lambda engine: engine.relearned(after))
        known: dict[Prefix, Route] = {}
        groups: list[_Group] = []
        if before is not None and told is not None:
            known = dict(before.routes)
            groups = list(before._groups)
            for prefix in known.keys() - snapshot.rates.keys():
                del known[prefix]
            for prefix in told:
                known.pop(prefix, None)
        # In the order of addresses the walks through the table share most of their way.
        unknown = sorted([prefix for prefix in snapshot.rates if prefix not in known])
        found = [
            route
            for route in in_portions(board, unknown, lambda engine, some: engine.routes(some))
            if route is not None
        ]
        known.update([(route.prefix, route) for route in found])
        if len(groups) > _MOST_GROUPS or sum(len(group.routes) for group in groups) > 2 * len(known):
            groups, found = [], list(known.values())
        groups += [_Group(found[start : start + PORTION]) for start in range(0, len(found), PORTION)]
        made = cls(snapshot, number, known, groups)
        if before is not None and before._listed is not None:
            made.listed()  # whoever wants it, does not wait
        return made

    def listed(self) -> Sequence[tuple[Route, float]]:
        """Routes and their bytes per second, by falling rate."""
        with self._lock:
            if self._listed is None:
                rates, scale, routes = self.snapshot.rates, self.snapshot.scale, self.routes
                ranked = [(routes.get(prefix), rates[prefix] * scale) for prefix in rank(self.snapshot, count=None)]
                self._listed = [(route, rate) for route, rate in ranked if route is not None]
            return self._listed

    def through(self, number: int) -> list[Route]:
        """Routes with an AS in their path, in no order.

        A path is decoded only where the last two octets of the number stand somewhere in the attributes: these are the
        same in both sizes that AS numbers have in an AS_PATH (RFC 6793).
        """
        octets = (number & 0xFFFF).to_bytes(2, "big")
        rates, routes = self.snapshot.rates, self.routes
        return [
            route
            for group in self._groups
            for route in group.having(octets)
            if routes.get(route.prefix) is route
            and rates[route.prefix] > 0
            and any(number in numbers for _, numbers in as_path(route.attributes))
        ]

    def positions(self, routes: Sequence[Route]) -> list[int]:
        """Places of some of the routes in `listed`, from 1 on."""
        rates = self.snapshot.rates
        if not self._rising:
            self._rising = sorted([rates[prefix] for prefix in self.routes])
        rising = self._rising
        places = []
        equal: dict[float, list[Prefix]] = {}
        for route in routes:
            rate = rates[route.prefix]
            last = bisect_right(rising, rate)
            if last - bisect_left(rising, rate) > 1:
                equal[rate] = []
            places.append(len(rising) - last + 1)
        if equal:
            for prefix in self.routes:
                same = equal.get(rates[prefix])
                if same is not None:
                    same.append(prefix)
            for same in equal.values():
                same.sort()
        return [
            place + (bisect_left(equal[rates[route.prefix]], route.prefix) if rates[route.prefix] in equal else 0)
            for place, route in zip(places, routes, strict=True)
        ]


class _Latest:
    """The latest list, from which the next one is made."""

    __slots__ = ("active",)

    def __init__(self) -> None:
        self.active: Active | None = None


def active(board: Board, family: Family, direction: str) -> Active:
    """All prefixes with traffic, at most a few seconds old."""
    latest = board.once(("latest", family, direction), _REMEMBERED_SECONDS, _Latest)

    def make() -> Active:
        latest.active = made = Active.ask(board, family, direction, latest.active)
        return made

    return board.once(("active", family, direction), KEPT_SECONDS, make, stale=STALE_SECONDS)


def routes(board: Board, family: Family, direction: str) -> Sequence[tuple[Route, float]]:
    """Routes with traffic and their bytes per second, by falling rate."""
    return active(board, family, direction).listed()


def states(board: Board, family: Family, direction: str) -> Mapping[Prefix, PrefixState]:
    """The state in hardware of each of them."""

    def make() -> Mapping[Prefix, PrefixState]:
        prefixes = sorted(active(board, family, direction).routes)
        return dict(
            zip(prefixes, in_portions(board, prefixes, lambda engine, some: engine.state_of(some)), strict=True)
        )

    return board.once(("states", family, direction), KEPT_SECONDS, make, stale=STALE_SECONDS)


def in_portions(
    board: Board,
    prefixes: Sequence[Prefix],
    question: Callable[[Reader, Sequence[Prefix]], Sequence[T]],
    portion: int = PORTION,
) -> Iterator[T]:
    """What the engine answers for each of `prefixes`, asked a portion at a time."""
    for start in range(0, len(prefixes), portion):
        some = prefixes[start : start + portion]

        def ask(engine: Reader, some: Sequence[Prefix] = some) -> Sequence[T]:
            return question(engine, some)

        yield from board.ask(ask)
