"""SIGHUP while the daemon starts: it is held back, and acted on once there is a daemon that can.

By default the signal ends a process, so a reload asked for in the first second would end the daemon. To ignore it would
lose a change that was made just after the configuration was read. This is a module of its own at the bottom, so that it
can be used before anything else is loaded.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def held_reload() -> Iterator[None]:
    """Hold SIGHUP back in here, until `handle` lets it through; one that still waits at the end is dropped.

    Threads that are made meanwhile never take the signal; it is Python's main thread that handles it. Does nothing on
    another thread than the main one, which cannot handle signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which drops what waits
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGHUP, handler)


def handle(*, stop: Callable[[], None], reload: Callable[[], None]) -> None:
    """SIGTERM and SIGINT call `stop`, SIGHUP calls `reload`: at once, if one was held back. On the main thread."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
    signal.signal(signal.SIGHUP, lambda *_: reload())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
