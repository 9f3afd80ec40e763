"""One configured peer: its connections, which of them counts, and what their coming and going means.

A session listens for its peer and, if told to, dials it. Two connections can meet; RFC 4271 section 6.8 decides which
one stays. The one that gets to established is the session, and each such incarnation of a learning session is a new
Feed: the engine keeps what the old one taught until the new one is complete, so the table is never empty in between.

Invariants: all methods but `status` belong to the I/O thread. Routes may be sent between SessionUp and SessionDown. A
fault of one session never reaches another: whatever is raised while a connection is served, be it a bug of ARM's own,
ends that connection and nothing else (`_serve`). A closed link is in no list, and nothing happens to it any more.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Final

from arm.bgp import tcp
from arm.bgp.connection import Connection
from arm.bgp.dialer import ATTEMPT, Damper, Dialer
from arm.bgp.events import RefreshRequested, SessionDown, SessionEvent, SessionUp
from arm.bgp.interner import Interner
from arm.bgp.learner import Learner
from arm.bgp.link import ClosedError, Done, Link
from arm.bgp.messages import Update
from arm.bgp.notifications import ADMINISTRATIVE_SHUTDOWN, CEASE, NotificationError, shutdown_communication
from arm.bgp.peer import Agreement, Peer
from arm.bgp.report import Report
from arm.bgp.retention import Loss
from arm.bgp.wire import MARKER, BgpError, notification, route_refresh
from arm.model import Event, Family, Role, SessionState, SessionStatus

log = logging.getLogger(__name__)

COLLISION: Final = 7
HOLD_EXPIRED: Final = 4
SEND_HOLD_EXPIRED: Final = 8
UNSPECIFIC: Final = 0
HARD_RESET: Final = 9
_PROGRESS: Final = tuple(SessionState)
"""In their order: of several connections, the one that has come furthest is the session's state."""


