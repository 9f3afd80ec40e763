"""The agents that datagrams come from, and the bound on how many of them are kept.

Anyone who reaches the socket can invent agents and data sources. Beyond MAX_AGENTS and MAX_SOURCES nothing more is
kept: their samples still count, but what they lose is not known. Quiet ones make room.
"""

from __future__ import annotations

from typing import Final

from arm.model import AgentStatus, format_address
from arm.sflow.sequence import Sequence, Source

MAX_AGENTS: Final = 256
MAX_SOURCES: Final = 8192
"""Of all agents together."""
_QUIET_AGENT: Final = 60.0
"""Seconds after which an agent gives its place to a new one."""
_QUIET_SOURCE: Final = 600
"""Intervals after which a data source is forgotten."""
_RESTART_MS: Final = 10_000
"""An uptime that goes back by more is a restart, by less a datagram that was overtaken."""


class Agent:
    """One agent and sub-agent."""

    __slots__ = (
        "address",
        "counted",
        "counter_samples",
        "datagrams",
        "flow_samples",
        "forgotten_losses",
        "last_seen",
        "rate",
        "sequence",
        "sources",
        "sub_agent",
        "uptime_ms",
    )

    def __init__(self, address: bytes, sub_agent: int, counted: bool, sequence: int) -> None:
        self.address = address
        self.sub_agent = sub_agent
        self.counted = counted
        self.sequence = Sequence(sequence)
        self.sources: dict[int, Source] = {}
        self.uptime_ms = 0
        self.datagrams = 0
        self.flow_samples = 0
        self.counter_samples = 0
        self.forgotten_losses = 0
        self.rate = 0
        self.last_seen = 0.0

    def datagram(self, sequence: int, uptime_ms: int, now: float) -> None:
        """Take the numbers of a datagram that has come."""
        if uptime_ms < self.uptime_ms - _RESTART_MS:
            self.forget(list(self.sources))
            self.sequence.expected = sequence
        self.uptime_ms = uptime_ms
        if sequence == self.sequence.expected:
            self.sequence.expected = sequence + 1
        else:
            self.sequence.jump(sequence)
        self.datagrams += 1
        self.last_seen = now

    def forget(self, sources: list[int]) -> None:
        """Drop data sources, and keep the sum of what they lost."""
        for key in sources:
            self.forgotten_losses += self.sources.pop(key).lost

    def status(self, now: float, steady_ms: int) -> AgentStatus:
        """The agent for people and metrics."""
        return AgentStatus(
            agent=format_address(self.address),
            sub_agent=self.sub_agent,
            datagrams=self.datagrams,
            flow_samples=self.flow_samples,
            counter_samples=self.counter_samples,
            lost_datagrams=self.sequence.lost,
            lost_samples=self.forgotten_losses + sum(source.lost for source in list(self.sources.values())),
            sampling_rate=self.rate,
            last_seen_ms=steady_ms - int((now - self.last_seen) * 1000),
            counted=self.counted,
        )


class Agents:
    """All agents heard lately, at most MAX_AGENTS, with at most MAX_SOURCES data sources."""

    def __init__(self, counted: bytes | None) -> None:
        self._counted = counted
        self._agents: dict[tuple[bytes, int], Agent] = {}
        self._source_count = 0
        self._full_until = 0.0

    def find(self, address: bytes, sub_agent: int, sequence: int, now: float) -> Agent:
        """The agent, new or known; beyond the bound one that is not kept."""
        key = address, sub_agent
        agent = self._agents.get(key)
        if agent is None:
            counted = self._counted is None or address == self._counted
            agent = Agent(address, sub_agent, counted, sequence)
            if self._make_room(counted, now):
                self._agents[key] = agent
        return agent

    def new_source(self, agent: Agent, key: int, sequence: int) -> Source:
        """A data source that has shown up with `sequence`; beyond the bound one that is not kept."""
        source = Source(sequence)
        if self._source_count < MAX_SOURCES:
            self._source_count += 1
            agent.sources[key] = source
        return source

    def interval(self) -> None:
        """Once a second: weigh the losses of every source and forget the quiet ones."""
        total = 0
        for agent in self._agents.values():
            quiet = []
            for key, source in agent.sources.items():
                source.interval()
                if source.silent >= _QUIET_SOURCE:
                    quiet.append(key)
            agent.forget(quiet)
            total += len(agent.sources)
        self._source_count = total

    def status(self, now: float, steady_ms: int) -> tuple[AgentStatus, ...]:
        """All agents, in the order in which they were first heard. May be called while another thread adds to them."""
        return tuple(agent.status(now, steady_ms) for agent in list(self._agents.values()))

    def _make_room(self, counted: bool, now: float) -> bool:
        if len(self._agents) < MAX_AGENTS:
            return True
        if not counted and now < self._full_until:
            return False
        # The one that is configured goes before those that are not, however lately they were heard.
        agents = self._agents.values()
        others = [agent for agent in agents if not agent.counted] if counted else []
        oldest = min(others or agents, key=lambda agent: agent.last_seen)
        if not others and now - oldest.last_seen < _QUIET_AGENT:
            self._full_until = now + 1.0
            return False
        del self._agents[oldest.address, oldest.sub_agent]
        self._source_count -= len(oldest.sources)
        return True
