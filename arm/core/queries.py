"""Answers to the questions that people and scripts ask of the engine; nothing here changes it.

The methods are those of `observe.reader.Reader`; each is cheap enough to run between two events. Who asks about many
prefixes does so in portions, so that no single question holds the engine up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from arm.core.engine import Engine
from arm.core.explain import state_of
from arm.model import (
    ChangeRecord,
    Entry,
    Explanation,
    Family,
    Prefix,
    PrefixState,
    Route,
    TrafficSnapshot,
    family_of,
    parse_prefix,
)

_SHORTEST_WALK: Final = 4
"""More-specifics of shorter prefixes than this are not listed: it would copy a good part of the table."""


class Queries:
    """Reads an engine, on the engine's thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def traffic_snapshot(self, family: Family, direction: str) -> TrafficSnapshot:
        """Rates of all prefixes with traffic, by destination or source."""
        state = self._engine.families[family]
        averages = state.sources if direction == "source" else state.selection.averages
        scale = averages.scale(self._engine.now)
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
        return self._engine.families[family].fib.snapshot()

    def routes(self, prefixes: Sequence[Prefix]) -> Sequence[Route | None]:
        """The routes of exactly these prefixes; None where the table has none."""
        winner_of = {
            4: self._engine.families[Family.IPV4].rib.winner,
            16: self._engine.families[Family.IPV6].rib.winner,
        }
        found = [(prefix, winner_of[len(prefix[0])](prefix)) for prefix in prefixes]
        return [None if winner is None else Route(prefix, winner) for prefix, winner in found]

    def matches(self, addresses: Sequence[bytes]) -> Sequence[Route | None]:
        """The longest match of each packed address; None where the table has none."""
        found: list[Route | None] = []
        for address in addresses:
            rib = self._engine.families[Family.IPV4 if len(address) == 4 else Family.IPV6].rib
            prefix = rib.match(address)
            winner = rib.winner(prefix) if prefix is not None else None
            found.append(Route(prefix, winner) if prefix is not None and winner is not None else None)
        return found

    def more_specifics(self, prefix: Prefix, limit: int) -> Sequence[Route]:
        """At most `limit` routes of the table strictly inside a route of it; none for very short prefixes."""
        rib = self._engine.families[family_of(prefix)].rib
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
        families, now = self._engine.families, self._engine.now
        return [state_of(families[family_of(prefix)], prefix, now)[0] for prefix in prefixes]

    def installed_seconds(self, family: Family) -> Sequence[float]:
        """For how long each installed entry has stood as it is; in no order."""
        state = self._engine.families[family]
        return [self._engine.now - at for prefix, at in state.since.items() if prefix in state.fib.entries]

    def seconds_installed(self, prefixes: Sequence[Prefix]) -> Sequence[float | None]:
        """For how long an entry has stood at each of these prefixes; None where none does."""
        found: list[float | None] = []
        for prefix in prefixes:
            state = self._engine.families[family_of(prefix)]
            since = state.since.get(prefix) if prefix in state.fib.entries else None
            found.append(None if since is None else self._engine.now - since)
        return found

    def served(self, family: Family) -> Mapping[Prefix, float]:
        """Bytes per second that each installed route carries, with what rides along; covers are left out."""
        selection = self._engine.families[family].selection
        scale = selection.averages.scale(self._engine.now)
        return {prefix: worth * scale for prefix, worth in selection.served.items()}

    def slot_costs(self, prefixes: Sequence[Prefix]) -> Sequence[int | None]:
        """How many slots each route would take alone, in empty hardware: itself and its exceptions.

        0 where the default's next hop is its own; None where the table has no route, or policy excludes it.
        """
        found: list[int | None] = []
        for prefix in prefixes:
            state = self._engine.families[family_of(prefix)]
            winner, default = state.rib.winner(prefix), state.planner.default
            if winner is not None and default is not None and winner.next_hop == default.next_hop:
                found.append(0)
            elif winner is None or state.selection.policy.refusal(prefix) is not None:
                found.append(None)
            else:
                found.append(1 + len(state.rib.exceptions(prefix, winner.next_hop)))
        return found

    def explain(self, query: str) -> Explanation:
        """Why an address or a prefix is, or is not, in hardware; ValueError if it is neither."""
        asked = parse_prefix(query)
        family = self._engine.families[family_of(asked)]
        covering = tuple(family.rib.covering(asked))
        match = covering[0].prefix if covering else None
        at = family.fib.match(asked)
        if match is None:
            state, why = PrefixState.NO_ROUTE, f"The {family.family.label} table has no route for it."
        else:
            state, sentence = state_of(family, match, self._engine.now)
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
            since_ms=self._engine.steady_ms(since) if since is not None else None,
            bytes_per_second=averages.rate(match, self._engine.now) if match is not None else 0.0,
            samples=averages.count(match, self._engine.now) if match is not None else 0.0,
        )

    def changes(self, after: int) -> Sequence[ChangeRecord]:
        """The change log behind number `after`, oldest first."""
        return self._engine.changes(after)

    def relearned(self, after: int) -> tuple[int, Sequence[Prefix] | None]:
        """A number that grows with what the table is told, and what it was told since it was `after`, if known."""
        return self._engine.relearned(after)
