"""Path attributes for people: decoded when somebody looks, never on the way to the table. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from exabgp.bgp.message.update.attribute.community.extended import ExtendedCommunity
from exabgp.bgp.message.update.attribute.community.initial.community import Community
from exabgp.bgp.message.update.attribute.community.large.community import LargeCommunity

from arm.bgp.aspath import AS_SEQUENCE, AS_SET, CONFED_SEQUENCE, CONFED_SET, segments
from arm.bgp.wire import (
    AS_PATH,
    CLUSTER_LIST,
    COMMUNITIES,
    EXTENDED_COMMUNITIES,
    LARGE_COMMUNITIES,
    LOCAL_PREF,
    MULTI_EXIT_DISC,
    ORIGIN,
    ORIGINATOR_ID,
    TruncatedError,
    walk_attributes,
)
from arm.model import Attributes, format_address, format_next_hop

_ORIGINS: Final = ("IGP", "EGP", "INCOMPLETE")
_BRACKETS: Final = {AS_SET: ("{", "}"), CONFED_SEQUENCE: ("(", ")"), CONFED_SET: ("[", "]")}


@dataclass(frozen=True, slots=True)
class AttributesView:
    """What a route's attributes say; None where an attribute is not there."""

    aspath: str
    """AS numbers with dashes between them, `64500-64501`; a set as `{64500,64501}`, confederations as `()`, `[]`."""
    aspath_segments: tuple[tuple[int, tuple[int, ...]], ...]
    """(segment type of RFC 4271 or 5065, AS numbers)."""
    origin: str
    """IGP, EGP or INCOMPLETE."""
    med: int | None
    localpref: int | None
    communities: tuple[str, ...]
    """Standard `64500:1`, then large `64500:1:2`, then extended `target:64500:1`."""
    nexthop: str
    originator_id: str | None
    cluster_list: tuple[str, ...]

    @property
    def origin_as(self) -> int | None:
        """The AS that the route comes from; None for one's own, or if the path ends in a set."""
        if not self.aspath_segments or self.aspath_segments[-1][0] != AS_SEQUENCE:
            return None
        return self.aspath_segments[-1][1][-1]

    @property
    def peer_as(self) -> int | None:
        """The neighbouring AS that the route was learned from; None for one's own, or if the path begins otherwise."""
        if not self.aspath_segments or self.aspath_segments[0][0] != AS_SEQUENCE:
            return None
        return self.aspath_segments[0][1][0]


@lru_cache(maxsize=8192)
def describe(attributes: Attributes) -> AttributesView:
    """Decode attributes as interned; the same object is decoded once while it is looked at."""
    values = dict(_values(attributes.raw))
    path = tuple(segments(values.get(AS_PATH, b"")))
    origin = values.get(ORIGIN, b"\x02")[0]
    originator = values.get(ORIGINATOR_ID)
    return AttributesView(
        aspath=path_text(path),
        aspath_segments=path,
        origin=_ORIGINS[min(origin, 2)],
        med=_number(values.get(MULTI_EXIT_DISC)),
        localpref=_number(values.get(LOCAL_PREF)),
        communities=tuple(_communities(values)),
        nexthop=format_next_hop(attributes.next_hop),
        originator_id=format_address(originator) if originator is not None else None,
        cluster_list=tuple(format_address(cluster) for cluster in _pieces(values.get(CLUSTER_LIST, b""), 4)),
    )


@lru_cache(maxsize=65536)
def as_path(attributes: Attributes) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Only AttributesView.aspath_segments, for those who look at very many routes."""
    return tuple(segments(next((value for kind, value in _values(attributes.raw) if kind == AS_PATH), b"")))


def path_text(path: tuple[tuple[int, tuple[int, ...]], ...]) -> str:
    """Text of an AS path, as AttributesView.aspath says."""
    parts: list[str] = []
    for kind, numbers in path:
        if kind == AS_SEQUENCE:
            parts += map(str, numbers)
        else:
            left, right = _BRACKETS[kind]
            parts.append(f"{left}{','.join(map(str, numbers))}{right}")
    return "-".join(parts)


def _values(raw: bytes) -> Iterator[tuple[int, bytes]]:
    try:
        for _, kind, _, value, end in walk_attributes(raw):
            yield kind, raw[value:end]
    except TruncatedError:  # not from the interner, which takes no such bytes: show what there is
        return


def _number(value: bytes | None) -> int | None:
    return int.from_bytes(value, "big") if value is not None else None


def _pieces(value: bytes, size: int) -> Iterator[bytes]:
    return (value[i : i + size] for i in range(0, len(value) - size + 1, size))


def _communities(values: dict[int, bytes]) -> Iterator[str]:
    for piece in _pieces(values.get(COMMUNITIES, b""), 4):
        yield str(Community(piece))
    for piece in _pieces(values.get(LARGE_COMMUNITIES, b""), 12):
        yield str(LargeCommunity(piece))
    for piece in _pieces(values.get(EXTENDED_COMMUNITIES, b""), 8):
        try:
            yield str(ExtendedCommunity.unpack(piece))
        except Exception:  # the package knows many kinds and may stumble over an odd one: show its octets
            yield f"0x{piece.hex()}"
