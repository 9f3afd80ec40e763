"""Sampled traffic without packets: what the sFlow agent of a busy switch would send, `python -m arm.simulate.sampler`.

Destinations follow a heavy-tailed popularity over an active set that drifts, as traffic does: now and then one of them
trades places with another that nobody asked for before. A part of the samples is traffic coming back, whose sources lie
in the table. Interface and host counters go with them.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from arm.simulate.agent import Agent
from arm.simulate.host import look
from arm.simulate.popularity import cumulative_weights, draw_destinations
from arm.simulate.table import Table

_TICK: Final = 0.02
_COUNTERS_EVERY: Final = 5.0
_SIZES: Final = (90, 590, 1518, 1518, 1518)
_RETURNING: Final = 0.25
"""Share of the samples that are traffic from the Internet."""
_OWN4: Final = bytes([198, 18, 0, 0])
_OWN6: Final = bytes.fromhex("fd0000000000000000000000000000ff")


class Sampler:
    """Draws packets and has an agent sample them; `step` does what is due."""

    def __init__(
        self, table: Table, agent: Agent, *, active: int, rate: float, drift: float, seed: int, now: float
    ) -> None:
        """`rate` in samples/s; `drift` is the share of the active set that changes in a minute."""
        self._chance = random.Random(seed)
        self._agent = agent
        self._rate = rate
        self._drift = drift * active / 60
        pool = draw_destinations(table, min(active * 8, len(table)), seed)
        self._active = [destination.address for destination in pool[:active]]
        self._others = [destination.address for destination in pool[active:]]
        self._own = [_OWN4[:2] + self._chance.randbytes(2) for _ in range(200)]
        self._weights = cumulative_weights(len(self._active))
        self._at = now
        self._counted_at = now - _COUNTERS_EVERY
        self._packets = 0
        self._octets = 0

    def step(self, now: float) -> None:
        """Send the samples that are due since the last call."""
        seconds = min(now - self._at, 0.2)
        self._at = now
        chance = self._chance
        for address in chance.choices(self._active, cum_weights=self._weights, k=round(self._rate * seconds)):
            own = chance.choice(self._own) if len(address) == 4 else _OWN6
            size = chance.choice(_SIZES)
            self._packets += self._agent.rate
            self._octets += size * self._agent.rate
            if chance.random() < _RETURNING:
                self._agent.sample(address, own, size)
            else:
                self._agent.sample(own, address, size)
        self._agent.flush()
        for _ in range(self._trades(seconds)):
            place, other = chance.randrange(len(self._active)), chance.randrange(len(self._others))
            self._active[place], self._others[other] = self._others[other], self._active[place]
        if now - self._counted_at >= _COUNTERS_EVERY:
            self._counted_at = now
            self._send_counters()

    def _trades(self, seconds: float) -> int:
        due = self._drift * seconds
        return int(due) + (self._chance.random() < due % 1) if self._others else 0

    def _send_counters(self) -> None:
        half, half_packets = self._octets // 2 % 2**64, self._packets // 2 % 2**32
        for index in (1, 2):
            self._agent.send_interface_counters(
                index,
                speed=100_000_000_000,
                octets_in=half,
                packets_in=half_packets,
                octets_out=half,
                packets_out=half_packets,
            )
        self._agent.send_host_counters(look())


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal; exit status."""
    parser = argparse.ArgumentParser(prog="python -m arm.simulate.sampler", description=main.__doc__)
    parser.add_argument("--table", type=Path, required=True, help="a saved table")
    parser.add_argument("--collector", default="127.0.0.1:6343")
    parser.add_argument("--active", type=int, default=20_000, help="destinations with traffic at a time")
    parser.add_argument("--samples", type=float, default=2_000.0, help="a second")
    parser.add_argument("--sampling", type=int, default=10_000, help="one packet in so many is sampled")
    parser.add_argument("--drift", type=float, default=0.05, help="share of the destinations that change in a minute")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    host, _, port = options.collector.rpartition(":")
    agent = Agent((host, int(port)), address=bytes([10, 0, 0, 136]), rate=options.sampling)
    sampler = Sampler(
        Table.load(options.table),
        agent,
        active=options.active,
        rate=options.samples,
        drift=options.drift,
        seed=options.seed,
        now=time.monotonic(),
    )
    while not stop.wait(_TICK):
        sampler.step(time.monotonic())
    agent.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
