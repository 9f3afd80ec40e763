"""A forwarding table that judges: what becomes of each destination, after every single change.

It shares no code with arm/core: entries stand in one dictionary for each prefix length, and a lookup probes them from
the longest to the shortest. Only the destinations inside a changed prefix are looked at again, so the judgement is made
after each operation, not only at the end of a plan, and costs what changed.

A destination is *carried* if its packets leave over the next hop of its longest match in the table; *wrong* if an
installed route sends them over another one; otherwise it follows the default.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import compress

from arm.model import Change, Kind
from arm.simulate.compare.world import DEFAULT_HOP, World


class Hardware:
    """What one contestant has installed in one world."""

    def __init__(self, world: World, slots: int) -> None:
        self._world = world
        self._slots = slots
        self._entries: dict[int, dict[int, bytes | None]] = {}
        self._lengths: list[int] = []
        self.used = 0
        self.covers = 0
        self.most_used = 0
        self.carried = bytearray(len(world.addresses))
        self.wrong: set[int] = set()
        self.wrong_operations = 0
        """Changes after which a destination was forwarded the wrong way."""
        self.overfull_operations = 0
        self.causes: Counter[str] = Counter()
        self._default = world.next_hops[DEFAULT_HOP]
        self.judge(range(len(world.addresses)))

    def _match(self, address: int) -> bytes | None:
        """Next hop that an installed route gives an address; None for the default, by a cover or without a match."""
        for length in self._lengths:
            table = self._entries[length]
            key = address >> (32 - length)
            if key in table:
                return table[key]
        return None

    def judge(self, destinations: Iterable[int]) -> None:
        """Look at these destinations anew."""
        world, default = self._world, self._default
        for n in destinations:
            hop, right = self._match(world.addresses[n]), world.hop(n)
            self.carried[n] = (default if hop is None else hop) == right
            if hop is not None and hop != right:
                self.wrong.add(n)
            else:
                self.wrong.discard(n)

    def apply(self, changes: Sequence[Change]) -> None:
        """Make changes one after the other, with a judgement after each."""
        for change in changes:
            (packed, length), entry = change.prefix, change.entry
            table = self._entries.get(length)
            if table is None:
                table = self._entries[length] = {}
                self._lengths = sorted(self._entries, reverse=True)
            key = int.from_bytes(packed, "big") >> (32 - length)
            if key in table:
                self.used -= 1
                self.covers -= table[key] is None
            if entry is None:
                del table[key]
            else:
                table[key] = entry.next_hop if entry.kind is Kind.ROUTE else None
                self.used += 1
                self.covers += entry.kind is Kind.COVER
            self.causes[change.reason.value] += 1
            self.judge(self._world.inside(change.prefix))
            self.wrong_operations += bool(self.wrong)
            self.overfull_operations += self.used > self._slots
        self.most_used = max(self.most_used, self.used)

    def carried_bytes(self, rates: Sequence[float]) -> float:
        """Bytes per second that are forwarded over the right next hop."""
        return sum(compress(rates, self.carried))

    def wrong_bytes(self, rates: Sequence[float]) -> float:
        """Bytes per second that an installed route sends the wrong way."""
        return sum(rates[n] for n in self.wrong)
