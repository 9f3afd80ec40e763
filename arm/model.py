"""The values that pass between the rooms.

A prefix is a plain tuple of its packed network address and its length: `(b"\\x0a\\x00\\x00\\x00", 8)`. Four octets
mean IPv4, sixteen IPv6. It is what the prefix tree (pytricia) takes and gives, it is hashable, and it costs no
conversion between the wire and the table. Host bits are always zero: the codecs clear them.

Everything here is immutable once it has been handed over. Times named `now`, `at`, `since` or `started` are seconds
of a monotonic clock unless the name ends in `_ms` (steady milliseconds since the epoch: arm/walltime.py).
"""

from __future__ import annotations

import enum
import math
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Prefix: TypeAlias = tuple[bytes, int]
"""Packed network address (4 or 16 octets, host bits zero) and prefix length in bits."""


class Family(enum.IntEnum):
    """Address family, numbered as the AFI of RFC 4760."""

    IPV4 = 1
    IPV6 = 2

    @property
    def bits(self) -> int:
        """Length of an address in bits."""
        return 32 if self is Family.IPV4 else 128

    @property
    def label(self) -> str:
        """Name for people: IPv4 or IPv6."""
        return "IPv4" if self is Family.IPV4 else "IPv6"


FAMILIES = (Family.IPV4, Family.IPV6)
DEFAULT_PREFIX: Mapping[Family, Prefix] = {Family.IPV4: (bytes(4), 0), Family.IPV6: (bytes(16), 0)}


def family_of(prefix: Prefix) -> Family:
    """Family of a prefix, from the length of its address."""
    return Family.IPV4 if len(prefix[0]) == 4 else Family.IPV6


def format_address(packed: bytes) -> str:
    """Text of a packed address; an IPv6 next hop of 32 octets (RFC 2545) shows as `global%link-local`."""
    if len(packed) == 32:
        return f"{format_address(packed[:16])}%{format_address(packed[16:])}"
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


NEXT_HOP_SLOT = 33
"""Octets that each of several next hops takes in their joined form: its length, then itself padded with zeros to 32."""


def join_next_hops(next_hops: Iterable[bytes]) -> bytes:
    """One value for the next hops of several paths (RFC 7911): the same set gives the same octets.

    A single next hop stays as it is (4, 16 or 32 octets). Two or more are sorted and put into slots of 33 octets, a
    length that no single next hop has, since plain joining could not tell two IPv6 next hops from one of 32 octets.
    """
    distinct = sorted(set(next_hops))
    if len(distinct) == 1:
        return distinct[0]
    return b"".join(bytes([len(hop)]) + hop.ljust(NEXT_HOP_SLOT - 1, b"\0") for hop in distinct)


def split_next_hops(next_hop: bytes) -> tuple[bytes, ...]:
    """The next hops in a value that `join_next_hops` made."""
    if not next_hop or len(next_hop) % NEXT_HOP_SLOT:
        return (next_hop,)
    slots = (next_hop[at : at + NEXT_HOP_SLOT] for at in range(0, len(next_hop), NEXT_HOP_SLOT))
    return tuple(slot[1 : 1 + slot[0]] for slot in slots)


def format_next_hop(next_hop: bytes) -> str:
    """Text of one or several next hops, separated by commas."""
    return ",".join(format_address(hop) for hop in split_next_hops(next_hop))


def format_prefix(prefix: Prefix) -> str:
    """Text of a prefix, such as `192.0.2.0/24`."""
    return f"{format_address(prefix[0])}/{prefix[1]}"


def format_bit_rate(bytes_per_second: float) -> str:
    """A rate as people read it, in bits: `1.23 Gb/s`."""
    rate = bytes_per_second * 8
    for unit in ("", "k", "M", "G", "T"):
        # 999.5 would be rounded to four digits
        if rate < 999.5 or unit == "T":
            return f"{rate:.3g} {unit}b/s"
        rate /= 1000
    raise AssertionError("the last unit takes everything")


def mask(packed: bytes, length: int) -> bytes:
    """The packed address with all bits behind the first `length` cleared."""
    size = len(packed)
    host = size * 8 - length
    return (int.from_bytes(packed, "big") >> host << host).to_bytes(size, "big")


