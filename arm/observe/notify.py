"""The service manager's protocols: what the daemon says of itself, and the sockets that it is handed.

Both are plain: datagrams to a Unix socket named in NOTIFY_SOCKET (sd_notify(3)), and file descriptors from 3 on, as
many as LISTEN_FDS says (sd_listen_fds(3)). Neither is an error when absent: the daemon also runs by hand. Nothing here
raises for what the environment holds, except `inherited_sockets` for descriptors that were promised and are no sockets.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

log = logging.getLogger(__name__)

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START."""


class Notifier:
    """Tells the service manager how the daemon is; does nothing without one. Any thread may call it."""

    def __init__(self, address: str | None) -> None:
        """`address` is NOTIFY_SOCKET's: a path, or a name of the abstract namespace behind `@`."""
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            # a service manager that does not read must not stop the engine
            self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Notifier:
        """A notifier for the manager that started this process, if one did."""
        return cls(environment.get("NOTIFY_SOCKET"))

    def ready(self, status: str) -> None:
        """The daemon does its work; with Type=notify the unit is active from here."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={_line(status)}")

    def watchdog(self) -> None:
        """The engine turns. Call it from the engine's own progress, never from a timer of its own."""
        self._send("WATCHDOG=1")

    def reloading(self, monotonic_usec: int) -> None:
        """A reload began, at this time of CLOCK_MONOTONIC in microseconds; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={monotonic_usec}")

    def stopping(self, status: str = "stopping") -> None:
        """The daemon is on its way out."""
        self._send(f"STOPPING=1\nSTATUS={_line(status)}")

    def _send(self, message: str) -> None:
        if self._socket is None or self._address is None:
            return
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError as error:
            log.debug("service manager not reached error=%s", error)

    def close(self) -> None:
        """Close the socket; later calls do nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _line(text: str) -> str:
    return " ".join(text.split())


def watchdog_seconds(environment: Mapping[str, str] = os.environ, *, pid: int | None = None) -> float | None:
    """How often the manager wants to hear `watchdog`, half of its limit; None if it does not watch this process."""
    usec = environment.get("WATCHDOG_USEC", "")
    if not _is_number(usec) or int(usec) == 0:
        return None
    watched = environment.get("WATCHDOG_PID", "")
    if watched and watched != str(os.getpid() if pid is None else pid):
        return None
    return int(usec) / 1e6 / 2


@dataclass(frozen=True, slots=True)
class Inherited:
    """A bound socket that the process was started with."""

    name: str
    """FileDescriptorName= of the socket unit; `unknown` where none was given."""
    sock: socket.socket


def inherited_sockets(
    environment: MutableMapping[str, str] = os.environ, *, pid: int | None = None, first: int = FIRST_DESCRIPTOR
) -> tuple[Inherited, ...]:
    """The sockets that this process was started with, in order; empty without any.

    The variables are taken out of the environment, so that child processes do not take the sockets for theirs, and a
    second call finds none. OSError if a promised descriptor is not a socket.
    """
    count = environment.pop("LISTEN_FDS", "")
    owner = environment.pop("LISTEN_PID", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if not _is_number(count) or owner != str(os.getpid() if pid is None else pid):
        return ()
    found: list[Inherited] = []
    for index in range(int(count)):
        sock = socket.socket(fileno=first + index)
        sock.set_inheritable(False)
        name = names[index] if index < len(names) and names[index] else "unknown"
        found.append(Inherited(name, sock))
    return tuple(found)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
