"""Which route to put in for traffic that misses: the one it matches, or a shorter one with the same next hop.

A shorter route of the table carries all of its more-specifics that have its next hop in one slot, and costs a cover for
each of those that have another one and traffic around them. Where it carries more for the slots it takes, less what the
slots could carry otherwise (the price), it is the better choice; it also makes the slots of installed routes below it
free. Of two that are as good the one with fewer changes is taken, then the shorter: it carries what nobody has seen yet
as well, so that less is missed and less is changed later. Routes between the two that have another next hop end the
search: what lies below them cannot ride along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from arm.core.plan import Planner
from arm.core.policy import Policy
from arm.model import Kind, Prefix

_MOST_ROUTES: Final = 2048
"""More-specifics beyond which a route is not considered: looking at them would take too long."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A route, what it would add to what is carried, and what it would cost."""

    prefix: Prefix
    gain: float
    """Worth of all that it would carry and nothing carries now."""
    slots: int
    """That must be free to put it in."""
    riders: tuple[Prefix, ...]
    """Installed routes whose slots become free."""
    joined: tuple[Prefix, ...]
    """Prefixes with traffic that would ride along."""

    @property
    def cost(self) -> int:
        """Slots it takes in the end."""
        return self.slots - len(self.riders)

    @property
    def changes(self) -> int:
        """Changes that it takes where its slots are free."""
        return self.slots + len(self.riders)


def offers(
    planner: Planner,
    policy: Policy,
    prefix: Prefix,
    worth: Callable[[Prefix], float],
    price: float,
    refused: Callable[[Prefix], bool],
) -> list[Offer]:
    """The ways to carry a prefix that misses, the best one for a price of a slot first; none without a route for it."""
    rib = planner.rib
    if planner.default is None:
        alone = _alone(planner, prefix, worth)
        return [] if alone is None else [alone]
    shield = planner.fib.match(prefix)
    found: list[Offer] = []
    next_hop: bytes | None = None
    for route in rib.covering(prefix):
        if next_hop is None:
            next_hop = route.attributes.next_hop
        elif (
            (shield is not None and route.prefix[1] < shield[1])
            or route.attributes.next_hop != next_hop
            or refused(route.prefix)
            or policy.refusal(route.prefix) is not None
        ):
            break
        offer = _offer(planner, route.prefix, next_hop, worth)
        if offer is None:
            break
        found.append(offer)
    if len(found) > 1:
        found.sort(key=lambda offer: (price * offer.cost - offer.gain, offer.changes, offer.prefix[1]))
    return found


def _alone(planner: Planner, prefix: Prefix, worth: Callable[[Prefix], float]) -> Offer | None:
    """Without a default there are no covers, and exceptions have exceptions of their own: only the planner can tell."""
    attributes = planner.rib.winner(prefix)
    needed = planner.requirements(prefix, attributes, _MOST_ROUTES) if attributes is not None else None
    if needed is None:
        return None
    own = 0 if prefix in planner.fib else 1
    return Offer(prefix, worth(prefix), own + len(needed), (), ())


def _offer(planner: Planner, prefix: Prefix, next_hop: bytes, worth: Callable[[Prefix], float]) -> Offer | None:
    rib, fib = planner.rib, planner.fib
    entries, match = fib.entries, fib.match
    inside = rib.more_specifics(prefix)
    if len(inside) > _MOST_ROUTES:
        return None
    slots = 0 if prefix in entries else 1
    gain = worth(prefix)
    riders: list[Prefix] = []
    joined: list[Prefix] = []
    bits = planner.family.bits
    # The walk gives a parent before its children, and a subtree without a gap: `top` is what lies below an exception.
    top, top_bits = -1, 0
    for child in inside:
        number = int.from_bytes(child[0], "big")
        if top >= 0 and number >> (bits - top_bits) == top:
            continue
        winner = rib.winner(child)
        at = match(child)
        entry = entries[at] if at is not None and at[1] > prefix[1] else None
        if winner is None or winner.next_hop != next_hop:
            slots += entry is None
        elif entry is None:
            own = worth(child)
            if own:
                gain += own
                joined.append(child)
            continue
        elif entry.kind is Kind.ROUTE:
            if at == child:
                riders.append(child)
            continue
        top, top_bits = number >> (bits - child[1]), child[1]
    return Offer(prefix, gain, slots, tuple(riders), tuple(joined))
