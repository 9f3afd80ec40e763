"""The ranking that the page shows: prefixes with traffic, in pages, each with its state in hardware."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from arm.model import Family, Prefix
from arm.observe.board import Board
from arm.observe.reader import Reader
from arm.observe.trend import family_key
from arm.web import shapes
from arm.web.arguments import Arguments
from arm.web.topprefixes import DIRECTIONS, Table, rank, traffic

ARGUMENTS = frozenset({"family", "direction", "maxPrefixes", "offset"})
MOST_PREFIXES = 1_000
MOST_OFFSET = 2_000_000
_FAMILIES = {family_key(family): family_key(family) for family in Family}


@dataclass(frozen=True, slots=True)
class Query:
    """The arguments, checked."""

    family: Family = Family.IPV4
    direction: str = "destination"
    max_prefixes: int = 50
    offset: int = 0

    @classmethod
    def of(cls, arguments: Arguments) -> Query:
        """From a request; ArgumentError for what can not be."""
        name = arguments.choice("family", "ipv4", _FAMILIES)
        return cls(
            family=next(family for family in Family if family_key(family) == name),
            direction=arguments.choice("direction", "destination", DIRECTIONS),
            max_prefixes=arguments.integer("maxPrefixes", 50, 0, MOST_PREFIXES),
            offset=arguments.integer("offset", 0, 0, MOST_OFFSET),
        )


def document(board: Board, query: Query) -> shapes.Json:
    """/arm/prefixes/json."""
    snapshot = traffic(board, query.family, query.direction)
    ranked = rank(snapshot, count=query.offset + query.max_prefixes)[query.offset :]
    routes = list(Table(board).routes(ranked))
    listed = [route.prefix for route in routes]
    states = _states(board, listed)
    positions = {prefix: position for position, prefix in enumerate(ranked, query.offset + 1)}
    rows = []
    for route, state in zip(routes, states, strict=True):
        samples = snapshot.samples.get(route.prefix, 0.0) * snapshot.scale
        rows.append(
            shapes.route_document(route)
            | {
                "rank": positions[route.prefix],
                "state": state,
                "bytes_per_second": snapshot.rates.get(route.prefix, 0.0) * snapshot.scale,
                "error_percent": shapes.error_percent(samples),
            }
        )
    return {
        "family": family_key(query.family),
        "direction": query.direction,
        "active": len(snapshot.rates),
        "offset": query.offset,
        "total_bytes_per_second": snapshot.total,
        "prefixes": rows,
    }


def _states(board: Board, prefixes: Sequence[Prefix]) -> Sequence[str]:
    def question(engine: Reader) -> Sequence[str]:
        return engine.state_of(prefixes)

    return board.ask(question) if prefixes else ()
