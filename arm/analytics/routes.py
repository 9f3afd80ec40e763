"""What the table says of an address, kept beside the samples so that none of them has to ask the engine.

Addresses that are new wait in a list; the analytics thread asks the engine for all of them at once between two batches
of samples, and what is older than a few seconds is asked for again with them while the old answer still serves. So the
engine answers a few questions a second, however many samples there are, and a key is never wrong for being new: the
sample that showed a new address waits for the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from arm.analytics.portion import Column, Compute, Portion
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


class Unresolved(Exception):  # noqa: N818 - samples wait, nothing is wrong
    """The table has not been asked yet for addresses of some samples."""

    def __init__(self, portion: Portion, missing: Sequence[bool]) -> None:
        """`missing` has True for those samples of `portion`."""
        super().__init__(portion, missing)
        self.portion = portion
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Known:
    """What flow keys need of the route to an address."""

    route: Route | None
    """None where the table has no route."""
    prefix: str | None
    source: tuple[Any, ...]
    """Its keys, in the order of SOURCE, if the address is a packet's source."""
    destination: tuple[Any, ...]
    """The same in the order of DESTINATION."""


_SOURCE: Final = ("ipsourcemaskbits", "bgpsourceas", "bgpsourcepeeras")
_DESTINATION: Final = (
    *("ipdestinationmaskbits", "bgpnexthop", "bgpnexthop6", "bgpas", "bgpdestinationas", "bgpdestinationpeeras"),
    *("bgpdestinationaspath", "bgpcommunities", "bgplocalpref"),
)
KEYS: Final = (*_SOURCE, *_DESTINATION)
"""Keys that come from the table."""
SOURCE: Final = (*_SOURCE, "mask:ipsource", "mask:ip6source")
DESTINATION: Final = (*_DESTINATION, "mask:ipdestination", "mask:ip6destination")
MASKS: Final = (*SOURCE[-2:], *DESTINATION[-2:])
"""Functions that come with them."""
NOTHING: Final = Known(None, None, (None,) * len(SOURCE), (None,) * len(DESTINATION))
_SOURCES, _DESTINATIONS = "\0sources", "\0destinations"
"""What is known of the two ends of each sample, as columns of all their keys; no definition can spell these names."""


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

    def of(self, portion: Portion, addresses: Sequence[Any]) -> list[Known]:
        """What is known of an address of each sample, NOTHING of None; Unresolved if nothing is known yet of some."""
        found, known, wanted, now = [], self._known, self._wanted, self._now
        for address in addresses:
            answer = known.get(address)
            if answer is not None:
                found.append(answer[0])
                if answer[1] < now:
                    wanted[address] = None
            elif address is None:
                found.append(NOTHING)
            else:
                self.want(addresses)
                raise Unresolved(portion, [each is not None and each not in known for each in addresses])
        return found

    def want(self, addresses: Iterable[Any]) -> None:
        """Have the next question ask for those addresses of which nothing is known."""
        unknown = set(addresses).difference(self._known)
        unknown.discard(None)
        self._wanted.update(dict.fromkeys(unknown))

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
                continue
            before = self._known.get(address)
            known = before[0] if before is not None and before[0].route == route else self._describe(route)
            self._known[address] = (known, now + REFRESH)
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
            route,
            prefix,
            (bits, origin, peer, *prefixes),
            (
                bits,
                hop if len(hop) == 4 else None,
                hop if len(hop) == 16 else None,
                self._local_as,
                origin,
                peer,
                view.aspath,
                "-".join(view.communities) or None,
                view.localpref,
                *prefixes,
            ),
        )

    # --- flow keys ---------------------------------------------------------------------------------------------------

    def plan(self) -> dict[str, Compute]:
        """How each key of the table is worked out."""

        def end(four: str, six: str, keys: Callable[[Known], tuple[Any, ...]]) -> Compute:
            def compute(portion: Portion) -> Column:
                addresses, others = portion.column(four), portion.column(six)
                if addresses is None:
                    addresses = others
                elif others is not None:
                    addresses = [one or other for one, other in zip(addresses, others, strict=True)]
                return None if addresses is None else list(map(keys, self.of(portion, addresses)))

            return compute

        def key(end: str, index: int) -> Compute:
            def compute(portion: Portion) -> Column:
                known = portion.column(end)
                return None if known is None else [keys[index] for keys in known]

            return compute

        return {
            _SOURCES: end("ipsource", "ip6source", attrgetter("source")),
            _DESTINATIONS: end("ipdestination", "ip6destination", attrgetter("destination")),
            **{name: key(_SOURCES, index) for index, name in enumerate(SOURCE)},
            **{name: key(_DESTINATIONS, index) for index, name in enumerate(DESTINATION)},
        }
