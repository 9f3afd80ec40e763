"""What became of the traffic of an interval under the choice that stood before it."""

from __future__ import annotations

from dataclasses import dataclass

from arm.model import Hits


@dataclass(slots=True)
class Tally:
    """Scaled bytes of the current interval, as `Hits` has them."""

    installed: int = 0
    free: int = 0
    new: int = 0
    removed: int = 0
    no_slot: int = 0
    excluded: int = 0
    no_route: int = 0
    samples: int = 0

    def hits(self, seconds: float) -> Hits:
        """The rates, over so many seconds."""
        return Hits(
            self.installed / seconds, self.free / seconds, self.new / seconds, self.removed / seconds,
            self.no_slot / seconds, self.excluded / seconds, self.no_route / seconds, self.samples,
        )  # fmt: skip
