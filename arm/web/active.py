"""All prefixes with traffic, with their routes and states: what sorting, filtering and adding up start from.

Made at most once in a few seconds, in portions, on a thread of its own, and shared by all who ask. A list of 20,000
takes the engine some 20 ms for the routes and as much for the states, two thousand prefixes at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from arm.model import Family, Prefix, Route
from arm.observe.board import Board
from arm.observe.reader import Reader
from arm.web.topprefixes import rank, traffic

T = TypeVar("T")

KEPT_SECONDS = 2.0
STALE_SECONDS = 8.0
"""For so much longer the list of before is given, while the next one is made: nobody who searches waits for it."""
PORTION = 2_000
"""Prefixes that the engine is asked for at once: two milliseconds of its time."""
RIGHT = frozenset({"installed", "rides", "default"})
"""States in which packets take their own way, in hardware or by default."""


def routes(board: Board, family: Family, direction: str) -> Sequence[tuple[Route, float]]:
    """Routes with traffic and their bytes per second, by falling rate."""

    def make() -> Sequence[tuple[Route, float]]:
        snapshot = traffic(board, family, direction)
        rates, scale = snapshot.rates, snapshot.scale
        found = in_portions(board, rank(snapshot, count=None), lambda engine, some: engine.routes(some))
        return [(route, rates[route.prefix] * scale) for route in found if route is not None]

    return board.once(("active", family, direction), KEPT_SECONDS, make, stale=STALE_SECONDS)


def states(board: Board, family: Family, direction: str) -> Mapping[Prefix, str]:
    """The state in hardware of each of them."""

    def make() -> Mapping[Prefix, str]:
        prefixes = [route.prefix for route, _ in routes(board, family, direction)]
        return dict(
            zip(prefixes, in_portions(board, prefixes, lambda engine, some: engine.state_of(some)), strict=True)
        )

    return board.once(("states", family, direction), KEPT_SECONDS, make, stale=STALE_SECONDS)


def in_portions(
    board: Board,
    prefixes: Sequence[Prefix],
    question: Callable[[Reader, Sequence[Prefix]], Sequence[T]],
    portion: int = PORTION,
) -> Iterator[T]:
    """What the engine answers for each of `prefixes`, asked a portion at a time."""
    for start in range(0, len(prefixes), portion):
        some = prefixes[start : start + portion]

        def ask(engine: Reader, some: Sequence[Prefix] = some) -> Sequence[T]:
            return question(engine, some)

        yield from board.ask(ask)
