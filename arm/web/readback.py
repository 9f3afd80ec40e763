"""What was wanted against what the target holds against the full table, prefix by prefix.

The target is asked anew, on the asker's thread, and its answer is given to everyone for a few seconds. The engine goes
on meanwhile: it is asked before and after, and what agrees with either is no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from arm.model import (
    FAMILIES,
    Entry,
    Family,
    Holding,
    Kind,
    Prefix,
    Route,
    family_of,
    format_next_hop,
    format_prefix,
)
from arm.observe.board import Board
from arm.web import active
from arm.web.shapes import Json

KEPT_SECONDS = 3.0

MISSING = "missing"
"""Wanted, but the target does not hold it."""
EXTRA = "extra"
"""The target holds it, but it is not wanted."""
OTHER = "other next hop"
"""The target holds it with another next hop than wanted."""
AGAINST_TABLE = "not as in the table"
"""The target holds it as wanted, and the full table says something else."""

Wanted = Mapping[Prefix, Entry]


@dataclass(frozen=True, slots=True)
class Picture:
    """One moment of both families, as the target has it, with what the engine wanted before and after it was asked."""

    holding: Holding | None
    error: str | None
    before: Mapping[Family, Wanted]
    after: Mapping[Family, Wanted]


def document(board: Board, family: Family, most: int) -> Json:
    """The part `target` of /arm/diff/json."""
    target = board.status().target
    found = board.once(("difference", family), KEPT_SECONDS, lambda: compare(board, family))
    return (
        {"up": target.up, "pending": target.pending, "failed": target.failed}
        | found
        | {"differences": found["differences"][:most]}
    )


def picture(board: Board) -> Picture:
    """Ask the engine, the target, and the engine again."""
    error = None
    holding: Holding | None = None
    before = {family: _wanted(board, family) for family in FAMILIES}
    try:
        holding = board.holding()
    except OSError as failed:
        error = f"the target cannot be asked: {failed.strerror or failed}"
    return Picture(holding, error, before, {family: _wanted(board, family) for family in FAMILIES})


def compare(board: Board, family: Family) -> Json:
    """Where wanted, held and the full table differ."""
    seen = board.once("picture", KEPT_SECONDS, lambda: picture(board))
    holding, before, after = seen.holding, seen.before[family], seen.after[family]
    if holding is None:
        return {"source": None, "error": seen.error, "routes": None, "differences_number": 0, "differences": []}
    held = {prefix: hop for prefix, hop in holding.routes.items() if family_of(prefix) is family}
    prefixes = sorted(held.keys() | before.keys() | after.keys())
    routes = active.in_portions(board, prefixes, lambda engine, some: engine.routes(some))
    found = [
        (prefix, what, route)
        for prefix, route in zip(prefixes, routes, strict=True)
        if (what := difference(prefix, before, after, held, route)) is not None
    ]
    outdated = _outdated(board, family, [prefix for prefix, what, _ in found if what == AGAINST_TABLE])
    rows = [
        {
            "prefix": format_prefix(prefix),
            "what": what,
            "wanted": _text(_hop(after.get(prefix))),
            "held": _text(held.get(prefix)),
            "table": _text(route.attributes.next_hop if route is not None else None),
        }
        for prefix, what, route in found
        if prefix not in outdated
    ]
    return {
        "source": holding.source,
        "error": None,
        "routes": len(held),
        "differences_number": len(rows),
        "differences": rows,
    }


def difference(
    prefix: Prefix, before: Wanted, after: Wanted, held: Mapping[Prefix, bytes], route: Route | None
) -> str | None:
    """What is wrong at a prefix; None if nothing is."""
    hop = held.get(prefix)
    wanted = (_hop(before.get(prefix)), _hop(after.get(prefix)))
    if hop not in wanted:
        if hop is None:
            return MISSING
        return EXTRA if wanted == (None, None) else OTHER
    entry = after.get(prefix)
    as_wanted = entry is not None and entry.kind is Kind.ROUTE and hop == entry.next_hop
    if as_wanted and (route is None or route.attributes.next_hop != hop):
        return AGAINST_TABLE
    return None


def _outdated(board: Board, family: Family, prefixes: Sequence[Prefix]) -> set[Prefix]:
    """Those of which table and choice agree when both are asked in one moment: the table had changed meanwhile."""
    if not prefixes:
        return set()
    wanted, routes = board.ask(lambda engine: (engine.installed(family), engine.routes(prefixes)))
    pairs = zip(prefixes, routes, strict=True)
    return {p for p, route in pairs if _hop(wanted.get(p)) in (None, route and route.attributes.next_hop)}


def _wanted(board: Board, family: Family) -> Wanted:
    return board.ask(lambda engine: engine.installed(family))


def _hop(entry: Entry | None) -> bytes | None:
    return entry.next_hop if entry is not None else None


def _text(hop: bytes | None) -> str | None:
    return None if hop is None else format_next_hop(hop) if hop else "unknown"
