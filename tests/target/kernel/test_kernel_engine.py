"""The real engine and a real kernel table, for both families: the rule is looked up in the kernel after every buffer.

The table has prefixes inside prefixes with three next hops, one of which is the default's. Traffic, announcements and
withdrawals come at random; the kernel refuses at random or is full; cables are cut and mended.
"""

from __future__ import annotations

import errno
import random

import pytest
from fake_kernel import RefusingChannel
from namespaces import FEED, Switch, wait_for

from arm.config import Config, TargetConfig
from arm.core.engine import Engine
from arm.core.queries import Queries
from arm.model import (
    COUNT_BITS,
    DEFAULT_PREFIX,
    FAMILIES,
    Attributes,
    Event,
    Family,
    FeedComplete,
    FeedUp,
    NextHopUp,
    Prefix,
    RoutesLearned,
    Traffic,
    TrafficBatch,
    mask,
    parse_address,
)
from arm.target.kernel import KernelSession, KernelSettings, read_installed
from arm.target.kernel.work import Work

pytestmark = pytest.mark.root

HOPS = {
    Family.IPV4: [parse_address(f"10.0.{peer}.2") for peer in range(3)],
    Family.IPV6: [parse_address(f"fd00:{peer}::2") for peer in range(3)],
}
BASE = {Family.IPV4: bytes([20, 0, 0, 0]), Family.IPV6: parse_address("2001:db8::")}
FIRST = {Family.IPV4: 8, Family.IPV6: 32}
"""Bits in front of those that the prefixes differ in."""


