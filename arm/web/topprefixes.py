"""The top prefixes query, as sFlow-RT's users know it: which routes carry the most traffic.

    maxPrefixes     most entries in the answer, 100 unless told
    minValue        only prefixes with more than so many bytes per second
    direction       destination (or egress): by where packets go; source (or ingress): by where they come from
    minPrefix       leaves out prefixes shorter than this: 1 leaves out the default routes
    includeCovered  adds the table's more-specifics of each listed prefix, which an installed prefix would hide; each
                    entry inside another names the nearest one in `parentprefix`. Default routes are not opened.
    pruneCovered    takes out an entry inside another with the same next hop, and counts its traffic there

The engine is asked in small portions, so that a long list does not hold it up.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from arm.model import Family, FamilyStatus, Prefix, Role, Route, SessionStatus, TrafficSnapshot, contains, format_prefix
from arm.observe.board import Board
from arm.observe.reader import Reader
from arm.observe.trend import family_key
from arm.web.arguments import Arguments
from arm.web.shapes import Json, route_document

DIRECTIONS = {"destination": "destination", "egress": "destination", "source": "source", "ingress": "source"}
ARGUMENTS = frozenset({"maxPrefixes", "minValue", "direction", "minPrefix", "includeCovered", "pruneCovered"})
MOST_PREFIXES = 200_000
_PORTION = 1_000
"""Lookups asked of the engine at once: about a millisecond of its time."""


@dataclass(frozen=True, slots=True)
class Query:
    """The arguments, checked."""

    family: Family
    direction: str = "destination"
    max_prefixes: int = 100
    min_value: float = 0.0
    min_prefix: int = 0
    include_covered: bool = False
    prune_covered: bool = False

    @classmethod
    def of(cls, arguments: Arguments, family: Family) -> Query:
        """From a request; ArgumentError for what can not be."""
        return cls(
            family=family,
            direction=arguments.choice("direction", "destination", DIRECTIONS),
            max_prefixes=arguments.integer("maxPrefixes", 100, 0, MOST_PREFIXES),
            min_value=arguments.number("minValue", 0.0, 0.0),
            min_prefix=arguments.integer("minPrefix", 0, 0, family.bits),
            include_covered=arguments.flag("includeCovered", False),
            prune_covered=arguments.flag("pruneCovered", False),
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of the answer."""

    route: Route
    value: float
    """Bytes per second."""
    parent: Prefix | None = None
    """The nearest listed prefix that contains this one."""

    @property
    def prefix(self) -> Prefix:
        return self.route.prefix


def traffic(board: Board, family: Family, direction: str) -> TrafficSnapshot:
    """The latest rates, shared by all who ask within half a second."""

    def question(engine: Reader) -> TrafficSnapshot:
        return engine.traffic_snapshot(family, direction)

    return board.shared(("traffic", family, direction), question)


