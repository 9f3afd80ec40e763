"""How many routes of ARM's fit, from what the hardware says and from what it refuses.

Three voices, the lowest counts: the configuration (not known here: the engine takes the lower of its own number and
this one), what the hardware says of its tables (hardware.py), and what was learned when it refused a route for lack of
room. What was learned starts at what fitted and grows again by a slow probe: room may come back, or one refusal may
have been about one route only. Pure; time arrives as `now`.
"""

from __future__ import annotations

from dataclasses import dataclass

from arm.model import Capacity, Family

PROBE_SECONDS = 60.0
LONGEST_PROBE_SECONDS = 3600.0
PROBE_SHARE = 0.01
"""Growth of what was learned with each probe."""
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
        """`ceiling` is the configured number of slots: learning ends when it is reached."""
        self._family = family
        self._ceiling = ceiling
        self._reading: Reading | None = None
        self._measured: int | None = None
        self._learned: int | None = None
        self._interval = PROBE_SECONDS
        self._next_probe = 0.0
        self._told: tuple[int | None, int | None, str] = (None, None, "")

    def read(self, reading: Reading, own: int) -> None:
        """The hardware's word, while ARM has `own` routes in it: what is free can become ARM's."""
        self._reading = reading
        free = (reading.maximum - reading.used - int(reading.maximum * HEADROOM)) // reading.cost
        self._measured = max(0, own + free)

    def refused(self, now: float, fitted: int) -> None:
        """A route was refused for lack of room, and at most `fitted` went in."""
        probing = self._learned is not None
        self._interval = min(self._interval * 2, LONGEST_PROBE_SECONDS) if probing else PROBE_SECONDS
        self._learned = fitted
        self._next_probe = now + self._interval

    def tick(self, now: float) -> None:
        """Probe if it is time."""
        if self._learned is not None and now >= self._next_probe:
            self._learned += max(1, int(self._learned * PROBE_SHARE))
            self._next_probe = now + self._interval
            if self._learned >= self._ceiling:
                self._learned = None
                self._interval = PROBE_SECONDS

    def news(self) -> Capacity | None:
        """What is known now, if it is not what was told last."""
        voices = [
            (n, s) for n, s in ((self._measured, self._reading and self._reading.source), (self._learned, "refused"))
        ]
        known = [(slots, source or "") for slots, source in voices if slots is not None]
        slots, source = min(known) if known else (None, "")
        told = (slots, self._reading.used if self._reading else None, source)
        if told == self._told:
            return None
        self._told = told
        return Capacity(self._family, *told)
