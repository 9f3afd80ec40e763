"""The safe order of changes: every move of the choice as steps, each of which keeps the rule.

The rule: for every address, the longest installed match has the next hop of the longest match in the table, or it is a
cover, or there is none and the packet follows the default. For an installed *route* this means: every more-specific of
the table that has no installed entry between the two has the same next hop. Call an installed prefix *closest* to a
route of the table if it is its longest installed match. Then:

- putting a cover anywhere is always right, as is removing an entry that has no installed entry above it, or a cover
  above;
- putting a route at p is right if the topmost more-specifics with another next hop are installed already;
- removing an entry below an installed route is right if all routes it was closest to have that route's next hop.

Moves are built from these steps only, exceptions first in and last out.

Without a default route in the table there is nothing a cover could point to; exceptions are then installed as routes.
"""

from __future__ import annotations

from arm.core.fib import Fib
from arm.core.rib import Rib
from arm.model import Attributes, Entry, Family, Kind, Prefix, Reason


class Moves:
    """Moves on the hardware of one family. `capacity` is what correctness may use of it, reserve included."""

    __slots__ = ("barred", "capacity", "dead", "default", "fib", "leaving", "repaired", "rib")

    def __init__(self, rib: Rib, fib: Fib, capacity: int) -> None:
        self.rib = rib
        self.fib = fib
        self.capacity = capacity
        self.default: Attributes | None = None
        """The default route's attributes, as covers point to them."""
        self.dead: set[bytes] = set()
        """Next hops that the target cannot reach: no route is put in over them."""
        self.leaving: dict[str, int] = {}
        """Session -> generation: routes that its feeds before that have taught are being dropped from the table."""
        self.barred: set[Prefix] = set()
        """Prefixes that the target has refused lately: nothing is planned that would need a new entry there."""
        self.repaired = 0
        """Changes of the table that needed a repair at an installed route."""

    @property
    def family(self) -> Family:
        return self.fib.family

    @property
    def free(self) -> int:
        """Slots left, reserve included; negative after the capacity has shrunk."""
        return self.capacity - len(self.fib)

    def serves(self, attributes: Attributes) -> bool:
        """True if a route may be put in: its next hop can be reached, and it is not about to be dropped."""
        feed = attributes.feed
        return attributes.next_hop not in self.dead and feed.generation >= self.leaving.get(feed.name, 0)

    def needs_no_slot(self, prefix: Prefix) -> bool:
        """True if an installed route carries this route of the table already (by the rule, to its next hop)."""
        above = self.fib.match(prefix)
        return above is not None and self.fib.entries[above].kind is Kind.ROUTE

    # --- putting a route in ------------------------------------------------------------------------------------------

    def requirements(self, prefix: Prefix, attributes: Attributes, limit: int) -> list[tuple[Prefix, Kind]] | None:
        """Entries that must be installed before the route, in order; None if they are more than `limit`, or barred."""
        needed: list[tuple[Prefix, Kind]] = []
        if self.default is not None:
            for p in self.rib.exceptions(prefix, attributes.next_hop):
                if self._is_open(p, prefix):
                    needed.append((p, Kind.COVER))
                    if len(needed) > limit or p in self.barred:
                        return None
            return needed
        stack = [(prefix, attributes.next_hop)]
        while stack:
            top, next_hop = stack.pop()
            for p in self.rib.exceptions(top, next_hop):
                if self._is_open(p, top):
                    winner = self.rib.winner(p)
                    assert winner is not None
                    needed.append((p, Kind.ROUTE))
                    stack.append((p, winner.next_hop))
                    if len(needed) > limit or p in self.barred:
                        return None
        needed.sort(key=lambda item: -item[0][1])
        return needed

    def _is_open(self, prefix: Prefix, top: Prefix) -> bool:
        """True if nothing is installed at `prefix`, nor between it and `top`."""
        match = self.fib.match(prefix)
        return match is None or match[1] <= top[1]

    def install(self, prefix: Prefix, reason: Reason, limit: int) -> bool:
        """Put a route of the table in, with the exceptions it needs, if all takes at most `limit` slots.

        Returns False, with nothing changed, if it does not. Routes inside it that it makes superfluous come out.
        """
        attributes = self.rib.winner(prefix)
        if attributes is None or not self.serves(attributes) or prefix in self.barred:
            return False
        own = 0 if prefix in self.fib.entries else 1
        needed = self.requirements(prefix, attributes, limit - own)
        if needed is None or len(needed) + own > limit:
            return False
        self._put_all(needed)
        self.fib.put(prefix, Kind.ROUTE, attributes, reason)
        self._drop_superfluous(prefix, attributes.next_hop)
        return True

    def _put_all(self, needed: list[tuple[Prefix, Kind]]) -> None:
        for p, kind in needed:
            attributes = self.default if kind is Kind.COVER else self.rib.winner(p)
            assert attributes is not None
            self.fib.put(p, kind, attributes, Reason.EXCEPTION)

    def _drop_superfluous(self, prefix: Prefix, next_hop: bytes) -> None:
        """Below a route that was just installed: routes with its next hop ride along; covers without a purpose go."""
        for p in self.fib.inside(prefix):
            entry = self.fib.entries.get(p)
            if entry is None or self.fib.parent(p) != prefix:
                continue
            if entry.kind is Kind.ROUTE and entry.next_hop == next_hop:
                # By the rule all routes closest to it have its next hop, which is now that of the route above. Where
                # the target refused something the rule may not hold yet: that waits until it is looked at again.
                if p not in self.barred:
                    self.fib.remove(p, Reason.RIDES)
            elif entry.kind is Kind.COVER and not self._differs_below(p, next_hop):
                self.fib.remove(p, Reason.COVER_NOT_NEEDED)

    def _differs_below(self, prefix: Prefix, next_hop: bytes) -> bool:
        """True if the table sends anything for which the installed `prefix` is closest to another next hop."""
        # Where the prefix itself has been withdrawn, the route above it in the table is what counts.
        own = next(self.rib.covering(prefix), None)
        if own is None or own.attributes.next_hop != next_hop:
            return True
        return bool(self._uncovered(prefix, next_hop, 1))

    def _uncovered(self, prefix: Prefix, next_hop: bytes, limit: int) -> list[Prefix]:
        """Topmost routes strictly inside `prefix`, with no installed entry in between, whose next hop is another.

        At most `limit` + 1 of them. `prefix` need not be a route of the table any more.
        """
        if self.rib.winner(prefix) is None:
            inside = self._routes_inside(prefix, next_hop)
        else:
            inside = self.rib.exceptions(prefix, next_hop)
        found: list[Prefix] = []
        for p in inside:
            if self.fib.match(p) == prefix:
                found.append(p)
                if len(found) > limit:
                    break
        return found

    def _routes_inside(self, prefix: Prefix, next_hop: bytes) -> list[Prefix]:
        """As Rib.exceptions, for a prefix that has just been withdrawn."""
        above = next(self.rib.covering(prefix), None)
        if above is None:
            # Nothing in the table contains it: then no installed route does either (it would have been withdrawn).
            return []
        low = int.from_bytes(prefix[0], "big")
        shift = self.family.bits - prefix[1]
        return [
            p for p in self.rib.exceptions(above.prefix, next_hop)
            if p[1] > prefix[1] and int.from_bytes(p[0], "big") >> shift == low >> shift
        ]  # fmt: skip

    # --- taking a route out ------------------------------------------------------------------------------------------

    def _route_above(self, prefix: Prefix) -> Entry | None:
        """The closest entry strictly above, if it is a route; None if there is none or it is a cover."""
        above = self.fib.parent(prefix)
        if above is None:
            return None
        entry = self.fib.entries[above]
        return entry if entry.kind is Kind.ROUTE else None

    def withdraw(self, prefix: Prefix, reason: Reason) -> None:
        """Take an installed route out by choice. Below an installed route it turns into a cover if that is needed.

        Without a default route it stays if it is such an exception: nothing else could stand in for it.
        """
        over = self._route_above(prefix)
        if over is not None and self._differs_below(prefix, over.next_hop):
            if self.default is not None:
                self.fib.put(prefix, Kind.COVER, self.default, reason)
                self._drop_covers(self.fib.inside(prefix))
            return
        self._remove(prefix, reason)

    def slots_freed(self, prefix: Prefix) -> int:
        """Slots that withdraw would free: the route's own, and those of covers that only it needs."""
        over = self._route_above(prefix)
        if over is not None and not self._differs_below(prefix, over.next_hop):
            return 1
        if over is None:
            return 1 + self._covers_next_to(prefix)
        return self._covers_next_to(prefix) if self.default is not None else 0

    def _covers_next_to(self, prefix: Prefix) -> int:
        """Covers inside an installed prefix with no other entry between."""
        entries, bits = self.fib.entries, self.family.bits
        # A parent comes before its children, and a subtree without a gap.
        count, top, top_bits = 0, -1, 0
        for p in self.fib.inside(prefix):
            number = int.from_bytes(p[0], "big")
            if top < 0 or number >> (bits - top_bits) != top:
                top, top_bits = number >> (bits - p[1]), p[1]
                count += entries[p].kind is Kind.COVER
        return count

    def _remove(self, prefix: Prefix, reason: Reason) -> None:
        """Take an entry out that nothing needs any more, and then the covers that only it needed."""
        inside = self.fib.inside(prefix)
        self.fib.remove(prefix, reason)
        self._drop_covers(inside)

    def _drop_covers(self, inside: list[Prefix]) -> None:
        """Remove those of `inside` that are covers without a purpose, after what is above them has changed."""
        for p in inside:
            entry = self.fib.entries.get(p)
            if entry is not None and entry.kind is Kind.COVER:
                over = self._route_above(p)
                if self._is_orphan(p) if over is None else not self._differs_below(p, over.next_hop):
                    self.fib.remove(p, Reason.COVER_NOT_NEEDED)

    def _is_orphan(self, prefix: Prefix) -> bool:
        """True if the packets of a cover would follow the default without it: no route above, no cover gone wrong."""
        above = self.fib.parent(prefix)
        if above is None:
            return True
        entry = self.fib.entries[above]
        return entry.kind is Kind.COVER and not self.points_elsewhere(entry)

    def points_elsewhere(self, cover: Entry) -> bool:
        """True for a cover that the target did not move when the default moved."""
        return self.default is None or cover.next_hop != self.default.next_hop

    def drop_orphans(self) -> None:
        """Remove the covers that stand below no route: what they were put in for was refused.

        Those on top first: one that the target did not move with the default must not get the packets of others.
        """
        orphans = [p for p, e in self.fib.entries.items() if e.kind is Kind.COVER and self._is_orphan(p)]
        for p in sorted(orphans, key=lambda p: p[1]):
            self.fib.remove(p, Reason.COVER_NOT_NEEDED)

    def demote(self, prefix: Prefix, reason: Reason) -> None:
        """Stop an installed route from attracting traffic, without needing a slot: always right, at once.

        With something installed above it, it becomes a cover; otherwise it comes out. Without a default route there are
        no covers, and what is above it comes out first.
        """
        above = self.fib.parent(prefix)
        if above is not None and self.default is None:
            for p in reversed(list(self.fib.ancestors(prefix))):
                self._remove(p, reason)
            above = None
        if above is None:
            self._remove(prefix, reason)
            return
        assert self.default is not None
        self.fib.put(prefix, Kind.COVER, self.default, reason)
        self._drop_covers(self.fib.inside(prefix))
