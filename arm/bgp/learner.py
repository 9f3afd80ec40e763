"""One incarnation of a session that teaches routes: what comes over it becomes events of one Feed.

The initial routes end with the peer's End-of-RIB (RFC 4724). A peer that sends none is taken to be done when it has
been quiet for a while. As the peer of a full table may never be quiet, it is also taken to be done when what it
announces has fallen to a trickle beside what it has announced so far, and after ten minutes in any case (decision 074).
Time in which ARM itself does not read counts for none of them.

While they last, the peer is nudged when it falls silent: BIRD 2.0 was seen to leave the rest of a table in its queue
until its main loop wakes up for another reason, up to three seconds later. ARM owes the peer an End-of-RIB of its own
for each family, as it announces nothing; these go out first, then keepalives, at most one a second (RFC 4271 section
4.4).

Invariant: FeedUp first, FeedDown last, and one FeedComplete in between for each family, unless the session ends before.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from arm.bgp.interner import Interner
from arm.bgp.peer import Agreement, Peer
from arm.bgp.retention import Loss, forgotten, kept
from arm.bgp.wire import KEEPALIVE_MESSAGE, end_of_rib
from arm.model import Attributes, Event, Family, Feed, FeedComplete, FeedDown, FeedUp, Prefix, RoutesLearned

log = logging.getLogger(__name__)

_LOG_INTERVAL: Final = 10.0
"""Seconds between two log lines about malformed UPDATEs of a session."""

QUIET: Final = 5.0
"""Seconds of silence that end the initial routes of a peer without graceful restart."""
QUIET_GRACEFUL: Final = 60.0
"""The same for a peer that should send End-of-RIB, and does not."""

TRICKLE_WAITS: Final = 3
"""How many of the above times the peer is watched for a trickle."""
TRICKLE: Final = 0.01
"""The initial routes are over when less than this share of all that was announced came in that time. A table that flows
evenly gives more for a hundred such times; 1.3 million routes are followed by some 50 changes a second."""
TRICKLE_ROUTES: Final = 100
"""Fewer prefixes than this in that time are a trickle, however small the table is."""
MOST: Final = 600.0
"""Seconds after which the initial routes are over whatever comes. BIRD sends a full table to a switch in one."""

_LARGE: Final = 10_000
_REST: Final = 0.5
"""Seconds for which a peer that has a large table to tell is left alone once: it then has most of it ready, and puts
all prefixes of a path into one UPDATE instead of sending them as it comes upon them. ARM's work is a quarter less then.
"""

_NUDGE: Final = 0.05
"""Seconds of silence before a nudge."""
_KEEPALIVE_SPACING: Final = 1.0


@dataclass(slots=True)
class RouteCounters:
    """Over all incarnations of a session."""

    announced: int = 0
    withdrawn: int = 0
    malformed: int = 0
    looped: int = 0


class Learner:
    """Belongs to the I/O thread. `send` takes octets for the peer."""

    def __init__(
        self,
        peer: Peer,
        agreement: Agreement,
        *,
        generation: int,
        own_ids: Collection[bytes],
        emit: Callable[[Event], None],
        send: Callable[[bytes], None],
        counters: RouteCounters,
        quiet: float | None,
        now: float,
    ) -> None:
        """`quiet` overrides the two waits above, in seconds."""
        self.feed = Feed(peer.name, peer.address, generation, peer.peer_as, agreement.peer.router_id)
        self.interner = Interner(
            self.feed,
            four_octet=agreement.four_octet,
            internal=peer.internal,
            own_ids=own_ids,
            families=agreement.families,
            add_path=agreement.add_path,
        )
        self._agreement = agreement
        self._emit = emit
        self._send = send
        self._counters = counters
        self._incomplete = set(agreement.families)
        self._owed = [end_of_rib(family) for family in sorted(agreement.families)]
        if quiet is None:
            quiet = QUIET if agreement.peer.restart_time is None else QUIET_GRACEFUL
        self._quiet = quiet
        self._end_at = now + MOST
        self._announced = 0
        self._look_at = now + TRICKLE_WAITS * quiet
        self._announced_then = 0
        """When the last look for a trickle was."""
        self._paused_at: float | None = None
        self.remark = ""
        """What is not as it should be with this session's routes."""
        self._told = 0
        """Malformed UPDATEs that the log tells of."""
        self._tell_at = now
        self._heard_at = now
        self._nudge_at = now + _NUDGE
        self._until_rest = _LARGE
        self.rest_until: float | None = None
        emit(FeedUp(self.feed, agreement.families, forgotten(agreement.peer)))

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do next."""
        if not self._incomplete:
            return None
        return min(self._nudge_at, self._heard_at + self._quiet, self._look_at, self._end_at)

    def resting(self, now: float) -> bool:
        """True while the peer should be left alone, until `rest_until`."""
        if self.rest_until is not None and now >= self.rest_until:
            self.rest_until = None
        return self.rest_until is not None

    def learned(self, updates: Sequence[tuple[Attributes | None, Sequence[Prefix]]], now: float) -> None:
        """Routes, in order."""
        self.heard(now)
        if self.interner.malformed != self._told and now >= self._tell_at:
            self._tell_malformed(now)
        before = self._announced
        for attributes, prefixes in updates:
            if attributes is None:
                self._counters.withdrawn += len(prefixes)
            else:
                self._announced += len(prefixes)
                self._until_rest -= len(prefixes)
        self._counters.announced += self._announced - before
        if self._until_rest <= 0:
            self._until_rest = sys.maxsize
            if self._incomplete:
                self.rest_until = now + _REST
        self._emit(RoutesLearned(self.feed, updates))

    def _tell_malformed(self, now: float) -> None:
        count, self._told = self.interner.malformed - self._told, self.interner.malformed
        self._tell_at = now + _LOG_INTERVAL
        log.warning(
            "malformed updates, their routes count as withdrawn session=%s peer=%s count=%d latest=%r",
            self.feed.name, self.feed.peer, count, self.interner.last_error,
        )  # fmt: skip

    def end_of_rib(self, family: Family, now: float) -> None:
        """The peer has sent all of the family."""
        self.heard(now)
        self._complete(family)

    def heard(self, now: float) -> None:
        """The peer is not silent, or ARM was not listening."""
        self._heard_at = now
        self._nudge_at = now + _NUDGE

    def pause(self, paused: bool, now: float) -> None:
        """ARM stops or resumes reading; the peer is not to blame for what does not come meanwhile."""
        if not paused and self._paused_at is not None:
            lost = now - self._paused_at
            self._look_at += lost
            self._end_at += lost
        self._paused_at = now if paused else None
        self.heard(now)

    def tick(self, now: float) -> None:
        """Nudge, or take the initial routes as complete."""
        if not self._incomplete:
            return
        if now >= self._heard_at + self._quiet:
            self._give_up(f"quiet for {self._quiet:.0f} s")
        elif now >= self._end_at:
            self._give_up(f"still sending after {MOST:.0f} s", remark=True)
        elif now >= self._look_at and self._trickles(now):
            self._give_up("hardly anything new came", remark=True)
        elif now >= self._nudge_at:
            if self._owed:
                self._send(self._owed.pop(0))
                self._nudge_at = now + _NUDGE
            else:
                self._send(KEEPALIVE_MESSAGE)
                self._nudge_at = now + _KEEPALIVE_SPACING

    def _trickles(self, now: float) -> bool:
        """True if next to nothing was announced since the last look."""
        came, self._announced_then = self._announced - self._announced_then, self._announced
        self._look_at = now + TRICKLE_WAITS * self._quiet
        return came < max(TRICKLE_ROUTES, TRICKLE * self._announced)

    def _give_up(self, why: str, *, remark: bool = False) -> None:
        """Take as complete what the peer has not closed with an End-of-RIB."""
        families = sorted(self._incomplete)
        for family in families:
            log.info(
                "initial routes taken as complete session=%s family=%s reason=%r", self.feed.name, family.label, why
            )
            self._complete(family)
        if remark:
            labels = " and ".join(family.label for family in families)
            self.remark = f"no End-of-RIB for {labels}: its first routes were taken as complete, {why}"

    def down(self, reason: str, loss: Loss) -> None:
        """The session ended; what becomes of its routes is for `retention` to say."""
        if self.interner.malformed != self._told:
            self._tell_malformed(self._tell_at)
        retain, lost = kept(self._agreement, loss)
        self._incomplete.clear()
        self._counters.malformed += self.interner.malformed
        self._counters.looped += self.interner.looped
        self._emit(FeedDown(self.feed, reason, retain, lost))

    def _complete(self, family: Family) -> None:
        if family not in self._incomplete:
            return
        self._incomplete.discard(family)
        if not self._incomplete:
            for message in self._owed:
                self._send(message)
            self._owed.clear()
            self.interner.settle()
        self._emit(FeedComplete(self.feed, family))