class World:
    """The engine, the kernel, and the table as announced."""

    def __init__(self, switch: Switch, seed: int, slots: int) -> None:
        self.chosen = random.Random(seed)
        self.engine = Engine(Config(target=TargetConfig(kind="kernel", prefixes=slots, prefixes6=slots)), 0.0, 0)
        self.now = 0.0
        self.table: dict[Prefix, bytes] = {}
        self.interned: dict[bytes, Attributes] = {}
        self.queue: list[Event] = []
        self.events: list[Event] = []
        self.settings = KernelSettings(netns=switch.name, slots=dict.fromkeys(FAMILIES, slots))
        self.session = KernelSession(self.settings, self.queue.append, wrap=self.wrap)
        self.work = Work(self.session, self.settings, self.queue.append, 0.0)
        self.refused = 0
        self.checks = 0
        self.before: set[tuple[Family, int]] = set()

    def wrap(self, channel) -> RefusingChannel:
        self.channel = RefusingChannel(channel, lambda prefix, install: 0)
        self.channel.after = self.check
        return self.channel

    def wrong(self) -> set[tuple[Family, int]]:
        """Addresses that the kernel sends neither to the table's next hop nor to the default's."""
        installed = {
            prefix: {path.gateway for path in route.paths} for prefix, route in read_installed(self.settings).items()
        }
        found = set()
        for family in FAMILIES:
            default = HOPS[family][0]
            table, mine = (
                {p[1]: {} for p in source if len(p[0]) * 8 == family.bits} for source in (self.table, installed)
            )
            for lengths, source in ((table, self.table), (mine, installed)):
                for prefix, leads in source.items():
                    if len(prefix[0]) * 8 == family.bits:
                        lengths[prefix[1]][prefix[0]] = leads
            points = {prefix[0] for prefix in (*self.table, *installed) if len(prefix[0]) * 8 == family.bits}
            points |= {self._behind(p) for p in (*self.table, *installed) if len(p[0]) * 8 == family.bits and p[1]}
            for address in points:
                gateways = self._longest(address, mine)
                if gateways is not None and not gateways <= {default, self._longest(address, table)}:
                    found.add((family, int.from_bytes(address, "big")))
        return found

    @staticmethod
    def _behind(prefix: Prefix) -> bytes:
        """First address behind a prefix."""
        bits = len(prefix[0]) * 8
        return ((int.from_bytes(prefix[0], "big") + (1 << bits - prefix[1])) % (1 << bits)).to_bytes(bits // 8, "big")

    @staticmethod
    def _longest(address: bytes, lengths: dict) -> object:
        for length in sorted(lengths, reverse=True):
            if (found := lengths[length].get(mask(address, length))) is not None:
                return found
        return None

    def check(self) -> None:
        """No buffer may make wrong what was right before it."""
        self.checks += 1
        after = self.wrong()
        assert after <= self.before, after - self.before
        self.before = after

    def send(self, event: Event) -> None:
        """Hand an event to the engine, its plan to the kernel, and what comes of it to the engine, to the end."""
        self.queue.append(event)
        while self.queue:
            taken = self.queue.pop(0)
            self.events.append(taken)
            self._do(self.engine.handle(taken, self.now))

    def _do(self, plan) -> None:
        if plan is not None:
            self.before = self.wrong()
            applied = self.work.apply(plan, self.now)
            self.refused += len(applied.failed)
            self.queue.append(applied)

    def tick(self) -> None:
        self.now += 1.0
        self._do(self.engine.tick(self.now))
        self.before = self.wrong()
        self.work.step(self.now, {})
        while self.queue:
            self.send(self.queue.pop(0))

    def prefix(self, family: Family) -> Prefix:
        extra = self.chosen.randrange(1, 9)
        value = int.from_bytes(BASE[family], "big") | self.chosen.randrange(256) << family.bits - FIRST[family] - 8
        return mask(value.to_bytes(family.bits // 8, "big"), FIRST[family] + extra), FIRST[family] + extra

    def learn(self, family: Family, count: int) -> None:
        for _ in range(count):
            prefix, hop = self.prefix(family), self.chosen.choice(HOPS[family])
            if self.table.get(prefix) is not None and self.chosen.random() < 0.3:
                del self.table[prefix]
                self.send(RoutesLearned(FEED, [(None, [prefix])]))
            else:
                self.announce(hop, prefix)

    def announce(self, hop: bytes, prefix: Prefix) -> None:
        self.table[prefix] = hop
        self.send(RoutesLearned(FEED, [(self.interned.setdefault(hop, Attributes(FEED, hop, b"")), [prefix])]))

    def start(self) -> None:
        self.send(FeedUp(FEED))
        for family in FAMILIES:
            self.announce(HOPS[family][0], DEFAULT_PREFIX[family])
            self.learn(family, 40)
            self.send(FeedComplete(FEED, family))
        self.send(self.session.open(0.0))

    def traffic(self) -> None:
        batch = TrafficBatch()
        for destinations, family in ((batch.destinations4, Family.IPV4), (batch.destinations6, Family.IPV6)):
            for _ in range(15):
                low = self.chosen.randrange(1 << 8) << family.bits - FIRST[family] - 8 | 1
                address = (int.from_bytes(BASE[family], "big") | low).to_bytes(family.bits // 8, "big")
                destinations[address] = self.chosen.randrange(10_000, 10_000_000) << COUNT_BITS | 200
                batch.samples += 200
        self.send(Traffic(batch, 1.0))


@pytest.fixture
def world_of(switch):
    made = []

    def make(seed: int, slots: int = 30) -> World:
        made.append(World(switch, seed, slots))
        return made[-1]

    yield make
    for world in made:
        world.session.close()


def run(world: World, rounds: int) -> None:
    for _ in range(rounds):
        world.traffic()
        for family in FAMILIES:
            world.learn(family, 3)
        world.tick()


@pytest.mark.parametrize("seed", range(3))
def test_the_rule_holds_in_the_kernel_after_every_buffer(world_of, seed):
    world = world_of(seed)
    world.start()
    run(world, 12)
    assert world.wrong() == set()
    assert world.checks > 20
    for family in FAMILIES:
        believed = {prefix: entry.next_hop for prefix, entry in Queries(world.engine).installed(family).items()}
        held = {p for p in read_installed(world.settings) if len(p[0]) * 8 == family.bits}
        assert held == believed.keys()
        assert held


@pytest.mark.parametrize("seed", range(3))
def test_the_rule_holds_while_the_kernel_refuses_routes_at_random(world_of, seed):
    world = world_of(seed)
    world.start()
    refusals = random.Random(seed)
    world.channel.verdict = lambda prefix, install: errno.EINVAL if install and refusals.random() < 0.1 else 0
    run(world, 12)
    assert world.refused > 0
    world.channel.verdict = lambda prefix, install: 0
    run(world, 3)
    assert world.wrong() == set()


def test_the_choice_settles_at_what_fits_into_a_kernel_that_is_full_early(world_of):
    world = world_of(1)
    world.start()
    held: set[Prefix] = set()

    def verdict(prefix: Prefix, install: bool) -> int:
        if install and prefix not in held and sum(len(other[0]) == len(prefix[0]) for other in held) >= 12:
            return errno.ENOSPC
        (held.add if install else held.discard)(prefix)
        return 0

    world.channel.verdict = verdict
    run(world, 12)
    refused = world.channel.refusals
    for _ in range(8):
        world.tick()
    assert refused > 0
    assert world.channel.refusals - refused <= 4  # no retry storm
    for family in FAMILIES:
        assert 6 <= sum(len(prefix[0]) * 8 == family.bits for prefix in read_installed(world.settings)) <= 12
    assert world.wrong() == set()


def test_a_next_hop_that_goes_and_returns_leaves_the_rule_and_in_the_end_the_routes_as_they_were(world_of, switch):
    world = world_of(2)
    world.start()
    run(world, 6)
    for peer in (1, 2):
        switch.carrier(peer, up=False)
        wait_for(lambda: world.tick() or any(not group.up for group in world.session.nexthops.groups.values()))
        assert world.wrong() == set()
        run(world, 2)
        heard = sum(isinstance(event, NextHopUp) for event in world.events)
        switch.carrier(peer, up=True)
        wait_for(lambda: world.tick() or sum(isinstance(event, NextHopUp) for event in world.events) >= heard + 2)  # noqa: B023
        run(world, 3)
        assert world.wrong() == set()
    used = {
        gateway for route in read_installed(world.settings).values() for gateway in {p.gateway for p in route.paths}
    }
    assert {HOPS[Family.IPV4][1], HOPS[Family.IPV6][1]} <= used
