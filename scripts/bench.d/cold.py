"""A cold start: 10,000 and 100,000 remembered routes, from the decision to the last of them in the kernel through BIRD.

ARM starts with what an earlier run remembered (its state file), learns the full table, and decides at the End-of-RIB.
The decision's time is that of ARM's log line; the kernel's is told by netlink. Beside it: the same routes added by one
`ip -batch` process, of the same run.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import time
from collections.abc import Sequence

from _kernel import RouteMonitor
from _processes import until
from _rig import FULL, HOPS, QUICK, Rig, rig, wall
from _tables import Figure, show

from arm.model import Family, Prefix, format_prefix
from arm.simulate.paths import Variant


def remember(rig_: Rig, count: int) -> None:
    """Write the state file of a run that had chosen `count` IPv4 routes, most of which will be installed again."""
    table = rig_.table.families[Family.IPV4]
    paths = rig_.table.paths
    chosen: list[Prefix] = []
    for index in random.Random(count).sample(range(len(table)), len(table)):
        path = table.paths[index]
        if table.lengths[index] == 24 and paths.rank(path, 1, Variant.NORMAL) < paths.rank(path, 0, Variant.NORMAL):
            chosen.append(table.prefix(index))
            if len(chosen) == count:
                break
    rows = [[format_prefix(prefix), 1e6 + at, 100.0, 1] for at, prefix in enumerate(chosen)]
    state = rig_.directory / "state"
    state.mkdir(exist_ok=True)
    document = {"version": 1, "saved_ms": time.time_ns() // 1_000_000, "families": {"IPv4": rows, "IPv6": []}}
    (state / "choice.json").write_text(json.dumps(document))


def installed(rig_: Rig) -> int:
    """Entries that ARM has decided on."""
    families = rig_.status()["families"].values()
    return sum(int(family["installed_routes"]) + int(family["installed_covers"]) for family in families)


def start(rig_: Rig, monitor: RouteMonitor, count: int) -> tuple[int, float, float]:
    """Routes decided on, seconds until all of them stood, seconds for `ip -batch` to add as many."""
    remember(rig_, count)
    before = set(monitor.present)
    arm = rig_.start_arm("bird", count * 2)
    rig_.established("from_arm")
    rig_.established("to_arm")
    until(lambda: "table complete session=reflector family=IPv4" in arm.text(), 120, "ARM has the table")
    line = next(line for line in arm.text().splitlines() if "table complete" in line and "family=IPv4" in line)
    decided = wall(line)
    until(lambda: installed(rig_) > 0, 30, "ARM has decided")
    until(lambda: len(monitor.present - before) >= installed(rig_), 60, "the routes are in the kernel", 0.5)
    routes, last = monitor.present - before, monitor.last
    rig_.birdc("disable", "to_arm")
    rig_.birdc("disable", "from_arm")
    rig_.stop(arm)
    until(lambda: len(monitor.present - before) == 0, 60, "the routes are out of the kernel", 0.1)
    lines = "".join(f"route add {format_prefix(prefix)} via {HOPS[1]} dev sw0 metric 77\n" for prefix in routes)
    began = time.monotonic()
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)
    batch = time.monotonic() - began
    subprocess.run(["ip", "route", "flush", "metric", "77"], check=False, capture_output=True)
    until(lambda: len(monitor.present - before) == 0, 60, "the routes of ip are gone", 0.1)
    return len(routes), last - decided, batch


def main(argv: Sequence[str]) -> int:
    """Print the table; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench cold", description=__doc__)
    parser.add_argument("--routes", type=int, action="append", help="default: 10,000 and 100,000")
    parser.add_argument("--quick", action="store_true", help="a small table, 1,000 routes, no goals")
    options = parser.parse_args(argv)
    counts = [1_000] if options.quick else options.routes or [10_000, 100_000]
    figures = []
    with rig(QUICK if options.quick else FULL) as rig_:
        monitor = RouteMonitor()
        for count in counts:
            routes, seconds, batch = start(rig_, monitor, count)
            limit = 1.0 if count <= 10_000 else count / 25_000
            met = None if options.quick else seconds <= limit
            figures.append(Figure(f"{routes:,} routes", "s", seconds, batch, f"<= {limit:g}", met))
    return show("from the decision to the last route in the kernel, through BIRD", "ip -batch", figures)
