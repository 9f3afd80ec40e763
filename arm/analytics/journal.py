"""A bounded list of what happened, that many readers follow: events of thresholds, and flows that have ended.

Entries are numbered from 0. A reader hands back the number of the newest entry it has, and waits for later ones, so it
misses nothing that is still kept. A number that was never given out is that of an earlier run: such a reader gets
everything anew, rather than to wait for its number to come round.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

Entry: TypeAlias = Mapping[str, Any]

KEPT: Final = 1000


class Journal:
    """Any thread may call any method."""

    def __init__(self, number: str, *, kept: int = KEPT) -> None:
        """`number` is the field of an entry that holds its number."""
        self._number = number
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._next = 0
        self._closed = False
        self._changed = threading.Condition()

    def add(self, *entries: Entry) -> None:
        """Append, and wake those who wait."""
        if not entries:
            return
        with self._changed:
            for entry in entries:
                self._entries.append({**entry, self._number: self._next})
                self._next += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let everyone who waits go, now and from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def after(
        self, number: int, most: int, timeout: float, wanted: Callable[[Entry], bool] = lambda _: True
    ) -> list[Entry]:
        """At most `most` wanted entries later than `number`, newest first; waits up to `timeout` seconds for one."""
        until = time.monotonic() + timeout
        with self._changed:
            while True:
                if number >= self._next:
                    number = -1
                found = self._select(number, most, wanted)
                left = until - time.monotonic()
                if found or most == 0 or left <= 0 or self._closed:
                    return found
                waits_from = self._next
                self._changed.wait_for(lambda seen=waits_from: self._closed or self._next != seen, left)  # type: ignore[misc]

    def _select(self, number: int, most: int, wanted: Callable[[Entry], bool]) -> list[Entry]:
        found: list[Entry] = []
        for entry in reversed(self._entries):
            if entry[self._number] <= number or len(found) >= most:
                break
            if wanted(entry):
                found.append(entry)
        return found
