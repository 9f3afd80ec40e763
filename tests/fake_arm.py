"""A small engine and a small network for the tests of the page and the API: every value can be checked by hand."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from arm.core.relearned import Relearned
from arm.model import (
    FAMILIES,
    AgentStatus,
    Attributes,
    ChangeRecord,
    Entry,
    Explanation,
    Family,
    FamilyStatus,
    Feed,
    Hits,
    Kind,
    ListenerStatus,
    Prefix,
    PrefixState,
    Role,
    Route,
    SessionState,
    SessionStatus,
    Status,
    TargetStatus,
    TrafficSnapshot,
    contains,
    family_of,
    format_prefix,
    parse_address,
    parse_prefix,
)
from arm.observe.reader import Reader

T = TypeVar("T")
FEED = Feed("reflector", "127.0.0.1", 1, 65136, "10.0.0.136")
NOW_MS = 1_800_000_000_000
HOP_A, HOP_B = "10.0.0.134", "10.0.0.135"
SCALE = 2.0


def attributes(
    next_hop: str, path: Sequence[int], *, med: int | None = None, localpref: int | None = 100
) -> Attributes:
    """Path attributes as they come over a session with 4-octet AS numbers (RFC 4271, RFC 6793)."""
    packed = parse_address(next_hop)
    segment = struct.pack("!BB", 2, len(path)) + b"".join(struct.pack("!I", number) for number in path)
    raw = b"\x40\x01\x01\x00" + struct.pack("!BBB", 0x40, 2, len(segment)) + segment
    if len(packed) == 4:
        raw += b"\x40\x03\x04" + packed
    if med is not None:
        raw += b"\x80\x04\x04" + struct.pack("!I", med)
    if localpref is not None:
        raw += b"\x40\x05\x04" + struct.pack("!I", localpref)
    raw += b"\xc0\x08\x08" + struct.pack("!HHHH", 65134, 1, 65134, 20)
    return Attributes(FEED, packed, raw)


VIA_A = attributes(HOP_A, (64500, 64501), med=1)
VIA_B = attributes(HOP_B, (64510, 4200000001), localpref=None)
VIA_A6 = attributes("2001:db8::134", (64500, 64502))
VIA_B6 = attributes("2001:db8::135", (64510,))

TABLE: Mapping[str, Attributes] = {
    "0.0.0.0/0": VIA_A,
    "10.0.0.0/8": VIA_A,
    "10.1.0.0/16": VIA_B,
    "10.1.2.0/24": VIA_B,
    "10.1.3.0/24": VIA_A,
    "10.2.0.0/16": VIA_A,
    "192.0.2.0/24": VIA_B,
    "198.51.100.0/24": VIA_A,
    "2001:db8::/32": VIA_A6,
    "2001:db8:1::/48": VIA_B6,
}
DESTINATIONS: Mapping[str, float] = {
    "10.0.0.0/8": 1000.0,
    "10.1.0.0/16": 500.0,
    "10.2.0.0/16": 300.0,
    "10.1.2.0/24": 200.0,
    "192.0.2.0/24": 50.0,
    "198.51.100.0/24": 5.0,
    "2001:db8::/32": 10.0,
    "2001:db8:1::/48": 30.0,
}
NO_ROUTE = 45.0
SOURCES: Mapping[str, float] = {"192.0.2.0/24": 70.0, "10.2.0.0/16": 30.0}
INSTALLED = ("10.1.0.0/16", "192.0.2.0/24")
COVERS = ("10.1.3.0/24",)


class FakeEngine:
    """Answers from plain dictionaries, by looking at every entry."""

    def __init__(
        self,
        table: Mapping[str, Attributes] = TABLE,
        destinations: Mapping[str, float] = DESTINATIONS,
        sources: Mapping[str, float] = SOURCES,
    ) -> None:
        self.table = {parse_prefix(text): value for text, value in table.items()}
        self.traffic = {
            "destination": {parse_prefix(text): rate for text, rate in destinations.items()},
            "source": {parse_prefix(text): rate for text, rate in sources.items()},
        }
        self.entries = {
            **{parse_prefix(text): Entry(Kind.ROUTE, TABLE[text]) for text in INSTALLED},
            **{parse_prefix(text): Entry(Kind.COVER, VIA_A) for text in COVERS},
        }
        self.log: list[ChangeRecord] = []
        self.told = Relearned()
        self.questions = 0

    def traffic_snapshot(self, family: Family, direction: str) -> TrafficSnapshot:
        rates = {p: rate / SCALE for p, rate in self.traffic[direction].items() if family_of(p) is family}
        total = sum(rates.values()) * SCALE
        if family is Family.IPV4 and direction == "destination":
            total += NO_ROUTE
        samples = {p: rate / 5 for p, rate in rates.items()}
        return TrafficSnapshot(family, direction, rates, samples, SCALE, total)

    def installed(self, family: Family) -> Mapping[Prefix, Entry]:
        return {prefix: entry for prefix, entry in self.entries.items() if family_of(prefix) is family}

    def routes(self, prefixes: Sequence[Prefix]) -> list[Route | None]:
        return [Route(prefix, self.table[prefix]) if prefix in self.table else None for prefix in prefixes]

    def relearned(self, after: int) -> tuple[int, Sequence[Prefix] | None]:
        return self.told.number, self.told.since(after)

    def more_specifics(self, prefix: Prefix, limit: int) -> list[Route]:
        inside = sorted(other for other in self.table if other != prefix and contains(prefix, other))
        return [Route(other, self.table[other]) for other in inside[:limit]]

    def explain(self, query: str) -> Explanation:
        wanted = parse_prefix(query)
        covering = sorted((p for p in self.table if contains(p, wanted)), key=lambda p: -p[1])
        entries = sorted((p for p in self.entries if contains(p, wanted)), key=lambda p: -p[1])
        match = covering[0] if covering else None
        rate = self.traffic["destination"].get(match, 0.0) if match else 0.0
        return Explanation(
            query=query,
            prefix=match,
            covering=tuple(Route(p, self.table[p]) for p in covering),
            entry_prefix=entries[0] if entries else None,
            entry=self.entries[entries[0]] if entries else None,
            state=self.state_of([match])[0] if match else PrefixState.NO_ROUTE,
            why=f"{format_prefix(match)} is what it is." if match else "No route of the table contains it.",
            since_ms=NOW_MS - 5000 if entries else None,
            bytes_per_second=rate,
            samples=rate / 10,
        )

    def state_of(self, prefixes: Sequence[Prefix]) -> list[PrefixState]:
        def state(prefix: Prefix) -> PrefixState:
            entry = self.entries.get(prefix)
            if entry is not None:
                return PrefixState.INSTALLED if entry.kind is Kind.ROUTE else PrefixState.COVER
            return PrefixState.DEFAULT if self.table.get(prefix) is VIA_A else PrefixState.NO_SLOT

        return [state(prefix) for prefix in prefixes]

    def installed_seconds(self, family: Family) -> list[float]:
        return [5.0 for prefix in self.entries if family_of(prefix) is family]

    def seconds_installed(self, prefixes: Sequence[Prefix]) -> list[float | None]:
        return [5.0 if prefix in self.entries else None for prefix in prefixes]

    def served(self, family: Family) -> Mapping[Prefix, float]:
        rates = self.traffic["destination"]
        routes = (p for p, entry in self.entries.items() if entry.kind is Kind.ROUTE and family_of(p) is family)
        return {prefix: rates.get(prefix, 0.0) for prefix in routes}

    def slot_costs(self, prefixes: Sequence[Prefix]) -> list[int | None]:
        def cost(prefix: Prefix) -> int | None:
            own = self.table.get(prefix)
            if own is None:
                return None
            if own.next_hop == VIA_A.next_hop:
                return 0
            inside = [p for p in self.table if p != prefix and contains(prefix, p)]
            return 1 + sum(self.table[p].next_hop != own.next_hop for p in inside)

        return [cost(prefix) for prefix in prefixes]

    def changes(self, after: int) -> list[ChangeRecord]:
        return [record for record in self.log if record.number > after]

    def ask(self, question: Callable[[Reader], T]) -> T:
        self.questions += 1
        return question(self)


def session(
    name: str = "reflector", peer: str = "127.0.0.1", state: SessionState = SessionState.ESTABLISHED, **more: object
) -> SessionStatus:
    values: dict[str, object] = {
        "since_ms": NOW_MS - 100_000,
        "peer_as": 65136,
        "local_as": 65136,
        "router_id": "10.0.0.136",
        "reason": "",
        "updates_in": 120,
        "updates_out": 0,
        "prefixes_announced_in": 1000,
        "prefixes_withdrawn_in": 7,
        "flaps": 0,
        "families": FAMILIES,
        "role": Role.PUSH if name.startswith("target") else Role.LEARN,
    }
    return SessionStatus(name=name, peer=peer, state=state, **(values | more))  # type: ignore[arg-type]


def agent(address: str = "10.0.0.136", **more: object) -> AgentStatus:
    values: dict[str, object] = {
        "sub_agent": 0,
        "datagrams": 500,
        "flow_samples": 3000,
        "counter_samples": 20,
        "lost_datagrams": 0,
        "lost_samples": 0,
        "sampling_rate": 1000,
        "last_seen_ms": NOW_MS - 100,
        "counted": True,
    }
    return AgentStatus(agent=address, **(values | more))  # type: ignore[arg-type]


def family_status(**more: object) -> FamilyStatus:
    values: dict[str, object] = {
        "rib_prefixes": 8,
        "learned_added": 11,
        "learned_removed": 3,
        "active_prefixes": 6,
        "capacity": 100,
        "installed_routes": 2,
        "installed_covers": 1,
        "added": 5,
        "removed": 2,
        "replaced": 1,
        "hits": Hits(installed=600.0, free=300.0, no_slot=50.0, no_route=50.0, samples=100),
        "default_next_hop": HOP_A,
        "complete": True,
    }
    return FamilyStatus(**(values | more))  # type: ignore[arg-type]


def status(time_ms: int = NOW_MS, **more: object) -> Status:
    values: dict[str, object] = {
        "started_ms": NOW_MS - 600_000,
        "version": "1.2.3",
        "families": {
            Family.IPV4: family_status(),
            Family.IPV6: family_status(rib_prefixes=2, default_next_hop="2001:db8::134"),
        },
        "sessions": (session(), session("reflector6", "::1"), session("target", "10.0.0.136", updates_out=9)),
        "listener": ListenerStatus(datagrams=500, flow_samples=3000, counter_samples=20, agents=(agent(),)),
        "target": TargetStatus("bird", True, "", 0, 40, 0, 0.01),
        "problems": (),
        "tick_seconds": 0.002,
        "cpu_seconds": 12.5,
        "rss_bytes": 200_000_000,
    }
    return Status(time_ms=time_ms, **(values | more))  # type: ignore[arg-type]


def nearest(prefix: str, others: Sequence[str]) -> str | None:
    """The longest of `others` that contains `prefix`, by the standard library's own arithmetic."""
    wanted = ipaddress.ip_network(prefix)
    inside = [other for other in map(ipaddress.ip_network, others) if other != wanted and wanted.subnet_of(other)]  # type: ignore[arg-type]
    return str(max(inside, key=lambda other: other.prefixlen)) if inside else None
