"""OPEN messages: ARM's own, the peer's, and what follows from the two (RFC 4271 sections 4.2 and 6.2, RFC 5492).

The codecs are those of the exabgp package. It was written to be a process, not a library, so this module is the only
place that knows its calls, whatever it raises comes out as BgpError, and a test fails when a new version behaves
otherwise.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from exabgp.bgp.message.notification import Notify
from exabgp.bgp.message.open import Open
from exabgp.bgp.message.open.asn import ASN
from exabgp.bgp.message.open.capability import Capabilities, Capability
from exabgp.bgp.message.open.capability.addpath import AddPath
from exabgp.bgp.message.open.capability.asn4 import ASN4
from exabgp.bgp.message.open.capability.graceful import Graceful
from exabgp.bgp.message.open.capability.mp import MultiProtocol
from exabgp.bgp.message.open.capability.refresh import RouteRefresh
from exabgp.bgp.message.open.holdtime import HoldTime
from exabgp.bgp.message.open.routerid import RouterID
from exabgp.bgp.message.open.version import Version
from exabgp.protocol.family import AFI, SAFI

from arm.bgp.peer import Agreement, Peer, PeerOpen
from arm.bgp.wire import BgpError
from arm.model import FAMILIES, Family

VERSION: Final = 4
_AFI: Final = {Family.IPV4: AFI.ipv4, Family.IPV6: AFI.ipv6}
_RESTARTING: Final = 0x8
_FORWARDING: Final = 0x80
_RECEIVE: Final = 1
_SEND: Final = 2


def make_open(peer: Peer, *, restarting: bool = False) -> bytes:
    """ARM's OPEN to this peer, as a whole message. `restarting` sets the R bit of graceful restart (RFC 4724)."""
    families = [(_AFI[family], SAFI.unicast) for family in FAMILIES if family in peer.families]
    capabilities = Capabilities()
    multiprotocol = MultiProtocol()
    multiprotocol.extend(families)
    capabilities[Capability.CODE.MULTIPROTOCOL] = multiprotocol
    capabilities[Capability.CODE.FOUR_BYTES_ASN] = ASN4(peer.local_as)
    capabilities[Capability.CODE.ROUTE_REFRESH] = RouteRefresh()
    if peer.restart_time:
        # The hardware goes on forwarding while ARM is away, which is what the forwarding bit says.
        capabilities[Capability.CODE.GRACEFUL_RESTART] = Graceful().set(
            _RESTARTING if restarting else 0,
            peer.restart_time,
            [(afi, safi, _FORWARDING) for afi, safi in families],
        )
    if peer.add_path:
        capabilities[Capability.CODE.ADD_PATH] = AddPath(families, _RECEIVE)
    encoded: bytes = Open(
        Version(VERSION), ASN(peer.local_as), HoldTime(peer.hold_time), RouterID(peer.router_id), capabilities
    ).message()
    return encoded


def read_open(body: bytes) -> PeerOpen:
    """The peer's OPEN body; BgpError with the code of RFC 4271 section 6.2 if it can not be accepted."""
    if body and body[0] != VERSION:
        raise BgpError(2, 1, f"BGP version {body[0]}", VERSION.to_bytes(2, "big"))
    try:
        received = Open.unpack_message(body)
    except Notify as error:
        raise BgpError(error.code, error.subcode, str(error), _notification_data(error)) from None
    except Exception as error:
        # What the package did not expect of a peer comes as it comes; to the peer it is a malformed OPEN.
        raise BgpError(2, 0, f"malformed OPEN: {type(error).__name__}: {error}") from None
    capabilities: dict[int, Any] = received.capabilities
    families = frozenset(FAMILIES[:1])
    if Capability.CODE.MULTIPROTOCOL in capabilities:
        families = _families(capabilities[Capability.CODE.MULTIPROTOCOL])
    asn4 = capabilities.get(Capability.CODE.FOUR_BYTES_ASN)
    graceful = capabilities.get(Capability.CODE.GRACEFUL_RESTART)
    return PeerOpen(
        asn=int(received.asn if asn4 is None else asn4),
        hold_time=int(received.hold_time),
        router_id=socket.inet_ntoa(body[5:9]),
        families=families,
        four_octet=asn4 is not None,
        route_refresh=Capability.CODE.ROUTE_REFRESH in capabilities,
        restart_time=None if graceful is None else int(graceful.restart_time),
        restart_families=frozenset() if graceful is None else _families(graceful),
        restarting=graceful is not None and bool(graceful.restart_flag & _RESTARTING),
        preserved=frozenset() if graceful is None else _families(_forwarding(graceful)),
        add_path=_sent(capabilities.get(Capability.CODE.ADD_PATH, {})),
    )


def agree(peer: Peer, received: PeerOpen) -> Agreement:
    """What holds in this session; BgpError if the peer is not the one that is configured (RFC 4271 section 6.2)."""
    if received.asn != peer.peer_as:
        raise BgpError(2, 2, f"peer is AS {received.asn}, not {peer.peer_as}")
    if received.router_id == "0.0.0.0":  # noqa: S104 (a BGP identifier, not an address to bind)
        raise BgpError(2, 3, "peer's BGP identifier is 0.0.0.0")
    if peer.internal and received.router_id == peer.router_id:
        raise BgpError(2, 3, f"peer has ARM's own BGP identifier {peer.router_id}")
    if received.hold_time in (1, 2):
        raise BgpError(2, 6, f"hold time of {received.hold_time} s is less than 3 s")
    families = peer.families & received.families
    if not families:
        raise BgpError(2, 7, "no address family in common", _wanted(peer))
    return Agreement(
        peer=received,
        hold_time=min(peer.hold_time, received.hold_time),
        families=families,
        four_octet=received.four_octet,
        route_refresh=received.route_refresh,
        graceful=bool(peer.restart_time) and received.restart_time is not None,
        add_path=families & received.add_path if peer.add_path else frozenset(),
    )


def _families(pairs: Any) -> frozenset[Family]:
    """Unicast families among (AFI, SAFI) pairs."""
    return frozenset(family for family in FAMILIES if (_AFI[family], SAFI.unicast) in pairs)


def _forwarding(graceful: Any) -> list[Any]:
    """(AFI, SAFI) pairs with the F bit."""
    return [pair for pair, flags in graceful.items() if flags & _FORWARDING]


def _sent(modes: Any) -> frozenset[Family]:
    """Families that the peer sends with path identifiers; other values than those of RFC 7911 section 4 are ignored."""
    sending = (_SEND, _SEND | _RECEIVE)
    return frozenset(family for family in FAMILIES if modes.get((_AFI[family], SAFI.unicast)) in sending)


def _wanted(peer: Peer) -> bytes:
    """The capabilities that the peer lacks, as the data of an Unsupported Capability error (RFC 5492 section 5)."""
    return b"".join(bytes((1, 4, 0, family, 0, 1)) for family in FAMILIES if family in peer.families)


def _notification_data(error: Notify) -> bytes:
    """Data field for header errors, where the RFC defines it; the package's English is for the log."""
    return bytes(error.data) if error.code == 1 else b""
