"""How long a prefix is left alone after the target refused it: longer each time, so that nothing is asked in vain for
ever. Pure; time arrives as `now`."""

from __future__ import annotations

from typing import Final

from arm.model import Prefix

FIRST: Final = 30.0
LONGEST: Final = 900.0


class Backoff:
    """When refused prefixes may be tried again. One that was not refused for LONGEST since then begins anew."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Prefix, tuple[float, float]] = {}
        """Prefix -> (when it may be tried again, seconds it had to wait for that)."""

    def refused(self, prefix: Prefix, now: float) -> float:
        """Take note of a refusal; when the prefix may be tried again."""
        due, waited = self._known.get(prefix, (now, 0.0))
        if now < due:  # it went along with another one that was due
            return due
        wait = FIRST if now - due > LONGEST else min(max(2 * waited, FIRST), LONGEST)
        self._known[prefix] = now + wait, wait
        return now + wait

    def clean(self, now: float) -> None:
        """Forget what was not refused for long."""
        for prefix in [p for p, (due, _) in self._known.items() if now - due > LONGEST]:
            del self._known[prefix]
