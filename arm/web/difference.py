"""What is in hardware against what the traffic of this moment would put there: the busiest outside, the idlest inside.

Not every difference is a fault: the choice waits for a significant gain before it swaps, and what rides along with
another route needs no slot of its own. What the target holds of what was wanted is compared in readback.py.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from arm.model import Entry, Explanation, Family, Kind, Prefix, PrefixState, format_next_hop, format_prefix
from arm.observe.board import Board
from arm.observe.reader import Reader
from arm.observe.trend import family_key
from arm.web import active, readback, shapes
from arm.web.shapes import Json

MOST_PREFIXES = 200


def document(board: Board, family: Family, most: int) -> Json:
    """/arm/diff/json."""
    states = active.states(board, family, "destination")
    outside = [
        (route, rate)
        for route, rate in active.routes(board, family, "destination")
        if states.get(route.prefix) not in active.RIGHT
    ]
    served, entries = board.shared(("served", family), lambda engine: _inside(engine, family))
    least = heapq.nsmallest(most, ((rate, prefix) for prefix, rate in served.items()))
    prefixes = [prefix for _, prefix in least]
    ages = list(active.in_portions(board, prefixes, lambda engine, some: engine.seconds_installed(some)))
    now_ms = board.wall.shown_ms(board.status().time_ms)
    return {
        "family": family_key(family),
        "outside_number": len(outside),
        "outside_bytes_per_second": sum(rate for _, rate in outside),
        "outside": [
            shapes.route_document(route)
            | {
                "bytes_per_second": rate,
                "state": states.get(route.prefix, PrefixState.IDLE).value,
                "why": _why(board, route.prefix),
            }
            for route, rate in outside[:most]
        ],
        "inside_number": len(served),
        "inside": [
            {
                "prefix": format_prefix(prefix),
                "nexthop": format_next_hop(entries[prefix].next_hop) if prefix in entries else None,
                "bytes_per_second": rate,
                "since_ms": None if age is None else now_ms - int(age * 1000),
            }
            for (rate, prefix), age in zip(least, ages, strict=True)
        ],
        "target": readback.document(board, family, most),
    }


def _inside(engine: Reader, family: Family) -> tuple[Mapping[Prefix, float], Mapping[Prefix, Entry]]:
    entries = engine.installed(family)
    rates = engine.served(family)
    return {p: rates.get(p, 0.0) for p, entry in entries.items() if entry.kind is Kind.ROUTE}, entries


def _why(board: Board, prefix: Prefix) -> str:
    def question(engine: Reader) -> Explanation:
        return engine.explain(format_prefix(prefix))

    return board.ask(question).why
