"""Every key of the configuration: its type, its default, its range, its unit and what it does.

This is the one place where a key is made. The loader, docs/configuration.md and the tests read it from here. The name
of a field is the name of the key, without the underscore that keeps it apart from a word of Python (`as_`). The first
line of a section's docstring is its line in the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from arm.config import rules
from arm.config.rules import key
from arm.model import Family, Prefix

BIRD = ("bird",)
KERNEL = ("kernel",)


@dataclass(frozen=True, slots=True)
class SflowConfig:
    """Where the samples come from."""

    listen: str = key(
        "127.0.0.1:6343",
        rules.ENDPOINT,
        "UDP address and port that the sFlow agent sends to. It must be in the agent's VRF.",
    )
    ip: str | None = key(
        None,
        rules.optional(rules.ADDRESS),
        "The agent whose samples count, by its agent address (which need not be where its datagrams come from).",
        without="every agent counts",
    )
    t: float = key(
        10.0, rules.number(1, 3600), "Time constant of the traffic averages that rank the prefixes.", unit="seconds"
    )
    stale: float = key(
        30.0,
        rules.number(1, 86400),
        "Without a sample for so long the choice is frozen: routes follow BGP, but none comes or goes for its traffic.",
        unit="seconds",
    )
    receive_buffer: int = key(
        32 * 1024 * 1024,
        rules.integer(65536, 1 << 30),
        "Socket buffer asked of the kernel; it holds what arrives while ARM is busy.",
        unit="bytes",
    )


@dataclass(frozen=True, slots=True)
class BgpConfig:
    """What holds for all BGP sessions."""

    port: int = key(1179, rules.integer(1, 65535), "TCP port that ARM listens on.")
    listen: tuple[str, ...] = key(
        ("127.0.0.1", "::1"),
        rules.BIND_ADDRESS,
        "Addresses that ARM listens on: those that BIRD is told to dial.",
        many=True,
    )
    hold_time: int = key(
        90,
        rules.integer(3, 65535),
        "Hold time offered to peers (RFC 4271); the lower one of the two sides is used.",
        unit="seconds",
    )
    restart_time: int = key(
        120,
        rules.integer(0, 4095),
        "Graceful restart (RFC 4724): how long peers keep ARM's routes while it restarts, and how long ARM holds back "
        "what a session that came back with much less does not teach any more.",
        unit="seconds",
    )


@dataclass(frozen=True, slots=True)
class ReflectorConfig:
    """The BGP sessions that teach ARM the full table."""

    ip: str | None = key(
        "127.0.0.1",
        rules.optional(rules.ADDRESS4),
        "Address of the peer of the IPv4 session. A session is told from others by its remote address.",
    )
    ip6: str | None = key(
        None, rules.optional(rules.ADDRESS6), "Address of the peer of the IPv6 session.", without="no IPv6 session"
    )
    as_: int = key(65000, rules.AS_NUMBER, "AS number of both ends of the sessions (iBGP).", required=True)
    id: str = key("0.0.0.1", rules.ROUTER_ID, "ARM's BGP identifier towards the reflector.")
    password: str | None = key(None, rules.PASSWORD, "TCP MD5 password (RFC 2385).", secret=True, without="no password")
    connect: bool = key(False, rules.flag(), "Dial the peer instead of waiting for it.")
    port: int = key(179, rules.integer(1, 65535), "TCP port to dial with `connect`.")
    add_path: bool = key(
        False,
        rules.flag(),
        "Take several paths of a prefix (RFC 7911) and spread its traffic over those that are equally good.",
        targets=KERNEL,
    )


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """Where the chosen routes go, and how many of them fit."""

    kind: str = key(
        "passive",
        rules.choice("bird", "kernel", "passive"),
        "`bird`: over a BGP session to BIRD, which programs the kernel. `kernel`: straight into the kernel's table. "
        "`passive`: nowhere, to see what would be in hardware.",
    )
    ip: str | None = key(
        None,
        rules.optional(rules.ADDRESS4),
        "Address of the peer that takes the routes: the one that BIRD dials from, usually the switch's own.",
        targets=BIRD,
        without="no session over IPv4",
    )
    ip6: str | None = key(
        None,
        rules.optional(rules.ADDRESS6),
        "The same for a session over IPv6.",
        targets=BIRD,
        without="no session over IPv6",
    )
    as_: int = key(
        65000,
        rules.AS_NUMBER,
        "AS number of both ends of the session (iBGP).",
        targets=BIRD,
        without="that of the reflector",
    )
    id: str = key("0.0.0.2", rules.ROUTER_ID, "ARM's BGP identifier towards the target.", targets=BIRD)
    password: str | None = key(
        None, rules.PASSWORD, "TCP MD5 password (RFC 2385).", secret=True, targets=BIRD, without="no password"
    )
    connect: bool = key(False, rules.flag(), "Dial the peer instead of waiting for it.", targets=BIRD)
    port: int = key(179, rules.integer(1, 65535), "TCP port to dial with `connect`.", targets=BIRD)
    prefixes: int = key(
        10000,
        rules.integer(0, 16_000_000),
        "IPv4 slots that ARM may fill. Leave room for the switch's own routes. 0 leaves IPv4 to the default route.",
        unit="routes",
    )
    prefixes6: int = key(
        10000,
        rules.integer(0, 16_000_000),
        "IPv6 slots that ARM may fill. 0 leaves IPv6 to the default route.",
        unit="routes",
    )
    minvalue: float = key(
        0.0, rules.number(0, 1e12), "Traffic below which a prefix gets no slot.", unit="bytes per second"
    )
    table: int = key(254, rules.TABLE, "Kernel routing table: 254 is the main one, a VRF has its own.", targets=KERNEL)
    metric: int = key(
        32,
        rules.integer(1, 4294967295),
        "Metric of the routes; of two routes to a prefix the kernel uses the one with the lower metric.",
        targets=KERNEL,
    )
    protocol: int = key(
        210,
        rules.PROTOCOL,
        "Protocol number that marks the routes as ARM's own; it touches no others. Put it into "
        "/etc/iproute2/rt_protos.d to see it by name.",
        targets=KERNEL,
    )
    interfaces: tuple[str, ...] = key(
        (),
        rules.INTERFACE,
        "Interfaces that routes may leave by; routes by any other are not installed.",
        many=True,
        targets=KERNEL,
        without="all interfaces",
    )
    backup: bool = key(
        True,
        rules.flag(),
        "Give each next hop the default route as a backup inside the kernel, which takes over by itself when a link "
        "goes down. It needs resilient nexthop groups; false for an ASIC whose driver refuses them.",
        targets=KERNEL,
    )
    on_stop: str = key(
        "keep",
        rules.choice("keep", "flush"),
        "`keep` leaves the routes in place when ARM stops, so that a restart moves no packet; `flush` takes them out "
        "first.",
        targets=BIRD + KERNEL,
    )

    @property
    def slots(self) -> dict[Family, int]:
        """Slots of each family."""
        return {Family.IPV4: self.prefixes, Family.IPV6: self.prefixes6}


@dataclass(frozen=True, slots=True)
class SelectionConfig:
    """Which prefixes may have a slot, and how fast slots change hands."""

    min_prefix_length: int = key(
        1, rules.integer(1, 32), "Shortest IPv4 prefix that gets a slot for its traffic.", unit="bits"
    )
    max_prefix_length: int = key(
        32, rules.integer(1, 32), "Longest IPv4 prefix that gets a slot for its traffic.", unit="bits"
    )
    min_prefix_length6: int = key(
        1, rules.integer(1, 128), "Shortest IPv6 prefix that gets a slot for its traffic.", unit="bits"
    )
    max_prefix_length6: int = key(
        128, rules.integer(1, 128), "Longest IPv6 prefix that gets a slot for its traffic.", unit="bits"
    )
    always: tuple[Prefix, ...] = key(
        (),
        rules.PREFIX,
        "Prefixes that are kept in hardware while the table has them, with or without traffic, whatever else is set.",
        many=True,
        without="none",
    )
    never: tuple[Prefix, ...] = key(
        (),
        rules.PREFIX,
        "Prefixes that, with all that lies inside them, get no slot for their traffic.",
        many=True,
        without="none",
    )
    reserve: float = key(
        0.01,
        rules.number(0, 1, below=True),
        "Share of the slots kept free for exceptions that BGP changes need at once.",
        unit="share of 1",
    )
    idle_timeout: float = key(
        86400.0,
        rules.number(1, 31_536_000),
        "An installed route without traffic goes out after so long, and earlier if its slot is wanted.",
        unit="seconds",
    )
    churn: int = key(
        2000,
        rules.integer(1, 1_000_000),
        "At most so many changes that are not needed for correctness.",
        unit="changes per second",
    )


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """The status page and the REST API."""

    listen: str = key("127.0.0.1:8008", rules.ENDPOINT, "TCP address and port of the page.")
    token: str | None = key(
        None,
        rules.TOKEN,
        "Secret that a request which changes something must bring (`Authorization: Bearer ...`).",
        secret=True,
        without="only the machine itself can change anything",
    )
    protect_reads: bool = key(
        False,
        rules.flag(),
        "Whoever only reads needs `token`, too; but for the empty page itself, `/healthz`, `/readyz` and `/version`.",
    )
    socket: str | None = key(
        None,
        rules.optional(rules.PATH),
        "Unix socket with the same API beside `listen`. Who may open it needs no token; its directory decides who may.",
        without="no Unix socket",
    )
    metrics_prefixes: int = key(
        20,
        rules.integer(0, 1000),
        "So many of the busiest prefixes of each family have a series of their own in `/metrics`.",
        unit="prefixes",
    )
    hosts: tuple[str, ...] = key(
        (),
        rules.HOST_NAME,
        "Further names by which browsers may call the page; addresses, `localhost` and the machine's own name always "
        "work.",
        many=True,
        without="none",
    )


@dataclass(frozen=True, slots=True)
class StateConfig:
    """What survives a restart."""

    directory: str | None = key("/var/lib/arm", rules.optional(rules.PATH), "Directory that ARM may write to.")


@dataclass(frozen=True, slots=True)
class GeoConfig:
    """Countries of addresses."""

    country: str | None = key(
        None,
        rules.optional(rules.PATH),
        "MMDB file that tells the country of an address, for the map, `country` filters and `country:` in flow keys. "
        "Another file in its place is read within a second.",
        without="no countries",
    )


@dataclass(frozen=True, slots=True)
class AnalyticsConfig:
    """Flows, thresholds and metrics that users define over REST, and what they may cost."""

    definitions: int = key(
        32,
        rules.integer(0, 1000),
        "At most so many flows, as many thresholds and as many groups are defined at a time.",
    )
    keys: int = key(16, rules.integer(1, 64), "At most so many keys make up a flow.")
    flows: int = key(
        2000,
        rules.integer(10, 1_000_000),
        "Flows kept exactly for each definition. A flow's value is too low by at most its definition's total divided "
        "by this number; each definition takes about 700 bytes for each of them at worst.",
    )
    clients: int = key(
        16, rules.integer(1, 256), "At most so many clients wait for events at a time; each holds a thread."
    )
    queue: int = key(
        5000,
        rules.integer(10, 1_000_000),
        "Datagrams that may wait to be counted; those beyond are dropped and counted, and the others stand for them.",
        unit="datagrams",
    )


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What goes to standard error, and so to the journal."""

    level: str = key(
        "info",
        rules.choice("debug", "info", "warning", "error"),
        "Least severe messages that are logged; `debug` has every route change.",
    )


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration."""

    sflow: SflowConfig = field(default_factory=SflowConfig)
    bgp: BgpConfig = field(default_factory=BgpConfig)
    reflector: ReflectorConfig = field(default_factory=ReflectorConfig)
    target: TargetConfig = field(default_factory=TargetConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    state: StateConfig = field(default_factory=StateConfig)
    geo: GeoConfig = field(default_factory=GeoConfig)
    analytics: AnalyticsConfig = field(default_factory=AnalyticsConfig)
    log: LogConfig = field(default_factory=LogConfig)
