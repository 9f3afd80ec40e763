"""One TCP connection's half of BGP, without the TCP: octets in, octets out, time as an argument (RFC 4271 section 8).

    opensent --OPEN--> openconfirm --KEEPALIVE--> established

What concerns the session as a whole (collisions, what a route means, when to dial) is asked of, and told to, the
`Upper`. A fault raises: BgpError has to be sent to the peer, NotificationError came from it; either way the connection
is over and its owner closes it.

Invariants: routes learned before a fault are handed up before it is raised. A read of any size is handed up in batches,
so that nobody waits long for the engine. Only what RFC 4271 lets restart the hold timer does.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, Protocol

from arm.bgp.interner import Interner
from arm.bgp.messages import Update, common_update, parse_update
from arm.bgp.notifications import NotificationError
from arm.bgp.opens import agree, make_open, read_open
from arm.bgp.peer import Agreement, Peer
from arm.bgp.wire import (
    HEADER_SIZE,
    KEEPALIVE,
    KEEPALIVE_MESSAGE,
    MARKER,
    MAX_MESSAGE,
    NOTIFICATION,
    OPEN,
    ROUTE_REFRESH,
    UNICAST,
    UPDATE,
    BgpError,
    end_of_rib_family,
    read_header,
)
from arm.model import Family, SessionState

BATCH: Final = 500
"""Prefixes handed up at once, about: few enough that they are still in the processor's cache when they are learned."""

OPEN_HOLD: Final = 240.0
"""Seconds to wait for an OPEN (RFC 4271 section 8.2.2)."""

_LARGEST_END_OF_RIB: Final = 30
_LEAST_UPDATE: Final = 23


class Upper(Protocol):
    """The session above its connections."""

    def opened(self, connection: Connection) -> None:
        """The peer's OPEN is acceptable; raises BgpError to refuse it (collision)."""
        ...

    def established(self, connection: Connection) -> Interner | None:
        """The session is up; the answer interns what comes, None ignores it."""
        ...

    def learned(self, connection: Connection, updates: list[Update]) -> None:
        """Routes, in order."""
        ...

    def end_of_rib(self, connection: Connection, family: Family) -> None:
        """The peer has sent all of the family."""
        ...

    def refresh(self, connection: Connection, family: Family) -> None:
        """The peer wants all routes of the family again."""
        ...


class Connection:
    """Protocol state of one connection. `send` takes octets for the peer, in order."""

    def __init__(
        self, peer: Peer, upper: Upper, send: Callable[[bytes], None], *, incoming: bool, restarting: bool, now: float
    ) -> None:
        self.peer = peer
        self.incoming = incoming
        self.started = now
        self.state = SessionState.OPENSENT
        self.agreement: Agreement | None = None
        self.updates_in = 0
        self._upper = upper
        self._send = send
        self._interner: Interner | None = None
        self._rest = b""
        self._hold_at: float | None = now + OPEN_HOLD
        self.keepalive_at: float | None = None
        """When the next keepalive goes out."""
        send(make_open(peer, restarting=restarting))

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do next."""
        times = [at for at in (self._hold_at, self.keepalive_at) if at is not None]
        return min(times, default=None)

    def receive(self, data: bytes, now: float) -> None:
        """Take octets from the peer and act on every whole message in them."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        position, size = 0, len(data)
        batch: list[Update] = []
        count = 0
        alive = False
        established = SessionState.ESTABLISHED
        try:
            while size - position >= HEADER_SIZE:
                if data.startswith(MARKER, position) and data[position + 18] == UPDATE:
                    length, kind = data[position + 16] << 8 | data[position + 17], UPDATE
                    if not _LEAST_UPDATE <= length <= MAX_MESSAGE:
                        read_header(data, position)  # which tells what is wrong
                else:
                    length, kind = read_header(data, position)
                if size - position < length:
                    break
                start = position + HEADER_SIZE
                position += length
                if kind != UPDATE or self.state is not established:
                    if kind == KEEPALIVE and self.state is established:
                        alive = True
                        continue
                    if batch:
                        self._upper.learned(self, batch)
                        batch, count = [], 0
                    self._handle(kind, data[start:position], now)
                    continue
                alive = True
                self.updates_in += 1
                interner = self._interner
                if interner is None:
                    continue
                if length <= _LARGEST_END_OF_RIB and (family := end_of_rib_family(data[start:position])) is not None:
                    if batch:
                        self._upper.learned(self, batch)
                        batch, count = [], 0
                    self._upper.end_of_rib(self, family)
                    continue
                common = common_update(data, start, position, interner)
                if common is not None:
                    batch.append(common)
                    count += len(common[1])
                else:
                    found = parse_update(data[start:position], interner)
                    batch += found
                    for _, prefixes in found:
                        count += len(prefixes)
                if count >= BATCH:
                    self._upper.learned(self, batch)
                    batch, count = [], 0
        finally:
            if batch:
                self._upper.learned(self, batch)
        self._rest = data[position:]
        if alive:
            self._restart_hold(now)

    def tick(self, now: float) -> None:
        """Send a keepalive if one is due; BgpError 4/0 when the peer has been silent for the hold time."""
        if self._hold_at is not None and now >= self._hold_at:
            raise BgpError(4, 0, "hold timer expired")
        self.keep_alive(now)

    def keep_alive(self, now: float) -> None:
        """Send a keepalive if one is due, without asking when the peer was last heard."""
        if self.keepalive_at is not None and now >= self.keepalive_at:
            self._send(KEEPALIVE_MESSAGE)
            self._restart_keepalive(now)

    def excuse(self, now: float) -> None:
        """Start the hold timer anew: it was ARM that did not read, not the peer that was silent."""
        if self._hold_at is not None:
            self._restart_hold(now)

    def _handle(self, kind: int, body: bytes, now: float) -> None:
        if kind == NOTIFICATION:
            raise NotificationError(body)
        if self.state is SessionState.OPENSENT and kind == OPEN:
            self._open(body, now)
        elif self.state is SessionState.OPENCONFIRM and kind == KEEPALIVE:
            self.state = SessionState.ESTABLISHED
            self._restart_hold(now)
            self._interner = self._upper.established(self)
        elif self.state is SessionState.ESTABLISHED and kind == ROUTE_REFRESH:
            # Only a plain request (RFC 2918); the marks of RFC 7313 were not offered.
            afi = body[0] << 8 | body[1]
            if body[2] == 0 and body[3] == UNICAST and afi in (1, 2):
                self._upper.refresh(self, Family(afi))
        else:
            subcode = {SessionState.OPENSENT: 1, SessionState.OPENCONFIRM: 2, SessionState.ESTABLISHED: 3}[self.state]
            raise BgpError(5, subcode, f"message of type {kind} in {self.state.value}", bytes((kind,)))

    def _open(self, body: bytes, now: float) -> None:
        received = read_open(body)
        self.agreement = agree(self.peer, received)
        self._upper.opened(self)
        self.state = SessionState.OPENCONFIRM
        self._send(KEEPALIVE_MESSAGE)
        self._restart_hold(now)
        self._restart_keepalive(now)

    def _restart_hold(self, now: float) -> None:
        hold = self.agreement.hold_time if self.agreement is not None else OPEN_HOLD
        self._hold_at = now + hold if hold else None

    def _restart_keepalive(self, now: float) -> None:
        interval = self.agreement.keepalive if self.agreement is not None else 0.0
        # The jitter is RFC 4271's (section 10).
        self.keepalive_at = now + interval * random.uniform(0.75, 1.0) if interval else None
