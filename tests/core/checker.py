"""An independent judge of the rule that is never broken. It shares no code with arm/core.

It knows two maps, prefix -> next hop: the full table and what is installed (with covers marked). It cuts the address
space at every boundary of every prefix of either map, takes one address of each elementary interval, and compares the
longest matches by scanning all prefixes. Slow, and hard to get wrong.

`Judge` is the same judgement for long runs: it cuts one block of the address space into units as long as the longest
prefix in it, and knows for each unit the longest match of either map. An operation costs as many steps as the prefix
that it concerns has units. Both are tested against each other.
"""

from __future__ import annotations

from collections.abc import Mapping

from arm.model import Entry, Kind, Prefix


def _range(prefix: Prefix) -> tuple[int, int]:
    bits = len(prefix[0]) * 8
    start = int.from_bytes(prefix[0], "big")
    return start, start + (1 << (bits - prefix[1]))


def _longest(address: int, prefixes: Mapping[Prefix, object]) -> Prefix | None:
    best: Prefix | None = None
    for prefix in prefixes:
        start, end = _range(prefix)
        if start <= address < end and (best is None or prefix[1] > best[1]):
            best = prefix
    return best


def violations(table: Mapping[Prefix, bytes], installed: Mapping[Prefix, Entry], default: bytes | None) -> set[int]:
    """Addresses (one for each elementary interval) whose packets would go the wrong way.

    Right is: no installed match; a cover that points where the default does; a route with the next hop of the table's
    longest match.
    """
    points = sorted({point for prefix in (*table, *installed) for point in _range(prefix)})
    wrong: set[int] = set()
    for address in points:
        match = _longest(address, installed)
        if match is None:
            continue
        entry = installed[match]
        if entry.kind is Kind.COVER:
            if default is not None and entry.next_hop == default:
                continue
        else:
            truth = _longest(address, table)
            if truth is not None and table[truth] == entry.next_hop:
                continue
        wrong.add(address)
    return wrong


class Layer:
    """Longest matches of one map from prefix to next hop, unit by unit."""

    def __init__(self, block: Prefix, depth: int) -> None:
        self.base = _range(block)[0]
        self.bits, self.depth = len(block[0]) * 8, depth
        self.shift = self.bits - depth
        self.size = 1 << (depth - block[1])
        self.entries: dict[tuple[int, int], bytes] = {}
        self.length = [-1] * self.size
        self.hop: list[bytes | None] = [None] * self.size

    def units(self, prefix: Prefix) -> range:
        """Units of the block that a prefix has; a prefix around the block has all of them."""
        assert prefix[1] <= self.depth
        start, end = _range(prefix)
        first, last = (start - self.base) >> self.shift, (end - self.base) >> self.shift
        assert 0 <= first < self.size or first < 0 < last, f"{prefix} lies outside"
        return range(max(first, 0), min(last, self.size))

    def put(self, prefix: Prefix, hop: bytes) -> range:
        """Add or replace; the units concerned."""
        units, length = self.units(prefix), prefix[1]
        self.entries[int.from_bytes(prefix[0], "big"), length] = hop
        lengths, hops = self.length, self.hop
        for unit in units:
            if lengths[unit] <= length:
                lengths[unit], hops[unit] = length, hop
        return units

    def remove(self, prefix: Prefix) -> range:
        """Take away; KeyError if it is not there. All units that it was the match of now have the next one above."""
        number, length = int.from_bytes(prefix[0], "big"), prefix[1]
        del self.entries[number, length]
        above, hop = -1, None
        for shorter in range(length - 1, -1, -1):
            around = number >> (self.bits - shorter) << (self.bits - shorter), shorter
            if around in self.entries:
                above, hop = shorter, self.entries[around]
                break
        units = self.units(prefix)
        lengths, hops = self.length, self.hop
        for unit in units:
            if lengths[unit] == length:
                lengths[unit], hops[unit] = above, hop
        return units


class Judge:
    """The rule and the slot limit after every single operation, in one block with nothing longer than `depth`."""

    def __init__(self, block: Prefix, depth: int, slots: int) -> None:
        self.table = Layer(block, depth)
        self.stands = Layer(block, depth)
        self.slots = slots
        self.default: bytes | None = None
        self.wrong: set[int] = set()
        self.operations = 0
        self.most = 0

    def learn(self, prefix: Prefix, hop: bytes | None) -> None:
        """The table changes: `hop` None withdraws. What it makes wrong has to be repaired by the plan that follows."""
        if not prefix[1]:
            self.default = hop
        if hop is not None:
            self._look(self.table.put(prefix, hop))
        elif (int.from_bytes(prefix[0], "big"), prefix[1]) in self.table.entries:
            self._look(self.table.remove(prefix))

    def _look(self, units: range) -> bool:
        """Judge these units anew; True if one of them is wrong that was not."""
        wrong, truth, stands, default = self.wrong, self.table.hop, self.stands.hop, self.default
        worse = False
        for unit in units:
            hop = stands[unit]
            if hop is None or hop in (truth[unit], default):
                wrong.discard(unit)
            elif unit not in wrong:
                wrong.add(unit)
                worse = True
        return worse

    def apply(self, prefix: Prefix, hop: bytes | None) -> None:
        """The hardware changes. No operation may make anything wrong, remove what is not there, or need a slot more."""
        units = self.stands.put(prefix, hop) if hop is not None else self.stands.remove(prefix)
        self.operations += 1
        assert not self._look(units), f"operation {self.operations} on {prefix} sends packets the wrong way"
        used = len(self.stands.entries)
        assert used <= self.slots, f"operation {self.operations} takes slot {used} of {self.slots}"
        self.most = max(self.most, used)

    def settle(self) -> None:
        """After a plan nothing may be wrong."""
        assert not self.wrong, f"{len(self.wrong)} units are wrong after operation {self.operations}"
