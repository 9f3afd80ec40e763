"""The prefixes of `selection.always` in one family: which of them can be kept in hardware, and why one does not stand.

A pinned prefix is satisfied if its packets go its own way: its route is installed, it rides along with an installed
route that has the same next hop, or its next hop is the default's. All others are put in by the choice
(core/selection.py), with the exceptions they need; routes that are worth less make room.

Where not all of them fit, the order of the configuration decides, whatever was installed first: each prefix in turn is
put into empty hardware of the same size, after those named before it. One for which that has no room is `unfit`: it is
judged by its traffic like any other, and a pinned prefix that fits may take its slots. So the slots of those that fit
are never more than there are, and to make room for one of them never costs another its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from arm.core.fib import Fib
from arm.core.moves import Moves
from arm.core.plan import Planner
from arm.core.policy import Policy
from arm.model import Attributes, Kind, Prefix, Problem, Reason, Severity, format_next_hop, format_prefix

_MOST_NAMED: Final = 10
"""Pinned prefixes that are reported one by one."""


class Pinned:
    """Knows how the pinned prefixes of one family fare; changes nothing but its own notes."""

    __slots__ = ("_carriers", "_planner", "_policy", "slots", "unfit")

    def __init__(self, planner: Planner, policy: Policy) -> None:
        self._planner = planner
        self._policy = policy
        self._carriers: set[Prefix] = set()
        """Installed routes that pinned prefixes ride along with, as of the last `missing`."""
        self.unfit: dict[Prefix, str] = {}
        """What there is no room for as of the last `review`, and why."""
        self.slots = 0
        """How many there were then."""

    def keeps(self, prefix: Prefix) -> bool:
        """True if an installed route must not make room for others."""
        return prefix in self._policy.always and prefix not in self.unfit

    def missing(self) -> list[Prefix]:
        """Pinned prefixes whose route ought to be put in, in the order of the configuration; the unfit among them."""
        self._carriers.clear()
        found: list[Prefix] = []
        for prefix in self._policy.always:
            at = self._planner.fib.match(prefix)
            if at is not None and self._planner.fib.entries[at].kind is Kind.ROUTE:
                if at != prefix:
                    self._carriers.add(at)
            elif self._wants_slot(self._planner, prefix) is not None:
                found.append(prefix)
        return found

    def lost_a_carrier(self) -> bool:
        """True if a route that pinned prefixes rode along with has come out since the last `missing`."""
        entries = self._planner.fib.entries
        return any((e := entries.get(prefix)) is None or e.kind is Kind.COVER for prefix in self._carriers)

    @staticmethod
    def _wants_slot(moves: Moves, prefix: Prefix) -> Attributes | None:
        """The route of a prefix, if it has to be put in for its packets to go its way, and can be."""
        winner, default = moves.rib.winner(prefix), moves.default
        if winner is None or not moves.serves(winner) or prefix in moves.barred:
            return None
        return None if default is not None and winner.next_hop == default.next_hop else winner

    def review(self) -> set[Prefix]:
        """Find out anew which pinned prefixes fit; those for which that has changed."""
        planner, before = self._planner, self.unfit
        trial = Moves(planner.rib, Fib(planner.family), planner.capacity)
        trial.default, trial.dead, trial.leaving = planner.default, planner.dead, planner.leaving
        # An entry that stands is no trouble, whatever the target has refused there.
        trial.barred = {prefix for prefix in planner.barred if prefix not in planner.fib.entries}
        self.unfit, self.slots = {}, planner.capacity
        for prefix in self._policy.always:
            winner = self._wants_slot(trial, prefix)
            if winner is not None and not trial.needs_no_slot(prefix) and not put_in(trial, prefix, winner):
                self.unfit[prefix] = self._obstacle(trial, prefix, winner)
        return set(before) ^ set(self.unfit)

    def _obstacle(self, trial: Moves, prefix: Prefix, winner: Attributes) -> str:
        needed = trial.requirements(prefix, winner, trial.capacity)
        if needed is None and not trial.barred.isdisjoint(trial.rib.exceptions(prefix, winner.next_hop)):
            return "the target has refused an exception that it needs; it is tried again"
        slots = f"{1 + len(needed):,}" if needed is not None else f"more than {trial.capacity:,}"
        left = f"{max(trial.free, 0):,} of {trial.capacity:,}"
        return f"it needs {slots} slots with its exceptions, and what the list names before it leaves {left}"

    def no_room(self, prefix: Prefix) -> None:
        """Count one of those that fit as unfit after all."""
        self.unfit[prefix] = f"there is no room for it and its exceptions in {self._planner.capacity:,} slots"

    # --- what is said about it ---------------------------------------------------------------------------------------

    def why_not(self, prefix: Prefix) -> str | None:
        """Why the packets of a pinned prefix do not go its own way; None if they do, or will within a second."""
        planner = self._planner
        winner = planner.rib.winner(prefix)
        if winner is None:
            return "the table has no such route"
        if planner.needs_no_slot(prefix):
            return None
        if planner.default is not None and winner.next_hop == planner.default.next_hop:
            return None
        if winner.next_hop in planner.dead:
            return f"its next hop {format_next_hop(winner.next_hop)} can not be reached"
        if prefix in planner.barred:
            return "the target has refused it; it is tried again"
        return self.unfit.get(prefix)

    def problems(self) -> Iterator[Problem]:
        """A sentence for each pinned prefix whose packets do not go its way; an error if there is no room for it."""
        number = 0
        for prefix in self._policy.always:
            why = self.why_not(prefix)
            if why is None:
                continue
            number += 1
            if number > _MOST_NAMED:
                continue
            text = f"selection.always names {format_prefix(prefix)}, but {why}."
            if why == self.unfit.get(prefix):
                text += " Raise [target] prefixes if the hardware has room, or shorten the list."
                yield Problem(Severity.ERROR, "selection", text)
            else:
                yield Problem(Severity.WARNING, "selection", text)
        if number > _MOST_NAMED:
            more = f"{number - _MOST_NAMED:,} more {self._planner.family.label} prefixes"
            text = f"selection.always names {more} that do not stand. `arm show why PREFIX` tells of each."
            yield Problem(Severity.WARNING, "selection", text)


def riders(moves: Moves, prefix: Prefix, next_hop: bytes) -> list[Prefix]:
    """Installed routes that would ride along with a route of the table, and whose slots would then be free."""
    entries, bits = moves.fib.entries, moves.family.bits
    found: list[Prefix] = []
    # The walk gives a parent before its children, and a subtree without a gap. What lies inside an entry, or inside an
    # exception that will be one, does not ride along.
    top, top_bits = -1, 0
    for p in moves.rib.more_specifics(prefix):
        number = int.from_bytes(p[0], "big")
        if top >= 0 and number >> (bits - top_bits) == top:
            continue
        winner, entry = moves.rib.winner(p), entries.get(p)
        if entry is None and winner is not None and winner.next_hop == next_hop:
            continue
        if entry is not None and entry.kind is Kind.ROUTE and entry.next_hop == next_hop and moves.slots_freed(p) > 0:
            found.append(p)
        top, top_bits = number >> (bits - p[1]), p[1]
    return found


def put_in(moves: Moves, prefix: Prefix, attributes: Attributes) -> bool:
    """Install a pinned route where there is room for it, if the routes that will ride along make way first."""
    own = 0 if prefix in moves.fib.entries else 1
    needed = moves.requirements(prefix, attributes, moves.capacity)
    if needed is None:
        return False
    lacking = own + len(needed) - moves.free
    if lacking > 0:
        leaving = riders(moves, prefix, attributes.next_hop)[:lacking]
        if len(leaving) < lacking:
            return False
        for p in leaving:
            moves.withdraw(p, Reason.ROOM_FOR_PINNED)
    return moves.install(prefix, Reason.PINNED, moves.free)
