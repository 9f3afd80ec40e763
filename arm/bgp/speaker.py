"""The BGP speaker: one thread that does the input and output of all sessions.

Sockets, timers and commands of other threads meet in one selector loop. Nothing in it waits for the engine, except with
the first table for moments: events go to a queue, and when the engine has too much of them to chew, sessions
that teach are not read from until it has caught up. TCP then slows the peer, memory stays bounded, keepalives go on.

Invariants: sessions, links and connections belong to this thread; others use `send`, `reset`, `refresh`, `status` and
`stop`. Only configured peers get in: anything else is closed at once and counted. A bug that the octets of one peer
bring about ends that session only (see session). If the thread dies of a bug of its own, or of one in what takes its
events, `failed` holds the exception and `on_failure` is called: the daemon stops on it.
"""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from arm.bgp import tcp
from arm.bgp.dialer import RETRY
from arm.bgp.events import SessionEvent
from arm.bgp.link import Done
from arm.bgp.peer import Peer
from arm.bgp.session import Session
from arm.bgp.wire import BgpError
from arm.model import Event, Role, SessionStatus, parse_address
from arm.walltime import CLOCK
from arm.worker import OnFailure, Worker

log = logging.getLogger(__name__)
T = TypeVar("T")

PAUSE_ABOVE: Final = 20_000
RESUME_BELOW: Final = 10_000
"""Prefixes that wait for the engine, some 20 ms of its work. A peer that is not read from at once puts more prefixes
into each UPDATE, which saves both more than the pauses cost."""

_LOOK_AGAIN: Final = 0.005
"""Seconds between looks at the engine's backlog while reading is paused."""

_BREATHER: Final = 0.05
_LOG_INTERVAL: Final = 10.0


class OutsideError(BaseException):
    """Whoever was called from the I/O thread failed; the cause says how. No Exception, as it is no session's fault."""


