"""What is in hardware: the installed entries of one address family, as the changes decided so far leave them.

Invariant: `len(fib)` slots are used; the tree and the dictionary name the same prefixes. Every mutation is recorded
as a Change, in order, so that what the target is told and what the engine believes can not drift apart. Whether a
change is *right* is the planner's business (core/plan.py).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping

from pytricia import PyTricia

from arm.model import Attributes, Change, Entry, Family, Kind, Prefix, Reason

"""The reason of a change that tells a target what it may have known before."""


class Fib:
    """Installed entries with longest match, parents and children; collects changes until `take` is called."""

    __slots__ = (
        "_changes", "_followed", "_tree", "added", "covers", "entries", "family", "removed", "replaced", "undo",
    )  # fmt: skip

    def __init__(self, family: Family) -> None:
        self.family = family
        self.entries: dict[Prefix, Entry] = {}
        self.covers = 0
        """Entries that are covers."""
        self._tree = PyTricia(family.bits, socket.AF_INET if family is Family.IPV4 else socket.AF_INET6, True)
        self._changes: list[Change] = []
        self._followed = 0
        """How many of them `news` has handed out."""
        self.undo: list[Entry | None] = []
        """For each pending change, what stood at its prefix before."""
        self.added = 0
        self.removed = 0
        self.replaced = 0

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, prefix: object) -> bool:
        return prefix in self.entries

    # --- questions ---------------------------------------------------------------------------------------------------

    def match(self, prefix: Prefix) -> Prefix | None:
        """Closest installed prefix that contains `prefix`, itself included."""
        # Most of what is asked for stands itself, and a dictionary answers ten times as fast.
        if prefix in self.entries:
            return prefix
        found: Prefix | None = self._tree.get_key(prefix)
        return found

    def parent(self, prefix: Prefix) -> Prefix | None:
        """Closest installed prefix strictly above `prefix`, which need not be installed itself."""
        found: Prefix | None = self._tree.parent(prefix) if prefix in self.entries else self._tree.get_key(prefix)
        return found

    def inside(self, prefix: Prefix) -> list[Prefix]:
        """Installed prefixes strictly inside an installed prefix, each before those inside it."""
        found: list[Prefix] = self._tree.children(prefix)
        return found

    def ancestors(self, prefix: Prefix) -> Iterator[Prefix]:
        """Installed prefixes strictly above `prefix`, closest first."""
        above = self.parent(prefix)
        while above is not None:
            yield above
            above = self._tree.parent(above)

    # --- changes -----------------------------------------------------------------------------------------------------

    def put(self, prefix: Prefix, kind: Kind, attributes: Attributes, reason: Reason) -> None:
        """Install an entry, or replace the one that is there."""
        entry = Entry(kind, attributes)
        old = self.entries.get(prefix)
        if old is None:
            self.added += 1
        else:
            self.replaced += 1
        self._record(Change(prefix, entry, reason), old)
        self.assume(prefix, entry)

    def remove(self, prefix: Prefix, reason: Reason) -> None:
        """Take an installed entry out."""
        self.removed += 1
        self._record(Change(prefix, None, reason), self.entries[prefix])
        self.assume(prefix, None)

    def assume(self, prefix: Prefix, entry: Entry | None) -> None:
        """Take note of what stands at a prefix without a change: what was found, or what a failed change left."""
        old = self.entries.get(prefix)
        if old is not None and old.kind is Kind.COVER:
            self.covers -= 1
        if entry is None:
            if old is not None:
                del self.entries[prefix]
                self._tree.delete(prefix)
            return
        if entry.kind is Kind.COVER:
            self.covers += 1
        self.entries[prefix] = entry
        if old is None:
            self._tree[prefix] = None

    def restate(self) -> None:
        """Put every entry among the changes once more, longest prefixes first, in place of what is pending."""
        self._changes = [
            Change(prefix, entry, Reason.RESENT)
            for prefix, entry in sorted(self.entries.items(), key=lambda item: -item[0][1])
        ]
        self.undo = [None] * len(self._changes)
        self._followed = len(self._changes)

    def _record(self, change: Change, old: Entry | None) -> None:
        self._changes.append(change)
        self.undo.append(old)

    @property
    def pending(self) -> int:
        """Changes since the last take."""
        return len(self._changes)

    @property
    def is_new(self) -> bool:
        """True if all that stands has been put in since the last take."""
        return len(self._changes) == len(self.entries) and all(old is None for old in self.undo)

    def news(self) -> list[Change]:
        """The pending changes that no earlier call has handed out: each of them is followed exactly once."""
        start, self._followed = self._followed, len(self._changes)
        return self._changes[start:]

    def take(self) -> tuple[list[Change], list[Entry | None]]:
        """The changes since the last call, and what stood at their prefixes before each of them."""
        changes, undo = self._changes, self.undo
        self._changes, self.undo, self._followed = [], [], 0
        return changes, undo

    def snapshot(self) -> Mapping[Prefix, Entry]:
        """A copy that nobody changes."""
        return dict(self.entries)
