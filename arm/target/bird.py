"""BIRD as the target: chosen routes go to it over BGP, it puts them into the kernel.

BGP has no acknowledgement. Applied means that the UPDATEs were written to the socket; BIRD takes them in order, so the
rule that holds after every change of a plan holds in BIRD too, a moment later. Whether the kernel took a route is not
seen from here (the kernel target sees it).

One session usually carries both families. With several (over IPv4 and over IPv6), each family goes over the first
session that has it. Whenever the set of families that can be sent changes, or the peer asks for a route refresh, the
target says TargetUp again: the engine tells the whole choice anew, and the plan that completes a family is closed with
its End-of-RIB, on which BIRD drops what it had kept over a restart and was not told again (RFC 4724).

Invariants: plans leave in the order of `apply`. A plan made for an earlier TargetUp is dropped, for the new connection
may lead to a BIRD that holds nothing of what the plan starts from. What waits is bounded: a peer that lets a million
changes pile up is reset.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, Protocol

from arm.bgp.messages import encode_updates, end_of_rib
from arm.model import (
    FAMILIES,
    Applied,
    Attributes,
    Change,
    Event,
    Family,
    Holding,
    Plan,
    Prefix,
    TargetDown,
    TargetStatus,
    TargetUp,
    contains,
    family_of,
)
from arm.target.base import Emit

log = logging.getLogger(__name__)

PENDING_LIMIT: Final = 1_000_000
"""Changes that may wait for the socket."""

_CHUNK: Final = 500
"""Changes encoded at a time: a few milliseconds of the I/O thread."""

_FLUSH_SECONDS: Final = 3.0


class PushSpeaker(Protocol):
    """What the target needs of the BGP speaker."""

    def watch(self, name: str, watcher: Callable[[Event], None]) -> None: ...

    def send(self, name: str, messages: Iterator[bytes], done: Callable[[bool], None]) -> None: ...

    def reset(self, name: str, text: str) -> None: ...

    def shut(self, name: str, words: str, *, keep: bool) -> None: ...


class _Sending:
    """A plan on its way over one or more sessions."""

    __slots__ = ("failed", "lost", "parts", "plan", "started")

    def __init__(self, plan: Plan, parts: int, started: float) -> None:
        self.plan = plan
        self.parts = parts
        self.started = started
        self.failed: list[tuple[Change, str]] = []
        self.lost = False


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
        self._carried: dict[str, frozenset[Family]] = {}
        self._epoch = 0
        self._reason = "not connected yet"
        self._told: dict[Prefix, bytes] = {}
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
            if not self._carried or (plan.epoch and plan.epoch != self._epoch):
                self._dropped += 1
                return
            parts: dict[str, list[Change]] = {}
            route = {family: self._session_of(family) for family in FAMILIES}
            unsent: list[tuple[Change, str]] = []
            for change in plan.changes:
                name = route[family_of(change.prefix)]
                if name is None:
                    unsent.append((change, f"no session carries {family_of(change.prefix).label}"))
                else:
                    parts.setdefault(name, []).append(change)
                    if change.entry is None:
                        self._told.pop(change.prefix, None)
                    else:
                        self._told[change.prefix] = change.entry.next_hop
            closing: dict[str, list[Family]] = {}
            for family in sorted(plan.complete):
                if (name := route[family]) is not None:
                    closing.setdefault(name, []).append(family)
            used = [name for name in self._names if name in parts or name in closing]
            sending = _Sending(plan, len(used), self._clock())
            sending.failed += unsent
            self._pending += sum(len(changes) for changes in parts.values())
            for name in used:
                changes = parts.get(name, [])
                # Under the lock, so that plans leave in the order of the calls.
                self._speaker.send(
                    name,
                    self._messages(changes, closing.get(name, ()), sending.failed),
                    partial(self._on_done, sending, len(changes)),
                )
            if self._pending > PENDING_LIMIT:
                for name in used:
                    self._speaker.reset(name, "the peer does not read what it is sent")
        if not used:
            self._report(sending)

    def status(self) -> TargetStatus:
        """A consistent picture; any thread may ask."""
        with self._lock:
            return TargetStatus(
                kind="bird",
                up=bool(self._carried),
                reason=self._reason,
                pending=self._pending,
                applied=self._applied,
                failed=self._failed,
                last_seconds=self._last_seconds,
                counters={"routes_told": len(self._told), "plans_dropped": self._dropped},
            )

    def holding(self) -> Holding | None:
        """What was told since the session came up: BGP acknowledges nothing, and BIRD takes it a moment later."""
        with self._lock:
            return Holding("told over BGP", dict(self._told)) if self._carried else None

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
            # A shorter prefix goes before the longer ones in it, so an exception never goes before its route.
            prefixes = sorted(self._told, key=lambda prefix: prefix[1])
            self._told.clear()
            routes = [(family, self._session_of(family)) for family in FAMILIES]
        parts = [(name, [p for p in prefixes if family_of(p) is family]) for family, name in routes if name is not None]
        finished = threading.Semaphore(0)
        for name, gone in parts:
            self._speaker.send(
                name, iter(encode_updates((prefix, None) for prefix in gone)), lambda _: finished.release()
            )
        until = time.monotonic() + _FLUSH_SECONDS
        for _ in parts:
            if not finished.acquire(timeout=max(0.0, until - time.monotonic())):
                log.warning("flush not finished seconds=%.1f", _FLUSH_SECONDS)
                return

    def _session_of(self, family: Family) -> str | None:
        return next((name for name in self._names if family in self._carried.get(name, ())), None)

    def _on_event(self, name: str, event: Event) -> None:
        """A session came up, went down, or wants everything again. On the I/O thread."""
        with self._lock:
            if isinstance(event, TargetUp):
                self._carried[name] = event.families
            elif isinstance(event, TargetDown):
                self._carried.pop(name, None)
                self._reason = f"{name}: {event.reason}"
            else:
                return
            families = frozenset[Family]().union(*self._carried.values())
            self._epoch += 1
            if families:
                self._reason = ""
            told: Event = TargetUp(families=families, epoch=self._epoch) if families else TargetDown(self._reason)
            self._told.clear()
        if self._emit is not None:
            self._emit(told)

    def _messages(
        self, changes: Sequence[Change], closing: Sequence[Family], failed: list[tuple[Change, str]]
    ) -> Iterator[bytes]:
        """Encoded changes in their order, made as the socket takes them, and then the End-of-RIB markers."""
        for start in range(0, len(changes), _CHUNK):
            chunk = changes[start : start + _CHUNK]
            if not failed:
                try:
                    yield b"".join(encode_updates(_pair(change) for change in chunk))
                    continue
                except ValueError:  # one of them can not be sent: find out which
                    pass
            yield b"".join(_one_by_one(chunk, failed))
        for family in closing:
            yield end_of_rib(family)

    def _on_done(self, sending: _Sending, changes: int, written: bool) -> None:
        with self._lock:
            self._pending -= changes
            sending.parts -= 1
            sending.lost = sending.lost or not written
            if sending.parts:
                return
        self._report(sending)

    def _report(self, sending: _Sending) -> None:
        if sending.lost:  # TargetDown tells
            return
        seconds = self._clock() - sending.started
        done = len(sending.plan.changes) - len(sending.failed)
        with self._lock:
            self._applied += done
            self._failed += len(sending.failed)
            self._last_seconds = seconds
        if self._emit is not None:
            self._emit(Applied(sending.plan.number, done, tuple(sending.failed), seconds))


def _pair(change: Change) -> tuple[Prefix, Attributes | None]:
    return change.prefix, None if change.entry is None else change.entry.attributes


def _one_by_one(changes: Sequence[Change], failed: list[tuple[Change, str]]) -> Iterator[bytes]:
    """Each change on its own; those that can not be sent, and those that may depend on them, go to `failed`."""
    for change in changes:
        prefix = change.prefix
        cause = next((old for old, _ in failed if contains(old.prefix, prefix) or contains(prefix, old.prefix)), None)
        if cause is not None:
            failed.append((change, "left out: an overlapping change before it failed"))
            continue
        try:
            yield from encode_updates((_pair(change),))
        except ValueError as error:
            failed.append((change, str(error)))
