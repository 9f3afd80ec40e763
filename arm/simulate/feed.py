"""A simulated upstream: a BGP speaker that announces a full table, and changes its mind on command.

It is ARM's own speaker (arm.bgp) with the roles exchanged, so every run of it is a test of that too. It dials its peer,
or waits for it, sends the table as fast as the peer reads, and comes back by itself when the session is lost.

Commands (arm.simulate.control), each answered with what is true afterwards:

    status                                  session, prefixes, changes so far
    announce PREFIX [normal|better|worse]   tell a prefix; better and worse move the choice of the peer
    withdraw PREFIX
    deaggregate PREFIX LENGTH [VARIANT]     tell all its more-specifics of this length as well
    shift better|worse|normal|withdrawn COUNT [SEED]   the same for that many prefixes drawn from the focus
    focus COUNT SEED | focus all            what shift and churn draw from: the destinations of that traffic, or all
    churn RATE                              that many updates a second, 0 stops
    restore                                 back to the table
    default better|normal|worse|none        the default routes
    drop SECONDS [hard]                     end the session (hard: without a word) and stay away for so long

Invariant: changes reach the peer in the order of the commands, and what a session starts with is what was told last.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from arm.bgp.events import RefreshRequested, SessionDown, SessionEvent
from arm.bgp.peer import Peer
from arm.bgp.speaker import Speaker
from arm.model import FAMILIES, Family, parse_prefix
from arm.simulate.announcer import Announcer
from arm.simulate.paths import Variant
from arm.simulate.popularity import draw_destinations

TICK: Final = 0.02
"""Seconds between looks at what is due."""
_RETRY: Final = 0.002
"""Doubles ten times, so that a peer that comes back waits two seconds at most."""


def _variant(word: str) -> Variant:
    try:
        return Variant[word.upper()]
    except KeyError:
        raise ValueError(f"{word!r} is not normal, better or worse") from None


class Feed:
    """One upstream with one session. `listen` makes the listening sockets of each incarnation of the speaker."""

    def __init__(
        self,
        announcer: Announcer,
        peer: Peer,
        *,
        listen: Callable[[], Sequence[socket.socket]] = tuple,
        seed: int = 1,
        clock: Callable[[], float] = time.monotonic,
        note: Callable[[str], None] = lambda event: None,
    ) -> None:
        """`note` is told when the session comes up, is complete, and goes: up, complete, down."""
        self.announcer = announcer
        self.peer = peer
        self.complete = threading.Event()
        """Set while the session is up and the whole table has been written to it."""
        self.changes = 0
        self.rate = 0.0
        """Updates a second that churn makes."""
        self._listen = listen
        self._clock = clock
        self._note = note
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._speaker: Speaker | None = None
        self._back_at: float | None = None
        self._due = 0.0
        self._churned_at = clock()
        self._focus: list[tuple[Family, int]] = []

    # --- life --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the session and keep it open."""
        speaker = Speaker(
            listeners=self._listen(), peers=[self.peer], emit=lambda event: None, retry=_RETRY, clock=self._clock
        )
        speaker.watch(self.peer.name, self._on_event)
        self._speaker = speaker  # before its thread has anything to tell
        speaker.start()

    def stop(self, *, hard: bool = False) -> None:
        """End the session; `hard` as if the process had been killed."""
        speaker, self._speaker = self._speaker, None
        if speaker is not None:
            speaker.stop("upstream stops", keep=hard)
        self.complete.clear()

    def step(self) -> None:
        """Do what is due: churn, and coming back. Call it every `TICK`; RuntimeError if the speaker died."""
        now = self._clock()
        if self._back_at is not None and now >= self._back_at:
            self._back_at = None
            self.start()
        if self._speaker is not None and self._speaker.failed is not None:
            raise RuntimeError("speaker died") from self._speaker.failed
        due = min(self._due + self.rate * (now - self._churned_at), self.rate) if self.complete.is_set() else 0.0
        self._churned_at = now
        with self._lock:
            while due >= 1:
                due -= 1
                self._send(self.announcer.churn(self._chance, self._focus or self._everything()))
        self._due = due

    def _on_event(self, event: SessionEvent) -> None:
        """Events of the session, on the speaker's thread."""
        self.complete.clear()
        if isinstance(event, SessionDown) or self._speaker is None:
            self._note("down")
            return
        self._note("up")
        families = frozenset({event.family}) if isinstance(event, RefreshRequested) else event.families
        self._speaker.send(self.peer.name, self.announcer.everything(families), self._on_sent)

    def _on_sent(self, whole: bool) -> None:
        if whole:
            self._note("complete")
            self.complete.set()

    def _send(self, messages: bytes) -> None:
        self.changes += 1
        if self._speaker is not None:  # without a session the change is told when the next one starts
            self._speaker.send(self.peer.name, messages, lambda whole: None)

    def _everything(self) -> list[tuple[Family, int]]:
        table = self.announcer.table
        self._focus = [(family, index) for family in FAMILIES for index in range(len(table.families[family]))]
        return self._focus

    # --- commands ----------------------------------------------------------------------------------------------

    def command(self, words: Sequence[str]) -> dict[str, Any]:
        """Carry out one command; ValueError if it is none."""
        verb, *rest = words
        action = getattr(self, f"_do_{verb}", None)
        if action is None:
            raise ValueError(f"no such command: {verb}")
        with self._lock:
            action(*rest)
        return self.status()

    def status(self) -> dict[str, Any]:
        """What is true now."""
        speaker = self._speaker
        table = self.announcer.table
        return {
            "state": speaker.status()[0].state.value if speaker is not None else "idle",
            "complete": self.complete.is_set(),
            "prefixes": {family.label: len(table.families[family]) for family in FAMILIES},
            "away": len(self.announcer.told),
            "changes": self.changes,
            "churn": self.rate,
            "time": self._clock(),
        }

    def _do_status(self) -> None:
        pass

    def _do_announce(self, prefix: str, variant: str = "normal") -> None:
        self._send(self.announcer.announce(parse_prefix(prefix), _variant(variant)))

    def _do_withdraw(self, prefix: str) -> None:
        self._send(self.announcer.withdraw(parse_prefix(prefix)))

    def _do_deaggregate(self, prefix: str, length: str, variant: str = "normal") -> None:
        self._send(self.announcer.deaggregate(parse_prefix(prefix), int(length), _variant(variant)))

    def _do_shift(self, how: str, count: str, seed: str = "1") -> None:
        among = self._focus or self._everything()
        chosen = random.Random(int(seed)).sample(among, min(int(count), len(among)))
        for family, index in chosen:
            table = self.announcer.table.families[family]
            prefix = table.prefix(index)
            if how == "withdrawn":
                self._send(self.announcer.withdraw(prefix))
            else:
                self._send(self.announcer.announce(prefix, _variant(how), path=table.paths[index]))

    def _do_focus(self, count: str, seed: str = "1") -> None:
        drawn = [] if count == "all" else draw_destinations(self.announcer.table, int(count), int(seed))
        self._focus = [(destination.family, destination.place) for destination in drawn]

    def _do_churn(self, rate: str) -> None:
        if float(rate) < 0:
            raise ValueError("a rate is not negative")
        self.rate = float(rate)

    def _do_restore(self) -> None:
        self._send(self.announcer.restore_all())

    def _do_default(self, variant: str) -> None:
        self._send(self.announcer.set_default(None if variant == "none" else _variant(variant)))

    def _do_drop(self, seconds: str, how: str = "cease") -> None:
        if how not in ("cease", "hard"):
            raise ValueError(f"{how!r} is not cease or hard")
        self.stop(hard=how == "hard")
        self._back_at = self._clock() + float(seconds)
