"""How many tasks (threads and processes) the service needs at most: what TasksMax= in the units has to allow.

A thread that the system has no room for is a RuntimeError in the middle of a start, or of a request.
"""

from __future__ import annotations

from typing import Final

from arm.observe.board import RENEWALS
from arm.web.server import THREADS

PARTS: Final = ("engine", "sflow", "bgp", "target-kernel", "target-capacity", "analytics", "http", "memory")
"""Threads that are there once; the engine's is the process's first."""
COMMANDS: Final = 8
"""Processes beside the daemon's own: one that tells of the hardware, and what a reload runs."""


def web_threads(clients: int) -> int:
    """Threads that answer requests, when so many `clients` may wait for events."""
    return THREADS + clients


def most_tasks(clients: int) -> int:
    """Tasks of the service at most, with `[analytics] clients` as given."""
    return len(PARTS) + web_threads(clients) + RENEWALS + COMMANDS
