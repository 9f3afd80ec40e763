"""The real engine with 10,000 slots for each family, a table of the Internet's shape, and a kernel that refuses.

An ASIC cannot be had: the refusals are made in front of the kernel (fake_kernel.RefusingChannel). All the rest is real:
the engine, the kernel's tables in a namespace, and the page. Time is the test's own.
"""

from __future__ import annotations

import random
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "core"))

from checker import violations
from fake_kernel import RefusingChannel, operations
from namespaces import FEED, Switch

from arm.config import Config, TargetConfig
from arm.core.engine import Engine
from arm.core.queries import Queries
from arm.model import (
    COUNT_BITS,
    DEFAULT_PREFIX,
    FAMILIES,
    Attributes,
    Entry,
    Event,
    Family,
    FeedComplete,
    FeedUp,
    Kind,
    ListenerStatus,
    Prefix,
    RoutesLearned,
    Status,
    TargetStatus,
    Traffic,
    TrafficBatch,
    contains,
    family_of,
    mask,
    parse_address,
)
from arm.observe.board import Board
from arm.simulate.popularity import cumulative_weights
from arm.simulate.shape import synthetic_table
from arm.target.kernel import KernelSession, KernelSettings, read_installed
from arm.target.kernel.netlink import Refusal
from arm.target.kernel.work import Work
from arm.web.app import create_app

SLOTS = 10_000
PREFIXES = 30_000
DESTINATIONS = 25_000
DRAWS = 3000
"""Packets of each family in a step; each counts as several samples, so that a few steps tell who is busy."""
BLOCK = {Family.IPV4: 20, Family.IPV6: 44}
"""Prefix length of the blocks that the checker is shown, for it is slow and thorough."""
EVERY = 100
"""After each so many changes one block is looked at in which something changed."""
HOPS = {
    Family.IPV4: [parse_address(f"10.0.{peer}.2") for peer in range(3)],
    Family.IPV6: [parse_address(f"fd00:{peer}::2") for peer in range(3)],
}


class Gate(RefusingChannel):
    """Knows what is asked for before it asks for the verdict."""

    asks: Mapping[Prefix, int]
    """Prefix -> number of the nexthop object, for what is in the buffer."""

    def execute(self, packed: Sequence[bytes], first: int) -> Mapping[int, Refusal]:
        self.asks = {prefix: number for prefix, _, number, _ in operations(packed)}
        return super().execute(packed, first)


