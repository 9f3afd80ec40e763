"""No hardware at all: what would be installed, as if every change succeeded at once.

For a look at what ARM would do before it may do anything, and for `arm demo`. The hit rate that ARM shows is that of
the choice as it would stand in hardware.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from arm.model import Applied, Family, Holding, Plan, TargetStatus, TargetUp
from arm.target.base import Emit


class PassiveTarget:
    """A target that holds nothing when it starts, and takes everything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._emit: Emit | None = None
        self._applied = 0

    def start(self, emit: Emit) -> None:
        """Begin: TargetUp comes at once."""
        self._emit = emit
        emit(TargetUp(found={}, epoch=1))

    def apply(self, plan: Plan) -> None:
        """Count the changes; Applied comes at once."""
        if self._emit is None:
            return
        with self._lock:
            self._applied += len(plan.changes)
        self._emit(Applied(plan.number, len(plan.changes)))

    def resize(self, slots: Mapping[Family, int]) -> None:
        """Nothing is ever full here."""

    def status(self) -> TargetStatus:
        """A consistent picture; any thread may ask."""
        with self._lock:
            up = self._emit is not None
            return TargetStatus(
                kind="passive",
                up=up,
                reason="" if up else "not started",
                pending=0,
                applied=self._applied,
                failed=0,
                last_seconds=0.0,
            )

    def holding(self) -> Holding | None:
        """Nothing can be told of nothing."""
        return None

    def stop(self, *, flush: bool) -> None:
        """Take no more plans."""
        self._emit = None
