"""Which changes must be left out because an earlier one failed, in the same plan or in one before it.

The engine does not wait for answers: when it makes a plan, earlier ones may still be in flight, and it takes it that
their changes will be made. So a failure is remembered until a plan says that the engine knew of it (`Plan.answered`).
Until then a change depends on a failed one in two cases, which follow from the rule (docs/architecture.md):

- It puts a *route* at a prefix, and something strictly inside failed: the exception that should keep the route from
  drawing packets of another next hop may be missing.
- It *removes* an entry, and something strictly above or inside failed: the packets would fall to an entry that should
  have been replaced or taken out before, or an exception to the entry above may be missing.

Nothing else depends: an exception that points to the default's next hop is right anywhere, and what a change puts at
the failed prefix itself is judged by what lies inside and above, not by what stood there.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, deque

from arm.model import Change, Kind, Prefix, mask


class Failures:
    """Prefixes at which changes failed that the engine has not heard of when it makes a plan. Pure."""

    def __init__(self) -> None:
        self._failed: deque[tuple[int, Prefix]] = deque()
        """(number of the plan, prefix), oldest first."""
        self._starts: dict[int, list[tuple[int, int]]] = {4: [], 16: []}
        """By octets of an address, sorted: (first address, length) of each."""
        self._lengths: dict[int, Counter[int]] = {4: Counter(), 16: Counter()}
        self._prefixes: Counter[Prefix] = Counter()

    def __bool__(self) -> bool:
        return bool(self._failed)

    def add(self, plan: int, prefix: Prefix) -> None:
        """A change of this plan at this prefix failed, or was left out."""
        self._failed.append((plan, prefix))
        self._prefixes[prefix] += 1
        if self._prefixes[prefix] == 1:
            address, length = prefix
            insort(self._starts[len(address)], (int.from_bytes(address, "big"), length))
            self._lengths[len(address)][length] += 1

    def known(self, answered: int) -> None:
        """The engine knows what failed in plans up to this number: a plan made now is right in spite of it."""
        while self._failed and self._failed[0][0] <= answered:
            _, prefix = self._failed.popleft()
            self._prefixes[prefix] -= 1
            if not self._prefixes[prefix]:
                del self._prefixes[prefix]
                address, length = prefix
                starts = self._starts[len(address)]
                del starts[bisect_left(starts, (int.from_bytes(address, "big"), length))]
                self._lengths[len(address)][length] -= 1

    def clear(self) -> None:
        """All plans in flight are void."""
        self._failed.clear()
        self._prefixes.clear()
        for size in (4, 16):
            self._starts[size].clear()
            self._lengths[size].clear()

    def blocks(self, change: Change) -> bool:
        """True if a change must be left out."""
        if not self._failed:
            return False
        if change.entry is None:
            return self._is_inside_one(change.prefix) or self._has_one_inside(change.prefix)
        return change.entry.kind is Kind.ROUTE and self._has_one_inside(change.prefix)

    def _is_inside_one(self, prefix: Prefix) -> bool:
        address, length = prefix
        return any(
            count and shorter < length and (mask(address, shorter), shorter) in self._prefixes
            for shorter, count in self._lengths[len(address)].items()
        )

    def _has_one_inside(self, prefix: Prefix) -> bool:
        address, length = prefix
        starts = self._starts[len(address)]
        first = int.from_bytes(address, "big")
        at = bisect_left(starts, (first, length + 1))
        return at < len(starts) and starts[at][0] < first + (1 << len(address) * 8 - length)