class Speaker:
    """All BGP sessions. It owns the listening sockets it is given and closes them on `stop`."""

    def __init__(
        self,
        *,
        listeners: Sequence[socket.socket],
        peers: Sequence[Peer],
        emit: Callable[[Event], None],
        backlog: Callable[[], int] = lambda: 0,
        retry: float = RETRY,
        quiet: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        steady_ms: Callable[[], int] = CLOCK.steady_ms,
        on_failure: OnFailure | None = None,
    ) -> None:
        """`emit` takes what learning sessions bring, on the I/O thread, at most for moments; `watch` is for the others.

        `backlog` says how many prefixes wait where `emit` puts them.
        `retry`: seconds before the second attempt to dial. `quiet`: seconds of silence that end the initial routes of
        a peer which sends no End-of-RIB; default: see `learner`.
        ValueError if names or addresses of peers are not unique.
        """
        self.refused = 0
        """Connections from addresses that are no peer's."""
        self._listeners = list(listeners)
        self._backlog = backlog
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._commands: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._gate = threading.Lock()
        """Held to queue a command and to close, so that none is left behind."""
        self._closed = False
        self._on_failure = on_failure
        self._worker = Worker(self._run, name="bgp", on_failure=on_failure)
        self._stopping = False
        self._stop_words = ""
        self._stop_keep = False
        self._paused = False
        self._logged_refusal = float("-inf")
        now = clock()
        own_ids = {socket.inet_aton(peer.router_id) for peer in peers}
        self._sessions: dict[str, Session] = {}
        self._watchers: dict[str, Callable[[SessionEvent], None]] = {}
        for peer in peers:
            check(peer, self._sessions.values())
            self._sessions[peer.name] = Session(
                peer,
                selector=self._selector,
                emit=_outside(emit),
                notify=_outside(self._notifier(peer.name)),
                own_ids=own_ids,
                restarting_until=now + peer.restart_time,
                now=now,
                steady_ms=steady_ms,
                retry=retry,
                quiet=quiet,
            )

    # --- any thread --------------------------------------------------------------------------------------------

    def watch(self, name: str, watcher: Callable[[SessionEvent], None]) -> None:
        """Tell `watcher` what happens to a pushing session, on the I/O thread. Call it before `start`."""
        if self._sessions[name].peer.role is not Role.PUSH:
            raise ValueError(f"session {name} is not a pushing one")
        self._watchers[name] = watcher

    def start(self) -> None:
        """Begin. OSError if a password can not be set up."""
        for sock in self._listeners:
            sock.setblocking(False)
            for session in self._sessions.values():
                if session.peer.password:
                    tcp.sign(sock, session.peer.address, session.peer.password)
            self._selector.register(sock, selectors.EVENT_READ, self._acceptor(sock))
        self._selector.register(self._wake, selectors.EVENT_READ, self._on_wake)
        self._worker.start()

    def stop(self, words: str = "stopped", *, keep: bool = False, timeout: float = 5.0) -> None:
        """End all sessions and the thread. `keep`: peers with graceful restart hold on to what ARM pushed."""
        self._stop_words, self._stop_keep = words, keep
        self._stopping = True
        if self._worker.alive:
            self._command(lambda: None)
            self._worker.join(timeout)
        elif not self._closed:  # never started
            self._close()

    def send(self, name: str, messages: bytes | Iterable[bytes], done: Done) -> None:
        """Send UPDATE messages on a pushing session, in the order of the calls.

        An iterable is run on the I/O thread, piece by piece as the socket takes them. `done` is called once, on that
        thread and never within `send`, so that the caller may hold a lock: True when all is written, False if the
        session is not up or goes down before. When that thread has ended, it is called on one of its own.
        """
        session = self._sessions[name]
        chunks: Iterator[bytes] = iter((messages,)) if isinstance(messages, bytes) else iter(messages)
        if not self._command(lambda: session.send(chunks, _outside(done))):
            Worker(lambda: done(False), name="bgp-ended", on_failure=self._on_failure).start()

    def reset(self, name: str, text: str) -> None:
        """End the session with Cease (out of resources); it comes back by itself."""
        session = self._sessions[name]
        self._command(lambda: session.reset(BgpError(6, 8, text)))

    def shut(self, name: str, words: str, *, keep: bool) -> None:
        """End one session for good; `words` and `keep` as for `stop`."""
        session = self._sessions[name]
        self._command(lambda: session.stop(words, keep=keep))

    def refresh(self, name: str) -> None:
        """Ask the peer for all its routes again, if it supports route refresh."""
        session = self._sessions[name]
        self._command(session.request_refresh)

    def status(self) -> tuple[SessionStatus, ...]:
        """All sessions, as configured."""
        return tuple(session.status() for session in self._sessions.values())

    @property
    def failed(self) -> BaseException | None:
        """What ended the I/O thread, if that was an exception."""
        return self._worker.failed

    @property
    def paused(self) -> bool:
        """True while sessions are not read from because the engine is behind."""
        return self._paused

    # --- the I/O thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._round()
        except BaseException as error:
            self._stop_keep = True  # the daemon comes back: let the peers wait for it
            if isinstance(error, OutsideError) and error.__cause__ is not None:
                raise error.__cause__ from None
            raise
        finally:
            self._close()

    def _round(self) -> None:
        ready = self._selector.select(self._timeout())
        now = self._clock()
        for session in self._sessions.values():
            session.clock(now)
        for key, mask in ready:
            key.data(mask)
        while self._commands:
            self._commands.popleft()()
        now = self._clock()
        self._pause_or_resume()
        for session in self._sessions.values():
            session.tick(now)

    def _timeout(self) -> float | None:
        if self._commands or self._stopping:
            return 0.0
        deadlines = [at for at in (session.deadline() for session in self._sessions.values()) if at is not None]
        wait = max(0.0, min(deadlines) - self._clock()) if deadlines else None
        if self._paused:
            wait = _LOOK_AGAIN if wait is None else min(wait, _LOOK_AGAIN)
        return wait

    def _pause_or_resume(self) -> None:
        backlog = self._backlog()
        paused = backlog > (RESUME_BELOW if self._paused else PAUSE_ABOVE)
        if paused != self._paused:
            log.debug("reading %s backlog=%d", "paused" if paused else "resumed", backlog)
        self._paused = paused
        for session in self._sessions.values():
            if session.peer.role is Role.LEARN:
                session.pause(paused)

    def _acceptor(self, listener: socket.socket) -> Callable[[int], None]:
        def accept(mask: int) -> None:
            try:
                sock, _ = listener.accept()
            except OSError as error:  # gone again, or no descriptors left
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    time.sleep(_BREATHER)  # it stays readable: without a pause the loop would spin
                log.debug("accept failed error=%r", str(error))
                return
            self._admit(sock)

        return accept

    def _admit(self, sock: socket.socket) -> None:
        """Give a new connection to its session, or close it."""
        now = self._clock()
        try:
            remote, local = tcp.canonical(sock.getpeername()[0]), tcp.canonical(sock.getsockname()[0])
        except (OSError, ValueError):
            sock.close()
            return
        found = [
            session
            for session in self._sessions.values()
            if parse_address(session.peer.address) == parse_address(remote)
        ]
        if len(found) > 1:
            found = [session for session in found if session.peer.local_address == local]
        if not found:
            self.refused += 1
            if now - self._logged_refusal >= _LOG_INTERVAL:
                self._logged_refusal = now
                log.warning("connection refused peer=%s reason='no such peer' total=%d", remote, self.refused)
            sock.close()
            return
        found[0].accept(sock)

    def _notifier(self, name: str) -> Callable[[SessionEvent], None]:
        def notify(event: SessionEvent) -> None:
            if (watcher := self._watchers.get(name)) is not None:
                watcher(event)

        return notify

    def _command(self, command: Callable[[], None]) -> bool:
        """Have something done on the I/O thread; False if that has ended, and with it all sessions."""
        with self._gate:
            if self._closed:
                return False
            self._commands.append(command)
            os.eventfd_write(self._wake, 1)
            return True

    def _on_wake(self, mask: int) -> None:
        os.eventfd_read(self._wake)

    def _close(self) -> None:
        for session in self._sessions.values():
            try:
                session.stop(self._stop_words, keep=self._stop_keep)
            except (Exception, OutsideError):
                # Only after a bug that is told already: the other sessions are to be closed all the same.
                log.exception("closing failed session=%s", session.peer.name)
        with self._gate:
            self._closed = True
            os.close(self._wake)
        while self._commands:  # what was never sent is answered
            self._commands.popleft()()
        for sock in self._listeners:
            sock.close()
        self._selector.close()


def _outside(call: Callable[[T], None]) -> Callable[[T], None]:
    """`call`, whose failures are nobody's session's."""

    def guarded(item: T) -> None:
        try:
            call(item)
        except Exception as error:
            raise OutsideError from error

    return guarded


def check(peer: Peer, others: Iterable[Session]) -> None:
    """ValueError if this peer can not stand beside the others."""
    for session in others:
        other = session.peer
        if other.name == peer.name:
            raise ValueError(f"two BGP sessions are named {peer.name}")
        same = parse_address(other.address) == parse_address(peer.address)
        if same and (other.local_address is None or other.local_address == peer.local_address):
            raise ValueError(f"sessions {other.name} and {peer.name} have the same address {peer.address}")
