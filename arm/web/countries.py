"""The world map's numbers: traffic by the country that the matched routes lie in.

A prefix counts for the country of more than half of its addresses. Traffic without a country, or of prefixes in
several, stands under null, so that the sums are those of the other views.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from arm.geo import Countries
from arm.model import Family, Prefix, PrefixState
from arm.observe.board import Board
from arm.web import active
from arm.web.arguments import ArgumentError, Arguments
from arm.web.guard import Missing
from arm.web.shapes import Json
from arm.web.topprefixes import DIRECTIONS, traffic

ARGUMENTS = frozenset({"direction"})
HARDWARE = (PrefixState.INSTALLED, PrefixState.RIDES)
"""States in which packets match an installed route."""


@dataclass(slots=True)
class _Sum:
    rate: float = 0.0
    hardware: float = 0.0
    prefixes: int = 0


def country_argument(arguments: Arguments) -> str | None:
    """The argument `country`: a code of ISO 3166-1; None if it is not given."""
    text = arguments.text("country")
    if text is None:
        return None
    if not (len(text) == 2 and text.isascii() and text.isalpha()):
        raise ArgumentError(f"country={text[:40]!r} is not a code of two letters (ISO 3166-1), such as DE")
    return text.upper()


def inside(countries: Countries, country: str | None) -> Callable[[Prefix], bool]:
    """Whether a prefix counts for a country; everything does for None. Missing if no country can be told."""
    if country is None:
        return lambda _: True
    state = countries.state()
    if not state.ready:
        raise Missing(f"no countries are known: {state.problem}")
    of = countries.of_prefixes()
    return lambda prefix: of(prefix) == country


def document(board: Board, countries: Countries, arguments: Arguments) -> Json:
    """/arm/countries/json."""
    direction = arguments.choice("direction", "destination", DIRECTIONS)
    state = countries.state()
    of = countries.of_prefixes()
    to = direction == "destination"
    total = 0.0
    sums: dict[str | None, _Sum] = {}
    for family in Family:
        snapshot = traffic(board, family, direction)
        states = active.states(board, family, direction) if to else {}
        total += snapshot.total
        _add(sums, snapshot.rates, snapshot.scale, of, states)
    unmatched = total - sum(one.rate for one in sums.values())
    if unmatched > total * 1e-9:
        # what no route of the table contains
        sums.setdefault(None, _Sum()).rate += unmatched
    # what has no country is not in the race
    ranked = sorted(sums.items(), key=lambda item: (item[0] is None, -item[1].rate, item[0] or ""))
    return {
        "time_ms": board.wall.shown_ms(board.status().time_ms),
        "direction": direction,
        "ready": state.ready,
        "problem": state.problem,
        "database": {"path": state.path, "type": state.kind, "about": state.description, "built_ms": state.built_ms}
        if state.ready
        else None,
        "total_bytes_per_second": total,
        "countries": [
            {
                "country": country,
                "bytes_per_second": one.rate,
                "share": one.rate / total if total > 0 else None,
                "hardware_bytes_per_second": one.hardware if to else None,
                "default_bytes_per_second": max(0.0, one.rate - one.hardware) if to else None,
                "prefixes": one.prefixes,
            }
            for country, one in ranked
            if one.rate > 0
        ],
    }


def _add(
    sums: dict[str | None, _Sum],
    rates: Mapping[Prefix, float],
    scale: float,
    of: Callable[[Prefix], str | None],
    states: Mapping[Prefix, PrefixState],
) -> None:
    for prefix, rate in rates.items():
        one = sums.setdefault(of(prefix), _Sum())
        one.rate += rate * scale
        one.prefixes += 1
        if states.get(prefix) in HARDWARE:
            one.hardware += rate * scale
