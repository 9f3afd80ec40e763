"""Compares ARM's routes with the kernel's, a buffer at a time, so that nothing else has to wait for it.

Notifications tell of every change, and of their own loss. This is for what nobody foresaw. A dump shows each route at
some moment of the comparison: a prefix that ARM itself changed meanwhile is left out.
"""

from __future__ import annotations

import errno

from arm.model import FAMILIES, Prefix
from arm.target.kernel import messages
from arm.target.kernel import netlink as nl
from arm.target.kernel.channel import Channel
from arm.target.kernel.ledger import Ledger
from arm.target.kernel.messages import RouteMessage
from arm.target.kernel.objects import ADDRESS_FAMILY


class Audit:
    """One comparison, over a channel of its own."""

    def __init__(self, channel: Channel, ledger: Ledger, *, table: int, metric: int, protocol: int) -> None:
        self._ledger = ledger
        self._metric = metric
        self._expected = set(ledger.routes)
        self._seen: set[Prefix] = set()
        self._streams = [
            channel.stream(messages.dump_routes(ADDRESS_FAMILY[family], table=table, protocol=protocol))
            for family in FAMILIES
        ]
        ledger.touched = set()

    def step(self) -> list[RouteMessage] | None:
        """Routes with ARM's mark of the next buffer, without those that changed meanwhile; None at the end."""
        data = self._next()
        if data is None:
            return None
        found = []
        for kind, _, _, _, start, end in nl.frames(data):
            route = messages.read_route(data, start, end) if kind == nl.RTM_NEWROUTE else None
            if route is None:
                continue
            if route.metric == self._metric:
                self._seen.add(route.prefix)
            if route.prefix not in (self._ledger.touched or ()):
                found.append(route)
        return found

    def finish(self) -> set[Prefix]:
        """Prefixes that should have been there, and were not."""
        touched, self._ledger.touched = self._ledger.touched, None
        return self._expected - self._seen - (touched or set())

    def _next(self) -> bytes | None:
        while self._streams:
            try:
                return next(self._streams[0])
            except StopIteration:
                pass
            except OSError as error:
                if error.errno != errno.ENOENT:  # there is no such table yet
                    raise
            self._streams.pop(0)
        return None
