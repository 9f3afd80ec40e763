"""When installed routes that nothing has gone to for long may come out, and when they may not.

Many routes that fall silent together are rather a fault of the samples (a line card that is not sampled any more, an
agent that lost half of its ports) than a change of the traffic. So no more than a quarter of the choice leaves as idle
in `WINDOW` seconds; beyond that all of it stays and is reported, until it is seen again or its slots are wanted.
Invariant: only the choice waits here. What BGP or the target makes necessary never asks this room.
"""

from __future__ import annotations

from typing import Final

from arm.core.feeds import shrinks

WINDOW: Final = 600.0
"""Seconds over which losses are added up."""
_SMALL: Final = 100
"""Fewer routes than this may leave together, whatever their share."""


class Idleness:
    """Decides about the idle routes of one family."""

    __slots__ = ("_left", "_since", "held")

    def __init__(self, now: float) -> None:
        self.held = 0
        """Idle routes that stay because they are too many to leave."""
        self._left = 0
        self._since = now

    def allows(self, idle: int, installed: int, now: float) -> bool:
        """True if so many idle routes of all installed ones may leave now; they then count as gone."""
        if now - self._since > WINDOW:
            self._left, self._since = 0, now
        too_many = shrinks(installed + self._left, self._left + idle, _SMALL)
        self.held = idle if too_many else 0
        if not too_many:
            self._left += idle
        return not too_many
