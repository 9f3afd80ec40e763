"""The loss of one of two next hops under many routes: when traffic is right again, and what that takes.

Half of the routes (IPv4 and IPv6) lead to each of two peers, the default route to a third one. The cable to the first
peer is cut, and later mended. Measured are

- whether the kernel alone has led the routes another way, before the target read anything (its backup);
- from the kernel's notification to the target's word that both next hops are down (back), and all is in order;
- the netlink requests that this took, for next hops and for routes.

`quiet` is the same with net.ipv4.nexthop_compat_mode=0: the kernel does not tell the world of every route of a next
hop that changed. `without backup` has plain next hops: the kernel drops the routes itself. `per route` is what a
replacement of every route would take, at the rate of this run.
"""

from __future__ import annotations

import argparse
import select
import subprocess
import time
from collections.abc import Sequence

from _namespace import ip, switch_namespace, table
from kernel import FEED, HOPS, prefixes

from arm.model import Attributes, Change, Entry, Event, Kind, NextHopDown, NextHopUp, Plan, parse_address
from arm.target.kernel import KernelSession, KernelSettings


def lookup(switch: str, address: str) -> str:
    """Interface by which the kernel sends to an address."""
    command = ["ip", "-n", switch, "route", "get", address]
    words = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return words[words.index("dev") + 1] if "dev" in words else ""


def fill(session: KernelSession, count: int) -> float:
    """Install half of the routes over each next hop; seconds."""
    hops = {hop: Entry(Kind.ROUTE, Attributes(FEED, parse_address(hop), b"")) for pair in HOPS.values() for hop in pair}
    changes = []
    for family in (4, 6):
        for number, prefix in enumerate(sorted(prefixes(count // 2, family))):
            changes.append(Change(prefix, hops[HOPS[family][number % 2]], "bench"))
    applied = session.apply(Plan(1, tuple(changes)))
    if applied.failed:
        raise SystemExit(f"bench: {applied.failed[0]}")
    return applied.seconds


def until(session: KernelSession, events: list[Event], kind: type, count: int) -> float:
    """Seconds from the first look that finds something to the last of so many events."""
    deadline = time.monotonic() + 10
    while not select.select([session.monitor], [], [], 0.01)[0]:
        if time.monotonic() > deadline:
            raise SystemExit("bench: the kernel told nothing")
    began = time.perf_counter()
    while sum(isinstance(event, kind) for event in events) < count:
        looked = time.perf_counter()
        told = len(events)
        session.listen()
        if len(events) == told:
            began = max(began, looked)  # that notification was about something else
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: no {kind.__name__}")
    return time.perf_counter() - began


def run(count: int, *, backup: bool, quiet: bool) -> dict[str, float]:
    """One loss and return of a next hop."""
    events: list[Event] = []
    with switch_namespace(3) as (switch, peers):
        command = ["ip", "netns", "exec", switch, "sysctl", "-qw", f"net.ipv4.nexthop_compat_mode={int(not quiet)}"]
        subprocess.run(command, check=True)
        session = KernelSession(KernelSettings(netns=switch, backup=backup), events.append)
        try:
            events.append(session.open(time.monotonic()))
            figures = {"fill": fill(session, count), "routes": float(len(session.ledger.routes))}
            if lookup(switch, "20.0.0.1") != "d1":
                raise SystemExit("bench: the routes are not in place")
            session.listen()
            messages, written = session.objects.messages, session.applier.written
            ip(peers, "link set e1 down")
            deadline = time.monotonic() + 3
            while lookup(switch, "20.0.0.1") == "d1" and time.monotonic() < deadline:
                time.sleep(0.001)
            figures["kernel"] = float(lookup(switch, "20.0.0.1") == "d0")
            figures["down"] = until(session, events, NextHopDown, 2)
            figures["wrong"] = float(lookup(switch, "20.0.0.1") != "d0" or lookup(switch, "20.0.1.1") != "d2")
            ip(peers, "link set e1 up")
            figures["up"] = until(session, events, NextHopUp, 2)
            figures["messages"] = session.objects.messages - messages
            figures["written"] = session.applier.written - written
        finally:
            session.close()
    return figures


def main(argv: Sequence[str]) -> int:
    """Print the table; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench failover", description=__doc__)
    parser.add_argument("--routes", type=int, default=100_000)
    options = parser.parse_args(argv)
    rows = [["routes", "way", "by the kernel", "down in ms", "back in ms", "next hop requests", "route requests"]]
    missed = False
    requests = set()
    ways = (("with backup", True, False), ("with backup, quiet", True, True), ("without backup", False, False))
    for count in (options.routes // 10, options.routes):
        for way, backup, quiet in ways:
            figures = run(count, backup=backup, quiet=quiet)
            if backup:
                requests.add(figures["messages"])
                missed |= (
                    not figures["kernel"] or figures["down"] > 0.1 or figures["written"] > 0 or figures["wrong"] > 0
                )
            times = [f"{figures[name] * 1000:.1f}" for name in ("down", "up")]
            tally = [f"{figures[name]:.0f}" for name in ("messages", "written")]
            rows.append([f"{figures['routes']:,.0f}", way, "yes" if figures["kernel"] else "no", *times, *tally])
            alone = f"{figures['fill'] * 500:.1f}"
        rows.append([f"{count:,}", "per route", "no", alone, alone, "", f"{count // 2}"])
    missed |= len(requests) > 1
    print(table(rows))
    print(f"goal: 100 ms, and requests that do not grow with the routes: {'missed' if missed else 'reached'}")
    return int(missed)
