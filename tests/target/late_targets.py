"""Targets that answer late: the real code of both, in front of hardware in memory, driven step by step by a test.

`work` carries out what waits next, `deliver` hands the oldest word of the target to the engine. In between, the engine
plans on. Everything is one IPv4 block of 16 units (10.0.0.0/8 down to /12), so that everything nests in everything.
"""

from __future__ import annotations

import errno
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from arm.bgp.events import RefreshRequested, SessionDown, SessionEvent, SessionUp
from arm.bgp.messages import Interner, end_of_rib_family, parse_update
from arm.bgp.wire import HEADER_SIZE, read_header
from arm.model import (
    Event,
    Family,
    Feed,
    NextHopDown,
    NextHopUp,
    Plan,
    Prefix,
    TargetDown,
    TargetUp,
    format_next_hop,
    parse_prefix,
)
from arm.target.bird import BirdTarget
from arm.target.kernel import applier as applier_module
from arm.target.kernel.applier import Applier
from arm.target.kernel.ledger import Ledger
from arm.target.kernel.messages import LinkMessage, RouteMessage, RouteWriter
from arm.target.kernel.nexthops import NextHops
from arm.target.kernel.objects import Objects
from arm.target.kernel.repair import Repairs
from arm.target.kernel.topology import Path as Way
from arm.target.kernel.topology import Topology

sys.path.insert(0, str(Path(__file__).parent / "kernel"))
from fake_kernel import FakeKernel

V4: Final = frozenset({Family.IPV4})
SMALL_BUFFER: Final = 2
"""Changes between two looks at what happens meanwhile, so that a plan of a few is looked at in its middle."""

Routes = Mapping[Prefix, bytes]
Judge = Callable[[Plan, Routes, Routes], None]
"""Is told of every operation of a plan: the plan, and the hardware before and after the operation."""


class LateTarget:
    """What the test drives."""

    def __init__(self, chance: random.Random, judge: Judge) -> None:
        self.chance = chance
        self.judge = judge
        self.words: deque[Event] = deque()
        """Told, and not delivered to the engine yet."""
        self.hardware: dict[Prefix, bytes] = {}
        self.refusing = 0.0
        """Share of the operations that fail."""
        self.dead: set[bytes] = set()
        """Next hops that cannot be reached: routes over them go the default's way."""

    def apply(self, plan: Plan) -> None:
        raise NotImplementedError

    def work(self) -> bool:
        """Carry out what waits next; False if nothing does."""
        raise NotImplementedError

    def disturb(self) -> None:
        """Something happens to the target."""
        raise NotImplementedError

    @property
    def waits(self) -> bool:
        """True while the hardware keeps what nobody may take out yet, for a session that may come back."""
        return False

    def settle(self) -> None:
        """All that was lost comes back."""

    def _refuses(self) -> bool:
        return self.chance.random() < self.refusing


