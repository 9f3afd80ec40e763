"""The ranking that the page shows: prefixes with traffic, sorted, filtered, in pages, with their state in hardware."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from arm.bgp.attributes import as_path
from arm.geo import Countries
from arm.model import Family, Prefix, PrefixState, Route, contains, family_of, format_next_hop, parse_prefix
from arm.observe.board import Board
from arm.observe.reader import Reader
from arm.observe.trend import family_key
from arm.web import active, shapes
from arm.web.arguments import ArgumentError, Arguments
from arm.web.countries import country_argument, inside
from arm.web.topprefixes import DIRECTIONS, Table, rank, traffic

SORTS = {name: name for name in ("traffic", "prefix", "length", "aspath", "nexthop", "state", "since")}
STATES = {state.value: state for state in PrefixState if state is not PrefixState.NO_ROUTE}
ARGUMENTS = frozenset(
    {"family", "direction", "maxPrefixes", "offset", "sort", "order", "state", "as", "nexthop", "within", "country"}
)
MOST_PREFIXES = 1_000
MOST_OFFSET = 2_000_000
FAMILIES = {family_key(family): family_key(family) for family in Family}


@dataclass(frozen=True, slots=True)
class Query:
    """The arguments, checked."""

    family: Family = Family.IPV4
    direction: str = "destination"
    max_prefixes: int = 50
    offset: int = 0
    sort: str = "traffic"
    reverse: bool = False
    """Against the natural order: that is falling for traffic and time, rising for all else."""
    state: PrefixState | None = None
    as_number: int | None = None
    next_hop: str | None = None
    within: Prefix | None = None
    country: str | None = None

    @classmethod
    def of(cls, arguments: Arguments) -> Query:
        """From a request; ArgumentError for what can not be."""
        family = family_argument(arguments)
        sort = arguments.choice("sort", "traffic", SORTS)
        natural = "desc" if sort in ("traffic", "since") else "asc"
        number = arguments.integer("as", -1, 0, 2**32 - 1)
        return cls(
            family=family,
            direction=arguments.choice("direction", "destination", DIRECTIONS),
            max_prefixes=arguments.integer("maxPrefixes", 50, 0, MOST_PREFIXES),
            offset=arguments.integer("offset", 0, 0, MOST_OFFSET),
            sort=sort,
            reverse=arguments.choice("order", natural, {"asc": "asc", "desc": "desc"}) != natural,
            state=arguments.choice("state", None, STATES),
            as_number=number if number >= 0 else None,
            next_hop=_next_hop(arguments),
            within=_within(arguments),
            country=country_argument(arguments),
        )

    @property
    def plain(self) -> bool:
        """True if the busiest prefixes are all that is asked for."""
        filters = (self.state, self.as_number, self.next_hop, self.within, self.country)
        return self.sort == "traffic" and not self.reverse and all(one is None for one in filters)


def family_argument(arguments: Arguments) -> Family:
    """The argument `family`: ipv4, which is the default, or ipv6."""
    name = arguments.choice("family", "ipv4", FAMILIES)
    return next(family for family in Family if family_key(family) == name)


def _next_hop(arguments: Arguments) -> str | None:
    text = arguments.text("nexthop")
    if text is None:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ArgumentError(f"nexthop={text[:40]!r} is not an address") from None


def _within(arguments: Arguments) -> Prefix | None:
    text = arguments.text("within")
    if text is None:
        return None
    try:
        return parse_prefix(text)
    except ValueError as error:
        raise ArgumentError(f"within: {error}") from None


def document(board: Board, query: Query, countries: Countries) -> shapes.Json:
    """/arm/prefixes/json."""
    snapshot = traffic(board, query.family, query.direction)
    if query.plain:
        ranked = rank(snapshot, count=query.offset + query.max_prefixes)[query.offset :]
        positions = {prefix: position for position, prefix in enumerate(ranked, query.offset + 1)}
        routes = list(Table(board).routes(ranked))
        matching = len(snapshot.rates)
    else:
        found = _filtered(board, query, countries)
        matching = len(found)
        page = found[query.offset : query.offset + query.max_prefixes]
        positions = {route.prefix: position for route, position in page}
        routes = [route for route, _ in page]
    listed = [route.prefix for route in routes]
    states = list(active.in_portions(board, listed, lambda engine, some: engine.state_of(some)))
    ages = list(active.in_portions(board, listed, lambda engine, some: engine.seconds_installed(some)))
    now_ms = board.wall.shown_ms(board.status().time_ms)
    rows = []
    for route, state, age in zip(routes, states, ages, strict=True):
        if query.state is not None and state is not query.state:
            # the list that was filtered is some seconds old, and this one has changed since
            continue
        samples = snapshot.samples.get(route.prefix, 0.0) * snapshot.scale
        rows.append(
            shapes.route_document(route)
            | {
                "rank": positions[route.prefix],
                "state": state.value,
                "since_ms": None if age is None else now_ms - int(age * 1000),
                "bytes_per_second": snapshot.rates.get(route.prefix, 0.0) * snapshot.scale,
                "error_percent": shapes.error_percent(samples),
            }
        )
    return {
        "time_ms": now_ms,
        "family": family_key(query.family),
        "direction": query.direction,
        "active": len(snapshot.rates),
        "matching": matching,
        "offset": query.offset,
        "total_bytes_per_second": snapshot.total,
        "prefixes": rows,
    }


def _filtered(board: Board, query: Query, countries: Countries) -> list[tuple[Route, int]]:
    """Routes that pass the filters, each with its rank by traffic, in the order asked for."""
    if query.as_number is not None:
        everything = active.active(board, query.family, query.direction)
        through = everything.through(query.as_number)
        found = list(zip(through, everything.positions(through), strict=True))
    else:
        routes = active.routes(board, query.family, query.direction)
        found = [(route, position) for position, (route, _) in enumerate(routes, 1)]
    if query.next_hop is not None:
        found = [one for one in found if query.next_hop in _hops(one[0])]
    if query.within is not None:
        within = query.within
        found = [one for one in found if family_of(within) is query.family and contains(within, one[0].prefix)]
    if query.country is not None:
        there = inside(countries, query.country)
        found = [one for one in found if there(one[0].prefix)]
    if query.state is not None or query.sort == "state":
        states = active.states(board, query.family, query.direction)
        found = [one for one in found if query.state is None or states.get(one[0].prefix) is query.state]
    found.sort(key=_order(board, query, [route.prefix for route, _ in found]), reverse=query.reverse)
    return found


def _hops(route: Route) -> list[str]:
    return format_next_hop(route.attributes.next_hop).replace("%", ",").replace(" ", ",").split(",")


def _order(
    board: Board, query: Query, prefixes: Sequence[Prefix]
) -> Callable[[tuple[Route, int]], tuple[float | str | bytes | int | tuple[int, ...], ...]]:
    """What the sort compares; the rank settles what is equal."""
    match query.sort:
        case "prefix":
            return lambda one: (*one[0].prefix,)
        case "length":
            return lambda one: (one[0].prefix[1], one[1])
        case "aspath":
            return lambda one: (tuple(n for _, numbers in as_path(one[0].attributes) for n in numbers), one[1])
        case "nexthop":
            return lambda one: (one[0].attributes.next_hop, one[1])
        case "state":
            states = active.states(board, query.family, query.direction)
            return lambda one: (states[one[0].prefix].value if one[0].prefix in states else "", one[1])
        case "since":

            def ages(engine: Reader, some: Sequence[Prefix]) -> Sequence[float | None]:
                return engine.seconds_installed(some)

            known = dict(zip(prefixes, active.in_portions(board, prefixes, ages), strict=True))

            def age(one: tuple[Route, int]) -> tuple[float, int]:
                # The latest first; what is not in hardware comes last.
                seconds = known[one[0].prefix]
                return (float("inf") if seconds is None else seconds, one[1])

            return age
        case _:
            return lambda one: (one[1],)
