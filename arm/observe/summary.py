"""A line in the log once a minute: what the page shows at a glance, for those who read the journal afterwards."""

from __future__ import annotations

import logging

from arm.model import Status
from arm.observe.trend import family_key, lost_samples

log = logging.getLogger(__name__)

EVERY_MS = 60_000


def one_line(status: Status) -> str:
    """The same for `systemctl status`, which has one line."""
    families = (
        f"{family.label}: {now.rib_prefixes:,} prefixes, {now.installed_routes + now.installed_covers:,} of"
        f" {now.capacity:,} slots{'' if now.hits.coverage is None else f', coverage {now.hits.coverage:.0%}'}"
        for family, now in status.families.items()
        if now.rib_prefixes
    )
    return "; ".join(families) or "learning the table"


class Summary:
    """Writes the line; `publish` is called with every status."""

    def __init__(self, every_ms: int = EVERY_MS) -> None:
        self._every_ms = every_ms
        self._last: Status | None = None

    def publish(self, status: Status) -> None:
        """Write a line for each family if it is time."""
        last = self._last
        if last is None:
            self._last = status
            return
        if status.time_ms - last.time_ms < self._every_ms:
            return
        self._last = status
        for family, now in status.families.items():
            then = last.families.get(family)
            if then is None or not now.rib_prefixes:
                continue
            coverage = now.hits.coverage
            log.info(
                "summary family=%s table=%d active=%d slots=%d/%d coverage=%s added=%d removed=%d replaced=%d",
                family_key(family), now.rib_prefixes, now.active_prefixes, now.installed_routes + now.installed_covers,
                now.capacity, "none" if coverage is None else f"{coverage:.3f}", now.added - then.added,
                now.removed - then.removed, now.replaced - then.replaced,
            )  # fmt: skip
        up = sum(session.up for session in status.sessions)
        log.info(
            "summary sessions=%d/%d samples=%d lost=%d dropped=%d target=%s pending=%d failed=%d",
            up, len(status.sessions), status.listener.flow_samples - last.listener.flow_samples,
            lost_samples(status.listener) - lost_samples(last.listener),
            status.listener.kernel_drops - last.listener.kernel_drops, "up" if status.target.up else "down",
            status.target.pending, status.target.failed - last.target.failed,
        )  # fmt: skip
