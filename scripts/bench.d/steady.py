"""A day at work: the full table, 5,000 samples/s, 50 BGP updates/s; the CPU and memory that ARM takes over ten minutes.

Routes go to BIRD and into the kernel. sfacctd gets the same samples and updates first, for a tenth of the time. Memory
is flat when its end is within 3 % of what it was after the first fifth, in which the traffic becomes known.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from statistics import fmean

from _processes import Process
from _rig import FULL, QUICK, SFLOW, SFLOW_PMACCT, Rig, rig
from _tables import Figure, show


def watch(rig_: Rig, process: Process, collector: tuple[str, int], rate: float, seconds: float) -> list[list[float]]:
    """(seconds, CPU share, memory in MB) at intervals."""
    sender = rig_.sender(collector, rate, seconds + 60, "--destinations", "50000")
    while "ready" not in sender.text():
        time.sleep(0.1)
    rows = []
    began = last = time.monotonic()
    cpu = process.cpu_seconds()
    while last < began + seconds:
        time.sleep(seconds / 20)
        process.check()
        now, used = time.monotonic(), process.cpu_seconds()
        rows.append([now - began, (used - cpu) / (now - last), process.memory()])
        last, cpu = now, used
    rig_.stop(sender)
    return rows


def main(argv: Sequence[str]) -> int:
    """Print the table; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench steady", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=float, default=5_000, help="samples a second")
    parser.add_argument("--updates", type=float, default=50, help="BGP updates a second")
    parser.add_argument("--quick", action="store_true", help="a small table, ten seconds, no goals")
    options = parser.parse_args(argv)
    seconds = 10 if options.quick else options.seconds
    with rig(QUICK if options.quick else FULL) as rig_:
        for slot in (0, 1):
            rig_.upstream(slot, "churn", options.updates / 2)
        sfacctd = rig_.load_sfacctd()
        theirs = watch(rig_, sfacctd, SFLOW_PMACCT, options.rate, seconds / 10)
        rig_.birdc("disable", "to_pmacct")
        rig_.stop(sfacctd)
        arm = rig_.load_arm("bird")
        ours = watch(rig_, arm, SFLOW, options.rate, seconds)
        lost = sum(agent["lost_datagrams"] for agent in rig_.sflow()["agents"])
    for at, share, megabytes in ours:
        print(f"{at:6.0f} s  {share * 100:5.1f} % of a core  {megabytes:6.1f} MB")
    print()
    share, peer = (fmean(row[1] for row in rows) * 100 for rows in (ours, theirs))
    first, end = ours[len(ours) // 5][2], ours[-1][2]
    growth = (end / first - 1) * 100

    def goal(met: bool) -> bool | None:
        return None if options.quick else met

    return show(
        f"{options.rate:,.0f} samples/s and {options.updates:g} updates/s for {seconds:.0f} s",
        "sfacctd",
        [
            Figure("CPU", "% of a core", share, peer, "<= 20", goal(share <= 20)),
            Figure("memory at the end", "MB", end, theirs[-1][2], "< 400", goal(end < 400)),
            Figure("memory grew", "%", growth, None, "<= 3", goal(growth <= 3)),
            Figure("lost", "datagrams", lost, None, "0", goal(lost == 0)),
        ],
    )
