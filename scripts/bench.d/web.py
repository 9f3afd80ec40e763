"""REST answers with the full table and 20,000 active prefixes, and what those who ask cost the engine's reaction.

Three kinds of time take turns, so that what drifts falls on all of them: nobody asks; 20 requests a second (a quarter
each: status, the 100 top prefixes, why an address is in hardware, the prefixes behind an AS); 50 open overviews. In all
of them, reactions are measured as `reaction` does: from a datagram with a new prefix to its route in the kernel.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from _kernel import RouteMonitor
from _processes import until
from _rig import FULL, HTTP, QUICK, SFLOW, Rig, rig
from _tables import Figure, show
from reaction import spread, trial, unseen

from arm.model import Prefix, format_address
from arm.simulate.agent import Agent
from arm.simulate.popularity import draw_destinations

_RATE = 20.0
_PAGES = 50
_LIMIT = 3.0
_KINDS = ("nobody", "asked", "pages")


class Load:
    """Clients that ask while they are in the `with` block; what their requests took is added to `taken`."""

    def __init__(self, rig_: Rig, kind: str, searches: Path, taken: dict[str, list[float]]) -> None:
        self._rig, self._kind, self._searches, self._taken = rig_, kind, searches, taken

    def __enter__(self) -> None:
        if self._kind == "nobody":
            return
        self._process = self._rig.start(
            "clients",
            [
                sys.executable, Path(__file__).with_name("_clients.py"), f"{HTTP[0]}:{HTTP[1]}", self._kind,
                "--rate", str(_RATE), "--clients", str(_PAGES), "--searches", self._searches,
            ],
        )  # fmt: skip
        until(lambda: self._process.check() or "ready" in self._process.text(), 10, "the clients ask")
        time.sleep(1)

    def __exit__(self, *_: object) -> None:
        if self._kind == "nobody":
            return
        self._process.check()
        self._rig.stop(self._process)
        for kind, taken in json.loads(self._process.text().splitlines()[-1]).items():
            self._taken[f"{self._kind} {kind}"] += taken


def reactions(agent: Agent, monitor: RouteMonitor, prefixes: Iterator[Prefix], pauses: Sequence[float]) -> list[float]:
    """Milliseconds of each new prefix."""
    taken = []
    for pause in pauses:
        time.sleep(pause)
        taken.append(trial(agent, monitor, next(prefixes), _LIMIT) * 1000)
    return taken


def high(values: Sequence[float], share: float = 0.99) -> float:
    """The value that `share` of all do not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))] if ranked else float("nan")


def main(argv: Sequence[str]) -> int:
    """Print the table; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench web", description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--trials", type=int, default=50, help="new prefixes in each part of a round")
    parser.add_argument("--active", type=int, default=20_000, help="prefixes with traffic, at least")
    parser.add_argument("--rate", type=float, default=4_000, help="samples a second")
    parser.add_argument("--quick", action="store_true", help="a small table, a few trials, no goals")
    options = parser.parse_args(argv)
    rounds, trials = (1, 5) if options.quick else (options.rounds, options.trials)
    active = 2_000 if options.quick else options.active
    pauses = [spread(trials, random.Random(number)) for number in range(rounds)]
    reacted: dict[str, list[float]] = defaultdict(list)
    taken: dict[str, list[float]] = defaultdict(list)
    with rig(QUICK if options.quick else FULL) as rig_:
        monitor = RouteMonitor()
        rig_.load_arm("bird", 100_000)
        # popularity has a long tail: twice the destinations, so that so many prefixes have been seen
        rig_.sender(SFLOW, options.rate, 3600, "--destinations", str(active * 3))
        drawn = draw_destinations(rig_.table, active, 1)
        searches = rig_.directory / "searches"
        searches.write_text(" ".join(format_address(one.address) for one in drawn[:500]))
        fresh = unseen(rig_, monitor, 2 * rounds * trials * len(_KINDS))
        until(lambda: _active(rig_) >= active * 0.95, 120, f"{active} prefixes have traffic", 0.5)
        agent = Agent(SFLOW, address=bytes((10, 0, 0, 137)), rate=10_000, per_datagram=1)
        for number in range(rounds * len(_KINDS)):
            kind = _KINDS[number % len(_KINDS)]
            with Load(rig_, kind, searches, taken):
                reacted[kind] += reactions(agent, monitor, fresh, pauses[number // len(_KINDS)])
        seen = _active(rig_)
    print("requests: " + ", ".join(f"{kind} {len(values)}" for kind, values in sorted(taken.items())) + "\n")

    def goal(met: bool) -> bool | None:
        return None if options.quick else met

    figures = []
    for kind, most in (("status", 50), ("top", 100), ("search", 100), ("search_as", 100)):
        last = high(taken[f"asked {kind}"])
        figures.append(Figure(f"{kind}, 99th percentile", "ms", last, None, f"<= {most}", goal(last <= most)))
        figures.append(Figure(f"{kind}, median", "ms", median(taken[f"asked {kind}"])))
    figures += [
        Figure(f"{_PAGES} pages: {kind}, 99th percentile", "ms", high(taken[f"pages {kind}"]))
        for kind in ("status", "trend", "ranking")
    ]
    alone = reacted["nobody"]
    for kind, name in (("asked", f"{_RATE:g} requests/s"), ("pages", f"{_PAGES} pages")):
        for what, ours, theirs in (
            ("median", median(reacted[kind]), median(alone)),
            ("99th percentile", high(reacted[kind]), high(alone)),
        ):
            met = goal(ours <= 1.2 * theirs)
            figures.append(Figure(f"reaction beside {name}, {what}", "ms", ours, theirs, "<= 1.2 x", met))
    return show(f"{seen:,} prefixes with traffic, {options.rate:,.0f} samples/s", "without clients", figures)


def _active(rig_: Rig) -> int:
    return sum(int(family["active_prefixes"]) for family in rig_.status()["families"].values())
