"""Where traffic goes to and comes from: sums by AS path, by AS, by neighbouring AS, by next hop.

aspath    the whole path to (or from) the prefixes
as        the AS that the prefixes belong to: the destination AS, or with direction=source the source AS
peer      the neighbouring AS that the route leads through
nexthop   the next hop (set)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from arm.bgp.aspath import AS_SEQUENCE
from arm.bgp.attributes import as_path, path_text
from arm.geo import Countries
from arm.model import Attributes, Family, format_next_hop
from arm.observe.board import Board
from arm.observe.trend import family_key
from arm.web import active
from arm.web.arguments import Arguments
from arm.web.countries import country_argument, inside
from arm.web.prefixes import family_argument
from arm.web.shapes import Json
from arm.web.topprefixes import DIRECTIONS, traffic

ARGUMENTS = frozenset({"family", "direction", "by", "maxKeys", "country"})
MOST_KEYS = 1_000


def _origin(attributes: Attributes) -> str:
    path = as_path(attributes)
    if not path:
        return ""
    kind, numbers = path[-1]
    return str(numbers[-1]) if kind == AS_SEQUENCE else path_text(path[-1:])


def _peer(attributes: Attributes) -> str:
    path = as_path(attributes)
    if not path:
        return ""
    kind, numbers = path[0]
    return str(numbers[0]) if kind == AS_SEQUENCE else path_text(path[:1])


KEYS: dict[str, Callable[[Attributes], str]] = {
    "aspath": lambda attributes: path_text(as_path(attributes)),
    "as": _origin,
    "peer": _peer,
    "nexthop": lambda attributes: format_next_hop(attributes.next_hop),
}
"""Name of `by` -> the key of a route; an empty path is that of one's own AS."""


@dataclass(frozen=True, slots=True)
class Query:
    """The arguments, checked."""

    family: Family
    direction: str
    by: str
    most: int
    country: str | None
    """Only routes to (or from) this country."""

    @classmethod
    def of(cls, arguments: Arguments) -> Query:
        """From a request; ArgumentError for what can not be."""
        return cls(
            family=family_argument(arguments),
            direction=arguments.choice("direction", "destination", DIRECTIONS),
            by=arguments.choice("by", "as", {name: name for name in KEYS}),
            most=arguments.integer("maxKeys", 20, 0, MOST_KEYS),
            country=country_argument(arguments),
        )


@dataclass(slots=True)
class _Sum:
    rate: float = 0.0
    right: float = 0.0
    prefixes: int = 0


def document(board: Board, query: Query, countries: Countries) -> Json:
    """/arm/traffic/json."""
    total = traffic(board, query.family, query.direction).total
    asked = ("sums", query.family, query.direction, query.by, query.country)
    sums = board.once(asked, active.KEPT_SECONDS, lambda: _sums(board, query, countries), stale=active.STALE_SECONDS)
    ranked = sorted(sums.items(), key=lambda item: (-item[1].rate, item[0]))
    return {
        "family": family_key(query.family),
        "direction": query.direction,
        "by": query.by,
        "number": len(sums),
        "total_bytes_per_second": total,
        "keys": [
            {
                "key": key,
                "bytes_per_second": one.rate,
                "right_bytes_per_second": one.right,
                "prefixes": one.prefixes,
            }
            for key, one in ranked[: query.most]
        ],
    }


def _sums(board: Board, query: Query, countries: Countries) -> dict[str, _Sum]:
    key_of = KEYS[query.by]
    there = inside(countries, query.country)
    # Very many prefixes share attributes: each is looked at once.
    keys: dict[int, str] = {}
    sums: dict[str, _Sum] = {}
    states = active.states(board, query.family, query.direction)
    for route, rate in active.routes(board, query.family, query.direction):
        if not there(route.prefix):
            continue
        attributes = route.attributes
        key = keys.get(id(attributes))
        if key is None:
            key = keys[id(attributes)] = key_of(attributes)
        one = sums.setdefault(key, _Sum())
        one.rate += rate
        one.prefixes += 1
        if states.get(route.prefix) in active.RIGHT:
            one.right += rate
    return sums
