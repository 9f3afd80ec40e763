"""Samples to per-prefix rates with the full table loaded: losses, and CPU per sample against pmacct's sfacctd.

The same datagrams (seven expanded flow samples each, 100,000 destinations of a heavy-tailed popularity, one in five
IPv6) go to ARM and to sfacctd at the same rate, one after the other. Both have learned the full table from the same
BIRD; sfacctd adds up octets by destination network from BGP in its memory plugin. CPU is that of the whole process,
with its plugin, in the second half of the time. Lost: sequence gaps and what the kernel dropped, over all of it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from _processes import Process, until
from _rig import FULL, QUICK, SFLOW, SFLOW_PMACCT, Rig, rig
from _tables import Figure, show


@dataclass(frozen=True, slots=True)
class Run:
    """One receiver under load."""

    sent: float
    """Samples a second."""
    read: float
    """Those of them that the kernel did not drop."""
    lost: int
    """Datagrams."""
    microseconds: float
    """CPU time for each sample that was read."""


def udp_drops(port: int) -> int:
    """Datagrams that the kernel dropped at sockets of a port."""
    found = 0
    for file in ("/proc/net/udp", "/proc/net/udp6"):
        for line in Path(file).read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port:
                found += int(fields[-1])
    return found


def load(rig_: Rig, receiver: Process, collector: tuple[str, int], rate: float, seconds: float) -> tuple[Run, int]:
    """Send for so long and look at the receiver; also the number of datagrams sent."""
    sender = rig_.sender(collector, rate, seconds)
    until(lambda: sender.check() or "ready" in sender.text(), 60, "the datagrams are built")
    time.sleep(seconds / 2)
    cpu, began, dropped = receiver.cpu_seconds(), time.monotonic(), udp_drops(collector[1])
    time.sleep(seconds / 2 - 0.5)
    cpu, elapsed = receiver.cpu_seconds() - cpu, time.monotonic() - began
    dropped = udp_drops(collector[1]) - dropped
    until(lambda: "datagrams" in sender.text(), 30, "the sender is done")
    sent = json.loads(sender.text().splitlines()[-1])
    rig_.stop(sender)
    read = sent["samples"] / sent["seconds"] * elapsed - dropped * sent["samples"] / sent["datagrams"]
    run = Run(sent["samples"] / sent["seconds"], read / elapsed, udp_drops(collector[1]), cpu / read * 1e6)
    return run, int(sent["datagrams"])


def arm(rig_: Rig, rate: float, seconds: float) -> Run:
    """ARM, loaded with the table."""
    process = rig_.load_arm()
    run, sent = load(rig_, process, SFLOW, rate, seconds)
    until(lambda: rig_.sflow()["datagrams"] + run.lost >= sent, 10, "ARM has read all datagrams")
    seen = rig_.sflow()
    gaps = sum(agent["lost_datagrams"] + agent["lost_samples"] for agent in seen["agents"])
    rig_.birdc("disable", "to_arm")
    rig_.stop(process)
    return replace(run, lost=max(run.lost + seen["malformed"], seen["kernel_drops"], gaps))


def sfacctd(rig_: Rig, rate: float, seconds: float) -> Run:
    """sfacctd, loaded with the table."""
    process = rig_.load_sfacctd()
    run, _ = load(rig_, process, SFLOW_PMACCT, rate, seconds)
    rig_.birdc("disable", "to_pmacct")
    rig_.stop(process)
    return run


def main(argv: Sequence[str]) -> int:
    """Print the table; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench sflow", description=__doc__)
    parser.add_argument("--rate", type=float, default=155_000, help="samples a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--quick", action="store_true", help="a small table, a few seconds, no goals")
    options = parser.parse_args(argv)
    rate, seconds = (20_000, 3) if options.quick else (options.rate, options.seconds)
    with rig(QUICK if options.quick else FULL) as rig_:
        theirs = sfacctd(rig_, rate, seconds)
        ours = arm(rig_, rate, seconds)
        prefixes = rig_.exported

    def goal(met: bool) -> bool | None:
        return None if options.quick else met

    return show(
        f"samples with {prefixes:,} prefixes loaded",
        "sfacctd",
        [
            Figure("sent", "samples/s", ours.sent, theirs.sent, ">= 150,000", goal(ours.sent >= 150_000)),
            Figure("read", "samples/s", ours.read, theirs.read, ">= 150,000", goal(ours.read >= 150_000)),
            Figure("lost", "datagrams", ours.lost, theirs.lost, "0", goal(ours.lost == 0)),
            Figure("CPU per sample read", "us", ours.microseconds, theirs.microseconds, "<= sfacctd",
                   goal(ours.microseconds <= theirs.microseconds)),
            Figure("CPU", "% of a core", ours.microseconds * ours.read / 1e4, theirs.microseconds * theirs.read / 1e4,
                   "<= 100", goal(ours.microseconds * ours.read <= 1e6)),
        ],
    )  # fmt: skip
