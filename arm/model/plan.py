"""What the engine decides: entries of the hardware, changes, plans."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from arm.model.prefix import Family, Prefix
from arm.model.route import Attributes


class Kind(enum.Enum):
    """What an installed entry is for."""

    ROUTE = "route"
    """A route of the table, with its own next hop."""
    COVER = "cover"
    """An exception to an installed route above it: points to the default's next hop."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One slot of the hardware: what stands, or shall stand, at a prefix."""

    kind: Kind
    attributes: Attributes
    """Those of the route itself, or for a cover those of the default route."""

    @property
    def next_hop(self) -> bytes:
        return self.attributes.next_hop


@dataclass(frozen=True, slots=True)
class Change:
    """One operation on the target: put `entry` at `prefix` (in place of what is there), or remove it (None)."""

    prefix: Prefix
    entry: Entry | None
    reason: str
    """Why, in the words of the log: new, swap, idle, exception, cover, next hop, withdrawn, ..."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes to be applied one after the other in this order: the rule holds after every one of them."""

    number: int
    changes: tuple[Change, ...]
    complete: frozenset[Family] = frozenset()
    """Families whose whole choice has now been told since TargetUp: a BGP target closes them with End-of-RIB."""
    epoch: int = 0
    """That of the latest TargetUp. Changes of a family that came up anew after it start from what the target may not
    hold any more: the target drops them, as the whole choice is told anew. 0: not known."""
    answered: int = 0
    """All plans up to this number were answered when this one was made. What failed in a later one is not known to it:
    the target leaves out the changes that depend on such a failure (arm/target/base.py)."""
    drifts: int = 0
    """Likewise: the number of the latest Drift that the engine had heard of."""
