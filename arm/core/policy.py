"""What the engineer allows: prefixes that always get a slot, never get one, and the lengths that may."""

from __future__ import annotations

from collections.abc import Sequence

from arm.config import SelectionConfig
from arm.model import Family, Prefix, contains, family_of


class Policy:
    """The `[selection]` rules for one family. It judges routes; a cover may stand anywhere."""

    __slots__ = ("_longest", "_never", "_shortest", "always", "family")

    def __init__(self, config: SelectionConfig, family: Family) -> None:
        self.family = family
        four = family is Family.IPV4
        self._shortest = config.min_prefix_length if four else config.min_prefix_length6
        self._longest = config.max_prefix_length if four else config.max_prefix_length6
        self.always: dict[Prefix, None] = dict.fromkeys(p for p in config.always if family_of(p) is family)
        self._never: Sequence[Prefix] = tuple(p for p in config.never if family_of(p) is family)

    def refusal(self, prefix: Prefix) -> str | None:
        """Why a route for this prefix may not get a slot for its traffic; None if it may.

        What is pinned may, whatever its length is and whatever around it is never to have one.
        """
        if prefix in self.always:
            return None
        if not prefix[1]:
            return "it is the default route"
        if prefix[1] < self._shortest:
            return f"it is shorter than /{self._shortest}"
        if prefix[1] > self._longest:
            return f"it is longer than /{self._longest}"
        for never in self._never:
            if contains(never, prefix):
                return "the list selection.never names it"
        return None
