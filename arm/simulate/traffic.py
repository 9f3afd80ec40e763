"""The traffic generator: real UDP packets to addresses of the table, `python -m arm.simulate.traffic --help`.

Two streams share the rate. The main one follows a heavy-tailed popularity over an active set, which a command replaces
at once. The sweep, if one is asked for, visits its own addresses in turn, so that addresses nobody else sends to, and
which therefore go by the default route, are seen too.

Every packet carries where it went, its number and when it was sent (see `PAYLOAD`), so that a receiver can tell what
became of it. Commands (arm.simulate.control):

    status | rate PACKETS_PER_SECOND | shift SEED [COUNT] | sweep COUNT SEED SHARE | quiet

Invariant: never more than a tenth of a second of packets in one go, so that a stalled machine is not flooded after.
"""

from __future__ import annotations

import argparse
import logging
import random
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from arm.model import Family, format_address
from arm.simulate.control import ControlServer
from arm.simulate.popularity import EXPONENT, FLATTENING, cumulative_weights, draw_destinations
from arm.simulate.table import Table

log = logging.getLogger(__name__)

PORT: Final = 40009
PAYLOAD: Final = struct.Struct("!4s16sQQ")
"""Magic, destination (IPv4 in the last four octets), packet number, CLOCK_MONOTONIC in ns."""
MAGIC: Final = b"ARM1"
_SIZES: Final = (100, 100, 576, 1400, 1400, 1400)
"""Octets of UDP payload, each as frequent as the others."""
_TICK: Final = 0.005
_BURST: Final = 0.1

Target = tuple[bytes, int, tuple[str, int]]
"""Destination as in PAYLOAD, which socket (0 IPv4, 1 IPv6), and where to send."""


