"""One comparison: a world, its traffic, and contestants side by side on the same seconds.

First a history, in coarse steps, from which each contestant may learn and choose; then the measured part, in seconds.
The choice that stands when a second begins is graded by the true rates of that second; only then are its samples shown.
"""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from arm.core.rib import Rib
from arm.model import Event, Family
from arm.simulate.compare.baselines import BASELINES
from arm.simulate.compare.contest import Arm, Contestant, Matcher, SafeTable, load, share
from arm.simulate.compare.forest import Forest
from arm.simulate.compare.hardware import Hardware
from arm.simulate.compare.trace import Traffic
from arm.simulate.compare.world import World

_STEP: Final = 30.0
"""Seconds of a step of the history."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What one contestant did, or what a bound allows, over the measured seconds."""

    policy: str
    slots: int
    coverage: float
    """Share of the true bytes that went over the right next hop."""
    least: float
    """Coverage of the worst second."""
    churn: float = 0.0
    """Changes per second, mean."""
    churn_p99: float = 0.0
    causes: Mapping[str, int] = field(default_factory=dict)
    wrong_bytes: float = 0.0
    wrong_operations: int = 0
    overfull: int = 0
    covers: int = 0
    used: int = 0
    cpu: float = 0.0
    """Seconds of CPU per second of traffic."""
    trend: Sequence[float] = ()
    """Coverage second by second."""

    def document(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


class Entrant:
    """A contestant with its hardware and its record."""

    def __init__(self, contestant: Contestant, world: World, slots: int) -> None:
        self.contestant = contestant
        self.hardware = Hardware(world, slots)
        self.slots = slots
        self.trend: list[float] = []
        self.churn: list[int] = []
        self.wrong = 0.0
        self._weighted = 0.0
        self._whole = 0.0
        self._cpu = 0.0

    def show(self, seen: Mapping[bytes, int], seconds: float, now: float, *, choose: bool = True) -> None:
        """Show it samples, and make the changes that it wants for them."""
        changes = self.contestant.observe(seen, seconds, now, choose=choose)
        self.hardware.apply(changes)
        self.churn.append(len(changes))

    def begin(self) -> None:
        """From here on it counts."""
        self.churn.clear()
        self._cpu = self.contestant.cpu
        self.hardware.causes = Counter()

    def grade(self, rates: Sequence[float], whole: float) -> None:
        carried = self.hardware.carried_bytes(rates)
        self._weighted += carried
        self._whole += whole
        self.trend.append(carried / whole if whole else 1.0)
        self.wrong += self.hardware.wrong_bytes(rates)

    def result(self) -> Result:
        churn = sorted(self.churn) or [0]
        return Result(
            policy=self.contestant.name,
            slots=self.slots,
            coverage=self._weighted / self._whole if self._whole else 1.0,
            least=min(self.trend, default=1.0),
            churn=statistics.fmean(churn),
            churn_p99=float(churn[min(len(churn) - 1, int(len(churn) * 0.99))]),
            causes=dict(self.hardware.causes),
            wrong_bytes=self.wrong,
            wrong_operations=self.hardware.wrong_operations,
            overfull=self.hardware.overfull_operations,
            covers=self.hardware.covers,
            used=self.hardware.used,
            cpu=(self.contestant.cpu - self._cpu) / max(len(self.trend), 1),
            trend=[round(value, 5) for value in self.trend],
        )


@dataclass(slots=True)
class Bounds:
    """What was possible, seen with hindsight."""

    forest: Forest
    best: dict[int, list[float]] = field(default_factory=dict)
    informed: dict[int, list[float]] = field(default_factory=dict)
    moments: list[list[float]] = field(default_factory=list)

    def look(self, rates: Sequence[float], sizes: Iterable[int], arms: Iterable[tuple[int, Sequence[float]]]) -> None:
        """Take note of one moment: the clairvoyant's bound, and the solver's choice by what ARM believes."""
        whole = sum(rates)
        self.moments.append(list(rates))
        for slots in sizes:
            solution = self.forest.solve(rates, slots)
            self.best.setdefault(slots, []).append(min(1.0, solution.bound / whole))
        for slots, estimates in arms:
            solution = self.forest.solve(estimates, slots)
            good = sum(rate for rate, carried in zip(rates, solution.carried, strict=True) if carried)
            self.informed.setdefault(slots, []).append(good / whole)

    def results(self) -> list[Result]:
        found = [Result("clairvoyant", n, statistics.fmean(v), min(v), trend=v) for n, v in self.best.items()]
        found += [
            Result("solver on samples", n, statistics.fmean(v), min(v), trend=v) for n, v in self.informed.items()
        ]
        for slots in self.best:
            means = [statistics.fmean(column) for column in zip(*self.moments, strict=True)]
            carried = self.forest.solve(means, slots).carried
            shares = [
                sum(rate for rate, good in zip(rates, carried, strict=True) if good) / sum(rates)
                for rates in self.moments
            ]
            found.append(Result("best static set", slots, statistics.fmean(shares), min(shares), trend=shares))
        return found


def compare(
    world: World,
    traffic: Traffic,
    *,
    sizes: Sequence[int],
    policies: Sequence[str],
    history: float,
    seconds: int,
    updates: float = 0.0,
    bound_every: int = 60,
    reserve_now: float = 1000.0,
    progress: Progress = lambda text: None,
    events: Mapping[int, Callable[[], None]] | None = None,
) -> list[Result]:
    """Run it. `updates`: changes of the table per second; `events`: what to do to the traffic at a measured second."""
    now = reserve_now
    progress("learning the table")
    entrants, rib = _enter(world, sizes, policies, now)
    bounds = Bounds(Forest(world)) if bound_every else None
    started = time.monotonic()
    done = 0.0
    while done < history:
        step = min(_STEP, history - done)
        traffic.step(step)
        now += step
        seen = traffic.samples(step)
        for entrant in entrants:
            entrant.show(seen, step, now, choose=done + step >= history)
        done += step
        progress(f"history {done:.0f} of {history:.0f} s, {time.monotonic() - started:.0f} s elapsed")
    for entrant in entrants:
        entrant.begin()
    weather = Weather(world, updates)
    for second in range(seconds):
        if events and second in events:
            events[second]()
        traffic.step(1.0)
        now += 1.0
        rates = traffic.rates
        whole = sum(rates)
        for entrant in entrants:
            entrant.grade(rates, whole)
        if bounds is not None and second % bound_every == 0 and not weather.changed:
            arms = [(e.slots, e.contestant.estimates(world)) for e in entrants if isinstance(e.contestant, Arm)]
            bounds.look(rates, sizes, arms)
        for event, concerned in weather.second():
            if rib is not None:
                share(rib, event)
            for entrant in entrants:
                changes = entrant.contestant.learn(event, now)
                # What BGP itself has just made wrong is repaired by these changes; they are judged together.
                entrant.hardware.judge(())
                follow(entrant, changes, concerned)
        seen = traffic.samples(1.0)
        for entrant in entrants:
            entrant.show(seen, 1.0, now)
        if second % 10 == 9:
            standing = " ".join(f"{e.contestant.name}/{e.slots}={e.trend[-1]:.1%}" for e in entrants)
            progress(f"second {second + 1} of {seconds}, {standing}")
    results = [entrant.result() for entrant in entrants]
    return (bounds.results() if bounds is not None else []) + results


def follow(entrant: Entrant, changes: Sequence[object], concerned: Iterable[int]) -> None:
    """Apply the repairs of a change of the table; afterwards nothing that it concerned may be wrong."""
    hardware = entrant.hardware
    operations = hardware.wrong_operations
    hardware.apply(changes)  # type: ignore[arg-type]
    hardware.judge(concerned)
    hardware.wrong_operations = operations + bool(hardware.wrong)


class Weather:
    """BGP goes on: next hops change, routes go and come back."""

    def __init__(self, world: World, per_second: float) -> None:
        self._world = world
        self._per_second = per_second
        self._chance = random.Random(world.seed ^ 0xB69)
        self._away: list[int] = []
        self._debt = 0.0
        self.changed = False

    def second(self) -> Iterator[tuple[Event, range]]:
        """The changes of one second; half of them at routes with destinations.

        The world changes with each one that is taken: the truth must not run ahead of what contestants have been told.
        """
        self._debt += self._per_second
        count = int(self._debt)
        self._debt -= count
        self.changed = self.changed or count > 0
        world, chance = self._world, self._chance
        for _ in range(count):
            if self._away and chance.random() < 0.4:
                yield world.restore(self._away.pop(0))
                continue
            place = chance.choice(world.homes) if chance.random() < 0.5 else chance.randrange(len(world.table))
            if place < 0 or place in self._away:
                continue
            if chance.random() < 0.3:
                self._away.append(place)
                yield world.withdraw(place)
            else:
                yield world.change(place, chance.randrange(len(world.next_hops)))


def _enter(world: World, sizes: Sequence[int], policies: Sequence[str], now: float) -> tuple[list[Entrant], Rib | None]:
    shared: Rib | None = None
    matcher: Matcher | None = None
    entrants: list[Entrant] = []
    for slots in sizes:
        for name in policies:
            if name == "arm":
                arm = Arm(slots, now)
                for event in world.learn():
                    arm.learn(event, now)
                entrants.append(Entrant(arm, world, slots))
                continue
            if shared is None:
                shared = Rib(Family.IPV4)
                load(shared, world)
                matcher = Matcher(shared)
            table = SafeTable(shared, world, slots, matcher)
            entrants.append(Entrant(BASELINES[name](table, slots, now), world, slots))
    return entrants, shared
