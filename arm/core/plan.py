"""What a change of the table, the target or the default route calls for, built from the steps of core/moves.py.

A change of the table below an installed route is repaired at once: by a cover from the reserve, or, when no slot is
left, by *demoting* the route above: it becomes a cover if something is installed above it, else it comes out. Both
need no slot, so correctness never waits for capacity.
"""

from __future__ import annotations

from arm.core.moves import Moves
from arm.model import Attributes, Kind, Prefix, Reason

_FEW = 8
"""Exceptions that may go in one after the other while the route above them is wrong; with more it is demoted first."""


class Planner(Moves):
    """The hardware of one family, kept right whatever changes."""

    __slots__ = ()

    # --- the table changes under what is installed -------------------------------------------------------------------

    def route_changed(self, prefix: Prefix, new: Attributes | None) -> None:
        """Repair what a change of the table at `prefix` broke. `new` is what the table says now.

        When several prefixes have changed at once, shorter ones must be repaired first.
        """
        entry = self.fib.entries.get(prefix)
        if new is None:
            if entry is not None:
                self._withdrawn(prefix)
            return
        if entry is None:
            above = self.fib.match(prefix)
            if above is not None:
                over = self.fib.entries[above]
                if over.kind is Kind.ROUTE and over.next_hop != new.next_hop:
                    self._cover_or_demote(prefix, new, above)
        elif entry.kind is Kind.COVER:
            self._drop_covers([prefix])
        elif entry.next_hop == new.next_hop:
            if entry.attributes is not new:
                self.fib.put(prefix, Kind.ROUTE, new, Reason.ATTRIBUTES)
        else:
            self._next_hop_changed(prefix, new)

    def _cover_or_demote(self, prefix: Prefix, new: Attributes, above: Prefix) -> None:
        """A route that is not installed now differs from the installed route above it."""
        self.repaired += 1
        if self.default is not None:
            if self.free > 0 and prefix not in self.barred:
                self.fib.put(prefix, Kind.COVER, self.default, Reason.EXCEPTION)
            else:
                self.demote(above, Reason.NO_ROOM_FOR_EXCEPTION)
            return
        # The routes inside that rode along with the route above are exceptions of the new route now.
        possible = self.free > 0 and prefix not in self.barred
        needed = self.requirements(prefix, new, min(_FEW, self.free - 1)) if possible else None
        if needed is None:
            self.demote(above, Reason.NO_ROOM_FOR_EXCEPTION)
            return
        self._put_all(needed)
        self.fib.put(prefix, Kind.ROUTE, new, Reason.EXCEPTION)

    def _next_hop_changed(self, prefix: Prefix, new: Attributes) -> None:
        """An installed route has another next hop now."""
        self.repaired += 1
        over = self._route_above(prefix)
        if over is None and self.default is not None and new.next_hop == self.default.next_hop:
            self._remove(prefix, Reason.VIA_DEFAULT)
            return
        # What rode along with the old next hop and keeps it is an exception now.
        needed = self.requirements(prefix, new, min(_FEW, max(self.free, 0)))
        if needed is None or not self.serves(new):
            self.demote(prefix, Reason.NEXT_HOP)
            return
        self._put_all(needed)
        if over is not None and new.next_hop == over.next_hop:
            self._remove(prefix, Reason.RIDES)
        else:
            self.fib.put(prefix, Kind.ROUTE, new, Reason.NEXT_HOP)
            self._drop_superfluous(prefix, new.next_hop)

    def _withdrawn(self, prefix: Prefix) -> None:
        """The table has no route any more where something is installed."""
        self.repaired += 1
        above = self.fib.parent(prefix)
        if above is not None and self.fib.entries[above].kind is Kind.ROUTE:
            hop = self.fib.entries[above].next_hop
            around = next(self.rib.covering(prefix), None)
            if self.default is not None and (around is None or around.attributes.next_hop != hop):
                # The route above is wrong itself, and the target refuses to take it out: it must not get these packets.
                if self.fib.entries[prefix].kind is Kind.ROUTE:
                    self.demote(prefix, Reason.WITHDRAWN)
                return
            exposed = self._uncovered(prefix, hop, _FEW)
            few = len(exposed) <= min(_FEW, max(self.free, 0)) and not self.barred.intersection(exposed)
            if not few or (exposed and self.default is None):
                self.demote(above, Reason.NO_ROOM_FOR_EXCEPTION)
            else:
                self._put_all([(p, Kind.COVER) for p in exposed])
        if prefix in self.fib.entries:
            self._remove(prefix, Reason.WITHDRAWN)

    def next_hop_lost(self, next_hop: bytes) -> None:
        """Take out every route over a next hop that the target cannot reach."""
        self.dead.add(next_hop)
        doomed = [p for p, e in self.fib.entries.items() if e.kind is Kind.ROUTE and e.next_hop == next_hop]
        for prefix in sorted(doomed, key=lambda p: p[1]):
            entry = self.fib.entries.get(prefix)
            if entry is not None and entry.kind is Kind.ROUTE:
                self.demote(prefix, Reason.UNREACHABLE)

    def verify(self, prefix: Prefix) -> None:
        """Make an installed entry right that may be wrong for whatever reason: its next hop, the exceptions below."""
        entry = self.fib.entries.get(prefix)
        if entry is None:
            return
        winner = self.rib.winner(prefix)
        if winner is None or entry.kind is Kind.COVER or winner.next_hop != entry.next_hop:
            self.route_changed(prefix, winner)
            if entry.kind is Kind.COVER and prefix in self.fib.entries and self.points_elsewhere(entry):
                assert self.default is not None
                self.fib.put(prefix, Kind.COVER, self.default, Reason.DEFAULT_CHANGED)
            return
        if self._route_above(prefix) is None and self.default is not None and winner.next_hop == self.default.next_hop:
            self._remove(prefix, Reason.VIA_DEFAULT)
            return
        needed = self.requirements(prefix, winner, max(self.free, 0))
        if needed is None:
            self.demote(prefix, Reason.NO_ROOM_FOR_EXCEPTION)
        else:
            self._put_all(needed)

    def distrust(self, prefix: Prefix) -> None:
        """Demote an installed route unless it is right as it stands: the target refused what would make it so.

        A cover that points to an earlier default comes out with the route above it, which is all it is there for.
        """
        entry = self.fib.entries.get(prefix)
        if entry is None:
            return
        if entry.kind is Kind.COVER:
            if self.points_elsewhere(entry):
                above = self.fib.parent(prefix)
                self.demote(prefix if above is None else above, Reason.REFUSED)
                self._drop_covers([prefix])
            return
        winner = self.rib.winner(prefix)
        if winner is None or winner.next_hop != entry.next_hop or self.requirements(prefix, winner, 0) is None:
            self.demote(prefix, Reason.REFUSED)

    def default_changed(self, new: Attributes | None) -> None:
        """The default route is another one now, or gone: covers follow it, and what goes its way needs no slot."""
        old, self.default = self.default, new
        if new is None:
            self._without_default()
            return
        if old is not None and self.fib.covers:
            for p in [p for p, e in self.fib.entries.items() if e.kind is Kind.COVER]:
                self.fib.put(p, Kind.COVER, new, Reason.DEFAULT_CHANGED)
        if old is None or old.next_hop != new.next_hop:
            for p, e in sorted(self.fib.entries.items(), key=lambda item: item[0][1]):
                goes_there = e.kind is Kind.ROUTE and e.next_hop == new.next_hop
                if goes_there and p in self.fib.entries and self._route_above(p) is None:
                    self._remove(p, Reason.VIA_DEFAULT)

    def _without_default(self) -> None:
        """Covers point nowhere now: every route that has one below comes out, from the top, and so do the covers."""
        needing: set[Prefix] = set()
        for p, e in self.fib.entries.items():
            if e.kind is Kind.COVER:
                needing.update(self.fib.ancestors(p))
        doomed = needing | {p for p, e in self.fib.entries.items() if e.kind is Kind.COVER}
        for p in sorted(doomed, key=lambda item: item[1]):
            self.fib.remove(p, Reason.DEFAULT_WITHDRAWN)
