"""Counts which packets of the traffic generator arrived here: `python -m arm.simulate.receiver --help`.

It runs where every address is local, so a wildcard UDP socket of each family gets them all. With `--log` each packet is
one fixed record in a file (see `RECORD`), from which a test reconstructs who got what, and when.

Commands (arm.simulate.control): `status`, `counts` (packets of each destination), `flush` (the log to disk), `reset`.

Invariant: what the kernel had to drop because this process was too slow is counted, so a test can tell a lost packet
from one that was never sent here.
"""

from __future__ import annotations

import argparse
import logging
import selectors
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from arm.model import format_address
from arm.simulate.control import ControlServer
from arm.simulate.traffic import MAGIC, PAYLOAD, PORT

log = logging.getLogger(__name__)

RECORD: Final = struct.Struct("=16sQQQI")
"""Destination, packet number, sent and received (CLOCK_MONOTONIC in ns), payload octets; the machine's byte order."""
_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55
_BUFFER: Final = 64 << 20
_BATCH: Final = 512


class Receiver:
    """Two sockets, a dictionary of counts, and perhaps a log."""

    def __init__(self, *, port: int = PORT, log_file: BinaryIO | None = None) -> None:
        self.counts: dict[bytes, int] = {}
        self.packets = 0
        self.octets = 0
        self.foreign = 0
        """Datagrams that are none of the generator's."""
        self._log = log_file
        self._lock = threading.Lock()
        self._buffer = bytearray(65536)
        self._selector = selectors.DefaultSelector()
        self._sockets = []
        for family, any_address in ((socket.AF_INET, ""), (socket.AF_INET6, "::")):
            sock = socket.socket(family, socket.SOCK_DGRAM)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            except PermissionError:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            sock.bind((any_address, port))
            port = sock.getsockname()[1]
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ)
            self._sockets.append(sock)
        self.port = port

    def step(self, timeout: float) -> None:
        """Take what has arrived, waiting for it for up to `timeout` seconds."""
        for key, _ in self._selector.select(timeout):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            with self._lock:
                self._drain(sock)

    def _drain(self, sock: socket.socket) -> None:
        receive, buffer, unpack = sock.recv_into, self._buffer, PAYLOAD.unpack_from
        counts, clock = self.counts, time.monotonic_ns
        records: list[bytes] = []
        for _ in range(_BATCH):
            try:
                size = receive(buffer)
            except BlockingIOError:
                break
            if size < PAYLOAD.size:
                self.foreign += 1
                continue
            magic, destination, number, sent = unpack(buffer)
            if magic != MAGIC:
                self.foreign += 1
                continue
            counts[destination] = counts.get(destination, 0) + 1
            self.packets += 1
            self.octets += size
            if self._log is not None:
                records.append(RECORD.pack(destination, number, sent, clock(), size))
        if records and self._log is not None:
            self._log.write(b"".join(records))

    @property
    def dropped(self) -> int:
        """Datagrams the kernel dropped because a socket buffer was full."""
        total = 0
        for sock in self._sockets:
            memory = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
            total += int(struct.unpack_from("=9I", memory)[8])
        return total

    def command(self, words: Sequence[str]) -> Any:
        """Carry out one command; ValueError if it is none."""
        with self._lock:
            match list(words):
                case ["status"]:
                    pass
                case ["counts"]:
                    return {_text(packed): count for packed, count in self.counts.items()}
                case ["flush"]:
                    if self._log is not None:
                        self._log.flush()
                case ["reset"]:
                    self.counts.clear()
                    self.packets = self.octets = 0
                case _:
                    raise ValueError(f"no such command: {' '.join(words)}")
            return {
                "packets": self.packets,
                "octets": self.octets,
                "destinations": len(self.counts),
                "dropped": self.dropped,
                "foreign": self.foreign,
            }

    def close(self) -> None:
        self._selector.close()
        for sock in self._sockets:
            sock.close()


def destination_of(packed: bytes) -> bytes:
    """The packed address of a destination as PAYLOAD has it: the table has no IPv6 prefix that starts with zeros."""
    return packed[12:] if packed.startswith(bytes(12)) else packed


def _text(packed: bytes) -> str:
    return format_address(destination_of(packed))


def main(argv: Sequence[str] | None = None) -> int:
    """Count until a signal; exit status."""
    parser = argparse.ArgumentParser(prog="python -m arm.simulate.receiver", description="Counts simulated packets.")
    parser.add_argument("--control", type=Path, required=True, help="Unix socket for commands")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--log", type=Path, help="write a record of each packet to this file")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log_file = options.log.open("wb") if options.log else None
    receiver = Receiver(port=options.port, log_file=log_file)
    control = ControlServer(options.control, receiver.command)
    control.start()
    try:
        while not stop.is_set():
            receiver.step(0.2)
    finally:
        control.stop()
        receiver.close()
        if log_file is not None:
            log_file.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
