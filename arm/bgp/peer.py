"""Who ARM speaks BGP with, and what the two have agreed upon."""

from __future__ import annotations

from dataclasses import dataclass

from arm.model import FAMILIES, Family, Role


@dataclass(frozen=True, slots=True)
class Peer:
    """One configured session. Only these get in, told apart by the address they come from.

    Two peers may have the same `address` if their `local_address` differs: that is the address they connect to.
    """

    name: str
    address: str
    local_as: int
    peer_as: int
    router_id: str
    """ARM's own BGP identifier in this session, dotted."""
    role: Role
    families: frozenset[Family] = frozenset(FAMILIES)
    local_address: str | None = None
    """Own address: to bind when dialling out, and to tell peers of the same address apart."""
    password: str | None = None
    """TCP MD5 signature key (RFC 2385), at most 80 octets."""
    connect: bool = False
    """Dial out as well as listen."""
    port: int = 179
    """Where to dial."""
    device: str | None = None
    """VRF to dial in, by the name of its device."""
    hold_time: int = 90
    """Proposed hold time in seconds, 0 (never expires) or from 3 to 65535."""
    restart_time: int = 120
    """Graceful restart (RFC 4724): seconds to keep ARM's routes when it goes; 0 does not offer it. At most 4095."""

    add_path: bool = False
    """Ask for several paths of a prefix (RFC 7911), and spread its route over those that are equally good."""

    @property
    def internal(self) -> bool:
        """True for iBGP."""
        return self.local_as == self.peer_as


@dataclass(frozen=True, slots=True)
class PeerOpen:
    """What the peer's OPEN said."""

    asn: int
    hold_time: int
    router_id: str
    families: frozenset[Family]
    """Unicast families; IPv4 alone if the peer announced no multiprotocol capability (RFC 4760 section 8)."""
    four_octet: bool
    route_refresh: bool
    restart_time: int | None
    """Seconds of graceful restart, None without the capability."""
    restart_families: frozenset[Family]
    """Families whose routes shall survive a restart of the peer."""
    restarting: bool
    """The peer has just restarted (RFC 4724, the R bit)."""
    preserved: frozenset[Family] = frozenset()
    """Families whose forwarding state the peer kept when it restarted (RFC 4724, the F bit)."""
    add_path: frozenset[Family] = frozenset()
    """Families of which the peer would send several paths (RFC 7911)."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What two OPENs come to."""

    peer: PeerOpen
    hold_time: int
    """Seconds; 0: no keepalives."""
    families: frozenset[Family]
    four_octet: bool
    route_refresh: bool
    graceful: bool
    """Both offered graceful restart."""
    add_path: frozenset[Family] = frozenset()
    """Families whose prefixes come with path identifiers."""

    @property
    def keepalive(self) -> float:
        """Seconds between keepalives: a third of the hold time (RFC 4271 section 10)."""
        return self.hold_time / 3
