"""Questions about many prefixes at once: how long they have been in hardware, and what slots they would cost.

Part of the reading half of the engine (core/explain.py), and as that it changes nothing. Who asks about many prefixes
does so in portions, so that no single question holds the engine up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from arm.core.family import FamilyEngine
from arm.model import Family, Prefix, family_of


class Surveyor:
    """Answers that are a number for each prefix."""

    families: Mapping[Family, FamilyEngine]
    now: float

    def installed_seconds(self, family: Family) -> Sequence[float]:
        """For how long each installed entry has stood as it is; in no order."""
        state = self.families[family]
        return [self.now - at for prefix, at in state.since.items() if prefix in state.fib.entries]

    def seconds_installed(self, prefixes: Sequence[Prefix]) -> Sequence[float | None]:
        """For how long an entry has stood at each of these prefixes; None where none does."""
        found: list[float | None] = []
        for prefix in prefixes:
            state = self.families[family_of(prefix)]
            since = state.since.get(prefix) if prefix in state.fib.entries else None
            found.append(None if since is None else self.now - since)
        return found

    def served(self, family: Family) -> Mapping[Prefix, float]:
        """Bytes per second that each installed route carries, with what rides along; covers are left out."""
        selection = self.families[family].selection
        scale = selection.averages.scale(self.now)
        return {prefix: worth * scale for prefix, worth in selection.served.items()}

    def slot_costs(self, prefixes: Sequence[Prefix]) -> Sequence[int | None]:
        """How many slots each route would take alone, in empty hardware: itself and its exceptions.

        0 where the default's next hop is its own; None where the table has no route, or policy excludes it.
        """
        found: list[int | None] = []
        for prefix in prefixes:
            state = self.families[family_of(prefix)]
            winner, default = state.rib.winner(prefix), state.planner.default
            if winner is not None and default is not None and winner.next_hop == default.next_hop:
                found.append(0)
            elif winner is None or state.selection.policy.refusal(prefix) is not None:
                found.append(None)
            else:
                found.append(1 + len(state.rib.exceptions(prefix, winner.next_hop)))
        return found
