"""Ten flow definitions of five keys each at 20,000 samples/s: the CPU they take, and what becomes of the reaction.

ARM has the full table. Rounds without and with the definitions take turns in one run; each has some seconds in which
only the CPU is looked at, and some trials as those of `bench reaction`. The peer is ARM itself without definitions.
The cost of analytics that nobody uses is what the listener's collector takes for a datagram with the tap that is then
in it, against one without a tap.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import urllib.request
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from _kernel import RouteMonitor
from _processes import Process, until
from _rig import FULL, HTTP, QUICK, SFLOW, rig
from _sender import packets
from _tables import Figure, show
from reaction import spread, trial, unseen

from arm.sflow.collector import Collector
from arm.simulate.agent import Agent
from arm.simulate.table import Table

_BACKGROUND = 20_000
"""Destinations of the background traffic."""
_IP = "ipsource,ipdestination"
DEFINITIONS: dict[str, dict[str, str]] = {
    "conversations": {"keys": f"{_IP},ipprotocol,udpsourceport,udpdestinationport", "value": "bytes"},
    "conversations6": {
        "keys": "ip6source,ip6destination,ip6nexthdr,udpsourceport,udpdestinationport",
        "value": "bytes",
    },
    "elephants": {"keys": f"{_IP},udpsourceport,udpdestinationport,bgpdestinationaspath", "value": "bytes"},
    "amplification": {
        "keys": "mask:ipsource,bgpsourceas,bgpsourcepeeras,ipdestination,udpsourceport",
        "filter": "udpsourceport=53,123,49152",
        "value": "frames",
    },
    "networks": {"keys": "mask:ipsource,mask:ipdestination,bgpnexthop,bgpsourceas,bgpdestinationas", "value": "bytes"},
    "peers": {
        "keys": "bgpsourcepeeras,bgpdestinationpeeras,bgpnexthop,bgplocalpref,ipprotocol",
        "value": "bytes",
    },
    "links": {"keys": "agent,inputifindex,outputifindex,null:vlan:0,ipdscp", "value": "bytes"},
    "services": {
        "keys": "or:ipdestination:ip6destination,or:tcpdestinationport:udpdestinationport,or:ipprotocol:ip6nexthdr,"
        "inputifindex,stack",
        "value": "bytes",
    },
    "blocks": {"keys": "mask:ipsource:16,mask:ipdestination:16,ipttl,ipprotocol,ipbytes", "value": "frames"},
    "macs": {
        "keys": f"macsource,macdestination,ethernetprotocol,{_IP}",
        "filter": "udpdestinationport=443&ipprotocol=17",
        "value": "bytes",
    },
}


def ask(path: str, method: str = "GET", document: object = None) -> Any:
    """ARM's answer; None if it has no body."""
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(f"http://{HTTP[0]}:{HTTP[1]}{path}", data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def define(wanted: bool) -> None:
    """Put all definitions, or take them away."""
    for name, document in DEFINITIONS.items():
        if wanted:
            ask(f"/flow/{name}/json", "PUT", document)
        else:
            ask(f"/flow/{name}/json", "DELETE")


def cpu(process: Process, seconds: float) -> float:
    """Percent of a core."""
    used, began = process.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    return (process.cpu_seconds() - used) / (time.monotonic() - began) * 100


def idle_tap(table: Table, rounds: int) -> tuple[float, float]:
    """CPU microseconds for a datagram with the tap of analytics without a definition, and without a tap."""
    agent = Agent(None, rate=10_000)
    built = agent.prebuild(packets(table, 7_000, 2_000, 1))
    collectors = Collector(agent=None), Collector(agent=None)
    times: tuple[list[float], list[float]] = [], []
    for number in range(rounds):
        numbered = [bytes(agent.number(each)) for each in built]
        # Who comes second finds warm caches, and where an object lies matters too: they take turns in both.
        tapped, first = number & 1, number >> 1 & 1
        collectors[tapped].tap(lambda _: None, counters_only=True)
        collectors[1 - tapped].tap(None)
        for index in (first, 1 - first):
            receive = collectors[index].receive
            began = time.process_time()
            for data in numbered:
                receive(data, len(data), 0.0)
            times[index != tapped].append((time.process_time() - began) / len(numbered) * 1e6)
            collectors[index].take()
    return min(times[0]), min(times[1])


def main(argv: Sequence[str]) -> int:
    """Print the table; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench analytics", description=__doc__)
    parser.add_argument("--trials", type=int, default=100, help="in each round")
    parser.add_argument("--rounds", type=int, default=3, help="without, and as many with the definitions")
    parser.add_argument("--rate", type=float, default=20_000, help="samples a second in the background")
    parser.add_argument("--quick", action="store_true", help="a small table, a few trials, no goals")
    options = parser.parse_args(argv)
    trials, rounds, seconds = (4, 1, 1.0) if options.quick else (options.trials, options.rounds, 5.0)
    rate = 2_000 if options.quick else options.rate
    pauses = [spread(trials, random.Random(number)) for number in range(rounds)]
    times: dict[bool, list[float]] = {False: [], True: []}
    shares: dict[bool, list[float]] = {False: [], True: []}
    with rig(QUICK if options.quick else FULL) as rig_:
        monitor = RouteMonitor()
        process = rig_.load_arm("bird", 100_000)
        rig_.sender(SFLOW, rate, 3600, "--destinations", str(_BACKGROUND))
        prefixes = unseen(rig_, monitor, 4 * rounds * trials)
        until(lambda: len(monitor.added) > 20, 60, "routes of the background traffic are in the kernel")
        time.sleep(2 if options.quick else 10)
        agent = Agent(SFLOW, address=bytes((10, 0, 0, 137)), rate=10_000, per_datagram=1)
        counted = dropped = unresolved = 0
        for number in range(2 * rounds):
            with_them = number % 2 == 1
            before = ask("/analyzer/json")
            if with_them:
                define(True)
            time.sleep(2.0)
            shares[with_them].append(cpu(process, seconds))
            for pause in pauses[number // 2]:
                time.sleep(pause)
                times[with_them].append(trial(agent, monitor, next(prefixes), 3.0) * 1000)
            after = ask("/analyzer/json")
            if with_them:
                define(False)
            counted += after["samples"] - before["samples"]
            dropped += after["droppedDatagrams"] - before["droppedDatagrams"]
            unresolved += after["unresolved"] - before["unresolved"]
        tapped, plain = idle_tap(rig_.table, 5 if options.quick else 300)

    def goal(met: bool) -> bool | None:
        return None if options.quick else met

    share, base = fmean(shares[True]), fmean(shares[False])
    middle, middle_base = median(times[True]), median(times[False])
    late, late_base = (sorted(each)[int(len(each) * 0.99)] for each in (times[True], times[False]))
    return show(
        f"{len(DEFINITIONS)} definitions of 5 keys, {rate:,.0f} samples/s, {counted:,} samples counted",
        "without",
        [
            Figure("CPU of all of ARM", "% of a core", share, base, "< 100", goal(share < 100)),
            Figure("CPU of the definitions", "us/sample", (share - base) / rate * 1e4),
            Figure("datagrams not counted", "", dropped, None, "0", goal(dropped == 0)),
            Figure("samples without a route's answer", "", unresolved, None, "0", goal(unresolved == 0)),
            Figure("reaction, median", "ms", middle, middle_base, "<= 1.2 times", goal(middle <= 1.2 * middle_base)),
            Figure("reaction, 99th percentile", "ms", late, late_base),
            Figure("collector, no definition", "us/datagram", tapped, plain, "<= 1.02 times",
                   goal(tapped <= 1.02 * plain)),
        ],
    )  # fmt: skip
