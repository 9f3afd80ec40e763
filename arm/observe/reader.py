"""What may be asked of the engine from outside its thread, and how.

Only the engine's own thread touches the table, the traffic and the choice, so a question is a function that the engine
runs between two events (`Board.ask`). Every method here is cheap enough for that: a copy of a dictionary at C speed or
a handful of lookups. Ranking, decoding and formatting are done by the one who asked, on its own thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from arm.model import ChangeRecord, Entry, Explanation, Family, Prefix, PrefixState, Route, TrafficSnapshot

T = TypeVar("T")


class Reader(Protocol):
    """The engine as a question sees it."""

    def traffic_snapshot(self, family: Family, direction: str) -> TrafficSnapshot:
        """Rates of all prefixes with traffic; `direction` is destination or source."""
        ...

    def installed(self, family: Family) -> Mapping[Prefix, Entry]:
        """A copy of what is in hardware."""
        ...

    def routes(self, prefixes: Sequence[Prefix]) -> Sequence[Route | None]:
        """The routes of exactly these prefixes; None where the table has none."""
        ...

    def relearned(self, after: int) -> tuple[int, Sequence[Prefix] | None]:
        """A number that grows with what the table is told, and all prefixes that were told since it was `after`.

        None for these if it is not known any more (or never was: -1), so that any route may have changed.
        """
        ...

    def matches(self, addresses: Sequence[bytes]) -> Sequence[Route | None]:
        """The longest match of each packed address; None where the table has none."""
        ...

    def more_specifics(self, prefix: Prefix, limit: int) -> Sequence[Route]:
        """At most `limit` routes of the table inside `prefix`, itself left out, in address order."""
        ...

    def explain(self, query: str) -> Explanation:
        """Why an address or a prefix is, or is not, in hardware; ValueError if it is neither."""
        ...

    def state_of(self, prefixes: Sequence[Prefix]) -> Sequence[PrefixState]:
        """For each: installed, cover, rides, default, no slot, excluded or idle."""
        ...

    def installed_seconds(self, family: Family) -> Sequence[float]:
        """For how long each installed entry has stood as it is; in no order."""
        ...

    def seconds_installed(self, prefixes: Sequence[Prefix]) -> Sequence[float | None]:
        """For how long an entry has stood at each of these prefixes; None where none does."""
        ...

    def served(self, family: Family) -> Mapping[Prefix, float]:
        """Bytes per second that each installed route carries, with what rides along; covers are left out."""
        ...

    def slot_costs(self, prefixes: Sequence[Prefix]) -> Sequence[int | None]:
        """How many slots each route would take alone: 0 the default's way, None if it can not or may not have any."""
        ...

    def changes(self, after: int) -> Sequence[ChangeRecord]:
        """The change log behind number `after`, oldest first; bounded."""
        ...


class Ask(Protocol):
    """Runs a question on the engine's thread and gives its answer; what the question raises is raised here.

    TimeoutError when the engine did not get to it in time.
    """

    def __call__(self, question: Callable[[Reader], T], /) -> T: ...
