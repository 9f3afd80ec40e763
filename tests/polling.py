"""Waiting in tests: look again until it is so, or fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T], timeout: float = 10.0, what: str = "") -> T:
    """The first true answer of `look`; AssertionError when there is none in time."""
    end = time.monotonic() + timeout
    while True:
        if found := look():
            return found
        assert time.monotonic() < end, f"not within {timeout} s: {what or look}"
        time.sleep(0.005)
