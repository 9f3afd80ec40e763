"""An exception at any line of the loop of a thread, as a bug at that place would raise it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType
from typing import Any

from polling import until

Line = tuple[str, int]
"""Name of a function and number of a line."""


class InjectedError(BaseException):
    """What no `except` of ARM's knows."""


class Injector:
    """Watches the lines of functions in threads that start under `active`; raises once, at the line of its choice."""

    def __init__(self, *functions: Callable[..., Any], at: Line | None = None, thread: str | None = None) -> None:
        """Without `at` and `thread` it only watches. With `thread`, at the first line that thread comes to."""
        self._codes: set[CodeType] = {one.__code__ for one in functions if isinstance(one, FunctionType)}
        self._at = at
        self._thread = thread
        self.armed = at is not None
        self.seen: dict[Line, None] = {}
        self.fired = threading.Event()

    @contextmanager
    def active(self) -> Iterator[Injector]:
        threading.settrace(self._call)
        try:
            yield self
        finally:
            threading.settrace(None)  # type: ignore[arg-type]

    def _call(self, frame: FrameType, event: str, argument: object) -> Any:
        return self._line if frame.f_code in self._codes else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            line = (frame.f_code.co_name, frame.f_lineno)
            self.seen.setdefault(line)
            here = line == self._at or threading.current_thread().name == self._thread
            if self.armed and here and not self.fired.is_set():
                self.fired.set()
                raise InjectedError(line)
        return self._line


def every_line(
    functions: tuple[Callable[..., Any], ...],
    start: Callable[[Callable[[BaseException], None]], tuple[Callable[[], None], Callable[[], None]]],
    *,
    rounds: int = 20,
) -> tuple[int, int]:
    """Raise at each line that a part's thread comes to, one run for each; how many were there, and how many raised.

    `start` is given `on_failure`, starts the part and returns what gives it something to do, and what stops it. Every
    run has to tell of the exception, and to stop in a moment.
    """
    watching = Injector(*functions)
    failures: list[BaseException] = []
    with watching.active():
        drive, stop = start(failures.append)
        for _ in range(rounds):
            drive()
            time.sleep(0.005)
        stop()
    assert failures == []
    fired = 0
    for line in watching.seen:
        told: list[BaseException] = []
        injector = Injector(*functions, at=line)
        with injector.active():
            drive, stop = start(told.append)
            end = time.monotonic() + 1.0
            while not injector.fired.is_set() and time.monotonic() < end:
                drive()
                time.sleep(0.002)
            if injector.fired.is_set():
                until(lambda told=told: told, what=f"a word of what was raised at {line}")  # type: ignore[misc]
            stopping = threading.Thread(target=stop)
            stopping.start()
            stopping.join(10.0)
            assert not stopping.is_alive(), f"does not stop after an error at {line}"
        assert [type(error) for error in told] == [InjectedError] * injector.fired.is_set(), line
        fired += injector.fired.is_set()
    return len(watching.seen), fired
