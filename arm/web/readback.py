"""What was wanted against what the target holds against the full table, prefix by prefix.

The target is asked anew, on the asker's thread, and its answer is given to everyone for a few seconds. The engine goes
on meanwhile: it is asked before and after, and what agrees with either is no difference.
"""

from __future__ import annotations

from collections.abc import Mapping

from arm.model import Entry, Family, Holding, Kind, Prefix, Route, family_of, format_next_hop, format_prefix
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


def document(board: Board, family: Family, most: int) -> Json:
    """The part `target` of /arm/diff/json."""
    target = board.status().target
    found = board.once(("holding", family), KEPT_SECONDS, lambda: compare(board, family))
    return (
        {"up": target.up, "pending": target.pending, "failed": target.failed}
        | found
        | {"differences": found["differences"][:most]}
    )


def compare(board: Board, family: Family) -> Json:
    """Ask the engine, the target, and the engine again."""
    before = board.ask(lambda engine: engine.installed(family))
    error = None
    holding: Holding | None = None
    try:
        holding = board.holding()
    except OSError as failed:
        error = f"the target cannot be asked: {failed.strerror or failed}"
    if holding is None:
        return {"source": None, "error": error, "routes": None, "differences_number": 0, "differences": []}
    held = {prefix: hop for prefix, hop in holding.routes.items() if family_of(prefix) is family}
    after = board.ask(lambda engine: engine.installed(family))
    prefixes = sorted(held.keys() | before.keys() | after.keys())
    routes = active.in_portions(board, prefixes, lambda engine, some: engine.routes(some))
    rows = [
        {
            "prefix": format_prefix(prefix),
            "what": what,
            "wanted": _text(_hop(after.get(prefix))),
            "held": _text(held.get(prefix)),
            "table": _text(route.attributes.next_hop if route is not None else None),
        }
        for prefix, route in zip(prefixes, routes, strict=True)
        if (what := difference(prefix, before, after, held, route)) is not None
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
    if entry is not None and entry.kind is Kind.ROUTE and hop == entry.next_hop:
        # The table was asked last: what it learned since is on its way.
        stood = before.get(prefix) == entry
        if stood and (route is None or route.attributes.next_hop != hop):
            return AGAINST_TABLE
    return None


def _hop(entry: Entry | None) -> bytes | None:
    return entry.next_hop if entry is not None else None


def _text(hop: bytes | None) -> str | None:
    return None if hop is None else format_next_hop(hop) if hop else "unknown"
