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


class Reason(enum.Enum):
    """Why a change is made. The values are the words of the API, the log and the page."""

    NEW = "new"
    """Chosen for its traffic, and there was room."""
    SWAP = "swap"
    """It takes the slots of others that carry less, or leaves its own to one that carries more."""
    AGGREGATE = "aggregate"
    """Chosen for the traffic of the routes inside it."""
    PINNED = "always"
    """`selection.always` names it."""
    ROOM_FOR_PINNED = "makes room for a pinned route"
    REMEMBERED = "remembered"
    """It was chosen before something that was no reason of the choice took it out."""
    EXCEPTION = "exception"
    """A route above it, with another next hop, is installed."""
    NO_ROOM_FOR_EXCEPTION = "no slot for an exception"
    """A route inside it, with another next hop, finds no slot."""
    RIDES = "rides along"
    """A route above it, with the same next hop, is installed."""
    COVER_NOT_NEEDED = "cover not needed"
    ATTRIBUTES = "attributes"
    """Path attributes changed, the next hop did not."""
    NEXT_HOP = "next hop"
    """Its next hop changed."""
    UNREACHABLE = "next hop unreachable"
    WITHDRAWN = "withdrawn"
    """The table has no such route any more."""
    VIA_DEFAULT = "default's next hop"
    """Its next hop is the default's by now, so it needs no slot."""
    DEFAULT_CHANGED = "default changed"
    DEFAULT_WITHDRAWN = "default withdrawn"
    IDLE = "idle"
    """No traffic goes to it any more."""
    CAPACITY = "capacity"
    """The hardware holds less than it did."""
    POLICY = "policy"
    """The configuration excludes it by now."""
    REFUSED = "refused"
    """The target holds something else than was planned."""
    RESENT = "resent"
    """Nothing has changed: the target is told what stands."""


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
    reason: Reason


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
