"""From the first datagram that shows a new prefix to its route in the kernel, with the full table and other traffic.

Each trial sends one datagram with one sample of an address whose route leads another way than the default, has never
been seen, and lies in no other route. The time ends when the kernel tells of the route (netlink). BIRD puts it there,
or with `--target kernel` ARM itself. There is room for all. The floor beside it is a route that `ip` puts in, seen
the same way: what the measuring itself takes.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from statistics import median

from _kernel import RouteMonitor
from _processes import until
from _rig import FULL, QUICK, SFLOW, Rig, rig
from _tables import Figure, show
from pytricia import PyTricia

from arm.daemon.loop import TAKE_EVERY
from arm.model import FAMILIES, Family, Prefix, format_prefix
from arm.simulate.agent import Agent
from arm.simulate.paths import Variant
from arm.simulate.popularity import draw_destinations

_BACKGROUND = 20_000
"""Destinations of the background traffic."""


def fresh_prefixes(rig_: Rig, count: int) -> Iterator[Prefix]:
    """Prefixes at the top of the table which upstream 1 is better for, and which carry no background traffic."""
    chance = random.Random(7)
    trees = {Family.IPV4: PyTricia(32), Family.IPV6: PyTricia(128)}
    for family, tree in trees.items():
        for prefix in rig_.table.families[family].prefixes():
            tree[prefix] = None
    busy = {d.address for d in draw_destinations(rig_.table, min(_BACKGROUND, len(rig_.table) // 2), 1)}
    used = {trees[Family(1 if len(address) == 4 else 2)].get_key(address) for address in busy}
    paths = rig_.table.paths
    found = 0
    while found < count:
        family = FAMILIES[chance.random() < 0.2]
        table = rig_.table.families[family]
        index = chance.randrange(len(table))
        prefix, path = table.prefix(index), table.paths[index]
        ranks = [paths.rank(path, slot, Variant.NORMAL) for slot in (0, 1)]
        tree = trees[family]
        if ranks[1] < ranks[0] and prefix not in used and tree.parent(prefix) is None and not tree.children(prefix):
            used.add(prefix)
            found += 1
            yield prefix


def trial(agent: Agent, monitor: RouteMonitor, prefix: Prefix, limit: float) -> float:
    """Seconds until the route stands; `limit` if it does not come."""
    address = (int.from_bytes(prefix[0], "big") | 1).to_bytes(len(prefix[0]), "big")
    (built,) = agent.prebuild([(address[:-1] + b"\x02", address, 1500)])
    began = time.time()
    agent.send(built)
    while prefix not in monitor.added and time.time() - began < limit:
        time.sleep(0.001)
    return monitor.added.get(prefix, began + limit) - began


def unseen(rig_: Rig, monitor: RouteMonitor, count: int) -> Iterator[Prefix]:
    """Of `count` fresh prefixes those that neither a shorter route nor other traffic has brought in when they come."""
    fresh = list(fresh_prefixes(rig_, count))
    return (prefix for prefix in fresh if prefix not in monitor.added)


def spread(count: int, chance: random.Random) -> list[float]:
    """Pauses before trials, seconds: evenly spread over three of the intervals at which ARM looks at samples.

    A trial begins some time after the one before has ended, and that was soon after a look: so its time depends first
    of all on the pause. Two series with the same pauses can be compared with few trials.
    """
    pauses = [0.02 + 3 * TAKE_EVERY * (number + chance.random()) / count for number in range(count)]
    chance.shuffle(pauses)
    return pauses


def floor(monitor: RouteMonitor, trials: int) -> list[float]:
    """Seconds that a route takes which `ip` puts in."""
    taken = []
    for number in range(trials):
        prefix = (bytes((192, 0, 2, number)), 32)
        began = time.time()
        subprocess.run(["ip", "route", "add", format_prefix(prefix), "dev", "sw0"], check=True)
        until(lambda at=prefix: at in monitor.added, 3, "the kernel tells of a route", 0.001)
        taken.append(monitor.added[prefix] - began)
    return taken


def main(argv: Sequence[str]) -> int:
    """Print the table; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench reaction", description=__doc__)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--rate", type=float, default=2_000, help="samples a second in the background")
    parser.add_argument("--target", choices=("bird", "kernel"), default="bird")
    parser.add_argument("--quick", action="store_true", help="a small table, a few trials, no goals")
    options = parser.parse_args(argv)
    trials = 10 if options.quick else options.trials
    chance = random.Random(1)
    limit = 3.0
    with rig(QUICK if options.quick else FULL) as rig_:
        monitor = RouteMonitor()
        rig_.load_arm(options.target, 100_000)
        rig_.sender(SFLOW, options.rate, 3600, "--destinations", str(_BACKGROUND))
        prefixes = unseen(rig_, monitor, 2 * trials)
        until(lambda: len(monitor.added) > 20, 60, "routes of the background traffic are in the kernel")
        time.sleep(2 if options.quick else 15)
        agent = Agent(SFLOW, address=bytes((10, 0, 0, 137)), rate=10_000, per_datagram=1)
        times = []
        for _ in range(trials):
            time.sleep(chance.uniform(0.02, 0.15))
            times.append(trial(agent, monitor, next(prefixes), limit) * 1000)
        lost = sum(one >= limit * 1000 for one in times)
        base = sorted(one * 1000 for one in floor(monitor, min(trials, 50)))
        background = len(monitor.present)
    times.sort()
    middle, last = median(times), times[min(len(times) - 1, int(len(times) * 0.99))]

    half, most = (100, 300) if options.target == "kernel" else (200, 500)

    def goal(met: bool) -> bool | None:
        return None if options.quick else met

    return show(
        f"{trials} new prefixes, target {options.target}, {options.rate:,.0f} samples/s besides, "
        f"{background:,} routes in the kernel at the end",
        "ip route add",
        [
            Figure("median", "ms", middle, median(base), f"<= {half}", goal(middle <= half)),
            Figure("99th percentile", "ms", last, base[-1], f"<= {most}", goal(last <= most)),
            Figure("not within 3 s", "prefixes", lost, None, "0", goal(lost == 0)),
        ],
    )
