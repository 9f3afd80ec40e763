"""What the engine is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from arm.model.plan import Change
from arm.model.prefix import FAMILIES, Family, Prefix
from arm.model.route import Attributes, Feed
from arm.model.traffic import TrafficBatch


@dataclass(frozen=True, slots=True, eq=False)
class FeedUp:
    """A reflector session is established.

    Routes of older feeds of the same name are stale until FeedComplete; those of other families go at once.
    """

    feed: Feed
    families: frozenset[Family] = frozenset(FAMILIES)
    """Those that both ends agreed on: each of them closes with a FeedComplete."""
    lost: frozenset[Family] = frozenset()
    """Families whose stale routes go at once, too: the peer says that it forwards by them no more."""


@dataclass(frozen=True, slots=True, eq=False)
class RoutesLearned:
    """Announcements and withdrawals in the order in which they came: (attributes, prefixes); None withdraws."""

    feed: Feed
    updates: Sequence[tuple[Attributes | None, Sequence[Prefix]]]


@dataclass(frozen=True, slots=True, eq=False)
class FeedComplete:
    """End-of-RIB (RFC 4724) of one family: what older feeds of the name taught and this one did not is gone."""

    feed: Feed
    family: Family


@dataclass(frozen=True, slots=True, eq=False)
class FeedDown:
    """A reflector session ended. Its routes stay for `retain` seconds unless the session comes back before."""

    feed: Feed
    reason: str
    retain: float
    lost: frozenset[Family] = frozenset()
    """Families whose routes go at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """A batch of sampled traffic that covers the `seconds` before now."""

    batch: TrafficBatch
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class TargetUp:
    """The target can take changes of `families`, and of no others.

    `found` is what it holds of ARM's, if it can be asked (the kernel can): prefix -> packed next hop, empty octets
    where the next hop is not known any more. None: it can not be asked (BGP), the whole choice is sent anew.
    """

    found: Mapping[Prefix, bytes] | None = None
    families: frozenset[Family] = frozenset(FAMILIES)
    anew: frozenset[Family] = frozenset(FAMILIES)
    """Families that somebody else holds than before, or who may have lost them: plans in flight are void for them, and
    the whole choice is sent. The others go on as if nothing had happened."""
    epoch: int = 0
    """Which coming up this is, counted by the target; plans made after it carry the number."""


@dataclass(frozen=True, slots=True, eq=False)
class TargetDown:
    """The target takes no changes until the next TargetUp."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """What really happened to a plan: `done` changes were made, those in `failed` were not (each with the reason).

    `failed` has the very Change objects of the plan, in their order: a plan may change one prefix twice.
    """

    plan: int
    done: int
    failed: Sequence[tuple[Change, str]] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class NextHopDown:
    """The target cannot reach a next hop (any more).

    Routes over it are refused. Those that stand follow the default's path from now on, or are gone where there is none:
    the rule holds, but they carry nothing to their own next hop. The engine plans them out (removing what is gone
    already succeeds), and offers them again after NextHopUp.
    """

    next_hop: bytes
    """As in Attributes.next_hop."""
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class NextHopUp:
    """A next hop that was down can be reached; routes over it that still stand forward to it again."""

    next_hop: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """Something else than ARM changed what stands at a prefix of ARM's, or the hardware gave it up.

    It holds behind all plans that were answered before it, and before all that are answered after it.
    """

    prefix: Prefix
    what: str
    """What happened, for the log: removed by another program, refused by the hardware, ..."""
    installed: bool
    """True: ARM's route stands (again). False: it does not; the engine plans anew from there."""
    number: int = 0
    """Counts up since TargetUp, for those that are not installed; what a plan names as `Plan.drifts`."""


@dataclass(frozen=True, slots=True, eq=False)
class Capacity:
    """How many routes of ARM's fit into the hardware, as far as it says so or has shown it.

    `slots` None: not known, the configuration decides alone; otherwise the lower one of the two holds.
    """

    family: Family
    slots: int | None
    used: int | None
    """Routes of the family that the hardware holds, other programs' included; None: not known."""
    source: str
    """Where it is known from: switchd, cl-resource-query, devlink, sflow, refused."""


Event: TypeAlias = (
    FeedUp
    | RoutesLearned
    | FeedComplete
    | FeedDown
    | Traffic
    | TargetUp
    | TargetDown
    | Applied
    | NextHopDown
    | NextHopUp
    | Drift
    | Capacity
)
