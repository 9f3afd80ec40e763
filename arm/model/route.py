"""What BGP teaches: sessions, path attributes, routes."""

from __future__ import annotations

from dataclasses import dataclass

from arm.model.prefix import Prefix


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
