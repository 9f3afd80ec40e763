"""Path attributes, checked and shared: the bytes of each distinct set are looked at once, however often they come.

A full table is a million prefixes with a hundred thousand distinct sets of attributes. The interner maps the bytes as
they stand in an UPDATE to one `Attributes` object, so the common UPDATE costs a dictionary lookup, and comparing two
routes' attributes is one of identity. Everything RFC 7606 asks for is decided when bytes are first seen:

- accepted: an `Attributes` whose `raw` is what the peer sent, less the attributes that have to be discarded;
- treat-as-withdraw: remembered as rejected, with the reason;
- anything worse raises BgpError.

Invariants: one interner serves one incarnation of one session, on one thread. What nobody refers to any more is
forgotten now and then, so that a year of path changes costs no more memory than the table does.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Final

from arm.bgp.aspath import merge_as4, path_error, widen_aggregator, widen_path
from arm.bgp.multipath import PathTable
from arm.bgp.ordinary import ordinary_next_hop
from arm.bgp.wire import (
    AGGREGATOR,
    AS4_AGGREGATOR,
    AS4_PATH,
    AS_PATH,
    ATOMIC_AGGREGATE,
    CLUSTER_LIST,
    COMMUNITIES,
    EXTENDED_COMMUNITIES,
    LARGE_COMMUNITIES,
    LOCAL_PREF,
    MULTI_EXIT_DISC,
    NEXT_HOP,
    OPTIONAL,
    ORIGIN,
    ORIGINATOR_ID,
    TRANSITIVE,
    TruncatedError,
    attribute,
    walk_attributes,
)
from arm.model import FAMILIES, Attributes, Family, Feed

_WELL_KNOWN: Final = TRANSITIVE
_OPTIONAL_TRANSITIVE: Final = OPTIONAL | TRANSITIVE
_FLAGS: Final = {
    ORIGIN: _WELL_KNOWN,
    AS_PATH: _WELL_KNOWN,
    NEXT_HOP: _WELL_KNOWN,
    MULTI_EXIT_DISC: OPTIONAL,
    LOCAL_PREF: _WELL_KNOWN,
    ATOMIC_AGGREGATE: _WELL_KNOWN,
    AGGREGATOR: _OPTIONAL_TRANSITIVE,
    COMMUNITIES: _OPTIONAL_TRANSITIVE,
    ORIGINATOR_ID: OPTIONAL,
    CLUSTER_LIST: OPTIONAL,
    EXTENDED_COMMUNITIES: _OPTIONAL_TRANSITIVE,
    AS4_PATH: _OPTIONAL_TRANSITIVE,
    AS4_AGGREGATOR: _OPTIONAL_TRANSITIVE,
    LARGE_COMMUNITIES: _OPTIONAL_TRANSITIVE,
}
_EXACT: Final = {ORIGIN: 1, NEXT_HOP: 4, MULTI_EXIT_DISC: 4, LOCAL_PREF: 4, ORIGINATOR_ID: 4}
_MULTIPLE: Final = {CLUSTER_LIST: 4, COMMUNITIES: 4, EXTENDED_COMMUNITIES: 8, LARGE_COMMUNITIES: 12}
_DISCARDED: Final = (ATOMIC_AGGREGATE, AGGREGATOR, AS4_PATH, AS4_AGGREGATOR)
"""Malformed ones are left out, the route stays (RFC 7606 sections 7.6 and 7.7, RFC 6793 section 6)."""
_REJECTED_LIMIT: Final = 10_000
_SWEEP_MINIMUM: Final = 10_000
_SWEEP_INITIAL: Final = 500_000
"""Not while a peer tells its first routes: nearly all of them stay in use."""


class Rejected:
    """Why a set of attributes can not be used: its prefixes are treated as withdrawn (RFC 7606 section 2)."""

    __slots__ = ("loop", "reason")

    def __init__(self, reason: str, *, loop: bool = False) -> None:
        self.reason = reason
        self.loop = loop


class Interner:
    """All distinct path attributes of one feed, and what was negotiated for reading them.

    `four_octet`: AS numbers come in four octets (RFC 6793); otherwise paths are converted, so that `Attributes.raw` is
    always in the four-octet form. `internal`: an iBGP session. `own_ids`: packed router ids of ARM itself; a route that
    carries one as ORIGINATOR_ID or in CLUSTER_LIST has been through ARM and is not learned. `families`: those
    negotiated; the rest is ignored. `add_path`: the families whose NLRI start with a path identifier (RFC 7911).
    """

    def __init__(
        self,
        feed: Feed,
        *,
        four_octet: bool = True,
        internal: bool = True,
        own_ids: Collection[bytes] = (),
        families: Collection[Family] = FAMILIES,
        add_path: Collection[Family] = (),
    ) -> None:
        self.feed = feed
        self.four_octet = four_octet
        self.internal = internal
        self.own_ids = frozenset(own_ids)
        self.families = frozenset(families)
        self.add_path = frozenset(add_path)
        self.paths = PathTable(feed)
        self.fast4 = Family.IPV4 in self.families - self.add_path
        self.fast6 = Family.IPV6 in self.families - self.add_path
        self.plain: dict[bytes, Attributes] = {}
        """By attribute bytes, for prefixes in the UPDATE's own NLRI field: the next hop is NEXT_HOP's."""
        self.multiprotocol: dict[tuple[bytes, bytes], Attributes] = {}
        """By MP_REACH_NLRI's next hop and the other attributes' bytes."""
        self.malformed = 0
        """UPDATEs of which something was treated as withdrawn or discarded."""
        self.looped = 0
        """UPDATEs that came back from ARM itself."""
        self.ignored = 0
        """UPDATEs with families that were not negotiated."""
        self.last_error = ""
        self._rejected: dict[tuple[bytes | None, bytes], Rejected] = {}
        self._next_hops: dict[bytes, bytes] = {}
        self._reflectors: set[bytes] = set()
        """ORIGINATOR_ID and CLUSTER_LIST values of accepted routes."""
        self._sweep_at = _SWEEP_INITIAL

    def find(self, raw: bytes, next_hop: bytes | None) -> Attributes | Rejected:
        """The shared attributes for these bytes, which hold no MP_REACH_NLRI or MP_UNREACH_NLRI.

        `next_hop` is MP_REACH_NLRI's, None for prefixes whose next hop is in NEXT_HOP.
        """
        known = self.plain.get(raw) if next_hop is None else self.multiprotocol.get((next_hop, raw))
        if known is not None:
            return known
        rejected = self._rejected.get((next_hop, raw))
        if rejected is None:
            found = self._check(raw, next_hop)
            if isinstance(found, Attributes):
                self._keep(found, raw, multiprotocol=next_hop is not None)
                return found
            rejected = found
            if len(self._rejected) >= _REJECTED_LIMIT:
                self._rejected.clear()
            self._rejected[(next_hop, raw)] = rejected
        self.last_error = rejected.reason
        return rejected

    def quick(self, raw: bytes, next_hop: bytes | None) -> Attributes | None:
        """As `find` for bytes not seen before, in the form that nine of ten have: in order, one of each, none unusual.

        None does not mean that anything is wrong with them: `find` has to tell.
        """
        if not self.four_octet:
            return None
        hop = ordinary_next_hop(
            raw, next_hop, internal=self.internal, next_hops=self._next_hops, reflectors=self._reflectors
        )
        if hop is None:
            return None
        found = Attributes(self.feed, hop, raw)
        self._keep(found, raw, multiprotocol=next_hop is not None)
        return found

    def _keep(self, found: Attributes, raw: bytes, *, multiprotocol: bool) -> None:
        if multiprotocol:
            self.multiprotocol[(found.next_hop, raw)] = found
        else:
            self.plain[raw] = found
        if len(self.plain) + len(self.multiprotocol) > self._sweep_at:
            self.sweep()

    def settle(self) -> None:
        """From now on sweep when the table has grown by a sixteenth: the peer's first routes are complete."""
        left = len(self.plain) + len(self.multiprotocol)
        self._sweep_at = left + max(_SWEEP_MINIMUM, left // 16)

    def sweep(self) -> int:
        """Forget attributes that nothing but this table refers to, and say how many; runs when it has grown."""
        # CPython counts the dictionary's reference and getrefcount's argument; the list adds none to a dead entry.
        unused = [raw for raw in self.plain if sys.getrefcount(self.plain[raw]) <= 2]
        for raw in unused:
            del self.plain[raw]
        unused_keys = [key for key in self.multiprotocol if sys.getrefcount(self.multiprotocol[key]) <= 2]
        for key in unused_keys:
            del self.multiprotocol[key]
        self.settle()
        if len(self._next_hops) > _REJECTED_LIMIT:
            self._next_hops.clear()
        return len(unused) + len(unused_keys)

    def attributes_fault(self, raw: bytes) -> str | None:
        """Why attributes that came without any prefix call for more than discarding one of them, or None."""
        sifted = self._sift(raw, check_next_hop=False)
        return sifted.reason if isinstance(sifted, Rejected) else None

    def _check(self, raw: bytes, next_hop: bytes | None) -> Attributes | Rejected:
        """RFC 7606 sections 3 to 7, for attributes seen for the first time."""
        sifted = self._sift(raw, check_next_hop=next_hop is None)
        if isinstance(sifted, Rejected):
            return sifted
        seen, kept = sifted
        for kind, name in ((ORIGIN, "ORIGIN"), (AS_PATH, "AS_PATH")):
            if kind not in seen:
                return Rejected(f"mandatory attribute {name} is missing")
        if next_hop is None:
            next_hop = seen.get(NEXT_HOP)
            if next_hop is None:
                return Rejected("mandatory attribute NEXT_HOP is missing")
        if (fault := next_hop_fault(next_hop)) is not None:
            return Rejected(fault)
        if (loop := self._loop(seen)) is not None:
            return Rejected(loop, loop=True)
        if len(kept) < len(raw):
            self.malformed += 1
            raw = kept
        if not self.four_octet:
            raw = _widen(raw, seen)
        elif AS4_PATH in seen or AS4_AGGREGATOR in seen:
            # RFC 6793 section 4.1: a speaker of four-octet AS numbers must not send these; they are discarded.
            raw = _without(raw, AS4_PATH, AS4_AGGREGATOR)
        next_hop = self._next_hops.setdefault(next_hop, next_hop)
        for kind in (ORIGINATOR_ID, CLUSTER_LIST):
            if kind in seen and len(self._reflectors) < _REJECTED_LIMIT:
                self._reflectors.add(seen[kind])
        return Attributes(self.feed, next_hop, raw)

    def _sift(self, raw: bytes, *, check_next_hop: bool) -> tuple[dict[int, bytes], bytes] | Rejected:
        """The values by type and the bytes of the attributes that may stay, or why none may."""
        kept: list[bytes] = []
        seen: dict[int, bytes] = {}
        try:
            for flags, kind, start, value_start, end in walk_attributes(raw):
                if kind in seen:
                    self.last_error = f"attribute {kind} comes twice"
                    continue
                if not self.internal and kind in (LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST):
                    self.last_error = f"attribute {kind} came from an external peer"
                    continue
                value = raw[value_start:end]
                if (fault := self._fault(flags, kind, value, check_next_hop=check_next_hop)) is not None:
                    if kind not in _DISCARDED:
                        return Rejected(fault)
                    self.last_error = fault
                    continue
                seen[kind] = value
                kept.append(raw[start:end])
        except TruncatedError as error:
            return Rejected(str(error))
        return seen, b"".join(kept)

    def _fault(self, flags: int, kind: int, value: bytes, *, check_next_hop: bool) -> str | None:
        """What is wrong with one attribute, or None."""
        expected = _FLAGS.get(kind)
        if expected is None:
            return None if flags & OPTIONAL else f"unknown attribute {kind} is marked well-known"
        if flags & (OPTIONAL | TRANSITIVE) != expected:
            return f"attribute {kind} has flags {flags:#04x}"
        size = len(value)
        if size != _EXACT.get(kind, size):
            return f"attribute {kind} has {size} octets"
        step = _MULTIPLE.get(kind)
        if step is not None and (size == 0 or size % step):
            return f"attribute {kind} has {size} octets"
        if kind == ORIGIN and value[0] > 2:
            return f"ORIGIN is {value[0]}"
        if kind == AS_PATH:
            return path_error(value, width=4 if self.four_octet else 2, internal=self.internal)
        if kind == AS4_PATH:
            return path_error(value, width=4, internal=True)
        if kind == NEXT_HOP and check_next_hop:  # beside MP_REACH_NLRI it means nothing (RFC 4760 section 3)
            return next_hop_fault(value)
        if kind == ATOMIC_AGGREGATE and size:
            return f"ATOMIC_AGGREGATE has {size} octets"
        if (kind == AGGREGATOR and size != (8 if self.four_octet else 6)) or (kind == AS4_AGGREGATOR and size != 8):
            return f"attribute {kind} has {size} octets"
        return None

    def _loop(self, seen: dict[int, bytes]) -> str | None:
        """Why the route is one that ARM announced itself (RFC 4456 section 8), or None."""
        originator = seen.get(ORIGINATOR_ID)
        if originator in self.own_ids:
            return "ORIGINATOR_ID is ARM's own"
        clusters = seen.get(CLUSTER_LIST, b"")
        if any(clusters[i : i + 4] in self.own_ids for i in range(0, len(clusters), 4)):
            return "CLUSTER_LIST holds ARM's own id"
        return None


def next_hop_fault(next_hop: bytes) -> str | None:
    """Why no host can have this next hop, or None: all zeros, or multicast and above."""
    if len(next_hop) == 4:
        bad = next_hop == b"\0\0\0\0" or next_hop[0] >= 224
    else:
        bad = not any(next_hop) or next_hop[0] == 0xFF
    return f"next hop {next_hop.hex()} is no host's" if bad else None


def _without(raw: bytes, *kinds: int) -> bytes:
    return b"".join(raw[start:end] for _, kind, start, _, end in walk_attributes(raw) if kind not in kinds)


def _widen(raw: bytes, seen: dict[int, bytes]) -> bytes:
    """Attributes from a peer of two-octet AS numbers in the four-octet form (RFC 6793 section 4.2.3)."""
    parts: list[bytes] = []
    path, aggregator = widen_path(seen[AS_PATH]), seen.get(AGGREGATOR)
    use_as4 = True
    if aggregator is not None:
        aggregator, use_as4 = widen_aggregator(aggregator, seen.get(AS4_AGGREGATOR))
    if use_as4 and AS4_PATH in seen:
        path = merge_as4(path, seen[AS4_PATH])
    for flags, kind, start, _, end in walk_attributes(raw):
        if kind == AS_PATH:
            parts.append(attribute(flags, kind, path))
        elif kind == AGGREGATOR and aggregator is not None:
            parts.append(attribute(flags, kind, aggregator))
        elif kind not in (AS4_PATH, AS4_AGGREGATOR):
            parts.append(raw[start:end])
    return b"".join(parts)
