"""What so many slots would carry: the share of the traffic that the busiest prefixes have, by the slots they take.

An estimate from the rates of the moment, and said to be one:

- Each prefix pays for its own exceptions, although exceptions can be shared and prefixes can ride along with a route
  above them. Only the COSTED busiest are asked for their price; beyond them the curve is not drawn.
- Prefixes are ranked by the very samples that measure them, which flatters small numbers of slots. What the standing
  choice really carries, measured on samples it had not seen, is given beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from arm.model import Family, Prefix
from arm.observe.board import Board
from arm.observe.trend import family_key
from arm.web import active, shapes
from arm.web.shapes import Json
from arm.web.topprefixes import rank, traffic

COSTED = 50_000
KEPT_SECONDS = 5.0
STALE_SECONDS = 15.0
_PORTION = 250
"""A short prefix has thousands of more-specifics to look at, so fewer at a time than elsewhere."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Slots and the share of all traffic, rising together; the first point is without any slot."""

    slots: tuple[int, ...]
    coverage: tuple[float, ...]
    excluded: float
    """Share of what has no route, or is left out by policy."""
    unknown: float
    """Share of prefixes whose price was not asked for."""


def curve(board: Board, family: Family) -> Curve | None:
    """From the rates of now; None without traffic."""
    snapshot = traffic(board, family, "destination")
    if snapshot.total <= 0:
        return None
    ranked = rank(snapshot, count=None)
    costed = ranked[:COSTED]
    costs = active.in_portions(board, costed, lambda engine, some: engine.slot_costs(some), _PORTION)
    scale, rates, total = snapshot.scale, snapshot.rates, snapshot.total
    free = 0.0
    priced: list[tuple[float, int, Prefix, float]] = []
    for prefix, cost in zip(costed, costs, strict=True):
        rate = rates[prefix] * scale
        if cost == 0:
            free += rate
        elif cost is not None:
            priced.append((-rate / cost, cost, prefix, rate))
    unknown = sum(rates[prefix] for prefix in ranked[COSTED:]) * scale
    # What gives most for each slot comes first.
    priced.sort()
    slots, covered = [0], [free]
    for _, cost, _, rate in priced:
        slots.append(slots[-1] + cost)
        covered.append(covered[-1] + rate)
    known = covered[-1] + unknown
    return Curve(
        tuple(slots), tuple(min(1.0, one / total) for one in covered), max(0.0, 1 - known / total), unknown / total
    )


def at(found: Curve, slots: int) -> float:
    """Coverage that so many slots give."""
    low, high = 0, len(found.slots)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if found.slots[middle] <= slots else (low, middle)
    return found.coverage[low]


def steps(most: int) -> list[int]:
    """1, 2, 5, 10, 20, 50 ... up to the first that is not less than `most`."""
    found = [0]
    size = 1
    while True:
        for factor in (1, 2, 5):
            found.append(size * factor)
            if size * factor >= most:
                return found
        size *= 10


def document(board: Board, family: Family) -> Json:
    """/arm/capacity/json."""
    found = board.once(("capacity", family), KEPT_SECONDS, lambda: curve(board, family), stale=STALE_SECONDS)
    status = board.status()
    now = status.families[family]
    minute = [one.families[family].hits for one in board.recent(shapes.MINUTE_SECONDS) if family in one.families]
    wanted = sorted({*steps(found.slots[-1]), now.capacity}) if found is not None else []
    points = [{"slots": slots, "coverage": at(found, slots)} for slots in wanted] if found is not None else []
    return {
        "family": family_key(family),
        "estimate": points,
        "slots_for_all": found.slots[-1] if found is not None else None,
        "excluded": found.excluded if found is not None else None,
        "unknown": found.unknown if found is not None else None,
        "now": {
            "capacity": now.capacity,
            "slots_used": now.installed_routes + now.installed_covers,
            "coverage_60s": shapes.coverage(minute),
            "estimate": at(found, now.capacity) if found is not None else None,
        },
    }