class Session:
    """State machine of one peer (RFC 4271 section 8). It is the Upper of its connections."""

    def __init__(
        self,
        peer: Peer,
        *,
        selector: selectors.BaseSelector,
        emit: Callable[[Event], None],
        notify: Callable[[SessionEvent], None],
        own_ids: Collection[bytes],
        restarting_until: float,
        now: float,
        steady_ms: Callable[[], int],
        retry: float,
        quiet: float | None,
    ) -> None:
        """`emit` takes what a learning session brings, `notify` what happens to a pushing one.

        `restarting_until`: until then the R bit of graceful restart is set. `retry`, `quiet`: as the speaker's."""
        self.peer = peer
        self.links: list[Link] = []
        self.up: Link | None = None
        """The link of the established connection."""
        self.learner: Learner | None = None
        self.stopped = False
        """True once the session has ended for good: nobody gets in any more."""
        self._emit = emit
        self._notify = notify
        self._selector = selector
        self._own_ids = own_ids
        self._restarting_until = restarting_until
        self._quiet = quiet
        self._dialer = Dialer(peer, retry=retry, now=now)
        self._dial_until = 0.0
        self._damper = Damper()
        self._generation = 0
        self._report = Report(peer, steady_ms)
        self._established_at = 0.0
        self._now = now

    # --- what the speaker asks for -------------------------------------------------------------------------------

    def clock(self, now: float) -> None:
        """Tell the time before anything else happens in a round."""
        self._now = now

    def accept(self, sock: socket.socket) -> None:
        """The peer has connected. A connection of its that is not established yet makes way: the peer knows best."""
        if self.stopped or self._damper.closed(self._now):
            sock.close()
            return
        for link in [link for link in self.links if link.incoming and link is not self.up]:
            self._drop(link, "the peer connected again")
        try:
            tcp.prepare(sock)
        except OSError:  # gone again
            sock.close()
            return
        link = self._add(sock, incoming=True)
        self._serve(link, lambda: self._begin(link))

    def tick(self, now: float) -> None:
        """What time brings: dialling, keepalives, hold timers, the end of a quiet peer's initial routes."""
        self._now = now
        if self._dialer.due(now) and not self.links:
            self._dial()
        if not self.links:
            self._update_state()
        for link in list(self.links):
            connection = link.connection
            if connection is None:
                if now >= self._dial_until:
                    self._lost(link, "connecting timed out")
                continue
            self._serve(link, partial(self._tick, link, connection))

    def deadline(self) -> float | None:
        """When `tick` has something to do next."""
        times: list[float | None] = [self._dialer.at, self._damper.deadline(self._now)]
        for link in self.links:
            if link.connection is None:
                times.append(self._dial_until)
            else:
                times.append(link.connection.keepalive_at if link.paused else link.connection.deadline)
        if self.learner is not None and self.up is not None and not self.up.paused:
            times.append(self.learner.deadline)
        if self.learner is not None:
            times.append(self.learner.rest_until)
        return min((at for at in times if at is not None), default=None)

    def pause(self, paused: bool) -> None:
        """Stop or resume reading from the established connection; the peer's timers wait with it.

        It is not resumed while the learner wants the peer to be left alone.
        """
        # Asked first in any case, for it ends a rest that is over: `deadline` would stay in the past.
        resting = self.learner is not None and self.learner.resting(self._now)
        paused = resting or paused
        link = self.up
        if link is None or link.connection is None or link.paused == paused:
            return
        link.pause(paused)
        link.connection.excuse(self._now)
        if self.learner is not None:
            self.learner.pause(paused, self._now)

    def send(self, chunks: Iterator[bytes], done: Done) -> None:
        """Send UPDATEs on the established connection, or answer False at once."""
        if self.up is None:
            done(False)
            return

        def counted() -> Iterator[bytes]:
            for chunk in chunks:
                self._report.updates_out += chunk.count(MARKER)
                yield chunk

        link = self.up
        link.queue(counted(), done)
        self._serve(link, lambda: link.write(self._now))

    def request_refresh(self) -> None:
        """Ask the peer for all its routes again, if it can (RFC 2918)."""
        agreement = self._agreement()
        if self.up is not None and agreement is not None and agreement.route_refresh:
            for family in sorted(agreement.families):
                self.up.queue_bytes(route_refresh(family))

    def reset(self, error: BgpError) -> None:
        """End the connection with this error; the session comes back by itself."""
        if self.up is not None:
            self._fail(self.up, error)

    def stop(self, words: str, *, keep: bool) -> None:
        """End the session for good.

        `keep` closes without a NOTIFICATION, so that a peer with graceful restart keeps ARM's routes for the restart
        time; otherwise `words` go out as a shutdown communication (RFC 9003).
        """
        self._dialer.cancel()
        self.stopped = True
        last = b"" if keep else notification(CEASE, ADMINISTRATIVE_SHUTDOWN, shutdown_communication(words))
        for link in list(self.links):
            self._drop(link, words, last)
        self._report.enter(SessionState.IDLE)

    # --- what connections tell (Upper) ---------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """Collision detection (RFC 4271 section 6.8)."""
        link = self._link_of(connection)
        current = self._agreement()
        if self.up is not None and current is not None:
            # RFC 4724 section 5: a peer with graceful restart that connects anew has lost the old connection.
            if not current.graceful or connection.started < self._established_at:
                raise BgpError(CEASE, COLLISION, "collision with the established connection")
            self._drop(self.up, "the peer restarted", loss=Loss.SILENT)
            return
        assert connection.agreement is not None
        theirs = socket.inet_aton(connection.agreement.peer.router_id)
        keep_incoming = (theirs, self.peer.peer_as) > (socket.inet_aton(self.peer.router_id), self.peer.local_as)
        for other in list(self.links):
            if other is link or other.connection is None or other.connection.state is not SessionState.OPENCONFIRM:
                continue
            if link.incoming != keep_incoming and other.incoming == keep_incoming:
                raise BgpError(CEASE, COLLISION, "connection collision")
            self._drop(other, "connection collision", notification(CEASE, COLLISION))

    def established(self, connection: Connection) -> Interner | None:
        """The session is up."""
        link, agreement = self._link_of(connection), connection.agreement
        assert agreement is not None
        for other in [other for other in self.links if other is not link]:
            self._drop(other, "connection collision", notification(CEASE, COLLISION))
        self.up = link
        self._dialer.succeeded()
        self._established_at = self._now
        self._report.reason = ""
        self._report.enter(SessionState.ESTABLISHED)
        log.info(
            "session established session=%s peer=%s as=%d id=%s families=%s hold_time=%d graceful_restart=%s",
            self.peer.name,
            self.peer.address,
            self.peer.peer_as,
            agreement.peer.router_id,
            ",".join(family.label for family in sorted(agreement.families)),
            agreement.hold_time,
            "yes" if agreement.graceful else "no",
        )
        if self.peer.role is Role.PUSH:
            self._notify(SessionUp(agreement.families))
            return None
        self._generation += 1
        self.learner = Learner(
            self.peer,
            agreement,
            generation=self._generation,
            own_ids=self._own_ids,
            emit=self._emit,
            send=link.queue_bytes,
            counters=self._report.counters,
            quiet=self._quiet,
            now=self._now,
        )
        return self.learner.interner

    def learned(self, connection: Connection, updates: list[Update]) -> None:
        """Routes, in order."""
        if self.learner is not None:
            self.learner.learned(updates, self._now)

    def end_of_rib(self, connection: Connection, family: Family) -> None:
        """The peer has sent all of the family."""
        if self.learner is not None:
            self.learner.end_of_rib(family, self._now)

    def refresh(self, connection: Connection, family: Family) -> None:
        """The peer wants all routes of a family again."""
        if self.peer.role is Role.PUSH:
            log.info("route refresh requested session=%s family=%s", self.peer.name, family.label)
            self._notify(RefreshRequested(family))

    # --- inside --------------------------------------------------------------------------------------------------

    def _serve(self, link: Link, what: Callable[[], None]) -> None:
        """Do something for one connection. All that goes wrong in it ends this connection, and nothing else.

        A bug ends it too, for it is the octets of one peer that have brought it about, and the daemon would come back
        to the same octets. What is raised where events go is no Exception (see speaker): it is not the session's.
        """
        try:
            what()
        except BgpError as error:
            self._fail(link, error)
        except NotificationError as error:
            hard = (error.code, error.subcode) == (CEASE, HARD_RESET)
            self._lost(link, f"peer sent {error}", loss=Loss.HARD if hard else Loss.NOTIFIED)
        except ClosedError as error:
            self._lost(link, str(error))
        except Exception as error:
            until = self._damper.bug(self._now)
            log.exception(
                "session failed by a bug session=%s peer=%s error=%r again_in=%.0f",
                self.peer.name, self.peer.address, error, until - self._now,
            )  # fmt: skip
            self._fail(link, BgpError(CEASE, UNSPECIFIC, f"a bug in ARM, which its log shows: {error!r}"))
            self._dialer.not_before(until)

    def _tick(self, link: Link, connection: Connection) -> None:
        if not link.paused:
            connection.tick(self._now)
        else:
            connection.keep_alive(self._now)
        if link.stuck(self._now):
            raise BgpError(SEND_HOLD_EXPIRED, 0, "send hold timer expired: the peer does not read")
        if link is self.up and self.learner is not None and not link.paused:
            self.learner.tick(self._now)

    def _agreement(self) -> Agreement | None:
        return self.up.connection.agreement if self.up is not None and self.up.connection is not None else None

    def _link_of(self, connection: Connection) -> Link:
        return next(link for link in self.links if link.connection is connection)

    def _add(self, sock: socket.socket, *, incoming: bool) -> Link:
        link = Link(sock, self.peer, self, self._selector, self._ready, incoming=incoming)
        self.links.append(link)
        return link

    def _begin(self, link: Link) -> None:
        link.begin(self._now, restarting=self._now < self._restarting_until)
        self._update_state()

    def _dial(self) -> None:
        try:
            self._add(self._dialer.dial(), incoming=False)
        except OSError as error:
            self._report.reason = f"connect failed: {error.strerror or error}"
            self._dialer.again(self._now)
            return
        self._dial_until = self._now + ATTEMPT
        self._update_state()

    def _ready(self, link: Link, mask: int) -> None:
        """The selector found the link's socket ready."""
        if link not in self.links:  # closed by what another socket brought in the same round
            return
        if link.connection is None:
            if error := link.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._lost(link, f"connect failed: {errno.errorcode.get(error, error)}")
            else:
                self._serve(link, lambda: self._begin(link))
            return
        if mask & selectors.EVENT_READ:
            self._serve(link, lambda: link.read(self._now))
        if mask & selectors.EVENT_WRITE and link in self.links:
            self._serve(link, lambda: link.write(self._now))
        self._update_state()

    def _fail(self, link: Link, error: BgpError) -> None:
        """End a connection for a fault that the peer is told of."""
        last = notification(error.code, error.subcode, error.data)
        reason = f"sent {error.code}/{error.subcode}: {error.text}"
        # A peer that went silent may have restarted; one that talks nonsense has not (RFC 4724 section 5).
        silent = error.code in (HOLD_EXPIRED, SEND_HOLD_EXPIRED)
        self._lost(link, reason, last, loss=Loss.SILENT if silent else Loss.NOTIFIED)

    def _lost(self, link: Link, reason: str, last_words: bytes = b"", *, loss: Loss = Loss.SILENT) -> None:
        """A connection ended by itself or by a fault: try again later, unless another one is there."""
        was_up = link is self.up
        self._drop(link, reason, last_words, loss=loss)
        if was_up or not self.links:
            self._report.reason = reason
            self._dialer.again(self._now)

    def _drop(self, link: Link, reason: str, last_words: bytes = b"", *, loss: Loss = Loss.NOTIFIED) -> None:
        """Close a connection and, if it was the session, say so."""
        if link not in self.links:
            return
        agreement = self._agreement()
        was_up = link is self.up
        self.links.remove(link)
        if link.connection is not None:
            self._report.updates_in += link.connection.updates_in
        if was_up:
            self.up = None
        link.close(last_words)
        self._update_state()
        if not was_up or agreement is None:
            log.info("connection closed session=%s peer=%s reason=%r", self.peer.name, self.peer.address, reason)
            return
        self._report.flaps += 1
        self._report.reason = reason
        log.warning("session down session=%s peer=%s reason=%r", self.peer.name, self.peer.address, reason)
        if self.peer.role is Role.PUSH:
            self._notify(SessionDown(reason))
        elif self.learner is not None:
            learner, self.learner = self.learner, None
            learner.down(reason, loss)

    def _update_state(self) -> None:
        if self.stopped:
            return
        connecting = SessionState.CONNECT
        states = [link.connection.state if link.connection is not None else connecting for link in self.links]
        alone = SessionState.IDLE if self._damper.closed(self._now) else SessionState.ACTIVE
        self._report.enter(max(states, key=_PROGRESS.index, default=alone))

    def status(self) -> SessionStatus:
        """A picture for people; any thread may ask."""
        up = self.up
        return self._report.status(up.connection if up is not None else None, self.learner)
