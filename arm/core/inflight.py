"""The accounts of what has been sent to the target and not been answered yet.

The engine takes it that every change it has planned will be made: its fib is what will stand when all of them are. The
target answers later (the contract is in arm/target/base.py), and by then newer plans may have changed the same prefix.
So a failure must not simply put back what stood before it: what stands in the end is decided by all plans that touch
the prefix, in their order.

Invariants: plans are settled from the oldest on, each when it and all before it are answered. A prefix is *doubtful*
from its first failure (or drift) until no plan in flight touches it; then its true entry is handed back. For prefixes
that are not doubtful, and in flight nowhere, fib and target agree.

Nothing is kept by prefix as long as nothing fails: a plan of a hundred thousand changes costs one list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence

from arm.model import Change, Entry, Family, Prefix, family_of


class _Sent:
    """One plan in flight."""

    __slots__ = ("_prefixes", "before", "changes", "failed", "number")

    def __init__(self, number: int, changes: Sequence[Change], before: Sequence[Entry | None]) -> None:
        self.number = number
        self.changes = changes
        self.before = before
        self.failed: Mapping[int, str] | None = None
        """Reasons by `id` of the change, once it is answered."""
        self._prefixes: frozenset[Prefix] | None = None

    def touches(self, prefix: Prefix) -> bool:
        if self._prefixes is None:
            self._prefixes = frozenset(change.prefix for change in self.changes)
        return prefix in self._prefixes

    def drop(self, families: Collection[Family]) -> None:
        """Leave out the changes of these families."""
        kept = [
            pair for pair in zip(self.changes, self.before, strict=True) if family_of(pair[0].prefix) not in families
        ]
        self.changes, self.before = [change for change, _ in kept], [old for _, old in kept]
        self._prefixes = None


class InFlight:
    """Plans in flight, and the prefixes that they leave in doubt."""

    def __init__(self) -> None:
        self._plans: deque[_Sent] = deque()
        self._doubtful: dict[Prefix, Entry | None] = {}
        """What the target holds there behind the plans that are settled."""
        self.answered = 0
        """All plans up to this number are settled."""

    def __len__(self) -> int:
        return len(self._plans)

    def send(self, number: int, changes: Sequence[Change], before: Sequence[Entry | None]) -> None:
        """A plan goes to the target; `before` has what the fib held at each change's prefix ahead of it."""
        self._plans.append(_Sent(number, changes, before))

    def answer(self, number: int, failed: Sequence[tuple[Change, str]]) -> list[tuple[Change, str]]:
        """A plan is answered; all failed changes of the plans that are settled by it, in their order.

        An answer of a plan that is not in flight any more means nothing.
        """
        sent = next((one for one in self._plans if one.number == number), None)
        if sent is None:
            return []
        sent.failed = {id(change): text for change, text in failed}
        return self._settle()

    def _settle(self) -> list[tuple[Change, str]]:
        refused: list[tuple[Change, str]] = []
        while self._plans and self._plans[0].failed is not None:
            sent = self._plans.popleft()
            self.answered = sent.number
            if not (sent.failed or self._doubtful):
                continue
            for change, old in zip(sent.changes, sent.before, strict=True):
                text = sent.failed.get(id(change)) if sent.failed else None
                if text is not None:
                    # What a doubtful prefix holds is known; anywhere else the fib was right.
                    self._doubtful.setdefault(change.prefix, old)
                    refused.append((change, text))
                elif change.prefix in self._doubtful:
                    self._doubtful[change.prefix] = change.entry
        return refused

    def lost(self, prefix: Prefix) -> None:
        """Nothing stands at a prefix any more, behind all plans that are answered."""
        self._doubtful[prefix] = None

    def take_certain(self) -> dict[Prefix, Entry | None]:
        """What stands at doubtful prefixes that no plan in flight touches: from now on the fib must say the same."""
        certain = {p: e for p, e in self._doubtful.items() if not any(sent.touches(p) for sent in self._plans)}
        for prefix in certain:
            del self._doubtful[prefix]
        return certain

    def void(self, families: Collection[Family]) -> list[tuple[Change, str]]:
        """Whoever held these families holds them no more: what is in flight for them has no answer that counts.

        Returns, as `answer` does, what had failed of plans that waited for one that is void now.
        """
        for sent in self._plans:
            sent.drop(families)
            if not sent.changes and sent.failed is None:
                sent.failed = {}
        for prefix in [prefix for prefix in self._doubtful if family_of(prefix) in families]:
            del self._doubtful[prefix]
        return self._settle()
