"""The full table from BIRD 2: ARM against pmacct's sfacctd with its BGP thread (prefixes/s, CPU, memory).

A simulated upstream fills a real BIRD; BIRD then reflects its table to sfacctd and to ARM, one after the other and in
turn, `--runs` times; medians count. Time runs from the session's establishment (BIRD's log) to the last prefix: for
sfacctd to the last octet that it took off its socket, for ARM to its own word that the table is complete, which is
later. BIRD packs prefixes of one path into an UPDATE as far as they wait for the reader: the octets differ a little.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from _processes import Process, until
from _rig import FULL, QUICK, Rig, last_octet, rig, wall
from _tables import Figure, show


@dataclass(frozen=True, slots=True)
class Run:
    """One learner, once."""

    seconds: float
    cpu: float
    memory: float
    peak: float
    megabytes: float


def received(port: int) -> int:
    """Octets that the connections accepted at a port have brought."""
    said = subprocess.run(["ss", "-tinH", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    return sum(map(int, re.findall(r"bytes_received:(\d+)", said)))


def measure(rig_: Rig, process: Process, protocol: str) -> Run:
    """Let a learner that has just started learn."""
    cpu = process.cpu_seconds()
    began = rig_.established(protocol)
    seconds = last_octet(began) - began
    if protocol == "to_arm":
        until(lambda: process.text().count("table complete") >= 2, 60, "ARM has the table")
        seconds = max(wall(line) for line in process.text().splitlines() if "table complete" in line) - began
        until(lambda: rig_.learned() >= rig_.exported, 5, "ARM's status tells the whole table")
    run = Run(seconds, process.cpu_seconds() - cpu, process.memory(), process.peak_memory(), received(1179) / 1e6)
    rig_.birdc("disable", protocol)
    rig_.stop(process)
    return run


def main(argv: Sequence[str]) -> int:
    """Print the table; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench learn", description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--upstreams", type=int, choices=(1, 2), default=1)
    parser.add_argument("--quick", action="store_true", help="a small table, once, no goals")
    options = parser.parse_args(argv)
    ours: list[Run] = []
    theirs: list[Run] = []
    with rig(QUICK if options.quick else FULL, upstreams=options.upstreams) as rig_:
        for _ in range(1 if options.quick else options.runs):
            theirs.append(measure(rig_, rig_.start_sfacctd(), "to_pmacct"))
            ours.append(measure(rig_, rig_.start_arm(), "to_arm"))
        prefixes = rig_.exported

    def pair(name: str) -> tuple[float, float]:
        return median(getattr(run, name) for run in ours), median(getattr(run, name) for run in theirs)

    seconds, cpu, memory, peak = pair("seconds"), pair("cpu"), pair("memory"), pair("peak")
    rate = prefixes / seconds[0]

    def goal(met: bool) -> bool | None:
        return None if options.quick else met

    return show(
        f"{prefixes:,} prefixes reflected by BIRD",
        "sfacctd",
        [
            Figure("learned", "prefixes/s", rate, prefixes / seconds[1], ">= 250,000", goal(rate >= 250_000)),
            Figure("wall time", "s", *seconds, "<= 1.5 x sfacctd", goal(seconds[0] <= 1.5 * seconds[1])),
            Figure("CPU time", "s", *cpu),
            Figure("received", "MB", *pair("megabytes")),
            Figure("memory", "MB", *memory, "<= 0.6 x, < 400", goal(memory[0] <= 0.6 * memory[1] and memory[0] < 400)),
            Figure("peak memory", "MB", *peak, "< 400", goal(peak[0] < 400)),
        ],
    )
