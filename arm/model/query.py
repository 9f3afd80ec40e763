"""What the engine answers when it is asked."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from arm.model.plan import Entry, Reason
from arm.model.prefix import Family, Prefix
from arm.model.route import Attributes, Route


@dataclass(frozen=True, slots=True)
class RankedPrefix:
    """A prefix with its traffic, as rankings and searches show it."""

    prefix: Prefix
    attributes: Attributes
    bytes_per_second: float
    samples: float
    """Samples behind the rate, decayed as the rate is; its 95% error is 196*sqrt(1/samples) percent."""
    state: PrefixState
    """installed, cover, rides, default, no slot, excluded, idle."""


class PrefixState(enum.Enum):
    """What the hardware does with a prefix. The values are the words of the API and the page."""

    INSTALLED = "installed"
    COVER = "cover"
    """An entry of its own leads the default's way, as an exception to a route above it."""
    RIDES = "rides"
    """An installed route above it has the same next hop."""
    DEFAULT = "default"
    """The default route has the same next hop."""
    NO_SLOT = "no slot"
    EXCLUDED = "excluded"
    """By the configuration, or because its next hop cannot be reached."""
    IDLE = "idle"
    """No sampled traffic goes to it, or its table is still being learned."""
    NO_ROUTE = "no route"
    """The table has no route for it."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a prefix is, or is not, in hardware."""

    query: str
    prefix: Prefix | None
    """Longest match in the full table."""
    covering: tuple[Route, ...]
    """All routes of the table that contain it, longest first."""
    entry_prefix: Prefix | None
    """Longest installed match."""
    entry: Entry | None
    state: PrefixState
    why: str
    """One sentence for the engineer."""
    since_ms: int | None
    bytes_per_second: float
    samples: float


@dataclass(frozen=True, slots=True)
class TrafficSnapshot:
    """The traffic of one family and direction at one moment, by the route it matches."""

    family: Family
    direction: str
    """destination or source."""
    rates: Mapping[Prefix, float]
    """Bytes per second, to be multiplied by `scale`."""
    samples: Mapping[Prefix, float]
    """Samples behind each rate, decayed as the rates are; to be multiplied by `scale`."""
    scale: float
    total: float
    """Bytes per second of everything sampled, that without a route included; not to be scaled."""


class What(enum.Enum):
    """What became of a prefix in hardware. The values are the words of the API, the log and the page."""

    INSTALLED = "installed"
    REPLACED = "replaced"
    REMOVED = "removed"
    FAILED = "failed"
    """The target did not make a change, or something else took the route out."""
    RESTORED = "restored"
    """The target put back what something else had changed."""


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """One line of the change log: what went into the hardware or came out of it."""

    number: int
    """Counts up by one; what a reader hands back as `after`."""
    time_ms: int
    prefix: Prefix
    what: What
    reason: Reason | None
    """Why it was decided; None for what the target tells."""
    detail: str = ""
    """The target's sentence."""

    @property
    def why(self) -> str:
        """The reason or the target's sentence, as it is shown."""
        return self.reason.value if self.reason is not None else self.detail


Remembered: TypeAlias = tuple[Prefix, float, float, bool]
"""What a later run should know of a prefix: itself, bytes/s, samples of an hour, chosen."""
