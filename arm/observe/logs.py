"""Log lines: lower case, key=value fields, to standard error, readable by people and by the journal.

Standard library logging throughout: modules take `logging.getLogger(__name__)`. Under systemd each line begins with its
priority (`<3>`, sd-daemon(3)), and the journal adds the time; elsewhere the line has both itself. A line is one line:
control characters of untrusted text are escaped.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import TextIO

PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))


def quote(value: object) -> str:
    """A value of a key=value field: in double quotes if a blank, a quote or an equals sign would split it."""
    text = str(value)
    if text and all(character.isprintable() and character not in ' "=\\' for character in text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_one_line(escaped)}"'


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Format(logging.Formatter):
    """One line for each message; a traceback follows on lines of its own, each with the same priority."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__("%(name)s: %(message)s" if journal else "%(asctime)s %(levelname)s %(name)s: %(message)s")
        self.journal = journal

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        record.message = _one_line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if not self.journal:
            return text
        priority = next((number for level, number in PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))


def under_journal(environment: Mapping[str, str], stream: TextIO) -> bool:
    """True if the stream is the one that systemd connected to the journal (JOURNAL_STREAM is its device:inode)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def setup(level: str, *, stream: TextIO | None = None, environment: Mapping[str, str] = os.environ) -> None:
    """Log messages of `level` (debug, info, warning, error) and above; a second call replaces the first."""
    out = stream or sys.stderr
    handler = logging.StreamHandler(out)
    handler.setFormatter(Format(journal=under_journal(environment, out)))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # what libraries say of their own work is no news to an operator
    for name in ("exabgp", "waitress", "werkzeug", "pyroute2"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class RateLimiter:
    """Lets a few messages of each kind through in each interval, and counts the rest. Pure: time is an argument.

    Kinds that an attacker can invent must not fill the memory: beyond `kinds` of them, new ones share one allowance.
    Not thread-safe: each thread has its own.
    """

    OTHERS = "(others)"

    def __init__(self, *, burst: int = 5, interval: float = 60.0, kinds: int = 256) -> None:
        self._burst = burst
        self._interval = interval
        self._kinds = kinds
        self._windows: dict[str, tuple[float, int]] = {}

    def allow(self, kind: str, now: float) -> tuple[bool, int]:
        """Whether to log a message of this kind now, and how many of it were left out since the last one logged.

        `now` is in seconds of a monotonic clock, the interval too.
        """
        if kind not in self._windows and len(self._windows) >= self._kinds:
            self._forget(now)
            if len(self._windows) >= self._kinds:
                kind = self.OTHERS
        started, seen = self._windows.get(kind, (now, 0))
        if now - started >= self._interval:
            missed = max(0, seen - self._burst)
            self._windows[kind] = (now, 1)
            return True, missed
        self._windows[kind] = (started, seen + 1)
        return seen < self._burst, 0

    def _forget(self, now: float) -> None:
        """Drop the kinds whose interval is over; what they left out goes uncounted."""
        self._windows = {k: window for k, window in self._windows.items() if now - window[0] < self._interval}
