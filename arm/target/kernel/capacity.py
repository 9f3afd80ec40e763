"""How many routes of ARM's fit, from what the hardware says and from what it refuses.

Three voices, the lowest counts: the configuration (not known here: the engine takes the lower of its own number and
this one), what the hardware says of its tables (hardware.py), and what was learned when routes were refused for lack of
room. Pure; time arrives as `now`.

- One refusal is no full table: in an ASIC that hashes, one route of a hundred may find no place in a table that is half
  empty. Full is what refuses REFUSALS different ones with the same number of routes in it, and held no more in between.
- What was learned is what stood then. It grows again by a slow probe, for room may come back: each step is twice the
  one before until one is refused; after that the next probe starts small and comes later.
"""

from __future__ import annotations

from dataclasses import dataclass

from arm.model import Capacity, Family, Prefix

REFUSALS = 5
MOST_UNLUCKY = 10_000
PROBE_SECONDS = 60.0
LONGEST_PROBE_SECONDS = 600.0
PROBE_SHARE = 0.01
"""First step of a probe, as a share of what was learned."""
HEADROOM = 0.01
"""Share of a hardware table that is left to the routes of others: interfaces, neighbours, the IGP."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the hardware says of one family's table."""

    used: int
    """Entries in use, by ARM and by others."""
    maximum: int
    source: str
    cost: int = 1
    """Entries that one route takes."""


class CapacityEstimate:
    """The number of ARM's routes of one family that fit, as far as it is known."""

    def __init__(self, family: Family, *, ceiling: int) -> None:
        self._family = family
        self.ceiling = ceiling
        """The configured number of slots, which may change: learning ends when it is reached."""
        self._reading: Reading | None = None
        self._measured: int | None = None
        self.learned: int | None = None
        """What fitted when the table was full; None while it never was."""
        self._stood = 0
        self._in_a_row = 0
        self._unlucky: set[Prefix] = set()
        """What was refused before: that it is again says nothing of the others."""
        self._step = 0
        self._interval = PROBE_SECONDS
        self._next_probe = 0.0
        self._told: tuple[int | None, int | None, str] | None = None
        """Nothing yet: the first word says that nothing is known, for what an earlier session has learned."""

    def read(self, reading: Reading, own: int) -> None:
        """The hardware's word, while ARM has `own` routes in it: what is free can become ARM's.

        A word that comes late may not have counted the newest of `own`: more than the table holds is never believed.
        """
        self._reading = reading
        limit = reading.maximum - int(reading.maximum * HEADROOM)
        self._measured = max(0, min(own + (limit - reading.used) // reading.cost, limit // reading.cost))

    def refused(self, now: float, held: int, prefix: Prefix) -> None:
        """A route was refused for lack of room while `held` others stood."""
        if prefix in self._unlucky:
            return
        if len(self._unlucky) >= MOST_UNLUCKY:
            self._unlucky.clear()
        self._unlucky.add(prefix)
        if held != self._stood:
            self._in_a_row = 0
        self._stood = held
        self._in_a_row += 1
        if self._in_a_row == REFUSALS:
            probing = self.learned is not None
            self._interval = min(self._interval * 2, LONGEST_PROBE_SECONDS) if probing else PROBE_SECONDS
            self._next_probe = now + self._interval
        if self._in_a_row >= REFUSALS:
            self.learned = held
            self._step = max(2 * REFUSALS, int(held * PROBE_SHARE))

    def held(self, most: int) -> None:
        """So many routes stood since the last refusal: if that is more than then, there was room after all."""
        if most > self._stood and self._in_a_row:
            self._in_a_row = 0
            self._interval = PROBE_SECONDS

    def tick(self, now: float) -> None:
        """Probe if it is time."""
        if self.learned is not None and now >= self._next_probe:
            self.learned += self._step
            self._step *= 2
            self._in_a_row = min(self._in_a_row, 1)
            self._unlucky.clear()
            self._next_probe = now + self._interval
            if self.learned >= self.ceiling:
                self.learned = None
                self._interval = PROBE_SECONDS

    def news(self) -> Capacity | None:
        """What is known now, if it is not what was told last."""
        voices = [
            (n, s) for n, s in ((self._measured, self._reading and self._reading.source), (self.learned, "refused"))
        ]
        known = [(slots, source or "") for slots, source in voices if slots is not None]
        slots, source = min(known) if known else (None, "")
        told = (slots, self._reading.used if self._reading else None, source)
        if told == self._told:
            return None
        self._told = told
        return Capacity(self._family, *told)

    def remark(self) -> str:
        """What the engineer should know of it, in words that stay the same while it does; empty if nothing."""
        if self.learned is None:
            return ""
        return (
            f"the hardware is full: {self._family.label} routes beyond {self._stood:,} were refused for lack of room; "
            f"ARM uses {self.learned:,} slots of the {self.ceiling:,} configured, and tries for more now and then"
        )
