"""What the table says of an address, kept beside the samples so that none of them has to ask the engine.

Addresses that are new wait in a list; the analytics thread asks the engine for all of them at once between two batches
of samples, and what is older than a few seconds is asked for again with them while the old answer still serves. So the
engine answers a few questions a second, however many samples there are, and a key is never wrong for being new: the
sample that showed a new address waits for the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from arm.analytics.sample import Compute, Sample
from arm.analytics.values import Value
from arm.bgp.attributes import describe
from arm.model import Route, format_prefix, split_next_hops

REFRESH: Final = 10.0
"""Seconds after which an answer is asked for again."""
REFRESH_NOTHING: Final = 1.0
"""The same where the table had no route: it may be still being learned."""
MOST_ASKED: Final = 2000
"""Addresses in one question: some milliseconds of the engine's time."""
MOST_KNOWN: Final = 100_000

Lookup = Callable[[Sequence[bytes]], Sequence[Route | None]]
"""The longest matches of addresses; TimeoutError or observe's Busy if the engine does not answer."""


class Unresolved(Exception):  # noqa: N818 - the sample waits, nothing is wrong
    """The table has not been asked for an address yet."""


@dataclass(frozen=True, slots=True)
class Known:
    """What flow keys need of the route to an address."""

    prefix: str | None
    """None where the table has no route."""
    source: Mapping[str, Value | None]
    """Its keys if the address is a packet's source, and if it is the destination."""
    destination: Mapping[str, Value | None]


_SOURCE: Final = ("ipsourcemaskbits", "bgpsourceas", "bgpsourcepeeras")
_MASK_SOURCE: Final = ("mask:ipsource", "mask:ip6source")
_DESTINATION: Final = (
    *("ipdestinationmaskbits", "bgpnexthop", "bgpnexthop6", "bgpas", "bgpdestinationas", "bgpdestinationpeeras"),
    *("bgpdestinationaspath", "bgpcommunities", "bgplocalpref"),
)
_MASK_DESTINATION: Final = ("mask:ipdestination", "mask:ip6destination")
KEYS: Final = (*_SOURCE, *_DESTINATION)
"""Keys that come from the table."""
MASKS: Final = (*_MASK_SOURCE, *_MASK_DESTINATION)
"""Functions that come with them."""
NOTHING: Final = Known(
    None, dict.fromkeys((*_SOURCE, *_MASK_SOURCE)), dict.fromkeys((*_DESTINATION, *_MASK_DESTINATION))
)


class Routes:
    """Addresses and what is known of them. Belongs to the analytics thread."""

    def __init__(self, lookup: Lookup, local_as: int) -> None:
        self._lookup = lookup
        self._local_as = local_as
        self._known: dict[bytes, tuple[Known, float]] = {}
        self._wanted: dict[bytes, None] = {}
        self._now = 0.0
        self.asked = 0
        """Questions put to the engine."""
        self.failures = 0
        """Those it had no time for."""

    def of(self, address: bytes) -> Known:
        """What is known of an address; Unresolved if nothing is yet."""
        found = self._known.get(address)
        if found is None:
            self._wanted[address] = None
            raise Unresolved
        if found[1] < self._now:
            self._wanted[address] = None
        return found[0]

    def want(self, source: bytes | None, destination: bytes | None) -> None:
        """Have the next question ask for the addresses of a packet too, if nothing is known of them."""
        known = self._known
        if source is not None and source not in known:
            self._wanted[source] = None
        if destination is not None and destination not in known:
            self._wanted[destination] = None

    def resolve(self, now: float) -> bool:
        """Ask for what is wanted; False if the engine did not answer (what is not known by then stays Unresolved)."""
        self._now = now
        if not self._wanted:
            return True
        wanted = list(self._wanted)
        fresh = [address for address in wanted if address not in self._known]
        stale = [address for address in wanted if address in self._known]
        batch = (fresh + stale)[:MOST_ASKED]
        self._wanted.clear()
        self.asked += 1
        try:
            found = self._lookup(batch)
        except Exception:
            self.failures += 1
            return False
        if len(self._known) + len(batch) > MOST_KNOWN:
            self._known.clear()
        for address, route in zip(batch, found, strict=True):
            if route is None:
                self._known[address] = (NOTHING, now + REFRESH_NOTHING)
            else:
                self._known[address] = (self._describe(route), now + REFRESH)
        return True

    def _describe(self, route: Route) -> Known:
        view = describe(route.attributes)
        # a route of one's own has an empty path
        internal = not view.aspath_segments
        origin, peer = (self._local_as,) * 2 if internal else (view.origin_as, view.peer_as)
        hop = split_next_hops(route.attributes.next_hop)[0][:16]
        bits = route.prefix[1]
        prefix = format_prefix(route.prefix)
        prefixes = (prefix, None) if len(route.prefix[0]) == 4 else (None, prefix)
        return Known(
            prefix,
            dict(zip((*_SOURCE, *_MASK_SOURCE), (bits, origin, peer, *prefixes), strict=True)),
            {
                **dict(zip(_MASK_DESTINATION, prefixes, strict=True)),
                "ipdestinationmaskbits": bits,
                "bgpnexthop": hop if len(hop) == 4 else None,
                "bgpnexthop6": hop if len(hop) == 16 else None,
                "bgpas": self._local_as,
                "bgpdestinationas": origin,
                "bgpdestinationpeeras": peer,
                "bgpdestinationaspath": view.aspath,
                "bgpcommunities": "-".join(view.communities) or None,
                "bgplocalpref": view.localpref,
            },
        )

    # --- flow keys ---------------------------------------------------------------------------------------------------

    def plan(self) -> dict[str, Compute]:
        """How each key of the table is worked out: the first of an end brings all of that end."""

        def source(name: str) -> Compute:
            def compute(sample: Sample) -> Value | None:
                address = sample["ipsource"] or sample["ip6source"]
                if not isinstance(address, bytes):
                    return None
                sample.update(self.of(address).source)
                return sample[name]

            return compute

        def destination(name: str) -> Compute:
            def compute(sample: Sample) -> Value | None:
                address = sample["ipdestination"] or sample["ip6destination"]
                if not isinstance(address, bytes):
                    return None
                sample.update(self.of(address).destination)
                return sample[name]

            return compute

        sources = {name: source(name) for name in (*_SOURCE, *_MASK_SOURCE)}
        return sources | {name: destination(name) for name in (*_DESTINATION, *_MASK_DESTINATION)}
