"""The table: every route that the reflector has taught, one tree for each address family.

A prefix tree (pytricia) maps a prefix to the `Attributes` that win for it. Only where two feeds (sessions) teach the
same prefix is the value a tuple of attributes, best first: the price of a second session is paid only where it is used.

Invariants: a value is never an empty tuple, nor a tuple of one; of one session name only the newest generation that has
announced a prefix is kept for it; `len(rib)` is the number of prefixes (pytricia's own length is counted anew each
time).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from pytricia import PyTricia

from arm.core.matches import Matches
from arm.model import DEFAULT_PREFIX, Attributes, Family, Feed, Prefix, Route

RouteChange: TypeAlias = tuple[Prefix, Attributes | None, Attributes | None]
"""A prefix, the attributes that won before (None: no route) and those that win now (None: withdrawn)."""


_PORTION: Final = 10_000
"""Prefixes that one step of a sweep looks at, or parts without any: some 20 ms."""
_DROP_COST: Final = 4
"""What a dropped route counts beside one that is only looked at; half of it is what the engine makes of the change."""
_PART_BITS: Final = 16
"""The parts that a large table is swept in: the Internet's largest holds some 30,000 prefixes."""
_REMEMBERED = 100_000
"""Next hops that are remembered at most: some 20 MB."""


def _order(attributes: Attributes) -> tuple[str, int]:
    """Best first: sessions by name (they reflect one BIRD, so this only has to be stable)."""
    return attributes.feed.name, -attributes.feed.generation


