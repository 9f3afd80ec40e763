"""Sockets and listeners that are closed and stopped when a test ends."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from arm.sflow.listener import Listener, open_socket


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with open_socket("127.0.0.1:0", 4 << 20) as made:
        yield made


@pytest.fixture
def started() -> Iterator[list[Listener]]:
    """Listeners put in here are stopped at the end."""
    made: list[Listener] = []
    yield made
    for one in made:
        one.stop()
