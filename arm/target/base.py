"""What the engine expects of a target: the place where chosen routes go.

A target applies plans strictly in order, change by change, and says what really happened. When a change fails, it
leaves out the later changes of the same plan whose prefix contains, or is contained in, the failed one (they may only
be right after it), reports all of them as failed, and goes on with the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from arm.model import Event, Holding, Plan, TargetStatus

Emit = Callable[[Event], None]
"""Hands an event to the engine; any thread may call it, it never blocks."""


class Target(Protocol):
    """Applies plans. All methods return at once; the work is done on the target's own thread, if it needs one."""

    def start(self, emit: Emit) -> None:
        """Begin; TargetUp follows when changes can be taken."""
        ...

    def apply(self, plan: Plan) -> None:
        """Queue a plan. Applied follows when it is done, unless TargetDown comes first."""
        ...

    def status(self) -> TargetStatus:
        """A consistent picture for the status page; any thread may ask."""
        ...

    def holding(self) -> Holding | None:
        """What it holds now, asked anew; None if it cannot tell. Any thread may ask, and waits for the answer.

        OSError if it cannot be asked now.
        """
        ...

    def stop(self, *, flush: bool) -> None:
        """End. `flush` takes ARM's routes out first; otherwise they stay for the next start."""
        ...