class Generator:
    """Draws destinations and sends packets. `step` sends what is due; commands come from another thread."""

    def __init__(
        self,
        table: Table,
        *,
        active: int,
        seed: int,
        rate: float,
        ipv6_share: float = 0.2,
        exponent: float = EXPONENT,
        flattening: float = FLATTENING,
        port: int = PORT,
    ) -> None:
        """`active` destinations, `rate` packets a second."""
        self.table = table
        self.rate = rate
        self._turn = threading.Lock()
        """Held while packets are sent, so that `status` counts all or none of them."""
        self.sent = 0
        self.refused = 0
        """Packets the kernel did not take: no route, no buffer."""
        self.first_at: int | None = None
        """When the first packet was sent, CLOCK_MONOTONIC in ns."""
        self.shifted_at = 0
        """When the active set was replaced last, the same."""
        self._active = active
        self._seed = seed
        self._ipv6_share = ipv6_share
        self._law = (exponent, flattening)
        self._port = port
        self._chance = random.Random(seed)
        self._sockets = [socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6)]
        for sock in self._sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self._main: tuple[list[Target], list[float]] = ([], [])
        self._sweep: tuple[cycle[Target] | None, float] = (None, 0.0)
        self._swept = 0
        self._due = self._sweep_due = 0.0
        self._last = time.monotonic()
        self.shift(seed, active)

    def _targets(self, count: int, seed: int) -> list[Target]:
        return [
            (
                destination.address.rjust(16, b"\0"),
                int(destination.family is Family.IPV6),
                (format_address(destination.address), self._port),
            )
            for destination in draw_destinations(self.table, count, seed, ipv6_share=self._ipv6_share)
        ]

    def shift(self, seed: int, active: int) -> None:
        """Another active set, from now on."""
        targets = self._targets(active, seed)
        exponent, flattening = self._law
        weights = cumulative_weights(len(targets), exponent=exponent, flattening=flattening)
        self._active, self._seed = active, seed
        self.shifted_at = time.monotonic_ns()
        self._main = (targets, weights)

    def sweep(self, count: int, seed: int, share: float) -> None:
        """Give `share` (0 to 1) of the packets to these many addresses drawn over the whole table, in turn."""
        if not 0 <= share <= 1:
            raise ValueError("a share is from 0 to 1")
        targets = self._targets(count, seed)
        self._swept = len(targets)
        self._sweep = (cycle(targets) if targets and share else None, share if targets else 0.0)

    def step(self) -> None:
        """Send what is due since the last call."""
        with self._turn:
            self._step()

    def _step(self) -> None:
        now = time.monotonic()
        packets = self.rate * min(now - self._last, _BURST)
        self._last = now
        sweep, share = self._sweep
        self._due += packets * (1 - share)
        count, self._due = int(self._due), self._due % 1
        targets, weights = self._main
        if targets and count:
            self._send(self._chance.choices(targets, cum_weights=weights, k=count))
        if sweep is not None:
            self._sweep_due += packets * share
            count, self._sweep_due = int(self._sweep_due), self._sweep_due % 1
            self._send(list(islice(sweep, count)))

    def _send(self, targets: Sequence[Target]) -> None:
        sizes = self._chance.choices(_SIZES, k=len(targets))
        ipv4, ipv6 = (sock.sendto for sock in self._sockets)
        number = self.sent
        clock, pack = time.monotonic_ns, PAYLOAD.pack
        pads = {size: bytes(size - PAYLOAD.size) for size in _SIZES}
        if self.first_at is None:
            self.first_at = clock()
        for (packed, which, where), size in zip(targets, sizes, strict=True):
            number += 1
            try:
                (ipv6 if which else ipv4)(pack(MAGIC, packed, number, clock()) + pads[size], where)
            except OSError:
                self.refused += 1
        self.sent = number

    def status(self) -> dict[str, Any]:
        """What is true now, between two steps."""
        with self._turn:
            return self._status()

    def _status(self) -> dict[str, Any]:
        return {
            "rate": self.rate,
            "active": self._active,
            "seed": self._seed,
            "sweep": self._swept,
            "sent": self.sent,
            "refused": self.refused,
            "first_at": self.first_at,
            "shifted_at": self.shifted_at,
        }

    def command(self, words: Sequence[str]) -> dict[str, Any]:
        """Carry out one command; ValueError if it is none."""
        match list(words):
            case ["status"]:
                pass
            case ["rate", rate]:
                self.rate = max(0.0, float(rate))
            case ["quiet"]:
                self.rate = 0.0
            case ["shift", seed]:
                self.shift(int(seed), self._active)
            case ["shift", seed, count]:
                self.shift(int(seed), int(count))
            case ["sweep", count, seed, share]:
                self.sweep(int(count), int(seed), float(share))
            case _:
                raise ValueError(f"no such command: {' '.join(words)}")
        return self.status()

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Send until a signal; exit status."""
    parser = argparse.ArgumentParser(prog="python -m arm.simulate.traffic", description="Sends UDP over a table.")
    parser.add_argument("--table", type=Path, required=True, help="a saved table")
    parser.add_argument("--control", type=Path, required=True, help="Unix socket for commands")
    parser.add_argument("--active", type=int, default=20_000, help="destinations")
    parser.add_argument("--rate", type=float, default=10_000.0, help="packets a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ipv6-share", type=float, default=0.2)
    parser.add_argument("--exponent", type=float, default=EXPONENT)
    parser.add_argument("--flattening", type=float, default=FLATTENING)
    parser.add_argument("--port", type=int, default=PORT)
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    generator = Generator(
        Table.load(options.table),
        active=options.active,
        seed=options.seed,
        rate=options.rate,
        ipv6_share=options.ipv6_share,
        exponent=options.exponent,
        flattening=options.flattening,
        port=options.port,
    )
    control = ControlServer(options.control, generator.command)
    control.start()
    log.info("traffic started active=%d rate=%g", options.active, options.rate)
    try:
        while not stop.is_set():
            generator.step()
            select.select((), (), (), _TICK)
    finally:
        control.stop()
        generator.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
