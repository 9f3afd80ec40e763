"""The HTTP server: waitress on sockets that were opened elsewhere, on a thread of its own.

The daemon opens the sockets, or gets them from systemd, or from outside its network namespace: this module neither
binds nor cares where they are. Requests run on a few worker threads; none holds anything that the engine waits for.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Sequence
from wsgiref.types import WSGIApplication

from waitress import create_server, wasyncore
from waitress.task import ThreadedTaskDispatcher
from waitress.trigger import trigger

from arm.web.guard import MOST_BODY

log = logging.getLogger(__name__)

THREADS = 6
MOST_CONNECTIONS = 200
MOST_HEADER = 16 * 1024
IDLE_SECONDS = 60


class Server:
    """Serves `app` until `stop`. `failed` holds what ended the thread, should anything but `stop` do so."""

    def __init__(
        self,
        app: WSGIApplication,
        sockets: Sequence[socket.socket],
        *,
        threads: int = THREADS,
        on_failure: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.failed: BaseException | None = None
        self._on_failure = on_failure
        self._stopping = threading.Event()
        self._map: dict[int, object] = {}
        # waitress does not take both kinds in one call; they share the threads and the loop.
        kinds = [[sock for sock in sockets if (sock.family == socket.AF_UNIX) == unix] for unix in (False, True)]
        self._dispatcher: ThreadedTaskDispatcher | None = None
        for some in filter(None, kinds):
            server = create_server(
                app,
                map=self._map,
                _dispatcher=self._dispatcher,
                sockets=some,
                threads=threads,
                connection_limit=MOST_CONNECTIONS,
                channel_timeout=IDLE_SECONDS,
                max_request_header_size=MOST_HEADER,
                max_request_body_size=MOST_BODY,
                asyncore_use_poll=True,
                ident="",
            )
            self._dispatcher = server.task_dispatcher
        self._wake = trigger(self._map)
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Close the sockets and end the threads; answers under way may be cut off."""
        self._stopping.set()
        if self._thread.is_alive():
            self._wake.pull_trigger()
            self._thread.join()
        if self._dispatcher is not None:
            self._dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._map, ignore_all=True)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                wasyncore.loop(timeout=1, use_poll=True, map=self._map, count=1)
        except BaseException as error:
            self.failed = error
            log.exception("http server ended")
            if self._on_failure is not None:
                self._on_failure(error)