class FullTable:
    """All of it, second by second."""

    def __init__(self, switch: Switch, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = 0.0
        self.config = Config(target=TargetConfig(kind="kernel", prefixes=SLOTS, prefixes6=SLOTS))
        self.engine = Engine(self.config, 0.0, 0)
        self.queue: list[Event] = []
        self.settings = KernelSettings(netns=switch.name, slots=dict.fromkeys(FAMILIES, SLOTS))
        self.session = KernelSession(self.settings, self.queue.append, wrap=self._wrap)
        self.work = Work(self.session, self.settings, self.queue.append, 0.0)
        self.table: dict[Prefix, bytes] = {}
        self.destinations: dict[Family, list[bytes]] = {}
        self.weights = cumulative_weights(DESTINATIONS, exponent=0.5)
        self.blocks: dict[Prefix, list[Prefix]] = {}
        """Block -> prefixes of the table inside it."""
        self.held: dict[Family, dict[Prefix, bytes]] = {family: {} for family in FAMILIES}
        """What stands in the kernel, by what passed the gate: prefix -> next hop."""
        self.refuse: Callable[[Prefix, bool], int] = lambda prefix, install: 0
        """errno for an addition or replacement (True) or a removal (False); 0 lets it pass."""
        self.refused: Counter[Prefix] = Counter()
        self.refused_at: list[float] = []
        self.looked = 0
        self.board = Board(lambda question: question(Queries(self.engine)))
        self.applied = self.failed = 0
        self._touched: list[Prefix] = []

    def _wrap(self, channel: Any) -> Gate:
        self.gate = Gate(channel, self._verdict)
        self.gate.after = self._look
        return self.gate

    def _verdict(self, prefix: Prefix, install: bool) -> int:
        code = self.refuse(prefix, install)
        held = self.held[family_of(prefix)]
        if code:
            self.refused[prefix] += 1
            self.refused_at.append(self.now)
        elif install:
            held[prefix] = self.session.nexthops.by_number[self.gate.asks[prefix]].next_hop
        else:
            del held[prefix]
        self._touched.append(prefix)
        return code

    # --- what happens ---

    def start(self) -> None:
        made = synthetic_table(ipv4=PREFIXES, ipv6=PREFIXES, seed=self.chance.randrange(1000))
        self._send(FeedUp(FEED))
        for family in FAMILIES:
            entries = made.families[family]
            groups: dict[bytes, list[Prefix]] = {hop: [] for hop in HOPS[family]}
            for index, path in enumerate(entries.paths):
                groups[HOPS[family][path % 4 % 3]].append(entries.prefix(index))
            for hop, prefixes in [(HOPS[family][0], [DEFAULT_PREFIX[family]]), *groups.items()]:
                self.table |= dict.fromkeys(prefixes, hop)
                self._send(RoutesLearned(FEED, [(Attributes(FEED, hop, b""), prefixes)]))
            self._send(FeedComplete(FEED, family))
        self.ordered = sorted(self.table)
        for prefix in self.ordered:
            if prefix[1] >= BLOCK[family_of(prefix)]:
                self.blocks.setdefault(self._block(prefix), []).append(prefix)
        for family in FAMILIES:
            ends = [p[0][:-1] + b"\1" for p in self.ordered if family_of(p) is family and p[1]]
            self.destinations[family] = self.chance.sample(ends, DESTINATIONS)
        self._send(self.session.open(0.0))

    def run(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass, with traffic: few destinations have most of it."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            batch = TrafficBatch()
            for seen, family in ((batch.destinations4, Family.IPV4), (batch.destinations6, Family.IPV6)):
                drawn = Counter(self.chance.choices(self.destinations[family], cum_weights=self.weights, k=DRAWS))
                for address, packets in drawn.items():
                    seen[address] = packets * 1_000_000 << COUNT_BITS | packets * 20
                batch.samples += 20 * DRAWS
            self._send(Traffic(batch, step))
            self._do(self.engine.tick(self.now))
            self.work.step(self.now, {})
            self._drain()
            self._publish()

    def _send(self, event: Event) -> None:
        self.queue.append(event)
        self._drain()

    def _drain(self) -> None:
        while self.queue:
            self._do(self.engine.handle(self.queue.pop(0), self.now))

    def _do(self, plan: Any) -> None:
        if plan is not None:
            applied = self.work.apply(plan, self.now)
            self.applied += applied.done
            self.failed += len(applied.failed)
            self.queue.append(applied)

    def _publish(self) -> None:
        target = TargetStatus(
            "kernel", True, "", 0, self.applied, self.failed, 0.0, self.work.counters(), self.work.remarks(self.now)
        )
        families = {family: self.engine.family_status(family) for family in FAMILIES}
        now_ms = self.engine.steady_ms(self.now)
        self.board.publish(Status(now_ms, 0, "0", families, (), ListenerStatus(), target, self.engine.problems()))

    # --- what is true ---

    def get(self, path: str) -> Any:
        """The answer of the page."""
        return create_app(self.board, self.config).test_client().get(path)

    def installed(self, family: Family) -> int:
        return len(self.held[family])

    def _block(self, prefix: Prefix) -> Prefix:
        """A block around a prefix, or one inside it that has something."""
        length = BLOCK[family_of(prefix)]
        if prefix[1] < length:
            at = bisect_left(self.ordered, prefix)
            inside = (p for p in self.ordered[at : at + 50] if p[1] >= length and contains(prefix, p))
            prefix = next(inside, (prefix[0], length))
        return mask(prefix[0], length), length

    def _look(self) -> None:
        """After a buffer the rule holds where something changed."""
        for block in {self._block(prefix) for prefix in self._touched[::EVERY]}:
            self.judge(block, self.held[family_of(block)])
        self._touched = self._touched[len(self._touched) // EVERY * EVERY :]

    def judge(self, block: Prefix, installed: Mapping[Prefix, bytes]) -> None:
        """The independent checker, on one block of addresses."""
        family = family_of(block)
        default = HOPS[family][0]
        near = [*((mask(block[0], length), length) for length in range(block[1])), *self.blocks.get(block, ())]
        entries = {
            prefix: Entry(Kind.COVER if hop == default else Kind.ROUTE, Attributes(FEED, hop, b""))
            for prefix in near
            if (hop := installed.get(prefix)) is not None
        }
        wrong = violations({p: self.table[p] for p in near if p in self.table}, entries, default)
        size = family.bits // 8
        assert not any(
            contains(block, (at.to_bytes(size, "big"), family.bits)) for at in wrong if at >> family.bits == 0
        )
        self.looked += 1

    def judge_kernel(self) -> None:
        """What the kernel says itself: as many routes as thought, and a hundred blocks of each family are right."""
        for family in FAMILIES:
            read = {
                prefix: next(iter(route.paths)).gateway
                for prefix, route in read_installed(self.settings).items()
                if family_of(prefix) is family
            }
            assert read == self.held[family]
            for block in self.chance.sample([b for b in self.blocks if family_of(b) is family], 100):
                self.judge(block, read)
