"""Colours for a terminal: the words that matter, and nothing else. What is piped stays plain."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TextIO

_GOOD = "32"
_CARE = "33"
_BAD = "1;31"
_WORDS = {
    "ok": _GOOD, "established": _GOOD, "installed": _GOOD, "rides": _GOOD, "default": _GOOD, "up": _GOOD,
    "warning": _CARE, "cover": _CARE, "replaced": _CARE, "not ready": _CARE, "frozen": _CARE,
    "error": _BAD, "down": _BAD, "no slot": _BAD, "failed": _BAD, "idle": _CARE, "active": _BAD, "connect": _BAD,
    "opensent": _CARE, "openconfirm": _CARE, "excluded": _CARE, "removed": _CARE,
}  # fmt: skip
# A word is coloured where it stands as a value: alone in its column, or behind "health:" and the like.
_VALUE = re.compile(
    r"(?P<before>(?:^|  |: ))(?P<word>" + "|".join(sorted(_WORDS, key=len, reverse=True)) + r")(?=$|  |,|;| \()"
)


def wanted(choice: str, stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether to colour: always, never, or auto (https://no-color.org)."""
    if choice != "auto":
        return choice == "always"
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def paint(line: str) -> str:
    """The line with its values in colour; nothing moves, since colours have no width."""
    return _VALUE.sub(lambda found: f"{found['before']}\x1b[{_WORDS[found['word']]}m{found['word']}\x1b[0m", line)
