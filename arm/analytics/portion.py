"""Flow samples by the column: for each flow key the values of some hundred samples at once.

Definitions are worked out column by column, so that what is done for each sample is done by the interpreter's own loops
(zip, compress, comprehensions), and what several definitions need is worked out once. A key that none of the samples
has is no column at all: a definition that needs it is passed over without a look at the samples.

What is derived (functions, attributes of the table) is worked out only for the samples that get as far as needing it:
filters, and functions that look at a second key where the first is missing, go on with a `Picked`. That keeps
expensive functions to few samples, and the table from being asked for addresses that nobody wants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import Any, TypeAlias

from arm.analytics.values import Source

Column: TypeAlias = Sequence[Any] | None
"""A Value for each sample, or None where it has none; None in place of the whole if not one of them has it."""

Compute: TypeAlias = "Callable[[Portion], Column]"
"""How a derived key is worked out."""


class Portion:
    """Samples by the column; `column` gives what has been worked out before."""

    __slots__ = ("_columns", "_plan", "_totals", "_whole", "size", "sources")

    def __init__(self, plan: Mapping[str, Compute], sources: Sequence[Source], whole: set[str]) -> None:
        """`plan` computes what is derived; those keys in `whole` have a value for every sample."""
        self.sources = sources
        self.size = len(sources)
        self._plan = plan
        self._columns: dict[str, Column] = {}
        self._whole = whole
        self._totals: dict[str, dict[Source, float]] = {}

    def column(self, name: str) -> Column:
        """The values of a key; routes.Unresolved."""
        columns = self._columns
        if name in columns:
            return columns[name]
        compute = self._plan.get(name)
        found = columns[name] = compute(self) if compute is not None else self._own(name)
        return found

    def _own(self, name: str) -> Column:
        """The values of a key that is not derived."""
        raise NotImplementedError

    def having(self, name: str) -> Portion:
        """The samples that have a key."""
        if name in self._whole:
            return self
        column = self.column(name)
        if column is None:
            return self.where([False] * self.size)
        found = self.where([value is not None for value in column])
        found._whole.add(name)
        return found

    def where(self, chosen: Sequence[bool]) -> Portion:
        """The samples for which `chosen` has True."""
        return self if all(chosen) else Picked(self, chosen)

    def within(self, whole: Portion, chosen: Sequence[bool]) -> Sequence[bool]:
        """Which samples of `whole` are the `chosen` ones of these; see Picked."""
        assert self is whole, "only what was selected of a portion is within it"
        return chosen

    def totals(self, name: str) -> Mapping[Source, float]:
        """The sum of an amount, which all samples have, by the data source."""
        found = self._totals.get(name)
        if found is None:
            found = self._totals[name] = {}
            for source, amount in zip(self.sources, self.column(name) or (), strict=True):
                found[source] = found.get(source, 0.0) + amount
        return found


class Picked(Portion):
    """Some of the samples of a portion."""

    __slots__ = ("_chosen", "_parent")

    def __init__(self, parent: Portion, chosen: Sequence[bool]) -> None:
        super().__init__(parent._plan, list(compress(parent.sources, chosen)), parent._whole.copy())
        self._parent = parent
        self._chosen = chosen

    def column(self, name: str) -> Column:
        """The values of a key: what the portion has worked out is not worked out again."""
        if name not in self._columns and (name in self._parent._columns or name not in self._plan):
            column = self._parent.column(name)
            self._columns[name] = None if column is None else list(compress(column, self._chosen))
        return super().column(name)

    def within(self, whole: Portion, chosen: Sequence[bool]) -> Sequence[bool]:
        """Which samples of `whole`, of which these were selected in one step or more, are the `chosen` ones."""
        if self is whole:
            return chosen
        places = iter(chosen)
        above = [each and next(places) for each in self._chosen]
        return self._parent.within(whole, above)


class Loose(Portion):
    """Samples of any shape, taken apart one by one."""

    __slots__ = ("_samples",)

    def __init__(
        self, plan: Mapping[str, Compute], sources: Sequence[Source], samples: Sequence[Mapping[str, Any]]
    ) -> None:
        """`samples` has what `sample.take_apart` has set for each."""
        super().__init__(plan, sources, set())
        self._samples = samples

    def _own(self, name: str) -> Column:
        found = [sample.get(name) for sample in self._samples]
        return None if all(each is None for each in found) else found
