"""The hardware seen as a cache of routes: its size, what goes in and out and why, hits, misses by cause, lifetimes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from arm.model import ChangeRecord, Family, Hits, family_of
from arm.observe.board import Board
from arm.observe.reader import Reader
from arm.observe.trend import family_key
from arm.web import shapes
from arm.web.shapes import Json

LIMITS = (1.0, 10.0, 60.0, 600.0, 3600.0, 21600.0, 86400.0)
"""Seconds in hardware: the ends of the groups, the last of which is open."""
CHANGES_SECONDS = 600
_KEPT_SECONDS = 1.0
_CAUSES = ("new", "removed", "no_slot", "excluded", "no_route")


def document(board: Board, family: Family) -> Json:
    """/arm/cache/json."""
    status = board.status()
    now = status.families[family]
    minute = [one.families[family].hits for one in board.recent(shapes.MINUTE_SECONDS) if family in one.families]
    ages = board.once(("ages", family), _KEPT_SECONDS, lambda: _ages(board, family))
    changes, reaches_back = board.once(
        ("reasons", family), _KEPT_SECONDS, lambda: _reasons(board, family, status.time_ms)
    )
    return {
        "family": family_key(family),
        "capacity": now.capacity,
        "routes": now.installed_routes,
        "covers": now.installed_covers,
        "added": now.added,
        "removed": now.removed,
        "replaced": now.replaced,
        "hit_ratio_10s": shapes.coverage(minute[-shapes.RECENT_SECONDS :]),
        "hit_ratio_60s": shapes.coverage(minute),
        "traffic_60s": _causes(minute),
        "seconds_in_hardware": {
            "limits": list(LIMITS),
            "entries": ages,
        },
        "changes": changes,
        "changes_seconds": reaches_back,
    }


def _causes(minute: Sequence[Hits]) -> Json:
    """Mean bytes per second by outcome."""
    number = max(1, len(minute))
    return {name: sum(getattr(hits, name) for hits in minute) / number for name in ("installed", "free", *_CAUSES)}


def _ages(board: Board, family: Family) -> list[int]:
    def question(engine: Reader) -> Sequence[float]:
        return engine.installed_seconds(family)

    counts = [0] * (len(LIMITS) + 1)
    for age in board.ask(question):
        counts[sum(age >= limit for limit in LIMITS)] += 1
    return counts


def _reasons(board: Board, family: Family, now_ms: int) -> tuple[list[Json], float]:
    """Changes of the last minutes by what and why, the most frequent first; and how many seconds they reach back."""

    def question(engine: Reader) -> Sequence[ChangeRecord]:
        return engine.changes(-1)

    records = board.shared(("changes", -1), question)
    since = now_ms - CHANGES_SECONDS * 1000
    # The log is bounded: when it is full of younger changes, it does not reach back all the way.
    first = records[0].time_ms if records and records[0].number > 1 else since
    counts = Counter(
        (record.what.value, record.why)
        for record in records
        if record.time_ms >= since and family_of(record.prefix) is family
    )
    listed = [{"what": what, "reason": reason, "count": count} for (what, reason), count in counts.most_common(20)]
    return listed, (now_ms - max(first, since)) / 1000