class LateKernel(LateTarget):
    """The kernel target's applier and repairs, over a kernel in memory."""

    HOPS: Final = tuple(bytes([10, 255, index, 2]) for index in range(1, 5))

    def __init__(self, chance: random.Random, judge: Judge) -> None:
        super().__init__(chance, judge)
        applier_module.BATCH = SMALL_BUFFER
        self._plans: deque[Plan] = deque()
        self._epoch = 0
        self._current: Plan | None = None
        self.kernel = FakeKernel(lambda prefix, install: errno.EIO if self._refuses() else 0)
        self.kernel.made = self._made
        self._up()

    def _up(self) -> None:
        self._topology = topology = Topology(table=254, protocol=210)
        for index in range(1, len(self.HOPS) + 1):
            connected = parse_prefix(f"10.255.{index}.0/24")
            topology.route(RouteMessage(connected, 254, 2, 0, 1, 0, 0, (Way(b"", index),), plain=True))
            self._link(index, carrier=True)  # until the groups of what is found are known
        self.ledger = Ledger()
        objects = Objects(self.kernel, table=254, protocol=210)
        self._nexthops = NextHops(topology, objects, table=254, used=self.ledger.uses)
        writer = RouteWriter(table=254, metric=32, protocol=210)
        self._applier = Applier(self.kernel, writer, self.ledger, self._nexthops, topology, meanwhile=self._meanwhile)
        self._repairs = Repairs(self._applier, self.ledger, self._nexthops, self.words.append)
        for prefix, hop in self.hardware.items():
            number = self._nexthops.ensure(Family.IPV4, hop)
            self.kernel.routes[prefix] = number
            self.ledger.put(prefix, number)
        for index in range(1, len(self.HOPS) + 1):
            self._link(index, carrier=self.HOPS[index - 1] not in self.dead)
        self._nexthops.refresh()
        self._epoch += 1
        self.words.append(TargetUp(dict(self.hardware), epoch=self._epoch))
        self._tell_next_hops()

    def apply(self, plan: Plan) -> None:
        self._plans.append(plan)

    def work(self) -> bool:
        if not self._plans:
            return False
        plan = self._plans.popleft()
        if plan.epoch != self._epoch:
            return True
        self._repairs.tell()
        self._current = plan
        with self._repairs.held_back():
            applied = self._applier.apply(plan)
        self._current = None
        self.words.append(applied)
        self._repairs.tell()
        return True

    def _meanwhile(self) -> None:
        self._tell_next_hops()
        if self.refusing and self.chance.random() < 0.1:
            (self._take_one_out if self.chance.random() < 0.6 else self._flap)()

    def _link(self, index: int, *, carrier: bool) -> None:
        self._topology.link(LinkMessage(index, f"d{index}", up=True, carrier=carrier, loopback=False, vrf_table=None))

    def _flap(self) -> None:
        """The link of a next hop goes or comes back, but for the first one, the default's."""
        index = self.chance.randrange(2, len(self.HOPS) + 1)
        hop = self.HOPS[index - 1]
        self.dead ^= {hop}
        self._link(index, carrier=hop not in self.dead)
        self._nexthops.refresh()
        if self.chance.random() < 0.5:  # otherwise it is told later, perhaps when it has changed again
            self._tell_next_hops()

    def _tell_next_hops(self) -> None:
        for group in self._nexthops.take_news():
            self.words.append(NextHopUp(group.next_hop) if group.up else NextHopDown(group.next_hop, group.reason))

    def _made(self, prefix: Prefix, number: int | None) -> None:
        before = dict(self.hardware)
        if number is None:
            del self.hardware[prefix]
        else:
            self.hardware[prefix] = self._nexthops.by_number[number].next_hop
        if self._current is not None:
            self.judge(self._current, before, self.hardware)

    def _take_one_out(self) -> None:
        """Another program removes a route for good."""
        some = sorted(self.ledger.routes)
        if not some:
            return
        prefix = self.chance.choice(some)
        del self.kernel.routes[prefix]
        del self.hardware[prefix]
        refusing, self.refusing = self.refusing, 0.0
        current, self._current = self._current, None
        self._repairs.give_up({prefix: "removed by another program"})
        self.refusing, self._current = refusing, current

    def disturb(self) -> None:
        what = self.chance.random()
        if what < 0.4:
            self._flap()
            return
        if what < 0.8:
            self._take_one_out()
            return
        self._plans.clear()
        self.words.append(TargetDown("an answer was lost"))
        self._up()

    def settle(self) -> None:
        for hop in list(self.dead):
            self.dead.discard(hop)
            self._link(self.HOPS.index(hop) + 1, carrier=True)
        self._nexthops.refresh()
        self._tell_next_hops()


