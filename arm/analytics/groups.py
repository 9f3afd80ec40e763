"""Groups of prefixes by name: what `group:ipsource:NAME` looks an address up in (the longest prefix wins)."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

from pytricia import PyTricia

from arm.model import Prefix, format_prefix


class Group:
    """The members of one group."""

    def __init__(self, members: Mapping[str, Sequence[Prefix]]) -> None:
        self.members = members
        self._trees = {4: PyTricia(32, socket.AF_INET, True), 16: PyTricia(128, socket.AF_INET6, True)}
        for name, prefixes in members.items():
            for prefix in prefixes:
                self._trees[len(prefix[0])][prefix] = name

    def find(self, address: bytes) -> str | None:
        """The member that a packed address belongs to."""
        found: str | None = self._trees[len(address)].get(address)
        return found

    def document(self) -> dict[str, list[str]]:
        """As it is given back."""
        return {name: [format_prefix(prefix) for prefix in prefixes] for name, prefixes in self.members.items()}
