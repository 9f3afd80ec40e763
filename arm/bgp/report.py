"""What a session tells of itself: its state, why it went down last, and what it has counted over all incarnations."""

from __future__ import annotations

from collections.abc import Callable

from arm.bgp.connection import Connection
from arm.bgp.learner import Learner, RouteCounters
from arm.bgp.peer import Peer
from arm.model import SessionState, SessionStatus


class Report:
    """Written by the I/O thread, read by any: each figure is right, two of them may be a moment apart."""

    def __init__(self, peer: Peer, steady_ms: Callable[[], int]) -> None:
        self.reason = ""
        """Why the session went down last, or why the latest attempt failed; empty while it is established."""
        self.flaps = 0
        self.updates_in = 0
        """Of connections that are gone."""
        self.updates_out = 0
        self.counters = RouteCounters()
        self._peer = peer
        self._steady_ms = steady_ms
        self._state = SessionState.ACTIVE
        self._since_ms = steady_ms()

    def enter(self, state: SessionState) -> None:
        """The session is in this state now."""
        if state != self._state:
            self._state = state
            self._since_ms = self._steady_ms()

    def status(self, connection: Connection | None, learner: Learner | None) -> SessionStatus:
        """The picture, with the established connection and its learner if there are any."""
        agreement = connection.agreement if connection is not None else None
        interner = learner.interner if learner is not None else None
        return SessionStatus(
            name=self._peer.name,
            role=self._peer.role,
            peer=self._peer.address,
            state=self._state,
            since_ms=self._since_ms,
            peer_as=self._peer.peer_as,
            local_as=self._peer.local_as,
            router_id=agreement.peer.router_id if agreement is not None else "",
            reason=self.reason or (learner.remark if learner is not None else ""),
            updates_in=self.updates_in + (connection.updates_in if connection is not None else 0),
            updates_out=self.updates_out,
            prefixes_announced_in=self.counters.announced,
            prefixes_withdrawn_in=self.counters.withdrawn,
            flaps=self.flaps,
            families=tuple(sorted(agreement.families)) if agreement is not None else (),
            malformed=self.counters.malformed + (interner.malformed if interner is not None else 0),
            looped=self.counters.looped + (interner.looped if interner is not None else 0),
            hold_time=agreement.hold_time if agreement is not None else 0,
        )
