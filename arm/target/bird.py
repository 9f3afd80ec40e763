"""BIRD as the target: chosen routes go to it over BGP, it puts them into the kernel.

BGP has no acknowledgement. Applied means that the UPDATEs were written to the socket; BIRD takes them in order, so the
rule that holds after every change of a plan holds in BIRD too, a moment later. Whether the kernel took a route is not
seen from here (the kernel target sees it).

One session usually carries both families. With several (over IPv4 and over IPv6), each family goes over the first that
has it, and stays there: while that session is down, BIRD may keep its routes (RFC 4724), and a withdrawal in another
session would not take them out. Only when it comes up without the family, another one may carry it. When the session of
a family comes up, TargetUp says that the family comes up anew: the engine sends the whole choice of it, closed with its
End-of-RIB, on which BIRD drops what it had kept and was not sent again. A session that comes up and is not needed for a
family sends its End-of-RIB at once, for the same reason. A peer that asks for a route refresh gets what it was
sent in this session once more; the engine need not know.

Invariants: the plans of a family leave in the order of `apply`. Changes made before a family came up anew are dropped,
for the new session may lead to a BIRD that holds nothing of what they start from. What waits is bounded: a peer that
lets a million changes pile up is reset.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from arm.bgp.events import RefreshRequested, SessionEvent, SessionUp
from arm.bgp.messages import encode_updates, end_of_rib
from arm.model import (
    FAMILIES,
    Applied,
    Attributes,
    Change,
    Family,
    Holding,
    Plan,
    Prefix,
    TargetDown,
    TargetStatus,
    TargetUp,
    family_of,
)
from arm.target.base import Emit
from arm.target.failures import Failures

log = logging.getLogger(__name__)

PENDING_LIMIT: Final = 1_000_000
"""Changes that may wait for the socket."""

_CHUNK: Final = 500
"""Changes encoded at a time: a few milliseconds of the I/O thread."""

_FLUSH_SECONDS: Final = 3.0


class PushSpeaker(Protocol):
    """What the target needs of the BGP speaker."""

    def watch(self, name: str, watcher: Callable[[SessionEvent], None]) -> None: ...

    def send(self, name: str, messages: Iterator[bytes], done: Callable[[bool], None]) -> None: ...

    def reset(self, name: str, text: str) -> None: ...

    def shut(self, name: str, words: str, *, keep: bool) -> None: ...


@dataclass(slots=True)
class _Carrier:
    """The session that a family goes over."""

    family: Family
    name: str
    since: int
    """Epoch in which the session came up."""
    sent: dict[Prefix, Attributes] = field(default_factory=dict)
    """What was sent in this session and not withdrawn: the Adj-RIB-Out. Changed on the I/O thread, under the lock."""
    failures: Failures = field(default_factory=Failures)


@dataclass(slots=True, eq=False)
class _Sending:
    """A plan on its way over one or more sessions."""

    plan: Plan
    parts: int
    """Sessions that still have something of it to write."""
    void: int
    """Changes that were dropped or lost with their session."""
    started: float
    failed: list[tuple[Change, str]] = field(default_factory=list)


class BirdTarget:
    """Target over the pushing sessions `names` of a speaker, most wanted first. `start` it before the speaker."""

    def __init__(
        self, speaker: PushSpeaker, names: Sequence[str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._speaker = speaker
        self._names = tuple(names)
        self._clock = clock
        self._lock = threading.Lock()
        self._emit: Emit | None = None
        self._sessions: dict[str, frozenset[Family]] = {}
        """Families of the sessions that are up."""
        self._homes: dict[Family, str] = {}
        """The session of each family, also while it is down."""
        self._carriers: dict[Family, _Carrier] = {}
        """The same of those that are up."""
        self._epoch = 0
        self._reason = "not connected yet"
        self._pending = self._applied = self._failed = self._dropped = 0
        self._last_seconds = 0.0

    def start(self, emit: Emit) -> None:
        """Begin to listen to the sessions; TargetUp follows when one is established."""
        self._emit = emit
        for name in self._names:
            self._speaker.watch(name, partial(self._on_event, name))

    def apply(self, plan: Plan) -> None:
        """Queue a plan for the sessions. Any thread; Applied comes from the I/O thread."""
        with self._lock:
            # A family that came up anew does not take what was planned before.
            carriers = {f: c for f, c in self._carriers.items() if not plan.epoch or plan.epoch >= c.since}
            parts: dict[str, list[Change]] = {}
            void = 0
            for change in plan.changes:
                carrier = carriers.get(family_of(change.prefix))
                if carrier is None:
                    void += 1
                else:
                    parts.setdefault(carrier.name, []).append(change)
            closing: dict[str, list[Family]] = {}
            for family in sorted(plan.complete):
                if (carrier := carriers.get(family)) is not None:
                    closing.setdefault(carrier.name, []).append(family)
            used = [name for name in self._names if name in parts or name in closing]
            sending = _Sending(plan, len(used), void, self._clock())
            self._dropped += not used
            self._pending += len(plan.changes) - void
            for name in used:
                changes = parts.get(name, [])
                # Under the lock, so that plans leave in the order of the calls.
                self._speaker.send(
                    name,
                    self._messages(
                        sending, changes, closing.get(name, ()), [c for c in carriers.values() if c.name == name]
                    ),
                    partial(self._on_done, sending, len(changes)),
                )
            if self._pending > PENDING_LIMIT:
                for name in used:
                    self._speaker.reset(name, "the peer does not read what it is sent")
        if not used:
            self._report(sending)

    def resize(self, slots: Mapping[Family, int]) -> None:
        """BIRD takes what it is sent, however much that is."""

    def status(self) -> TargetStatus:
        """A consistent picture; any thread may ask."""
        with self._lock:
            return TargetStatus(
                kind="bird",
                up=bool(self._carriers),
                reason=self._reason,
                pending=self._pending,
                applied=self._applied,
                failed=self._failed,
                last_seconds=self._last_seconds,
                counters={
                    "routes_told": sum(len(carrier.sent) for carrier in self._carriers.values()),
                    "plans_dropped": self._dropped,
                },
            )

    def holding(self) -> Holding | None:
        """What was sent since the session came up: BGP acknowledges nothing, and BIRD takes it a moment later."""
        with self._lock:
            if not self._carriers:
                return None
            routes = {p: found.next_hop for carrier in self._carriers.values() for p, found in carrier.sent.items()}
            return Holding("told over BGP", routes)

    def stop(self, *, flush: bool) -> None:
        """End the sessions. `flush` withdraws everything first, routes before their exceptions; otherwise a BIRD with
        graceful restart keeps the routes for the restart time."""
        if flush:
            self._flush()
        for name in self._names:
            self._speaker.shut(name, "active route manager stopped", keep=not flush)

    # --- inside --------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        with self._lock:
            carriers = tuple(self._carriers.values())
        finished = threading.Semaphore(0)
        for carrier in carriers:
            self._speaker.send(carrier.name, self._withdraw_all(carrier), lambda written: finished.release())
        until = time.monotonic() + _FLUSH_SECONDS
        for _ in carriers:
            if not finished.acquire(timeout=max(0.0, until - time.monotonic())):
                log.warning("flush not finished seconds=%.1f", _FLUSH_SECONDS)
                return

    def _withdraw_all(self, carrier: _Carrier) -> Iterator[bytes]:
        """Withdrawals of all that stands, when all that was queued before has been sent.

        A shorter prefix goes before the longer ones in it, so an exception never goes before its route.
        """
        with self._lock:
            prefixes = sorted(carrier.sent, key=lambda prefix: prefix[1])
            carrier.sent.clear()
        yield from encode_updates((prefix, None) for prefix in prefixes)

    def _resend(self, carrier: _Carrier) -> Iterator[bytes]:
        """All that stands once more, longest prefixes first, when all that was queued before has been sent."""
        with self._lock:
            stands = sorted(carrier.sent.items(), key=lambda item: -item[0][1])
        for start in range(0, len(stands), _CHUNK):
            yield b"".join(encode_updates(stands[start : start + _CHUNK]))

    def _on_event(self, name: str, event: SessionEvent) -> None:
        """A session came up, went down, or wants a family again. On the I/O thread."""
        if isinstance(event, RefreshRequested):
            with self._lock:
                carrier = self._carriers.get(event.family)
            if carrier is not None and carrier.name == name:
                self._speaker.send(name, self._resend(carrier), lambda written: None)
            return
        with self._lock:
            before = set(self._carriers)
            for family, carrier in list(self._carriers.items()):
                if carrier.name == name:  # it ended, or has begun anew
                    del self._carriers[family]
            if isinstance(event, SessionUp):
                self._sessions[name] = event.families
                for family in [f for f, home in self._homes.items() if home == name and f not in event.families]:
                    del self._homes[family]
            else:
                self._sessions.pop(name, None)
                self._reason = f"{name}: {event.reason}"
            anew = self._assign()
            families = frozenset(self._carriers)
            unused = [family for family in sorted(self._sessions.get(name, ())) if self._homes[family] != name]
            if families:
                self._reason = ""
            epoch = self._epoch
        if isinstance(event, SessionUp) and unused:
            self._speaker.send(name, iter([end_of_rib(family) for family in unused]), lambda written: None)
        if self._emit is None or (not anew and families == before):
            return
        self._emit(TargetUp(families=families, anew=anew, epoch=epoch) if families else TargetDown(self._reason))

    def _assign(self) -> frozenset[Family]:
        """Give each family without a home the first session that has it; the families whose session has come up."""
        for family in FAMILIES:
            names = [name for name in self._names if family in self._sessions.get(name, ())]
            if names:
                self._homes.setdefault(family, names[0])
        anew = [f for f, home in self._homes.items() if f not in self._carriers and home in self._sessions]
        if anew:
            self._epoch += 1
        for family in anew:
            self._carriers[family] = _Carrier(family, self._homes[family], self._epoch)
        return frozenset(anew)

    def _messages(
        self,
        sending: _Sending,
        changes: Sequence[Change],
        closing: Sequence[Family],
        carriers: Sequence[_Carrier],
    ) -> Iterator[bytes]:
        """Encoded changes in their order, made as the socket takes them, and then the End-of-RIB markers."""
        for carrier in carriers:
            carrier.failures.known(sending.plan.answered)
        by_size = {carrier.family.bits // 8: carrier for carrier in carriers}
        for start in range(0, len(changes), _CHUNK):
            yield self._encode(sending, changes[start : start + _CHUNK], by_size)
        for family in closing:
            yield end_of_rib(family)

    def _encode(self, sending: _Sending, chunk: Sequence[Change], carriers: dict[int, _Carrier]) -> bytes:
        """The UPDATEs for some changes, and the account of what they leave behind."""
        made = chunk
        data = None
        if not any(carrier.failures for carrier in carriers.values()):
            try:
                data = b"".join(encode_updates(_pair(change) for change in chunk))
            except ValueError:  # one of them can not be sent: find out which
                data = None
        if data is None:
            made, pieces = [], []
            for change in chunk:
                failures = carriers[len(change.prefix[0])].failures
                try:
                    if failures.blocks(change):
                        raise ValueError("left out: a change that it depends on failed")
                    pieces += encode_updates((_pair(change),))
                    made.append(change)
                except ValueError as error:
                    failures.add(sending.plan.number, change.prefix)
                    sending.failed.append((change, str(error)))
            data = b"".join(pieces)
        with self._lock:
            for prefix, found in map(_pair, made):
                sent = carriers[len(prefix[0])].sent
                if found is None:
                    sent.pop(prefix, None)
                else:
                    sent[prefix] = found
        return data

    def _on_done(self, sending: _Sending, changes: int, written: bool) -> None:
        with self._lock:
            self._pending -= changes
            sending.parts -= 1
            if not written:
                sending.void += changes
            if sending.parts:
                return
        self._report(sending)

    def _report(self, sending: _Sending) -> None:
        if sending.plan.changes and sending.void == len(sending.plan.changes):
            return  # TargetDown or TargetUp has told of its families
        seconds = self._clock() - sending.started
        done = max(0, len(sending.plan.changes) - len(sending.failed) - sending.void)
        with self._lock:
            self._applied += done
            self._failed += len(sending.failed)
            if done:
                self._last_seconds = seconds
        if self._emit is not None:
            self._emit(Applied(sending.plan.number, done, tuple(sending.failed), seconds))


def _pair(change: Change) -> tuple[Prefix, Attributes | None]:
    return change.prefix, None if change.entry is None else change.entry.attributes
