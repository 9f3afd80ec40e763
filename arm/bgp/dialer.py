"""When and how to dial a peer: at once, then later and later while it fails, never in step with others."""

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