class Table:
    """The table's routes as one request sees them: asked for in portions, each only once."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._routes: dict[Prefix, Route | None] = {}
        self._inside: dict[Prefix, tuple[int, Sequence[Route]]] = {}

    def routes(self, prefixes: Sequence[Prefix]) -> Iterator[Route]:
        """The routes of these prefixes, in their order.

        A prefix whose route was withdrawn after its traffic was measured is in no table and left out.
        """
        for start in range(0, len(prefixes), _PORTION):
            portion = prefixes[start : start + _PORTION]
            unknown = [prefix for prefix in portion if prefix not in self._routes]
            if unknown:
                self._routes.update(zip(unknown, self._ask(unknown), strict=True))
            for prefix in portion:
                route = self._routes[prefix]
                if route is not None:
                    yield route

    def _ask(self, prefixes: Sequence[Prefix]) -> Sequence[Route | None]:
        def question(engine: Reader) -> Sequence[Route | None]:
            return engine.routes(prefixes)

        return self._board.ask(question)

    def inside(self, prefix: Prefix, limit: int) -> Sequence[Route]:
        """At most `limit` routes more specific than `prefix`."""
        asked, known = self._inside.get(prefix, (0, ()))
        # An answer as long as was asked for may have been cut short.
        if len(known) >= asked and limit > asked:

            def question(engine: Reader) -> Sequence[Route]:
                return engine.more_specifics(prefix, limit)

            known = self._board.ask(question)
            self._inside[prefix] = (limit, known)
        return known[:limit]


def rank(snapshot: TrafficSnapshot, *, count: int | None, min_value: float = 0.0, min_prefix: int = 0) -> list[Prefix]:
    """Prefixes by falling rate; all of them if `count` is None. Of equal ones the lower address comes first."""
    rates = snapshot.rates
    least = min_value / snapshot.scale if snapshot.scale > 0 else math.inf
    if least > 0 or min_prefix > 0:
        rates = {prefix: rate for prefix, rate in rates.items() if rate > least and prefix[1] >= min_prefix}
    if count is not None and count < len(rates) // 4:
        threshold = min(heapq.nlargest(count, rates.values()), default=math.inf)
        rates = {prefix: rate for prefix, rate in rates.items() if rate >= threshold}
    return _falling(rates)[:count]


def _falling(rates: Mapping[Prefix, float]) -> list[Prefix]:
    """By the rates alone, which costs a tenth of sorting by pairs; then the equal ones by address.

    The sort itself can not be interrupted, so what it takes, some milliseconds, the engine may have to wait for.
    """
    prefixes, values = list(rates), list(rates.values())
    places = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    ranked = [prefixes[place] for place in places]
    falling = [values[place] for place in places]
    start = 0
    for place, (one, following) in enumerate(pairwise(falling), 1):
        if one != following:
            if place - start > 1:
                ranked[start:place] = sorted(ranked[start:place])
            start = place
    ranked[start:] = sorted(ranked[start:])
    while falling and falling[-1] <= 0:
        falling.pop()
        ranked.pop()
    return ranked


def top(board: Board, query: Query) -> tuple[list[Listed], TrafficSnapshot]:
    """The entries of the answer, by falling value, and the traffic that they were ranked by."""
    snapshot = traffic(board, query.family, query.direction)
    # Pruning makes room for prefixes of lower rank; without it the first `max_prefixes` are all that can be listed.
    count = None if query.prune_covered else query.max_prefixes
    ranked = rank(snapshot, count=count, min_value=query.min_value, min_prefix=query.min_prefix)
    table = Table(board)
    budget = query.max_prefixes
    while True:
        entries = _gather(table, query, snapshot, ranked, budget)
        gathered = len(entries)
        entries = _link(entries, prune=query.prune_covered)
        missing = query.max_prefixes - len(entries)
        if missing <= 0 or gathered < budget:
            break
        budget += missing
    if not query.include_covered:
        entries = [replace(entry, parent=None) for entry in entries]
    entries.sort(key=lambda entry: (-entry.value, entry.prefix))
    return entries, snapshot


def _gather(
    table: Table, query: Query, snapshot: TrafficSnapshot, ranked: Sequence[Prefix], budget: int
) -> list[Listed]:
    """At most `budget` entries: prefixes by rank, each followed by what it covers if that is wanted."""
    entries: dict[Prefix, Listed] = {}
    for route in table.routes(ranked):
        if len(entries) >= budget:
            break
        inside = table.inside(route.prefix, budget) if query.include_covered and route.prefix[1] > 0 else ()
        for one in (route, *inside):
            if len(entries) >= budget:
                break
            entries.setdefault(one.prefix, Listed(one, _value(snapshot.rates, snapshot.scale, one.prefix)))
    return list(entries.values())


def _value(rates: Mapping[Prefix, float], scale: float, prefix: Prefix) -> float:
    return rates.get(prefix, 0.0) * scale


def _link(entries: list[Listed], *, prune: bool) -> list[Listed]:
    """Name each entry's parent; with `prune`, fold entries into a parent of the same next hop.

    In address order, every prefix comes after those that contain it, so a stack of the open ones is enough. A pruned
    entry stays open: its next hop is that of the entry that it was folded into.
    """
    kept: dict[Prefix, Listed] = {}
    open_: list[tuple[Listed, Prefix]] = []
    for entry in sorted(entries, key=lambda entry: entry.prefix):
        while open_ and not contains(open_[-1][0].prefix, entry.prefix):
            open_.pop()
        holder = open_[-1][1] if open_ else None
        if prune and open_ and open_[-1][0].route.attributes.next_hop == entry.route.attributes.next_hop:
            assert holder is not None
            kept[holder] = replace(kept[holder], value=kept[holder].value + entry.value)
            open_.append((entry, holder))
            continue
        kept[entry.prefix] = replace(entry, parent=holder)
        open_.append((entry, entry.prefix))
    return list(kept.values())


def document(board: Board, session: SessionStatus, query: Query) -> Json:
    """/bgp/topprefixes/{router}/json: the answer with the counters of the session that it was asked of."""
    entries, snapshot = top(board, query)
    family = board.status().families.get(query.family, FamilyStatus())
    teaches = session.role is Role.LEARN
    total = snapshot.total
    listed = math.fsum(entry.value for entry in entries)
    return {
        "as": session.peer_as,
        "direction": query.direction,
        "id": session.router_id,
        "learnedPrefixesAdded": family.learned_added if teaches else 0,
        "learnedPrefixesRemoved": family.learned_removed if teaches else 0,
        "nPrefixes": family.rib_prefixes if teaches else 0,
        "pushedPrefixesAdded": 0 if teaches else family.added,
        "pushedPrefixesRemoved": 0 if teaches else family.removed,
        "startTime": board.wall.shown_ms(session.since_ms),
        "state": session.state.value,
        "topPrefixes": [_entry(entry) for entry in entries],
        "valuePercentCoverage": min(100.0, 100 * listed / total) if total > 0 else 0.0,
        "valueTopPrefixes": listed,
        "valueTotal": total,
    }


def _entry(entry: Listed) -> Json:
    document = route_document(entry.route) | {"value": entry.value}
    if entry.parent is not None:
        document["parentprefix"] = format_prefix(entry.parent)
    return document


def busiest(board: Board, family: Family, count: int) -> Iterator[tuple[str, str, float]]:
    """(family, prefix, bytes per second) of the busiest prefixes, for the metrics."""
    if not count:
        return
    snapshot = traffic(board, family, "destination")
    for prefix in rank(snapshot, count=count):
        yield family_key(family), format_prefix(prefix), snapshot.rates[prefix] * snapshot.scale
