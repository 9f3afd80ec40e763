"""Says of every packet whether the peer that got it was right, from what the upstreams had told and when.

Right means: the next hop of the longest match in the full table, or the default's. This is the rule ARM exists for,
worked out here from the journals of the upstreams and the records of the receivers, and from nothing of arm.core.

A change needs time from the upstream through BIRD, ARM and BIRD again to the kernel, so a packet is also right by what
was told up to a stated lag before it was sent. `lag` gives how long ago the peer was right last: 0 if it was so while
the packet was on its way, infinity if never.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from arm.model import FAMILIES, Family, parse_prefix
from arm.simulate.receiver import RECORD, destination_of
from arm.simulate.table import Table

Rank = tuple[int, int]
Key = tuple[int, int]
"""(network address as an integer, length)"""
NEVER = float("inf")
BEGINNING = 0
TABLE = "as in the table"


@dataclass
class Told:
    """What one upstream told: changes of prefixes, and when its session was there."""

    changes: dict[tuple[Family, Key], list[tuple[int, Rank | str | None]]] = field(default_factory=dict)
    """When each prefix was told otherwise, and how; TABLE: as in the table again, by a process that knows no other."""
    sessions: list[tuple[int, str]] = field(default_factory=list)

    @classmethod
    def read(cls, journal: Path) -> Told:
        told = cls()
        for line in journal.read_text().splitlines():
            entry = json.loads(line)
            if "session" in entry:
                started = entry["session"] == "started"
                told.sessions.append((entry["at"], "down" if started else entry["session"]))
                if started:
                    for changes in told.changes.values():
                        changes.append((entry["at"], TABLE))
                continue
            packed, length = parse_prefix(entry["prefix"])
            family = FAMILIES[len(packed) == 16]
            rank = None if entry["rank"] is None else tuple(entry["rank"])
            told.changes.setdefault((family, (int.from_bytes(packed, "big"), length)), []).append((entry["at"], rank))
        return told

    def session(self, at: int) -> str:
        """up, complete or down at this time."""
        index = bisect_right(self.sessions, (at, "~")) - 1
        return self.sessions[index][1] if index >= 0 else "down"


class Judge:
    """The full table as both upstreams told it over time."""

    def __init__(self, table: Table, told: Mapping[str, Told], default: Mapping[str, Rank]) -> None:
        """`told` and `default` (rank of the default route) by the letters of the peers; a wins a tie."""
        self._told = told
        self._letters = sorted(told)
        self._default = default
        self._base: dict[Family, dict[Key, int]] = {}
        self._paths = table.paths
        self._lengths: dict[Family, list[int]] = {}
        for family in FAMILIES:
            entries, shift = table.families[family], family.bits - table.families[family].bits
            self._base[family] = {
                (address << shift, length): path
                for address, length, path in zip(entries.addresses, entries.lengths, entries.paths, strict=True)
            }
            lengths = set(entries.lengths)
            for one in told.values():
                lengths |= {key[1] for changed, key in one.changes if changed is family}
            self._lengths[family] = sorted(lengths - {0}, reverse=True)
        self._known: dict[bytes, tuple[list[int], list[frozenset[str]]]] = {}

    def allowed(self, destination: bytes, at: int) -> frozenset[str]:
        """The peers that are right for this address at this time."""
        return self._at(destination, self._candidates(destination), at)

    def wants(self, destination: bytes, at: int) -> frozenset[str]:
        """The peers that the full table alone may choose, without regard to the default route."""
        return self._choice(self._candidates(destination), at)

    def lag(self, destination: bytes, letter: str, sent: int, received: int) -> float:
        """Seconds before `sent` at which this peer was right for the address last."""
        times, states = self._states(destination)
        index = bisect_right(times, received) - 1
        while index >= 0 and letter not in states[index]:
            index -= 1
        if index < 0:
            return NEVER
        end = times[index + 1] if index + 1 < len(times) else received
        return 0.0 if end >= sent else (sent - end) / 1e9

    # --- inside ------------------------------------------------------------------------------------------------

    def _states(self, destination: bytes) -> tuple[list[int], list[frozenset[str]]]:
        """Times at which something changed for this address, and who was right from each of them on."""
        known = self._known.get(destination)
        if known is None:
            candidates = self._candidates(destination)
            times = {BEGINNING} | {at for told in self._told.values() for at, _ in told.sessions}
            for told in self._told.values():
                for candidate in (*candidates, (FAMILIES[len(destination) == 16], (0, 0))):
                    times |= {at for at, _ in told.changes.get(candidate, ())}
            ordered = sorted(times)
            known = ordered, [self._at(destination, candidates, at) for at in ordered]
            self._known[destination] = known
        return known

    def _candidates(self, destination: bytes) -> list[tuple[Family, Key]]:
        """Prefixes that contain the address and were ever told, longest first."""
        family = FAMILIES[len(destination) == 16]
        value, bits = int.from_bytes(destination, "big"), family.bits
        found = []
        for length in self._lengths[family]:
            key = (value >> (bits - length) << (bits - length), length)
            if key in self._base[family] or any((family, key) in told.changes for told in self._told.values()):
                found.append((family, key))
        return found

    def _at(self, destination: bytes, candidates: Sequence[tuple[Family, Key]], at: int) -> frozenset[str]:
        family = FAMILIES[len(destination) == 16]
        default = (family, (0, 0))
        return self._choice(candidates, at) | self._choice([default], at)

    def _choice(self, candidates: Sequence[tuple[Family, Key]], at: int) -> frozenset[str]:
        """Peers that may be best by the longest candidate somebody tells; more than one while a session comes up."""
        chosen: set[str] = set()
        for candidate in candidates:
            options = [self._options(letter, candidate, at) for letter in self._letters]
            open_end = False
            for first in options[0]:
                for second in options[1]:
                    if first is None and second is None:
                        open_end = True
                    elif second is None or (first is not None and first <= second):
                        chosen.add(self._letters[0])
                    else:
                        chosen.add(self._letters[1])
            if not open_end:
                break
        return frozenset(chosen)

    def _options(self, letter: str, candidate: tuple[Family, Key], at: int) -> tuple[Rank | None, ...]:
        """Ranks that the switch may have of this upstream for a prefix; None: it does not have it."""
        told = self._told[letter]
        session = told.session(at)
        if session == "down":
            return (None,)
        family, key = candidate
        changes = told.changes.get(candidate, [])
        index = bisect_right(changes, at, key=lambda change: change[0]) - 1
        change = changes[index][1] if index >= 0 else TABLE
        rank: Rank | None
        if not isinstance(change, str):
            rank = change
        elif key == (0, 0):
            rank = self._default.get(letter)
        else:
            path = self._base[family].get(key)
            rank = None if path is None else self._paths.rank(path, self._letters.index(letter))
        return (rank,) if session == "complete" or rank is None else (rank, None)


def packets(log: Path, since: int = 0) -> Iterator[tuple[bytes, int, int, int, int]]:
    """(destination, number, sent, received, octets) of every whole record behind so many octets of a receiver's log."""
    with log.open("rb") as file:
        file.seek(since)
        data = file.read()
    for packed, number, sent, received, octets in RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size]):
        yield destination_of(packed), number, sent, received, octets


def default_ranks(default: str) -> dict[str, Rank]:
    """Ranks of the default routes, by the letters of the peers, when this peer's is to win."""
    return {letter: (1 if letter == default else 3, 0) for letter in "ab"}
