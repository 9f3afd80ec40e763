"""Several paths for one prefix (RFC 7911): kept by identifier, given on as the one route that they make together.

Of the paths that a peer sends, those count that are best by what the peer's own decision looks at first (RFC 4271
section 9.1.2.2: LOCAL_PREF, AS_PATH length, ORIGIN, and MULTI_EXIT_DISC among paths through the same neighbouring AS).
If they have several next hops, the route has them all: it is spread over them (ECMP). What tells equal paths apart
further on (the peer's own cost to a next hop, router ids) is nothing that ARM could know.

Pure. Invariant: what was emitted last for a prefix is the winner among the paths that stand for it; without paths, it
is withdrawn.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final, TypeAlias

from pytricia import PyTricia

from arm.bgp.aspath import AS_SEQUENCE, AS_SET, segments
from arm.bgp.wire import AS_PATH, LOCAL_PREF, MULTI_EXIT_DISC, ORIGIN, walk_attributes
from arm.model import Attributes, Family, Feed, Prefix, family_of, join_next_hops

Update: TypeAlias = tuple[Attributes | None, list[Prefix]]
Paths: TypeAlias = tuple[tuple[int, Attributes], ...]

_DEFAULT_LOCAL_PREF: Final = 100
_MERGED_LIMIT: Final = 50_000


class PathTable:
    """All paths that one feed has sent, for the families with ADD-PATH."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._trees = {
            Family.IPV4: PyTricia(32, socket.AF_INET, True),
            Family.IPV6: PyTricia(128, socket.AF_INET6, True),
        }
        # Most prefixes have the same few combinations of identifiers and attributes: they share the tuples.
        self._shared: dict[Paths, Paths] = {}
        self._merged: dict[tuple[bytes, bytes], Attributes] = {}

    def learn(self, attributes: Attributes | None, paths: Sequence[tuple[int, Prefix]]) -> list[Update]:
        """Announce these (identifier, prefix) pairs, or withdraw them (None); the routes that change by it."""
        updates: list[Update] = []
        for identifier, prefix in paths:
            tree = self._trees[family_of(prefix)]
            before: Paths = tree.get(prefix) if tree.has_key(prefix) else ()
            after = tuple(path for path in before if path[0] != identifier)
            if attributes is not None:
                after = tuple(sorted((*after, (identifier, attributes)), key=_identifier))
            if after == before:
                continue
            if after:
                tree[prefix] = self._share(after)
            else:
                tree.delete(prefix)
            old, new = self._winner(before), self._winner(after)
            if new is old:
                continue
            if updates and updates[-1][0] is new:
                updates[-1][1].append(prefix)
            else:
                updates.append((new, [prefix]))
        return updates

    def _share(self, paths: Paths) -> Paths:
        if len(self._shared) > _MERGED_LIMIT:
            self._shared.clear()
        return self._shared.setdefault(paths, paths)

    def _winner(self, paths: Paths) -> Attributes | None:
        """The route that the paths make together."""
        if len(paths) < 2:
            return paths[0][1] if paths else None
        equal = best([attributes for _, attributes in paths])
        next_hop = join_next_hops(attributes.next_hop for attributes in equal)
        first = min(equal, key=lambda attributes: (attributes.next_hop, attributes.raw))
        if next_hop == first.next_hop:
            return first
        if len(self._merged) > _MERGED_LIMIT:
            self._merged.clear()
        key = next_hop, first.raw
        merged = self._merged.get(key)
        if merged is None:
            merged = self._merged[key] = Attributes(self._feed, next_hop, first.raw)
        return merged


def best(paths: Sequence[Attributes]) -> list[Attributes]:
    """Those that RFC 4271 section 9.1.2.2 cannot tell apart before it comes to the cost of the next hop."""
    ranked = [(_rank(attributes.raw), attributes) for attributes in paths]
    top = min(rank[0] for rank, _ in ranked)
    level = [(rank, attributes) for rank, attributes in ranked if rank[0] == top]
    least: dict[int, int] = {}
    for (_, neighbour, med), _ in level:
        least[neighbour] = min(med, least.get(neighbour, med))
    return [attributes for (_, neighbour, med), attributes in level if med == least[neighbour]]


def _rank(raw: bytes) -> tuple[tuple[int, int, int], int, int]:
    """((-LOCAL_PREF, AS_PATH length, ORIGIN), neighbouring AS, MED) of valid path attributes."""
    preference, length, origin, neighbour, med = _DEFAULT_LOCAL_PREF, 0, 0, 0, 0
    for _, kind, _, value, end in walk_attributes(raw):
        if kind == LOCAL_PREF:
            preference = int.from_bytes(raw[value:end], "big")
        elif kind == ORIGIN:
            origin = raw[value]
        elif kind == MULTI_EXIT_DISC:
            med = int.from_bytes(raw[value:end], "big")
        elif kind == AS_PATH:
            for segment, numbers in segments(raw[value:end]):
                if segment == AS_SEQUENCE:
                    neighbour = neighbour or numbers[0]
                    length += len(numbers)
                elif segment == AS_SET:
                    length += 1
    return (-preference, length, origin), neighbour, med


def _identifier(path: tuple[int, Attributes]) -> int:
    return path[0]
