"""A BGP peer that does as the test says, and a speaker to talk to; everything on loopback."""

from __future__ import annotations

import dataclasses
import socket
import struct
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

from polling import until

from arm.bgp.events import SessionEvent
from arm.bgp.opens import make_open
from arm.bgp.peer import Peer
from arm.bgp.speaker import Speaker
from arm.bgp.tcp import listen
from arm.bgp.wire import HEADER_SIZE, KEEPALIVE, KEEPALIVE_MESSAGE, NOTIFICATION, OPEN, read_header
from arm.model import Event, Role, SessionState, SessionStatus

E = TypeVar("E")

LEARN = Peer("reflector", "127.0.0.1", 64500, 64500, "0.0.0.1", Role.LEARN)
PUSH = Peer("target", "127.0.0.2", 64500, 64500, "0.0.0.2", Role.PUSH)
REMOTE = Peer("arm", "127.0.0.9", 64500, 64500, "10.0.0.1", Role.LEARN)
"""How the scripted peer introduces itself."""


class Talk:
    """One connection of the scripted peer."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(10)
        self.sock = sock
        self._data = b""

    def send(self, *messages: bytes) -> None:
        self.sock.sendall(b"".join(messages))

    def receive(self) -> tuple[int, bytes]:
        """(type, body) of the next message; EOFError when the speaker has closed."""
        while True:
            if len(self._data) >= HEADER_SIZE:
                size, kind = read_header(self._data, 0)
                if len(self._data) >= size:
                    body, self._data = self._data[HEADER_SIZE:size], self._data[size:]
                    return kind, body
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError
            self._data += data

    def expect(self, kind: int) -> bytes:
        """Body of the next message of this type; keepalives in between do not count."""
        while True:
            got, body = self.receive()
            if got == kind:
                return body
            assert got == KEEPALIVE, f"type {got} with {body.hex()}"

    def notified(self) -> tuple[int, int]:
        """Code and subcode of the NOTIFICATION that must come now, and the end after it."""
        body = self.expect(NOTIFICATION)
        self.closed()
        return body[0], body[1]

    def closed(self) -> None:
        """The speaker has closed, or does so now."""
        try:
            while True:
                kind, body = self.receive()
                assert kind == KEEPALIVE, f"type {kind} with {body.hex()}"
        except EOFError:
            pass

    def establish(self, opened: bytes | None = None) -> bytes:
        """Go to established; the speaker's OPEN."""
        body = self.expect(OPEN)
        self.send(opened or make_open(REMOTE), KEEPALIVE_MESSAGE)
        kind, _ = self.receive()
        assert kind == KEEPALIVE
        return body

    def reset(self) -> None:
        """Go without a word, as a machine that lost its power and came back."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Desk:
    """A running speaker with its events, and connections to it."""

    def __init__(self, peers: Sequence[Peer] = (LEARN, PUSH), **options: Any) -> None:
        self.events: list[Event | SessionEvent] = []
        self.backlog = 0
        self.fails = False
        """The speaker's thread is expected to end by an exception."""
        self.rounds = 0
        """Rounds of the speaker's loop."""
        listener = listen("127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        # The second loopback address is where peers of the same address are told apart.
        second = listen("127.0.0.100", self.port)
        self.speaker = Speaker(
            listeners=[listener, second],
            peers=peers,
            emit=self.events.append,
            backlog=self._round,
            **options,
        )
        for peer in peers:
            if peer.role is Role.PUSH:
                self.speaker.watch(peer.name, self.events.append)
        self.speaker.start()
        self._talks: list[Talk] = []

    def _past(self, count: int) -> bool:
        return self.rounds >= count

    def _round(self) -> int:
        self.rounds += 1
        return self.backlog

    def call(self, source: str = LEARN.address, to: str = "127.0.0.1") -> Talk:
        """Connect from this address."""
        talk = Talk(socket.create_connection((to, self.port), timeout=10, source_address=(source, 0)))
        self._talks.append(talk)
        return talk

    def established(self, source: str = LEARN.address, opened: bytes | None = None) -> Talk:
        talk = self.call(source)
        talk.establish(opened)
        until(lambda: self.status(source).state is SessionState.ESTABLISHED)
        return talk

    def status(self, address: str = LEARN.address) -> SessionStatus:
        return next(status for status in self.speaker.status() if status.peer == address)

    def another_round(self) -> None:
        """Wake the speaker's thread, and wait until it has looked at everything."""
        for count in (self.rounds + 1, self.rounds + 2):
            self.speaker.refresh("reflector")
            until(partial(self._past, count))

    def wait(self, kind: type[E], count: int = 1) -> E:
        """The `count`th event of this type."""
        return until(
            lambda: [event for event in self.events if isinstance(event, kind)][count - 1 : count], what=str(kind)
        )[0]

    def count(self, kind: type[E]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    def close(self) -> None:
        for talk in self._talks:
            talk.sock.close()
        self.speaker.stop()
        assert (self.speaker.failed is not None) == self.fails


def opening(**changes: Any) -> bytes:
    """The scripted peer's OPEN with something changed."""
    return make_open(dataclasses.replace(REMOTE, **changes))
