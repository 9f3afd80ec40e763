"""A connection with its socket: reads and writes as the selector allows, and closes once.

What goes out waits in order as chunks that are made when there is room for them, so a plan of a hundred thousand routes
is never encoded all at once, and a peer that does not read costs no more memory than the plans themselves.

Invariant: every `done` that was handed to `queue` is called exactly once: True when the last octet was written to the
socket, False when the link closed before.
"""

from __future__ import annotations

import selectors
import socket
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from arm.bgp.connection import Connection, Upper
from arm.bgp.peer import Peer

READ_SIZE: Final = 256 * 1024
SEND_HOLD_MINIMUM: Final = 480.0
"""Seconds without progress after which a peer that does not read is given up (RFC 9687)."""

Done = Callable[[bool], None]


class ClosedError(Exception):
    """The TCP connection ended."""


class Link:
    """One socket that is connecting or connected. All methods belong to the I/O thread."""

    def __init__(
        self,
        sock: socket.socket,
        peer: Peer,
        upper: Upper,
        selector: selectors.BaseSelector,
        handler: Callable[[Link, int], None],
        *,
        incoming: bool,
    ) -> None:
        self.sock = sock
        self.peer = peer
        self.incoming = incoming
        self.connection: Connection | None = None
        """None while the TCP connection is being made."""
        self.paused = False
        self._upper = upper
        self._selector = selector
        self._handler = handler
        self._mask = 0
        self._closed = False
        self._out: deque[tuple[Iterator[bytes], Done | None]] = deque()
        self._chunk = memoryview(b"")
        self._progress_at = 0.0
        self._want()

    def begin(self, now: float, *, restarting: bool) -> Connection:
        """TCP is connected: send the OPEN."""
        self._progress_at = now
        self.connection = Connection(
            self.peer, self._upper, self.queue_bytes, incoming=self.incoming, restarting=restarting, now=now
        )
        self._want()
        return self.connection

    def queue_bytes(self, data: bytes) -> None:
        """Send octets after all that is queued."""
        self.queue(iter((data,)), None)

    def queue(self, chunks: Iterator[bytes], done: Done | None) -> None:
        """Send chunks after all that is queued; `done` as the module says."""
        self._out.append((chunks, done))
        self._want()

    @property
    def waiting(self) -> bool:
        """True while something waits for the socket to take it."""
        return bool(self._out) or bool(self._chunk)

    def read(self, now: float) -> None:
        """Take what the socket has, up to 256 KiB. Raises ClosedError, and what Connection.receive raises."""
        try:
            data = self.sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            raise ClosedError(error.strerror or str(error)) from None
        if not data:
            raise ClosedError("peer closed the connection")
        if self.connection is not None:
            self.connection.receive(data, now)

    def write(self, now: float) -> None:
        """Give the socket what it takes. Raises ClosedError."""
        if not self.waiting:
            self._progress_at = now
        try:
            while self._fill():
                sent = self.sock.send(self._chunk)
                self._progress_at = now
                self._chunk = self._chunk[sent:]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            raise ClosedError(error.strerror or str(error)) from None
        self._want()

    def stuck(self, now: float) -> bool:
        """True if the peer has not taken an octet for the send hold time (RFC 9687)."""
        if not self.waiting or self.connection is None:
            self._progress_at = now
            return False
        agreement = self.connection.agreement
        hold = agreement.hold_time if agreement is not None else 0
        return now - self._progress_at > max(SEND_HOLD_MINIMUM, 2 * hold)

    def pause(self, paused: bool) -> None:
        """Stop or resume reading."""
        if paused != self.paused:
            self.paused = paused
            self._want()

    def close(self, last_words: bytes = b"") -> None:
        """Close the socket, after an attempt to send `last_words`; drops what is queued. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        if self._mask:
            self._selector.unregister(self.sock)
            self._mask = 0
        if last_words and self.connection is not None and not self._chunk:
            try:
                self.sock.send(last_words)
                # A plain close with unread data resets the connection, and the peer would lose the last words.
                self.sock.shutdown(socket.SHUT_WR)
                for _ in range(64):
                    if not self.sock.recv(READ_SIZE):
                        break
            except OSError:
                pass
        self.sock.close()
        waiting, self._out = self._out, deque()
        for _, done in waiting:
            if done is not None:
                done(False)

    def _fill(self) -> bool:
        """Make `_chunk` hold something to send; False when nothing waits. Answers for what has gone completely."""
        while not self._chunk:
            if not self._out:
                return False
            chunks, done = self._out[0]
            data = next(chunks, None)
            if data is not None:
                self._chunk = memoryview(data)
                continue
            self._out.popleft()
            if done is not None:
                done(True)
        return True

    def _want(self) -> None:
        """Tell the selector what this link waits for."""
        if self._closed:
            return
        connecting = self.connection is None
        mask = 0 if self.paused or connecting else selectors.EVENT_READ
        if connecting or self.waiting:
            mask |= selectors.EVENT_WRITE
        if mask == self._mask:
            return
        if not self._mask:
            self._selector.register(self.sock, mask, self._on_ready)
        elif mask:
            self._selector.modify(self.sock, mask, self._on_ready)
        else:
            self._selector.unregister(self.sock)
        self._mask = mask

    def _on_ready(self, mask: int) -> None:
        self._handler(self, mask)
