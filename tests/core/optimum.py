"""The best that any safe choice can carry in a small table, exactly. It shares no code with arm/core.

Every prefix of the table may have nothing, its route, or a cover. Covers elsewhere are not counted, nor does the engine
use them. `by_trying` goes through all choices; `best` gives the same by one table of values for each subtree (most that
it carries with so many slots, given what it inherits), and is fast enough for thousands of tables.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DEFAULT: Final = 0
"""Number of the default's next hop."""
WRONG: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Node:
    """A prefix of the table, as bits of a small address space."""

    bits: str
    """Its network bits: "" is everything."""
    hop: int
    rate: float
    """What is sent to addresses of which it is the longest match."""
    owns: bool
    """False if its more-specifics leave it no address: then nothing can be sent the wrong way by it."""


def by_trying(nodes: Sequence[Node], slots: int) -> float:
    """The most that at most `slots` entries carry without sending an address the wrong way."""
    best = 0.0
    for choice in itertools.product((None, "route", "cover"), repeat=len(nodes)):
        if sum(kind is not None for kind in choice) > slots:
            continue
        carried = 0.0
        for node in nodes:
            around = [n for n, other in enumerate(nodes) if choice[n] and node.bits.startswith(other.bits)]
            match = max(around, key=lambda n: len(nodes[n].bits), default=None)
            hop = nodes[match].hop if match is not None and choice[match] == "route" else DEFAULT
            routed = match is not None and choice[match] == "route"
            if routed and hop != node.hop and node.owns:
                break
            carried += node.rate if hop == node.hop else 0.0
        else:
            best = max(best, carried)
    return best


def best(nodes: Sequence[Node], slots: int) -> float:
    """As `by_trying`."""
    order = sorted(nodes, key=lambda node: len(node.bits))
    children: dict[str | None, list[Node]] = {}
    for place, node in enumerate(order):
        above = [other for other in order[:place] if node.bits.startswith(other.bits)]
        children.setdefault(above[-1].bits if above else None, []).append(node)

    def values(bits: str | None, inherited: int | None) -> list[float]:
        """Most that what is inside carries, by slots, if it inherits a route's hop or (None) the default."""
        total = [0.0] * (slots + 1)
        for node in children.get(bits, ()):
            total = _together(total, inside(node, inherited))
        return total

    def inside(node: Node, inherited: int | None) -> list[float]:
        options = [[_own(node, inherited) + value for value in values(node.bits, inherited)]]
        for hop in (node.hop, None):
            own = _own(node, hop)
            options.append([WRONG, *(own + value for value in values(node.bits, hop)[:-1])])
        return [max(column) for column in zip(*options, strict=True)]

    return max(values(None, None))


def _own(node: Node, hop: int | None) -> float:
    if hop is not None and hop != node.hop:
        return WRONG if node.owns else 0.0
    return node.rate if hop is not None or node.hop == DEFAULT else 0.0


def _together(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [max(one[k] + other[n - k] for k in range(n + 1)) for n in range(len(one))]
