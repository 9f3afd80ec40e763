"""What the tests of the listener share."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from arm.sflow.listener import Listener
from arm.simulate.agent import Agent, Prebuilt

PACKETS = [(bytes([192, 0, 2, n]), bytes([198, 51, 100, n]), 1000 + n) for n in range(1, 71)]
TIMEOUT = 20.0


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; the test fails if it does not come."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def run(started: list[Listener], sock: socket.socket, **options: Any) -> Listener:
    listener = Listener(sock=sock, **{"agent": None, **options})
    started.append(listener)
    listener.start()
    return listener


def agent_for(sock: socket.socket, **options: Any) -> Agent:
    return Agent(sock.getsockname()[:2], **options)


def send_paced(agent: Agent, built: list[Prebuilt], listener: Listener, *, window: int = 40) -> None:
    """Send, with no more than `window` datagrams under way, so that no socket buffer is too small."""
    for place, one in enumerate(built):
        agent.send(one)
        if place % window == window - 1:
            until(lambda: listener.status().datagrams >= agent.sequence - window // 2)
