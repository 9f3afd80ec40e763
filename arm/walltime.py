"""Times of day that keep their distances, and follow the machine's clock where they are shown.

A switch without a battery for its clock starts in 1970, and NTP sets the clock when ARM has been running for a while;
an operator may set it back by an hour. So ARM notes moments in *steady* milliseconds: the time of day when ARM started,
and from there on by the monotonic clock. Differences between them are true durations, whatever happens to the clock.
Whoever shows a moment to people or other machines adds by how much the clock has been set meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

_STEP_MS: Final = 500
"""A smaller difference is no step, so that a moment keeps the time it was shown with while NTP slews the clock."""


class WallTime:
    """Any thread may ask."""

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        """Both in seconds; `wall` since the epoch."""
        self._monotonic = monotonic
        self._wall = wall
        self._offset = wall() - monotonic()
        self._set_by_ms = 0

    def steady_ms(self) -> int:
        """Now, in steady milliseconds since the epoch."""
        return int((self._monotonic() + self._offset) * 1000)

    def shown_ms(self, steady_ms: int) -> int:
        """A steady moment by the machine's clock as it goes now, in milliseconds since the epoch."""
        return steady_ms + self._set_by()

    def noted_ms(self, shown_ms: int) -> int:
        """The steady moment of what is shown now as `shown_ms`."""
        return shown_ms - self._set_by()

    def _set_by(self) -> int:
        """Milliseconds by which the clock has been set forward since the start."""
        now = round((self._wall() - self._monotonic() - self._offset) * 1000)
        if abs(now - self._set_by_ms) > _STEP_MS:
            log.info("the machine's clock was set seconds=%+.1f", (now - self._set_by_ms) / 1000)
            self._set_by_ms = now
        return self._set_by_ms


CLOCK: Final = WallTime()
"""That of the process."""
