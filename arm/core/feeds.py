"""Which sessions teach the table, and what becomes of their routes when they go.

A session that goes leaves its routes: they are stale, not gone. When it comes back and has said End-of-RIB, what it did
not teach again is dropped; if it does not come back in time, all of it is. So the table is never empty for a moment
only because a session was. What the peer says is lost, and a family that it does not teach any more, goes at once
(bgp/retention.py says for how long the rest stays).

A session that comes back with much less than before (a BIRD whose own peers are not up yet) is not believed at once:
what it did not teach again is held back, with an alarm, until it has taught most of it or the hold is over.

Invariant: the end of a route's time is set when its session goes, and put off once at most, by a hold. A session that
goes again and again before it has taught everything does not put it off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from arm.model import FAMILIES, Family, Feed, FeedDown, FeedUp

SHRINK: Final = 0.25
"""A table that loses more than this share at once is held back."""
_SMALL: Final = 1000
"""A table that loses fewer routes than this is not held back, whatever the share."""


class Sweep(NamedTuple):
    """Routes that are to be dropped: those of a family that feeds of this name before `generation` have taught."""

    name: str
    generation: int
    family: Family


@dataclass(slots=True)
class Stale:
    """Routes of one family that a session has left: those of its feeds up to `generation`."""

    generation: int
    until: float
    held: bool = False


@dataclass(slots=True)
class Source:
    """One configured session: its latest feed."""

    feed: Feed
    families: frozenset[Family]
    up: bool = True
    complete: set[Family] = field(default_factory=set)
    stale: dict[Family, list[Stale]] = field(default_factory=lambda: {family: [] for family in FAMILIES})
    """What earlier feeds left, the oldest first; while the session is down, what the latest left, too."""

    def sweep(self, family: Family) -> Sweep:
        """All that is stale of a family goes."""
        self.stale[family].clear()
        return Sweep(self.feed.name, self.feed.generation + (0 if self.up else 1), family)


class Feeds:
    """Sessions by name. Pure bookkeeping: the engine does the sweeping."""

    def __init__(self, hold: float) -> None:
        self._hold = hold
        self._sources: dict[str, Source] = {}

    def up(self, event: FeedUp) -> list[Sweep]:
        """A session is there, perhaps again; what goes at once."""
        source = Source(event.feed, event.families)
        before = self._sources.get(event.feed.name)
        self._sources[event.feed.name] = source
        if before is None:
            return []
        source.stale = before.stale
        return [source.sweep(family) for family in FAMILIES if family in event.lost or family not in event.families]

    def is_current(self, feed: Feed) -> bool:
        """False for what an older incarnation of a session still had in the queue."""
        source = self._sources.get(feed.name)
        return source is not None and source.feed is feed

    def down(self, event: FeedDown, now: float) -> list[Sweep]:
        """A session went; what goes at once. The rest stays for the time that the event says."""
        source = self._sources[event.feed.name]
        source.up = False
        for family in source.families - event.lost:
            source.stale[family].append(Stale(event.feed.generation, now + event.retain))
        return [source.sweep(family) for family in FAMILIES if family in event.lost]

    def complete(self, feed: Feed, family: Family) -> None:
        """End-of-RIB came."""
        self._sources[feed.name].complete.add(family)

    def hold(self, feed: Feed, family: Family, now: float) -> None:
        """Keep the stale routes of a family for now, though the session is complete."""
        stale = self._sources[feed.name].stale[family]
        if not stale:
            stale.append(Stale(feed.generation - 1, now))
        for one in stale:
            if not one.held:
                one.held, one.until = True, now + self._hold

    def release(self, feed: Feed, family: Family) -> Sweep:
        """Nothing of a family is held back any more: what is stale goes."""
        return self._sources[feed.name].sweep(family)

    def held(self) -> list[tuple[Feed, Family, float]]:
        """What is held back of sessions that are complete, and until when."""
        return [
            (source.feed, family, stale[-1].until)
            for source in self._sources.values()
            for family, stale in source.stale.items()
            if source.up and family in source.complete and stale
        ]

    def expired(self, now: float) -> list[Sweep]:
        """What is to be dropped now because its time is over; each is named once.

        Not while a session is teaching: what it has not come to yet would go and come again.
        """
        sweeps: list[Sweep] = []
        for source in self._sources.values():
            for family, stale in source.stale.items():
                over = [one.generation for one in stale if now >= one.until]
                if over and (not source.up or family in source.complete):
                    stale[:] = [one for one in stale if now < one.until]
                    sweeps.append(Sweep(source.feed.name, max(over) + 1, family))
        return sweeps

    def waiting(self) -> dict[str, float]:
        """Sessions that are down with routes kept, and until when."""
        kept = [
            (s.feed.name, [one.until for stale in s.stale.values() for one in stale], s.up)
            for s in self._sources.values()
        ]
        return {name: max(until) for name, until, up in kept if until and not up}

    def taught(self) -> frozenset[Family]:
        """Families that a session teaches now."""
        return frozenset(family for source in self._sources.values() if source.up for family in source.families)

    def is_complete(self, family: Family) -> bool:
        """True if a session teaches the family and all that do have said End-of-RIB."""
        teaching = [s for s in self._sources.values() if s.up and family in s.families]
        return bool(teaching) and all(family in s.complete for s in teaching)


def shrinks(before: int, stale: int, small: int = _SMALL) -> bool:
    """True if dropping `stale` of `before` routes is a loss that has to be looked at first; up to `small` never is."""
    return stale > small and stale > before * SHRINK
