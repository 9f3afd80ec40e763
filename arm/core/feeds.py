"""Which sessions teach the table, and what becomes of their routes when they go.

A session that goes leaves its routes: they are stale, not gone. When it comes back and has said End-of-RIB, what it did
not teach again is dropped; if it does not come back in time, all of it is. So the table is never empty for a moment
only because a session was.

A session that comes back with much less than before (a BIRD whose own peers are not up yet) is not believed at once:
what it did not teach again is held back, with an alarm, until it has taught most of it or the hold is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from arm.model import Family, Feed, FeedUp

SHRINK: Final = 0.25
"""A table that loses more than this share at once is held back."""
_SMALL: Final = 1000
"""A table that loses fewer routes than this is not held back, whatever the share."""


@dataclass(slots=True)
class Source:
    """One configured session: its latest feed."""

    feed: Feed
    families: frozenset[Family]
    up: bool = True
    complete: set[Family] = field(default_factory=set)
    gone_at: float | None = None
    """When its routes are dropped unless it comes back."""
    held: dict[Family, float] = field(default_factory=dict)
    """Families whose stale routes are held back, until when at most."""


class Feeds:
    """Sessions by name. Pure bookkeeping: the engine does the sweeping."""

    def __init__(self, hold: float) -> None:
        self._hold = hold
        self._sources: dict[str, Source] = {}

    def up(self, event: FeedUp) -> None:
        """A session is there, perhaps again."""
        self._sources[event.feed.name] = Source(event.feed, event.families)

    def is_current(self, feed: Feed) -> bool:
        """False for what an older incarnation of a session still had in the queue."""
        source = self._sources.get(feed.name)
        return source is not None and source.feed is feed

    def down(self, feed: Feed, gone_at: float) -> None:
        """A session went; its routes stay until `gone_at`."""
        source = self._sources[feed.name]
        source.up = False
        source.gone_at = gone_at
        source.held.clear()

    def complete(self, feed: Feed, family: Family) -> None:
        """End-of-RIB came."""
        self._sources[feed.name].complete.add(family)

    def hold(self, feed: Feed, family: Family, now: float) -> None:
        """Keep the stale routes of a family for now."""
        self._sources[feed.name].held.setdefault(family, now + self._hold)

    def release(self, feed: Feed, family: Family) -> None:
        """The stale routes of a family are no longer held back."""
        self._sources[feed.name].held.pop(family, None)

    def held(self) -> list[tuple[Feed, Family, float]]:
        """What is held back, and until when."""
        return [(s.feed, family, until) for s in self._sources.values() for family, until in s.held.items()]

    def expired(self, now: float) -> list[Feed]:
        """Sessions whose routes are to be dropped now; each is named once."""
        gone = [s for s in self._sources.values() if not s.up and s.gone_at is not None and now >= s.gone_at]
        for source in gone:
            source.gone_at = None
        return [source.feed for source in gone]

    def waiting(self) -> list[tuple[Feed, float]]:
        """Sessions that are down with their routes kept, and until when."""
        return [(s.feed, s.gone_at) for s in self._sources.values() if not s.up and s.gone_at is not None]

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