class LateBird(LateTarget):
    """The BIRD target on a speaker in memory, and a BIRD that keeps routes over a restart (RFC 4724) or does not.

    Two sessions carry the family, so that it moves from one to the other. A next hop of 16 octets can not be sent with
    an IPv4 prefix: that is how a change fails here.
    """

    HOPS: Final = (*(bytes([192, 0, 2, index]) for index in range(1, 4)), bytes(15) + b"\x01")
    NAMES: Final = ("target", "target6")

    def __init__(self, chance: random.Random, judge: Judge) -> None:
        super().__init__(chance, judge)
        self._watchers: dict[str, Callable[[SessionEvent], None]] = {}
        self._queues: dict[str, deque[tuple[Iterator[bytes], Callable[[bool], None], Plan | None]]] = {
            name: deque() for name in self.NAMES
        }
        self._up: set[str] = set()
        self._reader = Interner(Feed("read", "", 1, 65000, "192.0.2.9"))
        self._adjacent: dict[str, dict[Prefix, bytes]] = {name: {} for name in self.NAMES}
        """What BIRD holds of each session."""
        self._stale: dict[str, set[Prefix]] = {name: set() for name in self.NAMES}
        self._plan: Plan | None = None
        self.target = BirdTarget(self, self.NAMES, clock=lambda: 0.0)
        self.target.start(self.words.append)
        self._come_up(self.NAMES[0])

    # --- the speaker ---

    def watch(self, name: str, watcher: Callable[[SessionEvent], None]) -> None:
        self._watchers[name] = watcher

    def send(self, name: str, messages: Iterator[bytes], done: Callable[[bool], None]) -> None:
        self._queues[name].append((messages, done, self._plan))

    def reset(self, name: str, text: str) -> None:
        raise AssertionError(text)

    def shut(self, name: str, words: str, *, keep: bool) -> None: ...

    # --- the test ---

    def apply(self, plan: Plan) -> None:
        self._plan = plan
        self.target.apply(plan)
        self._plan = None

    def work(self) -> bool:
        waiting = [name for name in self.NAMES if self._queues[name]]
        if not waiting:
            return False
        name = self.chance.choice(waiting)
        messages, done, plan = self._queues[name].popleft()
        if name not in self._up:
            done(False)
            return True
        for data in messages:
            self._read(name, data, plan)
        done(True)
        return True

    def _read(self, name: str, data: bytes, plan: Plan | None) -> None:
        while data:
            size, _ = read_header(data, 0)
            body, data = data[HEADER_SIZE:size], data[size:]
            if end_of_rib_family(body) is Family.IPV4:
                for prefix in self._stale[name]:
                    del self._adjacent[name][prefix]
                self._stale[name].clear()
                self._merge()
            for found, prefixes in parse_update(body, self._reader):
                for prefix in prefixes:
                    self._stale[name].discard(prefix)
                    if found is None:
                        self._adjacent[name].pop(prefix, None)
                    else:
                        self._adjacent[name][prefix] = found.next_hop
                    before = self.hardware
                    self._merge()
                    if plan is not None:
                        self.judge(plan, before, self.hardware)

    def _merge(self) -> None:
        """What BIRD's table says: a fresh route before a stale one."""
        self.hardware = {}
        for name in self.NAMES:
            for prefix, hop in self._adjacent[name].items():
                if prefix in self._stale[name]:
                    self.hardware.setdefault(prefix, hop)
        for name in self.NAMES:
            for prefix, hop in self._adjacent[name].items():
                if prefix not in self._stale[name]:
                    self.hardware[prefix] = hop

    def _come_up(self, name: str) -> None:
        self._up.add(name)
        self._watchers[name](SessionUp(V4))

    def _go_down(self, name: str) -> None:
        self._up.discard(name)
        queue, self._queues[name] = self._queues[name], deque()
        written = True
        for messages, done, plan in queue:  # some of it was written before the end
            written = written and self.chance.random() < 0.3
            if written:
                for data in messages:
                    self._read(name, data, plan)
            done(False)
        if self.chance.random() < 0.5:
            self._stale[name] = set(self._adjacent[name])
        else:
            self._adjacent[name].clear()
            self._stale[name].clear()
        self._merge()
        self._watchers[name](SessionDown("gone"))

    def disturb(self) -> None:
        name = self.chance.choice(self.NAMES)
        if name not in self._up:
            self._come_up(name)
        elif self.chance.random() < 0.4:
            self._watchers[name](RefreshRequested(Family.IPV4))
        else:
            self._go_down(name)
            if self.chance.random() < 0.5:
                self._come_up(name)

    @property
    def waits(self) -> bool:
        return any(self._stale.values())

    def settle(self) -> None:
        for name in self.NAMES:
            if name not in self._up:
                self._come_up(name)


def show(routes: Routes) -> Sequence[str]:
    """For the message of a failure."""
    return [f"{'.'.join(map(str, p[0]))}/{p[1]} {format_next_hop(hop)}" for p, hop in sorted(routes.items())]
