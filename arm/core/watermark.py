"""How large the table has been lately, to notice that it shrinks.

What BGP withdraws comes out of the hardware at once, however much it is: to hold it back would send packets the wrong
way. (What a session merely did not teach again after coming back *is* held back, see core/feeds.py.) But a table that
loses more than a quarter within `WINDOW` seconds is hardly what anybody meant, so it is reported until it is large
again or the loss is that old. Invariant: the oldest mark is never older than `WINDOW` and one `STEP`.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from arm.core.feeds import shrinks

WINDOW: Final = 600.0
STEP: Final = 10.0
"""Seconds between two marks."""


class Watermark:
    """The size of one table over the last minutes."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()
        """(when, the largest size of the step that began then), oldest first."""

    def mark(self, size: int, now: float) -> None:
        """Take note of the size; once a second is enough."""
        marks = self._marks
        if not marks or now - marks[-1][0] >= STEP:
            marks.append((now, size))
        elif size > marks[-1][1]:
            marks[-1] = marks[-1][0], size
        while now - marks[0][0] > WINDOW:
            marks.popleft()

    def loss(self, size: int) -> int:
        """Routes fewer than there were, if that is a loss to be reported; else 0."""
        most = max((largest for _, largest in self._marks), default=0)
        return most - size if shrinks(most, most - size) else 0
