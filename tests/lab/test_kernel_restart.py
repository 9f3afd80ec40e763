"""A restart or an upgrade with tens of thousands of routes in the kernel, under traffic: no packet notices, and only
what changed is written.

The routes come from what an earlier run has left in the state directory, so that they are there at once. No sFlow agent
runs: nothing but BGP can change the choice, so what may be written is known exactly.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from packet_judge import Judge, Told, default_ranks, packets
from running_lab import RunningLab, until

import arm
from arm.daemon import memory
from arm.model import Prefix, contains, format_prefix, parse_address
from arm.simulate.lab import assembly, processes
from arm.simulate.lab.layout import PEER_B, PEERS
from arm.target.kernel import InstalledRoute, KernelSettings, read_installed

pytestmark = pytest.mark.root
log = logging.getLogger(__name__)

ROUTES = 50_000
CHANGED = 60


@pytest.fixture
def lab() -> Iterator[RunningLab]:
    with RunningLab(
        target="kernel",
        ipv4=100_000,
        ipv6=20_000,
        share=0.9,
        slots=0.7,
        seed=23,
        rate=5000,
        active=500,
        packet_log=True,
        without=("arm", "agent"),
    ) as lab:
        yield lab


def remember(lab: RunningLab) -> None:
    """Leave what an earlier run would have: every prefix that peer b is better for has carried traffic."""
    table = lab.table()
    chosen = {
        family: [
            (entries.prefix(index), 1000.0, 100.0, True)
            for index in range(len(entries))
            if table.paths.best(entries.paths[index]) == 1
        ]
        for family, entries in table.families.items()
    }
    directory = lab.layout.run / "state"
    directory.mkdir()
    memory.save(directory, chosen, 0)


def installed(lab: RunningLab) -> Mapping[Prefix, InstalledRoute]:
    return read_installed(KernelSettings(netns=lab.layout.namespace("switch")))


def settled(lab: RunningLab) -> Mapping[str, int]:
    """The target's counters, once ARM has the table and has written nothing for two seconds."""
    until("ARM to have the table", lambda: assembly.ready(lab.layout), 60)
    latest: tuple[Any, float] = (None, time.monotonic())

    def quiet() -> bool:
        nonlocal latest
        target = lab.status()["target"]
        now = (target["counters"], target["pending"])
        if now != latest[0]:
            latest = (now, time.monotonic())
        return bool(target["counters"]) and not target["pending"] and time.monotonic() - latest[1] > 2

    until("ARM to have nothing to do", quiet, 60, every=0.2)
    counters: dict[str, int] = latest[0][0]
    return counters


def differences(lab: RunningLab) -> tuple[int, list[str]]:
    """Routes that ARM reads from the kernel, and where they are not as wanted or not as in the full table."""
    number, found = 0, []
    for family in ("ipv4", "ipv6"):
        url = f"http://127.0.0.1:{lab.layout.http}/arm/diff/json?family={family}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            target = json.load(answer)["target"]
        assert target["source"] == "read from the kernel"
        number += target["routes"]
        found += target["differences"]
    return number, found


def newer(directory: Path) -> str:
    """Make a copy of ARM of a later version, and return that."""
    package = Path(arm.__file__).parent
    shutil.copytree(package, directory / "arm", ignore=shutil.ignore_patterns("__pycache__"))
    module = directory / "arm/__init__.py"
    module.write_text(module.read_text().replace(arm.__version__, f"{arm.__version__}.post1"))
    return f"{arm.__version__}.post1"


def test_a_restart_loses_and_misdirects_no_packet_and_writes_what_changed(
    lab: RunningLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(lab)
    lab.start("arm")
    counters = settled(lab)
    before = installed(lab)
    assert len(before) == counters["routes_installed"] >= ROUTES
    assert differences(lab) == (len(before), [])
    lab.tell("traffic", "sweep", 20_000, 79, 0.9)
    assert [lab.tell(f"receiver-{letter}", "reset")["dropped"] for letter in "ab"] == [0, 0]

    processes.stop(lab.layout, "arm")
    assert installed(lab) == before
    lab.start("arm")
    counters = settled(lab)
    assert installed(lab) == before
    assert (counters["routes_installed"], counters["routes_written"]) == (len(before), 0)

    version = newer(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    processes.stop(lab.layout, "arm")
    lab.start("arm")
    counters = settled(lab)
    assert lab.status()["version"] == version
    assert installed(lab) == before
    assert (counters["routes_installed"], counters["routes_written"]) == (len(before), 0)

    lab.kill("arm")
    gateways = {parse_address(address) for address in (PEER_B.address, PEER_B.address6)}
    ordered = sorted(prefix for prefix, route in before.items() if {path.gateway for path in route.paths} <= gateways)
    withdrawn = ordered[:: len(ordered) // CHANGED]
    for prefix in withdrawn:
        lab.tell("upstream-b", "withdraw", format_prefix(prefix))
    lab.start("arm")
    counters = settled(lab)
    after = installed(lab)
    changed = {prefix for prefix in before.keys() | after.keys() if before.get(prefix) != after.get(prefix)}
    log.info("routes=%d changed=%d written=%d", len(before), len(changed), counters["routes_written"])
    assert changed >= set(withdrawn)  # each led to peer b, which tells it no more
    assert 0 < counters["routes_written"] == len(changed)
    assert differences(lab) == (len(after), [])
    assert all(any(contains(old, prefix) or contains(prefix, old) for old in withdrawn) for prefix in changed)

    lab.tell("traffic", "quiet")
    sent = lab.tell("traffic", "status")
    until("the packets to arrive", lambda: arrived(lab) >= sent["sent"], 10)
    judged(lab, withdrawn, sent["sent"])
    assert sent["refused"] == 0


def arrived(lab: RunningLab) -> int:
    """Packets in both logs."""
    for letter in "ab":
        lab.tell(f"receiver-{letter}", "flush")
    return sum(1 for peer in PEERS for _ in packets(lab.layout.packets(peer)))


def judged(lab: RunningLab, withdrawn: list[Prefix], sent: int) -> None:
    """All packets arrived, and where they belong; late only those to what was withdrawn while ARM was away."""
    judge = Judge(
        lab.table(),
        {peer.letter: Told.read(lab.layout.journal(peer)) for peer in PEERS},
        default_ranks(lab.layout.default),
    )
    numbers: set[int] = set()
    moved = 0
    late = []
    for peer in PEERS:
        for destination, number, at, received, _ in packets(lab.layout.packets(peer)):
            numbers.add(number)
            moved += peer.letter != lab.layout.default
            if judge.lag(destination, peer.letter, at, received):
                late.append(destination)
    log.info("packets=%d by_routes=%d late=%d", len(numbers), moved, len(late))
    assert len(numbers) == sent
    assert moved > 0.3 * sent
    assert [d for d in late if not any(contains(prefix, (d, len(d) * 8)) for prefix in withdrawn)] == []
