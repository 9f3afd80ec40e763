"""What everyone may read: the state of ARM at one moment, published once a second."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from arm.model.prefix import Family, Prefix


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


class Role(enum.Enum):
    """What a session is for."""

    LEARN = "learn"
    """The peer reflects its table to ARM; ARM announces nothing."""
    PUSH = "push"
    """ARM announces the chosen routes; what the peer announces is ignored."""


class SessionState(enum.Enum):
    """States of a session as RFC 4271 section 8.2.2 names them."""

    IDLE = "idle"
    CONNECT = "connect"
    ACTIVE = "active"
    OPENSENT = "opensent"
    OPENCONFIRM = "openconfirm"
    ESTABLISHED = "established"


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """A BGP session as people and metrics see it."""

    name: str
    role: Role
    peer: str
    state: SessionState
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
    families: tuple[Family, ...] = ()
    """Those of the established session."""
    malformed: int = 0
    """UPDATEs of which something was treated as withdrawn or discarded (RFC 7606)."""
    looped: int = 0
    """UPDATEs with routes that ARM itself had announced: the peer reflects them back, which it should not."""
    hold_time: int = 0

    @property
    def up(self) -> bool:
        """True while routes can be exchanged."""
        return self.state is SessionState.ESTABLISHED


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


class Severity(enum.Enum):
    """How bad a problem is. The values are the words of the API and the page."""

    WARNING = "warning"
    """Someone should look at it."""
    ERROR = "error"
    """Packets, or the choice, suffer from it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason why health is not what it should be."""

    severity: Severity
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
