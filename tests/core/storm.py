"""Storms of BGP for both families: an engine under load, and the incremental judge of every operation beside it.

A table lives inside one block (10.0.0.0/8 down to /24, 2001:d00::/24 down to /40: 65,536 units each), so that it is
dense: most changes concern something around or inside what is installed.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from checker import Judge

from arm.bgp.events import SessionEvent, SessionUp
from arm.bgp.messages import Interner, parse_update, path_attributes
from arm.bgp.wire import HEADER_SIZE, read_header
from arm.config import Config
from arm.core.engine import Engine
from arm.model import (
    COUNT_BITS,
    DEFAULT_PREFIX,
    FAMILIES,
    Applied,
    Attributes,
    Event,
    Family,
    Feed,
    FeedComplete,
    FeedUp,
    Plan,
    Prefix,
    RoutesLearned,
    TargetUp,
    Traffic,
    TrafficBatch,
    mask,
)
from arm.target.bird import BirdTarget

SPAN = 16
"""Bits between the block and the longest prefix in it."""
LATEST = 4
"""The target leaves fewer plans than this unanswered for a while."""
BLOCKS = {Family.IPV4: (bytes([10, 0, 0, 0]), 8), Family.IPV6: (bytes.fromhex("20010d") + bytes(13), 24)}

Update: TypeAlias = tuple[Prefix, int | None]
"""A prefix and the number of its new next hop; None withdraws."""
Operation: TypeAlias = tuple[Prefix, bytes | None]
"""What the hardware is told: a prefix and its next hop; None removes."""


def prefix_at(family: Family, number: int, length: int) -> Prefix:
    """The prefix of the block around unit `number`; `length` counts from the block's."""
    base, around = BLOCKS[family]
    bits = len(base) * 8
    address = int.from_bytes(base, "big") | number << (bits - around - SPAN)
    return mask(address.to_bytes(bits // 8, "big"), around + length), around + length


def draw(chance: random.Random) -> tuple[int, int]:
    """Unit and length as tables have them: mostly the longest, few short ones."""
    length = SPAN if chance.random() < 0.6 else min(SPAN, 2 + int(chance.triangular(0, 15, 13)))
    return chance.randrange(1 << SPAN), length


def straight(plan: Plan) -> Iterable[Operation]:
    """The changes as they are."""
    for change in plan.changes:
        yield change.prefix, change.entry.next_hop if change.entry is not None else None


def on_the_wire() -> Callable[[Plan], Iterable[Operation]]:
    """The changes as the BIRD target writes them, read back from the octets of its UPDATEs."""
    speaker = PaperSpeaker()
    target = BirdTarget(speaker, ("target",), clock=lambda: 0.0)
    target.start(lambda event: None)
    speaker.watcher(SessionUp(frozenset(FAMILIES)))
    reader = Interner(Feed("read", "", 1, 65000, "192.0.2.1"))

    def carry(plan: Plan) -> Iterable[Operation]:
        target.apply(replace(plan, epoch=0))
        for data in speaker.take():
            while data:
                size, _ = read_header(data, 0)
                body, data = data[HEADER_SIZE:size], data[size:]
                for attributes, prefixes in parse_update(body, reader):
                    for prefix in prefixes:
                        yield prefix, None if attributes is None else attributes.next_hop

    return carry


class PaperSpeaker:
    """A BGP speaker that only writes down what the target sends."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Iterator[bytes], Callable[[bool], None]]] = []
        self.watcher: Callable[[SessionEvent], None]

    def watch(self, name: str, watcher: Callable[[SessionEvent], None]) -> None:
        self.watcher = watcher

    def send(self, name: str, messages: Iterator[bytes], done: Callable[[bool], None]) -> None:
        self._waiting.append((messages, done))

    def reset(self, name: str, text: str) -> None:
        raise AssertionError(text)

    def shut(self, name: str, words: str, *, keep: bool) -> None: ...

    def take(self) -> Iterator[bytes]:
        waiting, self._waiting = self._waiting, []
        for messages, done in waiting:
            yield from messages
            done(True)


class Storm:
    """An engine with its table and judges. Every plan is applied and judged operation by operation."""

    def __init__(
        self,
        slots: int,
        *,
        hops: int = 6,
        seed: int = 1,
        families: Sequence[Family] = FAMILIES,
        churn: int = 2000,
        always: Sequence[Prefix] = (),
    ) -> None:
        base = Config()
        self.config = replace(
            base,
            target=replace(base.target, prefixes=slots, prefixes6=slots),
            selection=replace(base.selection, churn=churn, always=tuple(always)),
        )
        self.families = families
        self.chance = random.Random(seed)
        self.now = 0.0
        self.engine = Engine(self.config, 0.0, 0)
        self.judges = {f: Judge(BLOCKS[f], BLOCKS[f][1] + SPAN, slots) for f in families}
        self.tables: dict[Family, dict[Prefix, int]] = {f: {} for f in families}
        self.hops = {
            f: [
                bytes([192, 0, 2, 1 + n]) if f is Family.IPV4 else bytes([254, 128, *[0] * 13, 1 + n])
                for n in range(hops)
            ]
            for f in families
        }
        self.carry: Callable[[Plan], Iterable[Operation]] = straight
        self._unanswered: deque[Applied] = deque()
        self._lateness = random.Random(seed)
        self.updates = 0
        self.generation = 0
        self.came_up()
        self.send(TargetUp())

    def came_up(self) -> None:
        """The session is there, perhaps again."""
        self.generation += 1
        self.feed = Feed("reflector", "127.0.0.1", self.generation, 65000, "192.0.2.254")
        self.attributes = {
            f: [
                Attributes(
                    self.feed, hop, path_attributes(as_path=(65001 + n,), next_hop=hop if len(hop) == 4 else None)
                )
                for n, hop in enumerate(hops)
            ]
            for f, hops in self.hops.items()
        }
        self.send(FeedUp(self.feed, frozenset(self.families)))

    def complete(self) -> None:
        """End-of-RIB."""
        for family in self.families:
            self.send(FeedComplete(self.feed, family))

    def send(self, event: Event) -> None:
        self.judge(self.engine.handle(event, self.now))

    def tick(self) -> None:
        self.now += 1.0
        self.judge(self.engine.tick(self.now))

    def sweep(self) -> int:
        """Drop all that is to be dropped; how many portions that took."""
        portions = 0
        while self.engine.sweeping:
            self.judge(self.engine.sweep(self.now))
            portions += 1
        return portions

    def judge(self, plan: Plan | None) -> None:
        if plan is not None:
            for prefix, hop in self.carry(plan):
                self.judges[Family.IPV4 if len(prefix[0]) == 4 else Family.IPV6].apply(prefix, hop)
        if not self.engine.sweeping:
            for judge in self.judges.values():
                judge.settle()
        if plan is not None:
            self._unanswered.append(Applied(plan.number, len(plan.changes)))
        while len(self._unanswered) > self._lateness.randrange(LATEST):
            self.send(self._unanswered.popleft())

    def learn(self, updates: Sequence[Update]) -> None:
        """One event with these updates in their order."""
        told: list[tuple[Attributes | None, list[Prefix]]] = []
        for prefix, number in updates:
            family = Family.IPV4 if len(prefix[0]) == 4 else Family.IPV6
            table = self.tables[family]
            if number is None:
                table.pop(prefix, None)
            else:
                table[prefix] = number
            self.judges[family].learn(prefix, None if number is None else self.hops[family][number])
            told.append((None if number is None else self.attributes[family][number], [prefix]))
        self.updates += len(updates)
        self.send(RoutesLearned(self.feed, told))

    def forget(self) -> None:
        """The truth of a session that stays away: no routes. What the engine still holds counts as wrong from here."""
        for family, table in self.tables.items():
            for prefix in table:
                self.judges[family].learn(prefix, None)
            table.clear()

    def fill(self, size: int) -> None:
        """A default and a table of about this many prefixes for each family; half follow what is around them."""
        for family in self.families:
            updates: list[Update] = [(DEFAULT_PREFIX[family], 0)]
            table: dict[Prefix, int] = {}
            for number, length in sorted((draw(self.chance) for _ in range(size)), key=lambda item: item[1]):
                around = next(
                    (hop for shorter in range(length - 1, 0, -1)
                     if (hop := table.get(prefix_at(family, number, shorter))) is not None), None,
                )  # fmt: skip
                free = around is None or self.chance.random() < 0.5
                table[prefix_at(family, number, length)] = (
                    self.chance.randrange(len(self.hops[family])) if free else around
                )
            self.learn(updates + list(table.items()))

    def traffic(self, count: int, *, spread: int) -> None:
        """A batch of so many samples to the most popular `spread` units of each family."""
        batch = TrafficBatch()
        for family in self.families:
            seen = batch.destinations4 if family is Family.IPV4 else batch.destinations6
            for _ in range(count):
                unit = int(spread * self.chance.random() ** 3) * 40_503 & 0xFFFF
                address = prefix_at(family, unit, SPAN)[0]
                seen[address] = seen.get(address, 0) + (8_000_000 << COUNT_BITS | 1)
            batch.samples += count
        self.send(Traffic(batch, 0.1))

    def full(self) -> bool:
        """True if next to all slots but the reserve are taken; a swap may leave a few for who comes next."""
        selections = [self.engine.families[family].selection for family in self.families]
        return all(selection.free <= selection.usable // 25 for selection in selections)

    def used(self, family: Family) -> int:
        return len(self.judges[family].stands.entries)
