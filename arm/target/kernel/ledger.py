"""Which routes ARM has in the kernel: prefix -> number of its nexthop object.

`routes` is what the kernel accepted and has not been reported gone since. It answers in constant time what lies above a
prefix (`ancestors`), which is what the order of emergencies hangs on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from arm.model import FAMILIES, Family, Prefix, family_of, mask

UNKNOWN = 0
"""Number of a route of ARM's that uses no nexthop object: not of this version's making."""


class Ledger:
    """ARM's own routes, by what the kernel said."""

    def __init__(self) -> None:
        self.routes: dict[Prefix, int] = {}
        self.users: Counter[int] = Counter()
        """Number of a nexthop object -> routes that use it."""
        self.touched: set[Prefix] | None = None
        """While somebody wants to know: the prefixes that changed since."""
        self._lengths: dict[int, Counter[int]] = {4: Counter(), 16: Counter()}
        self._counts = {4: 0, 16: 0}
        self._peaks = {4: 0, 16: 0}

    def put(self, prefix: Prefix, number: int) -> None:
        """A route was installed or replaced."""
        if self.touched is not None:
            self.touched.add(prefix)
        old = self.routes.get(prefix)
        if old is None:
            size = len(prefix[0])
            self._lengths[size][prefix[1]] += 1
            self._counts[size] = count = self._counts[size] + 1
            if count > self._peaks[size]:
                self._peaks[size] = count
        else:
            self._release(old)
        self.routes[prefix] = number
        self.users[number] += 1

    def drop(self, prefix: Prefix) -> bool:
        """A route is gone; False if it was not there."""
        if self.touched is not None:
            self.touched.add(prefix)
        number = self.routes.pop(prefix, None)
        if number is None:
            return False
        self._release(number)
        self._lengths[len(prefix[0])][prefix[1]] -= 1
        self._counts[len(prefix[0])] -= 1
        return True

    def clear(self) -> None:
        """Nothing is known."""
        self.routes.clear()
        self.users.clear()
        for lengths in self._lengths.values():
            lengths.clear()
        self._counts = {4: 0, 16: 0}

    def uses(self, number: int) -> bool:
        """Whether any route uses a nexthop object."""
        return number in self.users

    def over(self, number: int) -> list[Prefix]:
        """Prefixes of the routes that use a nexthop object."""
        return [prefix for prefix, used in self.routes.items() if used == number] if number in self.users else []

    def ancestors(self, prefix: Prefix) -> Iterator[Prefix]:
        """Installed prefixes that contain this one, shortest first."""
        address, length = prefix
        for shorter, count in sorted(self._lengths[len(address)].items()):
            if shorter >= length:
                return
            if count and (above := (mask(address, shorter), shorter)) in self.routes:
                yield above

    def count(self, family: Family) -> int:
        """Installed routes of a family."""
        return self._counts[family.bits // 8]

    def take_peak(self, family: Family) -> int:
        """The most routes of a family that stood at once since the last call."""
        size = family.bits // 8
        peak, self._peaks[size] = self._peaks[size], self._counts[size]
        return peak

    def family_of(self, number: int) -> Family | None:
        """Family of the routes that use a nexthop object; None if none does."""
        return next((family_of(prefix) for prefix in self.over(number)), None)

    def counts(self) -> dict[Family, int]:
        """Installed routes by family."""
        return {family: self.count(family) for family in FAMILIES}

    def _release(self, number: int) -> None:
        self.users[number] -= 1
        if not self.users[number]:
            del self.users[number]
