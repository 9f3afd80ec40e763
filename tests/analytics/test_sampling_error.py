"""What flow caches say is the true traffic, flow by flow, within the error that sampling itself makes.

The truth is known here: every packet is drawn by the test, its moving average is worked out without the program, and
each packet is sampled with probability 1/N. The estimate of a flow is then a sum of independent terms, so Bernstein's
inequality bounds its error: with probability 1-p it is below sqrt(2*variance*L) + largest*L/3, L = ln(2/p).
"""

from __future__ import annotations

import math
import random
from collections import defaultdict

from fed_analytics import Fed

from arm.model import format_address
from arm.simulate.agent import Agent, Packet

T = 3.0
RATE = 20
TICK = 0.05
P = 1e-4
"""Chance that one flow of a right program is outside. The draw is fixed, so what passes once passes always."""
L = math.log(2 / P)
FLOWS = 150


class Truth:
    """Moving averages of all packets, sampled or not, and the variance that sampling one in RATE gives each."""

    def __init__(self) -> None:
        self.values: dict[str, float] = defaultdict(float)
        self.variances: dict[str, float] = defaultdict(float)
        self.largest: dict[str, float] = defaultdict(float)

    def decay(self) -> None:
        factor = math.exp(-TICK / T)
        for flow in self.values:
            self.values[flow] *= factor
            self.variances[flow] *= factor * factor
            self.largest[flow] *= factor

    def add(self, flow: str, amount: float) -> None:
        self.values[flow] += amount / T
        # a packet is counted RATE times with probability 1/RATE, and not at all otherwise
        self.variances[flow] += (RATE - 1) * (amount / T) ** 2
        self.largest[flow] = max(self.largest[flow], RATE * amount / T)

    def bound(self, flow: str) -> float:
        return math.sqrt(2 * self.variances[flow] * L) + self.largest[flow] * L / 3


def test_every_flow_is_within_the_error_that_sampling_makes() -> None:
    chance = random.Random(5)
    fed = Fed()
    fed.define("octets", keys="ipsource,ipdestination", value="bytes", t=T)
    fed.define("packets", keys="ipsource,ipdestination", value="frames", t=T)
    octets, packets = Truth(), Truth()
    agent = Agent(None, rate=RATE)
    pairs = [(bytes([10, 0, n >> 8, n & 255]), bytes([192, 0, 2, n % 250])) for n in range(FLOWS)]
    # Zipf: the first carries a hundred times what the last does; some stop in the middle, some begin there
    popular = [1 / (n + 1) for n in range(FLOWS)]
    late = list(popular)
    chance.shuffle(late)
    steps = int(6 * T / TICK)
    for step in range(steps):
        fed.now += TICK
        octets.decay()
        packets.decay()
        sampled: list[Packet] = []
        for source, destination in chance.choices(pairs, popular if step < steps // 2 else late, k=1500):
            size = chance.choice((90, 590, 1518))
            flow = f"{format_address(source)},{format_address(destination)}"
            octets.add(flow, size)
            packets.add(flow, 1)
            if chance.random() * RATE < 1:
                sampled.append((source, destination, size))
        fed.feed(bytes(agent.number(built)) for built in agent.prebuild(sampled))

    for name, truth in (("octets", octets), ("packets", packets)):
        found = rows(fed, name)
        deviations = []
        for flow, value in truth.values.items():
            error = found.get(flow, 0.0) - value
            assert abs(error) <= truth.bound(flow), (name, flow, value, found.get(flow), truth.bound(flow))
            if value * value > 10 * truth.variances[flow]:  # with an error that is near to normal
                deviations.append(error / math.sqrt(truth.variances[flow]))
        assert set(found) <= set(truth.values)
        # and the bound is no empty one: the errors are as large as sampling makes them, and not larger
        spread = math.sqrt(sum(d * d for d in deviations) / len(deviations))
        assert len(deviations) > 30
        assert 0.7 < spread < 1.4
        total = fed.metric(f"sum:{name}")
        true = sum(truth.values.values())
        assert total is not None
        assert abs(total - true) <= 3 * math.sqrt(sum(truth.variances.values()))


def rows(fed: Fed, name: str) -> dict[str, float]:
    """All flows of a definition, as its cache has them: a query gives only the n largest."""
    flow = fed.analytics.flow(name)
    assert flow is not None
    scale = flow.cache.scale(fed.now)
    return {flow.text(key): weight * scale for key, weight in flow.cache.flows()}
