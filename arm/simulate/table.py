"""A full table in little memory: arrays of addresses, lengths and path numbers, ordered by path.

It is what a simulated upstream announces, what the traffic generator draws destinations from, and what tests know to
be true. Prefixes of one path stand next to each other, as they share an UPDATE. An IPv6 prefix is at most a /64 and
kept as the upper half of its address, so an entry costs 13 octets and a full table 17 MB.

Invariants: no prefix twice in a family, no host bits, no prefix outside the address space that is routed on the
Internet (see shape). The same arguments give the same table on every machine.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Self

from arm.model import FAMILIES, Family, Prefix
from arm.simulate.paths import Paths

_MAGIC: Final = "arm-table-1"


class FamilyTable:
    """The prefixes of one family: three parallel arrays."""

    __slots__ = ("_by_address", "addresses", "bits", "family", "lengths", "paths")

    def __init__(self, family: Family) -> None:
        self.family = family
        self.bits = 32 if family is Family.IPV4 else 64
        """Bits of an address that are kept: all of IPv4, the upper half of IPv6."""
        self.addresses = array("Q")
        self.lengths = array("B")
        self.paths = array("I")
        self._by_address: array[int] | None = None

    def __len__(self) -> int:
        return len(self.addresses)

    def append(self, address: int, length: int, path: int) -> None:
        """Add one prefix; `address` is the kept upper bits as an integer."""
        self.addresses.append(address)
        self.lengths.append(length)
        self.paths.append(path)

    def packed(self, address: int) -> bytes:
        """A whole packed address of the kept upper bits."""
        return address.to_bytes(4, "big") if self.bits == 32 else address.to_bytes(8, "big") + bytes(8)

    def prefix(self, index: int) -> Prefix:
        """The prefix at this place of the table."""
        return self.packed(self.addresses[index]), self.lengths[index]

    def prefixes(self) -> Iterator[Prefix]:
        """All prefixes in table order."""
        return map(self.prefix, range(len(self)))

    def find(self, prefix: Prefix) -> int | None:
        """Place of an exact prefix; None if it is not there. The first call sorts the table aside (a second or so)."""
        size = len(self)
        if self._by_address is None or len(self._by_address) != size:
            self._by_address = array("I", sorted(range(size), key=self.addresses.__getitem__))
        wanted = int.from_bytes(prefix[0][: self.bits // 8], "big")
        at = bisect_left(self._by_address, wanted, key=self.addresses.__getitem__)
        while at < size and self.addresses[index := self._by_address[at]] == wanted:
            if self.lengths[index] == prefix[1]:
                return index
            at += 1
        return None

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """(path, start, end) of every run of prefixes that share a path."""
        paths, start, size = self.paths, 0, len(self.paths)
        while start < size:
            path, end = paths[start], start + 1
            while end < size and paths[end] == path:
                end += 1
            yield path, start, end
            start = end

    def sort_by_path(self) -> None:
        """Bring prefixes of one path together; those of a path keep their order."""
        order = sorted(range(len(self)), key=self.paths.__getitem__)
        self._by_address = None
        self.addresses = array("Q", map(self.addresses.__getitem__, order))
        self.lengths = array("B", map(self.lengths.__getitem__, order))
        self.paths = array("I", map(self.paths.__getitem__, order))


class Table:
    """Both families and their paths."""

    __slots__ = ("families", "paths")

    def __init__(self, families: Mapping[Family, FamilyTable], paths: Paths) -> None:
        self.families = families
        self.paths = paths

    def __len__(self) -> int:
        return sum(map(len, self.families.values()))

    def save(self, path: Path) -> None:
        """Write the table in the machine's byte order, for other processes of the same machine."""
        head = {
            "magic": _MAGIC,
            "seed": self.paths.seed,
            "share": self.paths.share,
            "paths": len(self.paths),
            "prefixes": [len(self.families[family]) for family in FAMILIES],
        }
        partial = path.with_suffix(path.suffix + ".partial")
        with partial.open("wb") as file:
            file.write(json.dumps(head).encode() + b"\n")
            array("I", self.paths.origins).tofile(file)
            for family in FAMILIES:
                table = self.families[family]
                table.addresses.tofile(file)
                table.lengths.tofile(file)
                table.paths.tofile(file)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; ValueError if it is something else."""
        with path.open("rb") as file:
            try:
                head = json.loads(file.readline(4096))
                if head["magic"] != _MAGIC:
                    raise ValueError(f"{path} is not a table")
                origins = array("I")
                origins.fromfile(file, head["paths"])
                families = {}
                for family, size in zip(FAMILIES, head["prefixes"], strict=True):
                    table = families[family] = FamilyTable(family)
                    table.addresses.fromfile(file, size)
                    table.lengths.fromfile(file, size)
                    table.paths.fromfile(file, size)
            except (ValueError, KeyError, TypeError, EOFError) as error:
                raise ValueError(f"{path} is not a table: {error}") from None
        return cls(families, Paths(seed=head["seed"], origins=origins, share=head["share"]))
