"""Routes into the kernel's table: the kernel target against `ip -batch`.

Both put the same routes into the same kernel, one after the other, in a namespace of their own: add, replace and remove
all, then changes scattered over a full table (a third each). The target's figures are those of plans handed to its
session, from the plan to the kernel's last answer; `ip -batch` gets its commands on standard input and is timed as a
whole process, which for so many routes is its netlink work.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import time
from collections.abc import Callable, Sequence

from _namespace import ip, switch_namespace, table

from arm.model import Attributes, Change, Entry, Feed, Kind, Plan, Prefix, format_prefix, parse_address
from arm.target.kernel import KernelSession, KernelSettings

FEED = Feed("bench", "127.0.0.1", 1, 65000, "192.0.2.1")
HOPS = {4: ("10.0.1.2", "10.0.2.2"), 6: ("fd00:1::2", "fd00:2::2")}
Steps = Sequence[tuple[str, Prefix, int]]


def prefixes(count: int, family: int) -> list[Prefix]:
    """Distinct prefixes in an order that is not the table's."""
    if family == 4:
        made = [((0x14000000 + (number << 8)).to_bytes(4, "big"), 24) for number in range(count)]
    else:
        made = [((0x20010DB8 << 96 | number << 64).to_bytes(16, "big"), 64) for number in range(count)]
    random.Random(1).shuffle(made)
    return made


def scattered(present: Sequence[Prefix], fresh: Sequence[Prefix], count: int) -> Steps:
    """Removals, replacements and additions in turn, at random places."""
    chosen = random.Random(2).sample(range(len(present)), count // 3 * 2)
    steps = [("remove", present[index], 0) for index in chosen[::2]] + [
        ("replace", present[i], 0) for i in chosen[1::2]
    ]
    steps += [("add", prefix, 1) for prefix in fresh[: count - len(steps)]]
    random.Random(3).shuffle(steps)
    return steps


def by_target(session: KernelSession, steps: Steps, family: int) -> float:
    """Seconds that the target takes for one plan."""
    entries = [Entry(Kind.ROUTE, Attributes(FEED, parse_address(hop), b"")) for hop in HOPS[family]]
    plan = Plan(1, tuple(Change(p, None if what == "remove" else entries[hop], "bench") for what, p, hop in steps))
    began = time.perf_counter()
    applied = session.apply(plan)
    seconds = time.perf_counter() - began
    if applied.failed:
        raise SystemExit(f"bench: {len(applied.failed)} changes failed, first: {applied.failed[0]}")
    return seconds


def by_ip(switch: str, steps: Steps, family: int) -> float:
    """Seconds that `ip -batch` takes for the same."""
    words = {"add": "add", "replace": "replace", "remove": "del"}
    lines = "".join(
        f"route {words[what]} {format_prefix(p)} metric 32 proto 211"
        + ("\n" if what == "remove" else f" via {HOPS[family][hop]} dev d{hop + 1}\n")
        for what, p, hop in steps
    )
    began = time.perf_counter()
    subprocess.run(["ip", "-n", switch, f"-{family}", "-batch", "-"], input=lines, text=True, check=True)
    return time.perf_counter() - began


def measure(apply: Callable[[Steps], float], count: int, few: int, family: int) -> list[float]:
    """Changes per second of add, replace, remove, and scattered changes."""
    everything = prefixes(count + few, family)
    some, fresh = everything[:count], everything[count:]
    figures = []
    for what, hop in (("add", 0), ("replace", 1), ("remove", 0)):
        figures.append(count / apply([(what, prefix, hop) for prefix in some]))
    apply([("add", prefix, 1) for prefix in some])
    steps = scattered(some, fresh, few)
    figures.append(len(steps) / apply(steps))
    gone = {prefix for what, prefix, _ in steps if what == "remove"}
    left = [p for p in some if p not in gone] + [prefix for what, prefix, _ in steps if what == "add"]
    apply([("remove", prefix, 0) for prefix in left])
    return figures


def compare(family: int, count: int, few: int) -> tuple[list[float], list[float]]:
    """Figures of the target and of `ip -batch`, in one namespace."""
    with switch_namespace(3) as (switch, _peers):
        session = KernelSession(KernelSettings(netns=switch), lambda _: None)
        try:
            session.open(time.monotonic())
            ours = measure(lambda steps: by_target(session, steps, family), count, few, family)
            session.flush()
        finally:
            session.close()
        theirs = measure(lambda steps: by_ip(switch, steps, family), count, few, family)
        left = ip(switch, f"-{family} route show proto 211").count("\n")
    if left:
        raise SystemExit(f"bench: {left} routes are left over")
    return ours, theirs


def main(argv: Sequence[str]) -> int:
    """Print the table of both families; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench kernel", description=__doc__)
    parser.add_argument("--routes", type=int, default=100_000)
    parser.add_argument("--scattered", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3, help="of each; the median counts")
    parser.add_argument("--family", type=int, choices=(4, 6), action="append")
    options = parser.parse_args(argv)
    rows = [["family", "operation", "kernel target /s", "ip -batch /s", "ratio"]]
    missed = False
    names = ("add", "replace", "remove", f"scattered {options.scattered}")
    for family in options.family or (4, 6):
        runs = [compare(family, options.routes, options.scattered) for _ in range(options.runs)]
        ours, theirs = [run[0] for run in runs], [run[1] for run in runs]
        for at, name in enumerate(names):
            mine = sorted(run[at] for run in ours)[len(ours) // 2]
            other = sorted(run[at] for run in theirs)[len(theirs) // 2]
            missed |= mine < 100_000 or mine < other
            rows.append([f"IPv{family}", name, f"{mine:,.0f}", f"{other:,.0f}", f"{mine / other:.2f}"])
    print(table(rows))
    print(f"goal: 100,000/s or more and a ratio of 1.0 or more: {'missed' if missed else 'reached'}")
    return int(missed)
