"""The threads of the daemon: one that ends by an exception says so, and never just stops.

A thread that dies unheard leaves a daemon that looks alive and does half of its work. So each part that has a thread of
its own makes it here, and hands on `on_failure`: the daemon then stops with an error, and the service manager starts it
anew. What data can cause (a datagram, a file, a command's output) is handled where it is read, and does not get here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

OnFailure = Callable[[BaseException], None]
"""Called on the thread that failed, with what ended it. It must not wait for that thread."""


class Worker:
    """A thread that runs `run` once. It ends with the process: nothing has to join it."""

    def __init__(self, run: Callable[[], None], *, name: str, on_failure: OnFailure | None = None) -> None:
        self.failed: BaseException | None = None
        """What ended the thread, if that was an exception."""
        self._work = run
        self._on_failure = on_failure
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        """True from `start` until the thread has ended."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin. RuntimeError if the system has no room for a thread, or it was started before."""
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; True if it has ended, or was never started."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.failed = error
            log.critical("thread failed thread=%s error=%r", self._thread.name, error, exc_info=True)
            if self._on_failure is not None:
                self._on_failure(error)
