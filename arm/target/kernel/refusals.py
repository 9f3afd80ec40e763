"""What the kernel and the hardware refused: counted, and told in words as long as it is new.

Pure; time arrives as `now`. Bounded: one line for each reason, and few reasons.
"""

from __future__ import annotations

from dataclasses import dataclass

from arm.model import Family, Prefix, family_of, format_prefix

TOLD_SECONDS = 1200.0
"""How long after the latest one a reason is told: longer than the engine waits before it tries a route again."""
REASONS = 8


@dataclass(frozen=True, slots=True)
class Refused:
    """A change that the kernel refused, or a route that the hardware did not take."""

    prefix: Prefix
    text: str
    room: bool
    """For lack of room."""
    held: int
    """Routes of the family that stood then."""
    most: int
    """The most that stood at once since the refusal before."""

    @property
    def family(self) -> Family:
        return family_of(self.prefix)


@dataclass(slots=True)
class _Line:
    count: int
    latest: Prefix
    at: float


class Refusals:
    """The refusals of one session, by reason."""

    def __init__(self) -> None:
        self.total = 0
        self.for_room = 0
        self._lines: dict[str, _Line] = {}

    def note(self, refused: Refused, now: float) -> None:
        """Count one."""
        self.total += 1
        self.for_room += refused.room
        line = self._lines.get(refused.text)
        if line is None:
            if len(self._lines) >= REASONS:
                del self._lines[min(self._lines, key=lambda text: self._lines[text].at)]
            line = self._lines[refused.text] = _Line(0, refused.prefix, now)
        line.count, line.latest, line.at = line.count + 1, refused.prefix, now

    def remarks(self, now: float) -> list[str]:
        """A sentence for each reason that is not long past, the most frequent first."""
        for text in [text for text, line in self._lines.items() if now - line.at > TOLD_SECONDS]:
            del self._lines[text]
        return [
            f"{line.count:,} route changes were refused, the latest at {format_prefix(line.latest)}: {text}; what was "
            "refused follows the default route and is tried again, ever more rarely"
            for text, line in sorted(self._lines.items(), key=lambda item: -item[1].count)
        ]
