"""The HTTP server: waitress on sockets that were opened elsewhere, on a thread of its own.

The daemon opens the sockets, or gets them from systemd, or from outside its network namespace: this module neither
binds nor cares where they are. Requests run on a few worker threads; none holds anything that the engine waits for.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from wsgiref.types import WSGIApplication

from waitress import create_server, wasyncore
from waitress.task import ThreadedTaskDispatcher
from waitress.trigger import trigger

from arm.web.guard import MOST_BODY
from arm.worker import OnFailure, Worker

THREADS = 6
MOST_CONNECTIONS = 200
MOST_HEADER = 16 * 1024
IDLE_SECONDS = 60


class Server:
    """Serves `app` until `stop`."""

    def __init__(
        self,
        app: WSGIApplication,
        sockets: Sequence[socket.socket],
        *,
        threads: int = THREADS,
        on_failure: OnFailure | None = None,
    ) -> None:
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
        self._worker = Worker(self._run, name="http", on_failure=on_failure)

    @property
    def failed(self) -> BaseException | None:
        """What ended the thread, should anything but `stop` have done so."""
        return self._worker.failed

    def start(self) -> None:
        """Begin to answer."""
        self._worker.start()

    def stop(self) -> None:
        """Close the sockets and end the threads; answers under way may be cut off."""
        self._stopping.set()
        if self._worker.alive:
            self._wake.pull_trigger()
            self._worker.join()
        if self._dispatcher is not None:
            self._dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._map, ignore_all=True)

    def _run(self) -> None:
        while not self._stopping.is_set():
            wasyncore.loop(timeout=1, use_poll=True, map=self._map, count=1)
