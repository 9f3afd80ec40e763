"""When and how to dial a peer: at once, then later and later while it fails, never in step with others.

And when not to talk to a peer at all: after a bug of ARM's own has ended its session (Damper).
"""

from __future__ import annotations

import errno
import random
import socket
from typing import Final

from arm.bgp import tcp
from arm.bgp.peer import Peer

RETRY: Final = 1.0
"""Seconds before the second attempt; doubles while attempts fail."""
RETRY_LIMIT: Final = 60.0
ATTEMPT: Final = 10.0
"""Seconds that an attempt may take."""

DAMP: Final = 1.0
"""Seconds that a session stays down after a bug in it; doubles each time."""
DAMP_LIMIT: Final = 300.0
DAMP_FORGET: Final = 3600.0
"""Seconds without a bug after which the next one counts as the first."""

_DOUBLINGS: Final = 10


class Dialer:
    """Back-off of one peer (RFC 4271 section 8.1.1, IdleHoldTimer and jitter of section 10). Pure but for `dial`."""

    def __init__(self, peer: Peer, *, retry: float, now: float) -> None:
        self._peer = peer
        self._retry = retry
        self._failures = 0
        self.at: float | None = now if peer.connect else None
        """When to dial next; None: not at all."""

    def due(self, now: float) -> bool:
        """True once each time that it is time to dial."""
        if self.at is None or now < self.at:
            return False
        self.at = None
        return True

    def succeeded(self) -> None:
        """The session is established."""
        self._failures = 0
        self.at = None

    def again(self, now: float) -> None:
        """An attempt failed or the session ended: dial again after a while."""
        if self._peer.connect:
            wait = min(RETRY_LIMIT, self._retry * 2 ** min(self._failures, _DOUBLINGS))
            self.at = now + wait * random.uniform(0.75, 1.0)
        self._failures += 1

    def not_before(self, at: float) -> None:
        """Put off what is due earlier."""
        if self.at is not None:
            self.at = max(self.at, at)

    def cancel(self) -> None:
        """Do not dial any more."""
        self.at = None

    def dial(self) -> socket.socket:
        """A socket that is connecting; OSError if it can not even begin."""
        peer = self._peer
        family = socket.AF_INET6 if ":" in peer.address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            tcp.prepare(sock)
            if peer.password:
                tcp.sign(sock, peer.address, peer.password)
            tcp.bind_device(sock, peer.device)
            if peer.local_address:
                sock.bind((peer.local_address, 0))
            code = sock.connect_ex((peer.address, peer.port))
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, errno.errorcode.get(code, str(code)))
        except BaseException:
            sock.close()
            raise
        return sock


class Damper:
    """How long a session stays down after a bug in it (RFC 4271 section 8.1.1, DampPeerOscillations). Pure.

    A bug that the peer's octets bring about comes back with the same octets, often only after the whole table has been
    learned again. So the time doubles although the session gets to established in between.
    """

    def __init__(self) -> None:
        self._bugs = 0
        self._last = float("-inf")
        self._until = float("-inf")

    def bug(self, now: float) -> float:
        """A bug has ended the session; until when it stays down."""
        if now - self._last > DAMP_FORGET:
            self._bugs = 0
        self._until = now + min(DAMP_LIMIT, DAMP * 2 ** min(self._bugs, _DOUBLINGS))
        self._bugs += 1
        self._last = now
        return self._until

    def closed(self, now: float) -> bool:
        """True while the session stays down: neither dial nor let the peer in."""
        return now < self._until

    def deadline(self, now: float) -> float | None:
        """When it is over, if it is not."""
        return self._until if self.closed(now) else None
