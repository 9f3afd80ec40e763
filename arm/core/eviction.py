"""Taking installed routes out because something else must fit: the hardware became smaller, or a pinned route goes in.

Neither waits for samples or for the change rate. The routes worth least go first, as for a swap (core/standing.py);
pinned ones that fit (core/pinned.py) stay. Slots that only exceptions of installed routes take are freed as the last
resort: a route that is such an exception is replaced by a cover, which does for all that lies inside it.
"""

from __future__ import annotations

from typing import Final

from arm.core.pinned import put_in, riders
from arm.core.standing import Standing
from arm.model import Prefix, Reason

_PORTION: Final = 32
"""Routes that are taken out at once."""


class Eviction:
    """Makes room among the installed routes of one family."""

    __slots__ = ("_standing",)

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def shrink(self, now: float) -> None:
        """Take out what no longer fits; in hardware that got smaller, for a new reserve too.

        Pinned routes are the last to go, and of those the last ones of the list.
        """
        standing = self._standing
        fib, capacity, limit = standing.planner.fib, standing.planner.capacity, standing.take_limit()
        if len(fib) > limit:
            self._review()
        while len(fib) > limit and self._make_way(len(fib) - limit, Reason.CAPACITY, now):
            pass
        while len(fib) > capacity and (
            self._make_way(len(fib) - capacity, Reason.CAPACITY, now) or self._loosen(Reason.CAPACITY, now)
        ):
            pass
        if len(fib) > capacity:
            self._start_over(Reason.CAPACITY, now)

    def pin(self, now: float, *, again: bool) -> None:
        """Put in the pinned routes that ought to stand and do not; with `again` also what there was no room for."""
        standing, pinned = self._standing, self._standing.pinned
        if pinned.unfit and (again or pinned.slots != standing.planner.capacity):
            self._review()
        contested = False
        for prefix in pinned.missing():
            if prefix not in pinned.unfit:
                cost = self._cost(prefix)
                contested |= cost is None or cost > standing.free or not self._put_in(prefix, now)
        if not contested:
            return
        self._review()
        todo, started_over = True, False
        while todo:
            todo = False
            for prefix in pinned.missing():
                if prefix in pinned.unfit or standing.planner.needs_no_slot(prefix):
                    continue
                self._make_room(prefix, now)
                if self._put_in(prefix, now):
                    continue
                if started_over:
                    pinned.no_room(prefix)
                    continue
                self._start_over(Reason.ROOM_FOR_PINNED, now)
                todo = started_over = True
                break
            # What has made room may have carried one of those that were satisfied.
            todo |= pinned.lost_a_carrier()

    def keep_pinned(self, now: float) -> None:
        """Put in at once what rode along with a route that the choice has just taken out."""
        if self._standing.pinned.lost_a_carrier():
            self.pin(now, again=False)

    def _cost(self, prefix: Prefix) -> int | None:
        """Slots that a pinned route takes in the end; None if it can not go in at all."""
        planner = self._standing.planner
        winner = planner.rib.winner(prefix)
        needed = planner.requirements(prefix, winner, planner.capacity) if winner is not None else None
        if winner is None or needed is None:
            return None
        own = 0 if prefix in planner.fib.entries else 1
        return own + len(needed) - len(riders(planner, prefix, winner.next_hop))

    def _make_room(self, prefix: Prefix, now: float) -> None:
        """Let others make room for a pinned route; it takes slots of the reserve only if nothing else is left."""
        planner, fib = self._standing.planner, self._standing.planner.fib
        most = max(self._standing.usable, len(fib))
        while (cost := self._cost(prefix)) is not None and len(fib) + cost > most:
            # What is installed inside it may have to come in again as an exception, so it comes last.
            if self._make_way(len(fib) + cost - most, Reason.ROOM_FOR_PINNED, now, outside=prefix):
                continue
            if cost <= planner.free:
                return
            if not (
                self._make_way(cost - planner.free, Reason.ROOM_FOR_PINNED, now)
                or self._loosen(Reason.ROOM_FOR_PINNED, now)
            ):
                return

    def _put_in(self, prefix: Prefix, now: float) -> bool:
        standing = self._standing
        winner = standing.planner.rib.winner(prefix)
        stands = winner is not None and put_in(standing.planner, prefix, winner)
        standing.sync(now)
        if stands:
            standing.take_over(prefix)
        return stands

    def _make_way(self, slots: int, reason: Reason, now: float, outside: Prefix | None = None) -> bool:
        """Take out some of the routes worth least, for at most so many slots; False if there are none."""
        standing, slots = self._standing, min(slots, _PORTION)
        # Routes of many slots each may not add up to it; then one of them goes.
        victims = standing.victims(slots, _PORTION, outside).prefixes or standing.victims(1, _PORTION, outside).prefixes
        for prefix in victims:
            if prefix in standing.planner.fib:
                standing.planner.withdraw(prefix, reason)
        standing.sync(now)
        standing.rank_again(victims)
        return bool(victims)

    def _loosen(self, reason: Reason, now: float) -> bool:
        """Replace some route that need not stand by a cover, though that frees no slot yet; False if there is none."""
        standing, planner = self._standing, self._standing.planner
        before = planner.fib.pending
        planner.drop_orphans()
        for prefix in standing.served:
            if planner.fib.pending > before:
                break
            chain = [p for p in (prefix, *planner.fib.ancestors(prefix)) if p in standing.served]
            top = next((p for p in reversed(chain) if not standing.pinned.keeps(p)), None)
            if top is not None and (planner.default is not None or planner.slots_freed(top) > 0):
                planner.withdraw(top, reason)
        standing.sync(now)
        return planner.fib.pending > before

    def _review(self) -> None:
        """Find out which pinned routes fit; the others may make way."""
        self._standing.rank_again(self._standing.pinned.review())

    def _start_over(self, reason: Reason, now: float) -> None:
        """Take everything out, from the top: as the pinned routes stand they take more slots than they need.

        That is rare: a route demoted for want of a slot left a cover that now hides others with its next hop, or one
        went in before a route around it that would carry it. Put in anew, in their order, they fit (core/pinned.py).
        """
        standing, planner = self._standing, self._standing.planner
        for prefix in sorted(planner.fib.entries, key=lambda p: p[1]):
            if prefix in planner.fib:
                planner.withdraw(prefix, reason)
        standing.sync(now)
