"""A kernel that refuses some routes, and one that is full early: nothing crashes, nothing storms, the rule holds.

See full_table.py for what is real here and what is not.
"""

from __future__ import annotations

import errno
import itertools
import zlib
from collections.abc import Iterator

import pytest
from full_table import SLOTS, FullTable
from namespaces import Switch

from arm.core.backoff import FIRST, LONGEST
from arm.model import FAMILIES, Family, Prefix, family_of

pytestmark = pytest.mark.root

FITS = 7300
MINUTES = 10


@pytest.fixture
def world(switch: Switch) -> Iterator[FullTable]:
    made = FullTable(switch, seed=5)
    yield made
    made.session.close()


def attempts(seconds: float) -> int:
    """How often one prefix may be asked for in so long."""
    waits = itertools.accumulate(min(FIRST * 2**n, LONGEST) for n in itertools.count())
    return 1 + sum(1 for _ in itertools.takewhile(lambda due: due <= seconds, waits))


def run(world: FullTable, minutes: float) -> None:
    """The first seconds one by one."""
    world.start()
    world.run(30, 1)
    world.run(minutes * 60 - 30, 20)


def is_bounded(world: FullTable) -> None:
    """The choice went on all the time, and what was refused was not asked for again and again."""
    asked, refused = world.gate.asked, world.refused
    assert 0 < refused.total() < 0.05 * asked
    assert refused.most_common(1)[0][1] <= attempts(world.now)
    minutes = [sum(at // 60 == minute for at in world.refused_at) for minute in range(int(world.now // 60))]
    assert max(minutes[3:]) <= 0.02 * SLOTS * len(FAMILIES)  # a probe's second step


def page(world: FullTable) -> tuple[list[str], str]:
    """What the page warns of, and the metrics."""
    status = world.get("/arm/status/json").json
    told = [problem["text"] for problem in status["health"]["problems"] if problem["where"] == "target"]
    assert set(status["target"]["remarks"]) <= set(told)
    return told, world.get("/metrics").text


def in_vain(world: FullTable) -> list[Prefix]:
    """Covers that stand in no route's way."""
    found = []
    for family in FAMILIES:
        fib, default = world.engine.families[family].fib, world.engine.families[family].planner.default
        assert default is not None
        for prefix, hop in world.held[family].items():
            if hop == default.next_hop and not any(fib.ancestors(prefix)):
                found.append(prefix)
    return found


def test_a_kernel_that_is_full_at_7300_of_10000_is_filled_and_filled_further_when_room_returns(world):
    def full(prefix: Prefix, install: bool) -> int:
        held = world.held[family_of(prefix)]
        return errno.ENOSPC if install and prefix not in held and len(held) >= FITS else 0

    world.refuse = full
    run(world, MINUTES)
    for family in FAMILIES:
        assert 0.97 * FITS < world.installed(family) <= FITS
    is_bounded(world)
    told, metrics = page(world)
    for family in FAMILIES:
        assert any(f"hardware is full: {family.label} routes beyond 7,300 were refused" in text for text in told)
    assert f'what="routes_refused_for_room"}} {world.refused.total()}' in metrics
    world.judge_kernel()

    world.refuse = lambda prefix, install: 0
    while any(family.planner.capacity < SLOTS for family in world.engine.families.values()):
        world.run(60, 30)
        assert world.now < MINUTES * 60 + 2 * 3600
    while min(map(world.installed, FAMILIES)) < FITS + 1000:
        world.run(60, 30)
        assert world.now < MINUTES * 60 + 2 * 3600
    assert not any("hardware is full:" in text for text in page(world)[0])
    world.judge_kernel()
    assert world.looked > 200


def test_a_kernel_that_refuses_every_100th_route_is_filled_with_the_others(world):
    turn = itertools.count(1)

    def unlucky(prefix: Prefix, install: bool) -> int:
        if not install or prefix in world.held[family_of(prefix)]:
            return 0
        lot = next(turn) if family_of(prefix) is Family.IPV4 else zlib.crc32(prefix[0]) + prefix[1]
        return errno.ENOSPC if lot % 100 == 0 else 0

    world.refuse = unlucky
    run(world, MINUTES)
    for family in FAMILIES:
        assert world.engine.families[family].planner.capacity == SLOTS
        assert world.installed(family) > 0.97 * SLOTS
    is_bounded(world)
    told, metrics = page(world)
    assert any("route changes were refused" in text and "no space left on device" in text for text in told)
    assert not any("hardware is full:" in text for text in told)
    assert f'what="routes_refused"}} {world.refused.total()}' in metrics
    assert in_vain(world) == []
    world.judge_kernel()
    assert world.looked > 200
