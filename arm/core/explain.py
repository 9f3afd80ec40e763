"""What the hardware does with a prefix, and the sentence that says why."""

from __future__ import annotations

from collections.abc import Callable

from arm.core.family import FamilyEngine
from arm.model import Kind, Prefix, PrefixState, format_bit_rate, format_next_hop, format_prefix


def state_of(family: FamilyEngine, prefix: Prefix, now: float) -> tuple[PrefixState, Callable[[], str]]:
    """The state of a prefix of the table, and what makes the sentence that says why.

    Many thousand states are asked for at once, and a sentence of one of them at a time: it costs ten times as much.
    """
    fib, planner = family.fib, family.planner
    winner = family.rib.winner(prefix)
    if winner is None:
        return PrefixState.NO_ROUTE, lambda: "The table has no route for it."
    hop = winner.next_hop
    at = fib.match(prefix)
    if at is not None:
        if fib.entries[at].kind is Kind.ROUTE:
            if at == prefix:
                return (
                    PrefixState.INSTALLED,
                    lambda: _installed(hop),
                )
            return PrefixState.RIDES, lambda: _rides(at, hop)
        if at == prefix:
            return PrefixState.COVER, lambda: _covers(fib.parent(prefix))
    default = planner.default
    if default is not None and default.next_hop == hop:
        return (
            PrefixState.DEFAULT,
            lambda: _via_default(hop),
        )
    unfit = family.selection.pinned.unfit.get(prefix)
    if unfit is not None:
        return PrefixState.NO_SLOT, lambda: f"It follows the default route: selection.always names it, but {unfit}."
    refusal = family.selection.policy.refusal(prefix)
    if refusal is not None:
        return PrefixState.EXCLUDED, lambda: f"It follows the default route because {refusal}."
    if hop in planner.dead:
        return (
            PrefixState.EXCLUDED,
            lambda: f"It follows the default route because its next hop {format_next_hop(hop)} can not be reached.",
        )
    if not family.settled:
        label = family.family.label
        return (
            PrefixState.IDLE,
            lambda: _learning(label),
        )
    rate = family.selection.averages.rate(prefix, now)
    if not rate:
        return PrefixState.IDLE, lambda: "No sampled traffic goes to it, so it follows the default route."
    return PrefixState.NO_SLOT, lambda: _no_slot(family, prefix, rate, now)


def _rides(above: Prefix, hop: bytes) -> str:
    return f"Its packets ride along with {format_prefix(above)}, which goes to {format_next_hop(hop)} as well."


def _covers(over: Prefix | None) -> str:
    name = format_prefix(over) if over is not None else "the route above"
    return f"A cover keeps it out of {name}, which has another next hop: it follows the default route."


def _installed(hop: bytes) -> str:
    return f"It is installed and sends its packets to {format_next_hop(hop)}."


def _via_default(hop: bytes) -> str:
    return f"The default route goes to {format_next_hop(hop)} as well, so it needs no slot."


def _learning(label: str) -> str:
    return f"The {label} table is still being learned; nothing is chosen before it is complete."


def _no_slot(family: FamilyEngine, prefix: Prefix, rate: float, now: float) -> str:
    selection = family.selection
    if rate < selection.minvalue:
        least = f"target.minvalue ({format_bit_rate(selection.minvalue)})"
        return f"Its traffic is below {least}, so it follows the default route."
    worst = selection.weakest_rate(now)
    winner = family.rib.winner(prefix)
    assert winner is not None
    needed = family.planner.requirements(prefix, winner, selection.usable)
    cost = (
        f"It needs {1 + len(needed):,} slots"
        if needed is not None
        else f"It needs more than {selection.usable:,} slots"
    )
    if selection.free > 0 and needed is not None and len(needed) < selection.free:
        return f"{cost} and they are free: it goes in with its next sample."
    text = f"{cost} and {max(selection.free, 0):,} are free"
    if worst is not None:
        text += f"; the installed route worth least carries {format_bit_rate(worst)}, this one {format_bit_rate(rate)}"
    return f"{text}. It follows the default route until it carries significantly more."
