"""What was lost on the way, told by sequence numbers.

sFlow numbers the datagrams of each agent and sub-agent, and the samples of each of its data sources. A number that
jumps ahead tells of losses, whether the network, the kernel's socket buffer or the agent lost them. One that goes
back does not: a little back is a datagram that was overtaken, further back is an agent that was started again.

A sample stands for its sampling rate of packets; while a share of the samples is lost, each one that arrives stands
for `factor` times as many. The factor is smoothed over about a hundred samples and never above MAX_FACTOR.
"""

from __future__ import annotations

from typing import Final

_MODULO: Final = 1 << 32
_REORDER: Final = 64
"""So far back a number is late; further back, the agent counts anew."""
_MAX_GAP: Final = 1 << 24
"""So far ahead numbers were lost; further ahead, the agent counts anew."""

MAX_FACTOR: Final = 10.0
_MIN_FRACTION: Final = 0.001
_SMOOTHING: Final = 100.0
"""Samples after which a new loss fraction has half of the say."""
_SILENCE: Final = 10
"""Intervals without a sample after which a gap tells of the past, and not of what the samples of now stand for."""


class Sequence:
    """One series of sequence numbers (32 bits, wrapping)."""

    __slots__ = ("expected", "lost")

    def __init__(self, first: int) -> None:
        self.expected = first
        """The number to come; callers step it themselves while nothing is missing, and may leave it unwrapped."""
        self.lost = 0

    def jump(self, number: int) -> None:
        """Take a number that is not the expected one."""
        ahead = (number - self.expected) % _MODULO
        if ahead <= _MAX_GAP:
            self.lost += ahead
        elif _MODULO - ahead <= _REORDER:
            self.lost = max(0, self.lost - 1)
            return
        else:
            self.restart()
        self.expected = number + 1

    def restart(self) -> None:
        """The series begins anew with the number that is set next."""


class Source(Sequence):
    """The flow samples of one data source, and what its losses make a sample stand for."""

    __slots__ = ("_fraction", "_seen_expected", "_seen_lost", "_silent", "factor")

    def __init__(self, first: int) -> None:
        super().__init__(first)
        self.factor = 1.0
        self._fraction = 0.0
        self._seen_expected = first
        self._seen_lost = 0
        self._silent = 0

    @property
    def silent(self) -> int:
        """Number of intervals since the last sample."""
        return self._silent

    def restart(self) -> None:
        """Forget what was due: the numbers before say nothing of those to come."""
        self._seen_expected = -1

    def interval(self) -> None:
        """An interval of about a second is over: weigh what was lost in it."""
        due = self.expected - self._seen_expected
        if due == 0:
            self._silent += 1
            return
        lost = max(0, self.lost - self._seen_lost)
        if self._seen_expected >= 0 and due > 0 and self._silent < _SILENCE:
            weight = due / (due + _SMOOTHING)
            self._fraction += weight * (min(1.0, lost / due) - self._fraction)
            if self._fraction < _MIN_FRACTION:
                self._fraction = 0.0
            self.factor = min(MAX_FACTOR, 1.0 / max(1.0 - self._fraction, 1.0 / MAX_FACTOR))
        self._silent = 0
        self._seen_expected = self.expected
        self._seen_lost = self.lost