def parse_address(text: str) -> bytes:
    """Packed form of an IPv4 or IPv6 address; ValueError if it is neither."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, UnicodeError):
        raise ValueError(f"{text!r} is not an IPv4 or IPv6 address") from None


def parse_prefix(text: str) -> Prefix:
    """Prefix of `address/length`, or of a plain address as a host prefix; ValueError otherwise, and for host bits."""
    address, slash, tail = text.partition("/")
    packed = parse_address(address)
    bits = len(packed) * 8
    if not slash:
        return packed, bits
    if not (tail.isascii() and tail.isdigit()) or len(tail) > 3 or int(tail) > bits:
        raise ValueError(f"{text!r} has no prefix length from 0 to {bits}")
    length = int(tail)
    if mask(packed, length) != packed:
        raise ValueError(f"{text!r} has bits set behind its prefix length")
    return packed, length


def contains(outer: Prefix, inner: Prefix) -> bool:
    """True if `inner` is `outer` or lies inside it."""
    return outer[1] <= inner[1] and len(outer[0]) == len(inner[0]) and mask(inner[0], outer[1]) == outer[0]


# --- traffic -------------------------------------------------------------------------------------------------------

COUNT_BITS = 24
COUNT_MASK = (1 << COUNT_BITS) - 1


@dataclass(slots=True, eq=False)
class TrafficBatch:
    """What the sFlow listener has seen since the last batch: filled by it, handed over, then left alone.

    The four dictionaries map a packed address to one integer: `scaled bytes << COUNT_BITS | number of samples`, where
    the scaled bytes are the sum of sampling rate x frame length (octets, corrected for lost samples). One dictionary
    operation for each sample and direction is what the speed of the whole path hangs on.
    """

    destinations4: dict[bytes, int] = field(default_factory=dict)
    destinations6: dict[bytes, int] = field(default_factory=dict)
    sources4: dict[bytes, int] = field(default_factory=dict)
    sources6: dict[bytes, int] = field(default_factory=dict)
    samples: int = 0
    """Flow samples counted above."""


# --- routes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """One incarnation of one BGP session that teaches routes; when it comes back it is a new Feed of its name."""

    name: str
    """The configured session: reflector, reflector6."""
    peer: str
    """Address of the peer."""
    generation: int
    peer_as: int
    router_id: str


class Attributes:
    """The path attributes of a route, shared by all prefixes that came with the same ones from the same feed.

    `raw` is the path attribute bytes as learned, without MP_REACH_NLRI and MP_UNREACH_NLRI; `next_hop` is the packed
    next hop (4, 16 or 32 octets; for several paths of ADD-PATH what `join_next_hops` makes of them). The BGP codec
    interns them, so that a comparison is one of identity and a million routes cost a hundred thousand of these.
    """

    __slots__ = ("feed", "next_hop", "raw")

    def __init__(self, feed: Feed, next_hop: bytes, raw: bytes) -> None:
        self.feed = feed
        self.next_hop = next_hop
        self.raw = raw

    def __repr__(self) -> str:
        return f"Attributes({self.feed.name}, next_hop={self.next_hop.hex()}, {len(self.raw)} octets)"


@dataclass(frozen=True, slots=True)
class Route:
    """A prefix with the attributes that win for it."""

    prefix: Prefix
    attributes: Attributes


# --- events to the engine ------------------------------------------------------------------------------------------


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


Remembered: TypeAlias = tuple[Prefix, float, float, bool]
"""What a later run should know of a prefix: itself, bytes/s, samples of an hour, chosen."""

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


# --- what the engine decides ---------------------------------------------------------------------------------------


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


# --- what everyone may read ----------------------------------------------------------------------------------------


def sampling_error(share: float, samples: int) -> float | None:
    """Half of the 95% interval of a share of traffic that so many samples show (Wilson 1927); None without samples.

    It takes the samples to be of one size, and is not zero where all of a few samples agree.
    """
    if samples <= 0:
        return None
    z2 = 1.96**2 / samples
    return math.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)


@dataclass(frozen=True, slots=True)
class Hits:
    """Traffic of one interval by what the choice that stood *before* the interval did with it; bytes per second."""

    installed: float = 0.0
    """Matched an installed route."""
    free: float = 0.0
    """Went the right way by default: its next hop is the default's."""
    new: float = 0.0
    """Missed: prefix not seen active before."""
    removed: float = 0.0
    """Missed: prefix was taken out recently."""
    no_slot: float = 0.0
    """Missed: known and active, but no slot."""
    excluded: float = 0.0
    """Missed: excluded by policy."""
    no_route: float = 0.0
    """No route in the table."""
    samples: int = 0

    @property
    def total(self) -> float:
        """All sampled traffic, bytes per second."""
        return self.installed + self.free + self.new + self.removed + self.no_slot + self.excluded + self.no_route

    @property
    def coverage(self) -> float | None:
        """Share (0 to 1) that was in hardware or free by default; None without traffic."""
        total = self.total
        return (self.installed + self.free) / total if total > 0 else None

    @property
    def coverage_error(self) -> float | None:
        """95% sampling error of `coverage`, as a share; None without samples."""
        coverage = self.coverage
        return None if coverage is None else sampling_error(coverage, self.samples)


