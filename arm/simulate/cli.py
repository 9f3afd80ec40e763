"""The command `arm simulate`: which way of choosing keeps how much traffic in hardware, at how many changes."""

from __future__ import annotations

import argparse
import sys
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from arm.model import Family
from arm.simulate.compare.baselines import BASELINES
from arm.simulate.compare.live import live
from arm.simulate.compare.recorded import Recorded, seconds_of
from arm.simulate.compare.report import Cell, rows, text, write_json, write_plots
from arm.simulate.compare.run import compare
from arm.simulate.compare.summary import read_json, summary
from arm.simulate.compare.trace import PROFILES, Trace
from arm.simulate.compare.world import World, hops_by_path
from arm.simulate.mrt import read_mrt
from arm.simulate.shape import synthetic_table
from arm.simulate.table import FamilyTable
from arm.simulate.tablefile import read_table

POLICIES: Final = ("arm", *BASELINES)
_DATAERR: Final = 65
_DORMANT: Final = 200


@dataclass(frozen=True, slots=True)
class Setting:
    """One cell of the comparison."""

    profile: str
    next_hops: int
    seed: int


def _numbers(text: str) -> list[int]:
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of integers") from None
    if min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} has a number below 1")
    return found


def _choices(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        found = list(allowed) if text == "all" else text.split(",")
        for word in found:
            if word not in allowed:
                raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(allowed)}")
        return found

    return parse


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="arm simulate",
        description="Play tables and traffic against ARM, against published ways of choosing, and against what is "
        "possible. Coverage is the share of the true traffic of the second after each choice.",
    )
    lists = "separated by commas"
    top.add_argument("--profile", type=_choices(tuple(PROFILES)), default=["transit"], metavar="NAMES",
                     help=f"{', '.join(PROFILES)} or all, {lists} (default: transit)")  # fmt: skip
    top.add_argument("--slots", type=_numbers, default=[10000], metavar="N", help=f"{lists} (default: 10000)")
    top.add_argument("--next-hops", type=_numbers, default=[8], metavar="K", help=f"{lists} (default: 8)")
    top.add_argument("--policies", type=_choices(POLICIES), default=list(POLICIES), metavar="NAMES",
                     help=f"{', '.join(POLICIES)} (default: all)")  # fmt: skip
    top.add_argument("--seeds", type=_numbers, default=[1], metavar="N", help=f"{lists} (default: 1)")
    table = top.add_mutually_exclusive_group()
    table.add_argument("--prefixes", type=int, default=1_000_000, help="size of the made-up table (default: 1000000)")
    table.add_argument("--table", type=Path, metavar="FILE", help="a list of prefixes with their origin AS")
    table.add_argument("--mrt", type=Path, metavar="FILE", help="a table dump (RFC 6396) of a route collector")
    top.add_argument("--recorded", type=Path, metavar="FILE", help="sFlow datagrams (pcap) in place of a made-up trace")
    top.add_argument("--rate", type=float, default=100.0, metavar="GBPS", help="traffic in Gb/s (default: 100)")
    top.add_argument("--sampling", type=int, default=10_000, help="one packet in so many is sampled (default: 10000)")
    top.add_argument("--history", type=float, default=1800.0, metavar="SECONDS",
                     help="traffic that everyone sees before it counts (default: 1800)")  # fmt: skip
    top.add_argument("--seconds", type=int, default=300, help="how long it counts (default: 300)")
    top.add_argument("--updates", type=float, default=0.0, help="changes of the table per second (default: 0)")
    top.add_argument("--scan", type=float, default=0.0, metavar="SAMPLES",
                     help="samples per second of a scan over the whole table (default: none)")  # fmt: skip
    top.add_argument("--bound-every", type=int, default=60, metavar="SECONDS",
                     help="how often the bounds are computed, 0 for never (default: 60)")  # fmt: skip
    top.add_argument("--jobs", type=int, default=1, help="comparisons at the same time (default: 1)")
    top.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    top.add_argument("--plots", type=Path, metavar="DIRECTORY", help="write SVG plots there")
    top.add_argument("--from-state", type=Path, metavar="DIRECTORY",
                     help="no simulation: what so many --slots would carry of the traffic that the daemon remembers "
                          "in its state directory")  # fmt: skip
    top.add_argument("--merge", type=Path, nargs="+", metavar="FILE",
                     help="no simulation: put together what earlier runs wrote with --json")  # fmt: skip
    top.add_argument("--quiet", action="store_true", help="no progress on standard error")
    return top


def _table(options: argparse.Namespace, setting: Setting) -> tuple[FamilyTable, array[int]]:
    if options.mrt is not None:
        return read_mrt(options.mrt, setting.next_hops)
    if options.table is not None:
        table = read_table(options.table, seed=setting.seed).table.families[Family.IPV4]
    else:
        table = synthetic_table(ipv4=options.prefixes, ipv6=1, seed=setting.seed).families[Family.IPV4]
    return table, hops_by_path(table.paths, setting.next_hops, setting.seed)


def _run(options: argparse.Namespace, setting: Setting) -> Cell:
    name = f"{setting.profile} K={setting.next_hops} seed={setting.seed}"

    def progress(what: str) -> None:
        if not options.quiet:
            sys.stderr.write(f"{name}: {what}\n")

    progress("making the table")
    table, hops = _table(options, setting)
    world = World(table, hops, seed=setting.seed)
    profile = PROFILES[setting.profile]
    traffic: Trace | Recorded
    if options.recorded is not None:
        recording = seconds_of(options.recorded)
        world.place(sorted({address for second in recording for address in second}))
        traffic = Recorded(recording, world.packed)
    else:
        world.populate(
            min(profile.active, len(table) // 2),
            exponent=profile.exponent,
            flattening=profile.flattening,
            dormant=_DORMANT,
        )
        traffic = Trace(
            world, profile, bits_per_second=options.rate * 1e9, sampling=options.sampling,
            seed=setting.seed, scan=options.scan,
        )  # fmt: skip
    results = compare(
        world, traffic, sizes=options.slots, policies=options.policies, history=options.history,
        seconds=options.seconds, updates=options.updates, bound_every=options.bound_every, progress=progress,
    )  # fmt: skip
    return Cell("recorded" if options.recorded else setting.profile, setting.next_hops, setting.seed, results)


def _compare(options: argparse.Namespace) -> list[Cell]:
    settings = [Setting(p, k, s) for p in options.profile for k in options.next_hops for s in options.seeds]
    if options.jobs == 1:
        return [_run(options, setting) for setting in settings]
    with ProcessPoolExecutor(options.jobs) as pool:
        return list(pool.map(partial(_run, options), settings))


def main(arguments: Sequence[str]) -> int:
    """Run the command; gives the exit code."""
    options = parser().parse_args(arguments)
    try:
        if options.from_state is not None:
            sys.stdout.write(live(options.from_state, options.slots))
            return 0
        cells = read_json(options.merge) if options.merge is not None else _compare(options)
        sys.stdout.write("\n".join(table for table in (text(rows(cells)), summary(cells)) if table))
        if options.json is not None:
            asked = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
            write_json(options.json, asked, cells)
        if options.plots is not None:
            write_plots(options.plots, cells)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"arm simulate: {error}\n")
        return _DATAERR
    return 0
