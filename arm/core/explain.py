"""Answers to the questions that people and scripts ask of the engine; it changes nothing.

The methods are those of `observe.reader.Reader`; each is cheap enough to run between two events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final

from arm.core.family import FamilyEngine
from arm.core.survey import Surveyor
from arm.model import (
    FAMILIES,
    Entry,
    Explanation,
    Family,
    Kind,
    Prefix,
    PrefixState,
    Remembered,
    Route,
    TrafficSnapshot,
    family_of,
    format_bit_rate,
    format_next_hop,
    format_prefix,
    parse_prefix,
)

_SHORTEST_WALK: Final = 4
"""More-specifics of shorter prefixes than this are not listed: it would copy a good part of the table."""


def _rides(above: Prefix, hop: bytes) -> str:
    return f"Its packets ride along with {format_prefix(above)}, which goes to {format_next_hop(hop)} as well."


def _covers(over: Prefix | None) -> str:
    name = format_prefix(over) if over is not None else "the route above"
    return f"A cover keeps it out of {name}, which has another next hop: it follows the default route."


def _installed(hop: bytes) -> str:
    return f"It is installed and sends its packets to {format_next_hop(hop)}."


def _via_default(hop: bytes) -> str:
    return f"The default route goes to {format_next_hop(hop)} as well, so it needs no slot."


def _learning(label: str) -> str:
    return f"The {label} table is still being learned; nothing is chosen before it is complete."


class Explainer(Surveyor):
    """The reading half of the engine."""

    def steady_ms(self, at: float) -> int:
        """A moment of the engine's clock in steady milliseconds (arm/walltime.py)."""
        raise NotImplementedError

    def traffic_snapshot(self, family: Family, direction: str) -> TrafficSnapshot:
        """Rates of all prefixes with traffic, by destination or source."""
        state = self.families[family]
        averages = state.sources if direction == "source" else state.selection.averages
        scale = averages.scale(self.now)
        return TrafficSnapshot(
            family=family,
            direction=direction,
            rates=averages.bytes.copy(),
            samples=averages.samples.copy(),
            scale=scale,
            total=averages.total * scale,
        )

    def installed(self, family: Family) -> Mapping[Prefix, Entry]:
        """A copy of what is in hardware."""
        return self.families[family].fib.snapshot()

    def routes(self, prefixes: Sequence[Prefix]) -> Sequence[Route | None]:
        """The routes of exactly these prefixes; None where the table has none."""
        winner_of = {4: self.families[Family.IPV4].rib.winner, 16: self.families[Family.IPV6].rib.winner}
        found = [(prefix, winner_of[len(prefix[0])](prefix)) for prefix in prefixes]
        return [None if winner is None else Route(prefix, winner) for prefix, winner in found]

    def matches(self, addresses: Sequence[bytes]) -> Sequence[Route | None]:
        """The longest match of each packed address; None where the table has none."""
        found: list[Route | None] = []
        for address in addresses:
            rib = self.families[Family.IPV4 if len(address) == 4 else Family.IPV6].rib
            prefix = rib.match(address)
            winner = rib.winner(prefix) if prefix is not None else None
            found.append(Route(prefix, winner) if prefix is not None and winner is not None else None)
        return found

    def more_specifics(self, prefix: Prefix, limit: int) -> Sequence[Route]:
        """At most `limit` routes of the table strictly inside a route of it; none for very short prefixes."""
        rib = self.families[family_of(prefix)].rib
        if prefix[1] < _SHORTEST_WALK or rib.winner(prefix) is None:
            return ()
        found: list[Route] = []
        for inside in islice(rib.more_specifics(prefix), limit):
            winner = rib.winner(inside)
            assert winner is not None
            found.append(Route(inside, winner))
        return found

    def state_of(self, prefixes: Sequence[Prefix]) -> Sequence[PrefixState]:
        """The state of each."""
        return [self._state(prefix)[0] for prefix in prefixes]

    def _state(self, prefix: Prefix) -> tuple[PrefixState, Callable[[], str]]:
        """The state of a prefix of the table, and what makes the sentence that says why.

        Many thousand states are asked for at once, and a sentence of one of them at a time: it costs ten times as much.
        """
        family = self.families[family_of(prefix)]
        fib, planner = family.fib, family.planner
        winner = family.rib.winner(prefix)
        if winner is None:
            return PrefixState.NO_ROUTE, lambda: "The table has no route for it."
        hop = winner.next_hop
        at = fib.match(prefix)
        if at is not None:
            if fib.entries[at].kind is Kind.ROUTE:
                if at == prefix:
                    return (
                        PrefixState.INSTALLED,
                        lambda: _installed(hop),
                    )
                return PrefixState.RIDES, lambda: _rides(at, hop)
            if at == prefix:
                return PrefixState.COVER, lambda: _covers(fib.parent(prefix))
        default = planner.default
        if default is not None and default.next_hop == hop:
            return (
                PrefixState.DEFAULT,
                lambda: _via_default(hop),
            )
        unfit = family.selection.pinned.unfit.get(prefix)
        if unfit is not None:
            return PrefixState.NO_SLOT, lambda: f"It follows the default route: selection.always names it, but {unfit}."
        refusal = family.selection.policy.refusal(prefix)
        if refusal is not None:
            return PrefixState.EXCLUDED, lambda: f"It follows the default route because {refusal}."
        if hop in planner.dead:
            return (
                PrefixState.EXCLUDED,
                lambda: f"It follows the default route because its next hop {format_next_hop(hop)} can not be reached.",
            )
        if not family.settled:
            label = family.family.label
            return (
                PrefixState.IDLE,
                lambda: _learning(label),
            )
        rate = family.selection.averages.rate(prefix, self.now)
        if not rate:
            return PrefixState.IDLE, lambda: "No sampled traffic goes to it, so it follows the default route."
        return PrefixState.NO_SLOT, lambda: self._why_no_slot(family, prefix, rate)

    def _why_no_slot(self, family: FamilyEngine, prefix: Prefix, rate: float) -> str:
        selection = family.selection
        if rate < selection.minvalue:
            least = f"target.minvalue ({format_bit_rate(selection.minvalue)})"
            return f"Its traffic is below {least}, so it follows the default route."
        worst = selection.weakest_rate(self.now)
        winner = family.rib.winner(prefix)
        assert winner is not None
        needed = family.planner.requirements(prefix, winner, selection.usable)
        cost = (
            f"It needs {1 + len(needed):,} slots"
            if needed is not None
            else f"It needs more than {selection.usable:,} slots"
        )
        if selection.free > 0 and needed is not None and len(needed) < selection.free:
            return f"{cost} and they are free: it goes in with its next sample."
        text = f"{cost} and {max(selection.free, 0):,} are free"
        if worst is not None:
            text += (
                f"; the installed route worth least carries {format_bit_rate(worst)}, this one {format_bit_rate(rate)}"
            )
        return f"{text}. It follows the default route until it carries significantly more."

    def explain(self, query: str) -> Explanation:
        """Why an address or a prefix is, or is not, in hardware; ValueError if it is neither."""
        asked = parse_prefix(query)
        family = self.families[family_of(asked)]
        covering = tuple(family.rib.covering(asked))
        match = covering[0].prefix if covering else None
        at = family.fib.match(asked)
        if match is None:
            state, why = PrefixState.NO_ROUTE, f"The {family.family.label} table has no route for it."
        else:
            state, sentence = self._state(match)
            why = sentence()
        since = family.since.get(at) if at is not None else None
        averages = family.selection.averages
        return Explanation(
            query=query,
            prefix=match,
            covering=covering,
            entry_prefix=at,
            entry=family.fib.entries[at] if at is not None else None,
            state=state,
            why=why,
            since_ms=self.steady_ms(since) if since is not None else None,
            bytes_per_second=averages.rate(match, self.now) if match is not None else 0.0,
            samples=averages.count(match, self.now) if match is not None else 0.0,
        )

    def memory(self, most: int) -> Mapping[Family, list[Remembered]]:
        """What a later run should know: prefix, bytes/s, samples, chosen; the chosen first, at most `most` each."""
        found: dict[Family, list[Remembered]] = {}
        for family in FAMILIES:
            found[family] = self.families[family].selection.memory(most)
        return found