class Rib:
    """Routes of one address family with exact and longest match, and the more-specifics of a prefix."""

    __slots__ = ("_counts", "_filling", "_hops", "_matches", "_size", "_tree", "added", "family", "match", "removed")

    def __init__(self, family: Family) -> None:
        self.family = family
        self._tree = PyTricia(family.bits, socket.AF_INET if family is Family.IPV4 else socket.AF_INET6, True)
        self.match: Final[Callable[[bytes], Prefix | None]] = self._tree.get_key
        """Longest match of a packed address."""
        self._matches = Matches(family, self._tree.get_key)
        self._hops: dict[Prefix, bytes] = {}
        """Next hops asked for lately; a prefix leaves it when its winner changes."""
        self._size = 0
        self._counts: dict[Feed, int] = {}
        self._filling: Feed | None = None
        """The feed that fills a table which was empty; what it told is not counted yet."""
        self.added = 0
        """Prefixes that became reachable since the start."""
        self.removed = 0

    def __len__(self) -> int:
        return self._size

    # --- changes -----------------------------------------------------------------------------------------------------

    def announce(
        self, attributes: Attributes, prefixes: Sequence[Prefix], changes: list[RouteChange], watched: Container[Prefix]
    ) -> None:
        """Learn `prefixes`; append to `changes` those whose next hop is new, and those in `watched` with any change."""
        self._count()
        tree, has, get = self._tree, self._tree.has_key, self._tree.get
        feed, next_hop = attributes.feed, attributes.next_hop
        added = taken = 0
        for prefix in prefixes:
            if not has(prefix):
                tree[prefix] = attributes
                self._matches.changed(prefix)
                added += 1
                changes.append((prefix, None, attributes))
                continue
            old = get(prefix)
            if old is attributes:
                continue
            if old.__class__ is tuple or old.feed.name != feed.name:
                self._merge(prefix, old, attributes, changes)
                continue
            tree[prefix] = attributes
            if old.feed is not feed:
                self._counts[old.feed] -= 1
                taken += 1
            if old.next_hop != next_hop:
                self._hops.pop(prefix, None)
                changes.append((prefix, old, attributes))
            elif prefix in watched:
                changes.append((prefix, old, attributes))
        self._size += added
        self.added += added
        if added or taken:
            self._counts[feed] = self._counts.get(feed, 0) + added + taken

    def load(self, feed: Feed, updates: Iterable[tuple[Attributes | None, Sequence[Prefix]]]) -> None:
        """As `announce` and `withdraw` in turn, while nobody asks what changes: a full table comes this way.

        While one feed fills an empty table, a prefix is not even looked up before it is put in: that would be half of
        the time. What is told twice then counts twice, until the first call of anything else.
        """
        if not self._counts and self._filling is None:
            self._filling = feed
        self._hops.clear()
        self._matches.clear()
        tree = self._tree
        unheeded: list[RouteChange] = []
        for attributes, prefixes in updates:
            if attributes is None:
                self.withdraw(feed, prefixes, unheeded, ())
            elif feed is self._filling:
                for prefix in prefixes:
                    tree[prefix] = attributes
                self._size += len(prefixes)
            else:
                self.announce(attributes, prefixes, unheeded, ())
            unheeded.clear()

    def _count(self) -> None:
        """Count what one feed has filled the table with, if it has."""
        feed, self._filling = self._filling, None
        if feed is not None:
            self._size = self._counts[feed] = self.added = len(self._tree)

    def _merge(
        self, prefix: Prefix, old: Attributes | tuple[Attributes, ...], new: Attributes, changes: list[RouteChange]
    ) -> None:
        """The slow path of announce: more than one session teaches the prefix."""
        paths = old if isinstance(old, tuple) else (old,)
        for path in paths:
            if path.feed.name == new.feed.name:
                self._counts[path.feed] -= 1
        kept = sorted([path for path in paths if path.feed.name != new.feed.name] + [new], key=_order)
        self._counts[new.feed] = self._counts.get(new.feed, 0) + 1
        self._tree[prefix] = tuple(kept) if len(kept) > 1 else new
        self._hops.pop(prefix, None)
        if paths[0] is not kept[0]:
            changes.append((prefix, paths[0], kept[0]))

    def withdraw(
        self, feed: Feed, prefixes: Sequence[Prefix], changes: list[RouteChange], watched: Container[Prefix]
    ) -> None:
        """Forget what sessions of the feed's name taught for `prefixes`; unknown ones are not an error (RFC 4271, 9).

        Appends to `changes` the withdrawn ones that are in `watched`, and those for which another session's route
        wins now.
        """
        self._count()
        tree, has = self._tree, self._tree.has_key
        for prefix in prefixes:
            if not has(prefix):
                continue
            old = tree.get(prefix)
            if old.__class__ is tuple:
                self._drop(prefix, tuple(path for path in old if path.feed.name == feed.name), changes, watched)
            elif old.feed.name == feed.name:
                tree.delete(prefix)
                self._matches.changed(prefix)
                self._hops.pop(prefix, None)
                self._size -= 1
                self.removed += 1
                self._counts[old.feed] -= 1
                if prefix in watched:
                    changes.append((prefix, old, None))

    def _drop(
        self, prefix: Prefix, gone: tuple[Attributes, ...], changes: list[RouteChange], watched: Container[Prefix]
    ) -> None:
        """Take single paths away from a prefix."""
        value = self._tree.get(prefix)
        paths = value if isinstance(value, tuple) else (value,)
        kept = tuple(path for path in paths if path not in gone)
        for path in gone:
            self._counts[path.feed] -= 1
        self._hops.pop(prefix, None)
        if kept:
            self._tree[prefix] = kept if len(kept) > 1 else kept[0]
        else:
            self._tree.delete(prefix)
            self._matches.changed(prefix)
            self._size -= 1
            self.removed += 1
        winner = kept[0] if kept else None
        if winner is not paths[0] and (winner is not None or prefix in watched):
            changes.append((prefix, paths[0], winner))

    def stale(self, name: str, generation: int) -> int:
        """How many routes are still from sessions of that name older than `generation`."""
        self._count()
        return sum(n for feed, n in self._counts.items() if feed.name == name and feed.generation < generation)

    def sweep(self, name: str, generation: int, watched: Container[Prefix]) -> Iterator[tuple[list[RouteChange], bool]]:
        """Drop the routes of sessions of that name older than `generation`, a portion at each step.

        A step takes a bounded time however large the table is, and gives the changes as `withdraw` does, and True if it
        was the last. Anything may be told to the table in between but routes of the feeds that are to be dropped.
        """
        self._count()
        # A small table is looked at as a whole; most of the parts of a large one hold a few prefixes, or none.
        bits = 0 if self._size <= _PORTION else _PART_BITS
        changes: list[RouteChange] = []
        left = _PORTION
        for number in range(1 << bits):
            if not self.stale(name, generation):
                break
            for prefix in self._part(number, bits):
                dropped = self._forget(prefix, name, generation, changes, watched)
                left -= _DROP_COST if dropped else 1
                if left <= 0:
                    yield changes, False
                    changes, left = [], _PORTION
            left -= 1
        for feed in [f for f, n in self._counts.items() if n == 0 and f.name == name and f.generation < generation]:
            del self._counts[feed]
        yield changes, True

    def _part(self, number: int, bits: int) -> list[Prefix]:
        """The prefixes of the table that begin with these bits; those that are shorter belong where they begin."""
        tree = self._tree
        packed = (number << (self.family.bits - bits)).to_bytes(self.family.bits // 8, "big")
        zeros = (number & -number).bit_length() - 1 if number else bits
        found = [(packed, length) for length in range(bits - zeros, bits) if tree.has_key((packed, length))]
        top = packed, bits
        if tree.has_key(top):
            return [*found, top, *tree.children(top)]
        # The tree only knows what is inside a prefix of its own. Nobody looks at it before this one is out again.
        tree[top] = None
        try:
            found += tree.children(top)
        finally:
            tree.delete(top)
        return found

    def _forget(
        self, prefix: Prefix, name: str, generation: int, changes: list[RouteChange], watched: Container[Prefix]
    ) -> bool:
        """Drop from one prefix, if it is still there, what sessions of that name older than `generation` taught."""
        if not self._tree.has_key(prefix):
            return False
        value = self._tree.get(prefix)
        paths = value if value.__class__ is tuple else (value,)
        gone = tuple(path for path in paths if path.feed.name == name and path.feed.generation < generation)
        if gone:
            self._drop(prefix, gone, changes, watched)
        return bool(gone)

    # --- questions ---------------------------------------------------------------------------------------------------

    def winner(self, prefix: Prefix) -> Attributes | None:
        """Attributes of exactly this prefix."""
        if not self._tree.has_key(prefix):
            return None
        value = self._tree.get(prefix)
        best: Attributes = value[0] if value.__class__ is tuple else value
        return best

    def add_up(self, seen: Mapping[bytes, int], by_prefix: dict[Prefix, int], *, remember: bool) -> int:
        """Add packed sums (see TrafficBatch) by address to sums by longest match; the packed sum of what has none.

        `remember` addresses of a kind that is asked for many times a second.
        """
        return self._matches.add_up(seen, by_prefix, remember=remember)

    def next_hop(self, prefix: Prefix) -> bytes:
        """The winner's next hop, for a prefix that `match` has just given.

        It is remembered: in a table of a million, a second walk down the tree costs more than all else that is done for
        a sampled prefix.
        """
        hop = self._hops.get(prefix)
        if hop is None:
            if len(self._hops) >= _REMEMBERED:
                self._hops.clear()
            value = self._tree.get(prefix)
            hop = (value[0] if value.__class__ is tuple else value).next_hop
            self._hops[prefix] = hop
        return hop

    def default(self) -> Attributes | None:
        """Attributes of the default route, if there is one."""
        return self.winner(DEFAULT_PREFIX[self.family])

    def covering(self, prefix: Prefix) -> Iterator[Route]:
        """Routes that contain the prefix, longest first, itself included."""
        found = self._tree.get_key(prefix)
        while found is not None:
            attributes = self.winner(found)
            assert attributes is not None
            yield Route(found, attributes)
            found = self._tree.parent(found)

    def more_specifics(self, prefix: Prefix) -> list[Prefix]:
        """Routes strictly inside a prefix of the table, each before those inside it. KeyError if it has no route."""
        found: list[Prefix] = self._tree.children(prefix)
        return found

    def exceptions(self, prefix: Prefix, next_hop: bytes) -> list[Prefix]:
        """The topmost more-specifics of a prefix of the table whose next hop is another than `next_hop`."""
        found: list[Prefix] = []
        children = self._tree.children(prefix)
        if not children:
            return found
        get = self._tree.get
        # The walk gives a parent before its children, and a subtree without a gap: what lies inside the exception
        # found last needs no look at all.
        inside: int = -1
        last_bits = 0
        bits = self.family.bits
        for child in children:
            number = int.from_bytes(child[0], "big")
            if inside >= 0 and number >> (bits - last_bits) == inside:
                continue
            value = get(child)
            if (value[0] if value.__class__ is tuple else value).next_hop != next_hop:
                found.append(child)
                last_bits = child[1]
                inside = number >> (bits - last_bits)
        return found

    def __iter__(self) -> Iterator[Route]:
        """All routes; the table must not change meanwhile."""
        for prefix in self._tree:
            attributes = self.winner(prefix)
            assert attributes is not None
            yield Route(prefix, attributes)