@dataclass(frozen=True, slots=True)
class FamilyStatus:
    """The state of one address family."""

    rib_prefixes: int = 0
    learned_added: int = 0
    learned_removed: int = 0
    active_prefixes: int = 0
    """Prefixes with traffic now."""
    capacity: int = 0
    installed_routes: int = 0
    installed_covers: int = 0
    added: int = 0
    """Installs since the start."""
    removed: int = 0
    replaced: int = 0
    hits: Hits = Hits()
    default_next_hop: str | None = None
    complete: bool = False
    """True once every established reflector session that carries the family has sent its End-of-RIB."""


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """A BGP session as people and metrics see it."""

    name: str
    peer: str
    state: str
    """As RFC 4271 names it, in lower case: idle, connect, active, opensent, openconfirm, established."""
    since_ms: int
    peer_as: int
    local_as: int
    router_id: str
    reason: str
    """Why it went down last, or what is wrong now; empty if nothing is."""
    updates_in: int
    updates_out: int
    prefixes_announced_in: int
    prefixes_withdrawn_in: int
    flaps: int
    families: tuple[str, ...] = ()
    malformed: int = 0
    """UPDATEs of which something was treated as withdrawn or discarded (RFC 7606)."""
    looped: int = 0
    """UPDATEs with routes that ARM itself had announced: the peer reflects them back, which it should not."""
    hold_time: int = 0


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """An sFlow agent (and sub-agent) as people and metrics see it."""

    agent: str
    sub_agent: int
    datagrams: int
    flow_samples: int
    counter_samples: int
    lost_datagrams: int
    lost_samples: int
    sampling_rate: int
    """Of the latest sample: one in so many packets."""
    last_seen_ms: int
    counted: bool
    """False for an agent that `[sflow] ip` leaves out."""


@dataclass(frozen=True, slots=True)
class ListenerStatus:
    """The sFlow socket's counters since the start."""

    datagrams: int = 0
    flow_samples: int = 0
    counter_samples: int = 0
    discarded_packet_samples: int = 0
    malformed: int = 0
    """Datagrams that did not decode to their end."""
    kernel_drops: int = 0
    """Datagrams the kernel dropped because the socket buffer was full."""
    other_agents: int = 0
    """Datagrams of agents that `[sflow] ip` leaves out."""
    skipped_samples: int = 0
    """Flow samples without an IP header that can be read (ARP, truncated, unknown)."""
    agents: tuple[AgentStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason why health is not what it should be."""

    severity: str
    """warning or error."""
    where: str
    """bgp, sflow, target, table, selection."""
    text: str


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """What the target says of itself."""

    kind: str
    up: bool
    reason: str
    pending: int
    """Changes decided but not yet handed over."""
    applied: int
    failed: int
    last_seconds: float
    """How long the latest plan took to apply."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """What else this kind of target counts, by name: routes_written, drift_restored, next_hops_down, ..."""
    remarks: tuple[str, ...] = ()
    """Sentences about what an engineer should know now, such as a foreign route that stands in the way."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What a target holds of ARM's, as far as it can tell: not what ARM wanted, but what became of it."""

    source: str
    """How it is known: read from the kernel, told over BGP."""
    routes: Mapping[Prefix, bytes]
    """Prefix -> next hop as in Attributes.next_hop; empty octets where it is not known."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """How a measured time was distributed since the start, as a Prometheus histogram has it."""

    bounds: tuple[float, ...]
    """Upper bounds of the buckets in seconds, rising; a last bucket without a bound follows."""
    counts: tuple[int, ...]
    """How many fell into each bucket, not cumulated; one more than `bounds`."""
    total: float
    """Their sum in seconds."""


@dataclass(frozen=True, slots=True)
class Status:
    """Everything true at one moment, published once a second."""

    time_ms: int
    started_ms: int
    version: str
    families: Mapping[Family, FamilyStatus]
    sessions: tuple[SessionStatus, ...]
    listener: ListenerStatus
    target: TargetStatus
    problems: tuple[Problem, ...]
    sampling_frozen: bool = False
    """True while sFlow is stale or missing and the choice is frozen."""
    tick_seconds: float = 0.0
    """Time the engine's latest full tick took."""
    cpu_seconds: float = 0.0
    rss_bytes: int = 0
    kept_routes: Mapping[str, float] = field(default_factory=dict)
    """Sessions that are down while their routes are kept, and for how many seconds more."""
    ticks: Distribution | None = None
    """Seconds that the engine's ticks took."""
    reactions: Distribution | None = None
    """Seconds from the oldest sample that a plan may go back to until the target has applied the plan."""


@dataclass(frozen=True, slots=True)
class RankedPrefix:
    """A prefix with its traffic, as rankings and searches show it."""

    prefix: Prefix
    attributes: Attributes
    bytes_per_second: float
    samples: float
    """Samples behind the rate, decayed as the rate is; its 95% error is 196*sqrt(1/samples) percent."""
    state: str
    """installed, cover, rides, default, no slot, excluded, idle."""


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
    state: str
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


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """One line of the change log: what went into the hardware or came out of it."""

    number: int
    """Counts up by one; what a reader hands back as `after`."""
    time_ms: int
    prefix: Prefix
    what: str
    """installed, replaced, removed or failed."""
    reason: str
    """As in Change.reason; for what failed, the target's sentence."""
