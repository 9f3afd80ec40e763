"""What a pushing session tells its watcher, on the I/O thread.

A learning session speaks to the engine in the engine's own events (FeedUp, RoutesLearned, ...). A pushing session knows
nothing of targets: it says what happened to the session, and the target decides what that means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from arm.model import Family


@dataclass(frozen=True, slots=True)
class SessionUp:
    """The session is established; the peer holds nothing that ARM announced in this session yet."""

    families: frozenset[Family]
    """Those that both ends agreed on."""


@dataclass(frozen=True, slots=True)
class SessionDown:
    """The session ended. What was announced in it is withdrawn, or stale until the peer's restart timer ends."""

    reason: str


@dataclass(frozen=True, slots=True)
class RefreshRequested:
    """The peer wants all routes of a family again (RFC 2918). The session goes on; nothing else has changed."""

    family: Family


SessionEvent: TypeAlias = SessionUp | SessionDown | RefreshRequested
