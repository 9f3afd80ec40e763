"""Memory: what each component of ARM takes with the full table, and the whole daemon beside sfacctd.

The components are measured in a process of their own that goes through the daemon's steps without its threads: imports,
path attributes, prefixes of each family, then 2 s of samples to 100,000 destinations with 10,000 slots a family.
The whole daemon, and sfacctd, have learned the same table from a real BIRD.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from _rig import FULL, QUICK, rig
from _tables import Figure, number, show

from arm.model import (
    COUNT_BITS,
    FAMILIES,
    Feed,
    FeedComplete,
    FeedUp,
    RoutesLearned,
    TargetUp,
    Traffic,
    TrafficBatch,
    parse_address,
)


def resident() -> float:
    """Resident memory of this process in MB, after what is garbage has gone."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


def updates(file: Path) -> Iterator[bytes]:
    """Bodies of the UPDATE messages in a file."""
    with file.open("rb") as stream:
        while header := stream.read(19):
            yield stream.read(int.from_bytes(header[16:18], "big") - 19)


def components(file: Path) -> dict[str, float]:
    """MB that each step adds."""
    import arm.daemon  # noqa: F401 - what it takes to have it
    from arm.bgp.interner import Interner
    from arm.bgp.messages import end_of_rib_family, parse_update
    from arm.config import parse
    from arm.core.engine import Engine

    taken = {"interpreter and modules": resident()}
    total = taken["interpreter and modules"]

    def step(name: str) -> None:
        nonlocal total
        now = resident()
        taken[name] = now - total
        total = now

    feed = Feed("reflector", "127.0.0.1", 1, 65136, "10.0.0.136")
    interner = Interner(feed)
    held = [attributes for body in updates(file) for attributes, _ in parse_update(body, interner)]
    step(f"path attributes ({len(interner.plain) + len(interner.multiprotocol):,} distinct)")
    config = parse(
        b'[reflector]\nip = "127.0.0.1"\nas = 65136\n[target]\nkind = "passive"\nprefixes = 10000\n', source="bench"
    )
    engine = Engine(config, 0.0, 0)
    engine.handle(FeedUp(feed), 0.0)
    engine.handle(TargetUp(found={}), 0.0)
    for body in updates(file):
        family = end_of_rib_family(body)
        if family is not None:
            engine.handle(FeedComplete(feed, family), 0.0)
            step(f"{family.label} prefixes ({len(engine.families[family].rib):,})")
        else:
            engine.handle(RoutesLearned(feed, parse_update(body, interner)), 0.0)
    del held
    destinations = [route.prefix[0] for _, route in zip(range(100_000), engine.families[FAMILIES[0]].rib, strict=False)]
    for second in range(1, 41):
        batch = TrafficBatch(samples=len(destinations))
        batch.destinations4.update(dict.fromkeys(destinations, 15_000_000 << COUNT_BITS | 1))
        batch.sources4.update(batch.destinations4)
        engine.handle(Traffic(batch, 0.05), second / 20)
    engine.tick(2.0)
    step(f"traffic and choice ({len(destinations):,} destinations)")
    return taken


def main(argv: Sequence[str]) -> int:
    """Print the table; 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench memory", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small table, no goals")
    parser.add_argument("--components", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.components is not None:
        print(json.dumps(components(options.components)))
        return 0
    from arm.simulate.announcer import Announcer
    from arm.simulate.paths import Upstream, Variant

    with rig(QUICK if options.quick else FULL, upstreams=1) as rig_, tempfile.NamedTemporaryFile() as file:
        upstream = Upstream(0, 65134, parse_address("10.0.0.134"), parse_address("fd00::134"))
        announcer = Announcer(rig_.table, upstream, default=Variant.BETTER, local_pref=100)
        for chunk in announcer.everything(FAMILIES):
            file.write(chunk)
        file.flush()
        command = [sys.executable, str(Path(__file__).parent), "memory", "--components", file.name]
        steps = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        sfacctd = rig_.load_sfacctd()
        theirs = sfacctd.memory()
        rig_.birdc("disable", "to_pmacct")
        rig_.stop(sfacctd)
        ours = rig_.load_arm().memory()
        prefixes = rig_.exported
    for name, megabytes in steps.items():
        print(f"{number(megabytes):>8} MB  {name}")
    print()
    met = None if options.quick else ours <= 0.6 * theirs and ours < 400
    figure = Figure("whole daemon", "MB", ours, theirs, "<= 0.6 x, < 400", met)
    return show(f"{prefixes:,} prefixes learned", "sfacctd", [figure])
