"""An sFlow agent that sends prebuilt datagrams at a steady rate: a process of its own, so that it does not slow ARM.

    _sender.py TABLE HOST:PORT RATE SECONDS [--destinations N] [--seed N]

Destinations are drawn from the table with a heavy-tailed popularity, sources evenly from the most popular ones. What
was sent is printed as one line of JSON at the end.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import time
from pathlib import Path

from arm.simulate.agent import Agent, Packet, Prebuilt
from arm.simulate.popularity import cumulative_weights, draw_destinations
from arm.simulate.table import Table

_TICK = 0.002
_MOST_SAMPLES = 210_000


def packets(table: Table, count: int, destinations: int, seed: int) -> list[Packet]:
    """Packets as they are sampled on the virtual link, in random order."""
    chance = random.Random(seed)
    drawn = draw_destinations(table, destinations, seed)
    chosen = chance.choices(drawn, cum_weights=cumulative_weights(len(drawn)), k=count)
    sources: dict[int, list[bytes]] = {}
    for destination in drawn[:2000]:
        sources.setdefault(len(destination.address), []).append(destination.address)
    made = []
    for _, _, address in chosen:
        source = chance.choice(sources.get(len(address)) or [bytes(len(address))])
        made.append((source, address, chance.choice((64, 576, 1500))))
    return made


def send(agent: Agent, built: list[Prebuilt], rate: float, seconds: float) -> dict[str, float]:
    """Send round and round; `rate` in samples a second."""
    samples = datagrams = 0
    began = time.monotonic()
    end = began + seconds
    place = 0
    while (now := time.monotonic()) < end:
        due = rate * (now - began)
        while samples < due:
            datagram = built[place]
            agent.send(datagram)
            samples += datagram.samples
            datagrams += 1
            place = place + 1 if place + 1 < len(built) else 0
        time.sleep(_TICK)
    return {"samples": samples, "datagrams": datagrams, "seconds": time.monotonic() - began}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", type=Path)
    parser.add_argument("collector")
    parser.add_argument("rate", type=float)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--destinations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    table = Table.load(options.table)
    host, _, port = options.collector.rpartition(":")
    agent = Agent((host, int(port)), address=bytes((10, 0, 0, 136)), rate=10_000)
    count = min(_MOST_SAMPLES, max(7_000, int(options.rate * options.seconds)))
    built = agent.prebuild(packets(table, count, min(options.destinations, len(table) // 2), options.seed))
    del table
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    print(json.dumps(send(agent, built, options.rate, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
