"""Clients of the REST API: a process of their own, so that they do not slow what measures.

    _clients.py HOST:PORT asked --rate N [--searches FILE]     N requests a second in all, each on time
    _clients.py HOST:PORT pages --clients N                    N open overviews, each asking as the page does

Ends with SIGTERM, and then prints one line of JSON: for each kind of request the milliseconds that it took, counted
from when it was due (so that a server that stops answering is not flattered by the silence that follows).
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import signal
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

_PAGE = (
    (1.0, "status", "/arm/status/json"),
    (1.0, "trend", "/arm/trend/json?span=5m&after={after}"),
    (2.0, "ranking", "/arm/prefixes/json?family=ipv4&direction=destination&maxPrefixes=8&offset=0"),
    (2.0, "ranking", "/arm/prefixes/json?family=ipv6&direction=destination&maxPrefixes=8&offset=0"),
)
"""What an open overview asks for, and every so many seconds."""

Ask = Callable[[str], Awaitable[bytes]]


class Connection:
    """One connection that is kept open; one request after the other."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._lock = asyncio.Lock()

    async def get(self, path: str) -> bytes:
        """The body as it came; RuntimeError for any status but 200."""
        async with self._lock:
            if self._streams is None:
                self._streams = await asyncio.open_connection(*self._address)
            reader, writer = self._streams
            host = f"{self._address[0]}:{self._address[1]}"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0])
            body = await reader.readexactly(length)
            if " 200 " not in head.partition("\r\n")[0] + " ":
                raise RuntimeError(f"{path}: {head.partition(chr(13))[0]} {body[:200]!r}")
            if "connection: close" in head:
                writer.close()
                self._streams = None
            return body


class Clients:
    """Requests and how long they took."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.taken: dict[str, list[float]] = defaultdict(list)
        self._running: set[asyncio.Task[bytes]] = set()

    async def timed(self, connection: Connection, kind: str, path: str, due: float) -> bytes:
        """One request that is due at a moment of the loop's clock; its body."""
        body = await connection.get(path)
        self.taken[kind].append((asyncio.get_running_loop().time() - due) * 1000)
        return body

    async def asked(self, rate: float, searches: Sequence[str]) -> None:
        """Status, top prefixes and searches in turn, `rate` a second, over eight connections."""
        loop, chance = asyncio.get_running_loop(), random.Random(1)
        connections = [Connection(self.host, self.port) for _ in range(8)]
        kinds = (
            ("status", lambda: "/arm/status/json"),
            ("top", lambda: "/bgp/topprefixes/127.0.0.1/json?maxPrefixes=100"),
            ("search", lambda: f"/arm/route/{chance.choice(searches)}/json"),
            ("search_as", lambda: f"/arm/prefixes/json?as={chance.randrange(1, 70_000)}"),
        )
        began = loop.time()
        number = 0
        while True:
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
            kind, path = kinds[number % len(kinds)]
            task = asyncio.create_task(self.timed(connections[number % len(connections)], kind, path(), due))
            self._running.add(task)
            task.add_done_callback(self._done)
            number += 1

    def _done(self, task: asyncio.Task[bytes]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            raise SystemExit(f"_clients: {task.exception()}")

    async def page(self, offset: float) -> None:
        """One open overview, on as many connections as a browser takes."""
        loop = asyncio.get_running_loop()
        began = loop.time() + offset

        async def poll(every: float, kind: str, path: str) -> None:
            connection = Connection(self.host, self.port)
            due = began
            after = -1
            while True:
                await asyncio.sleep(max(0.0, due - loop.time()))
                body = await self.timed(connection, kind, path.format(after=after), due)
                if kind == "trend":
                    after = json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)["times_ms"][-2:][0]
                due = max(due + every, loop.time())

        await asyncio.gather(*(poll(*one) for one in _PAGE))


async def run(options: argparse.Namespace) -> None:
    """Until SIGTERM; then the line of JSON."""
    host, _, port = options.address.rpartition(":")
    clients = Clients(host, int(port))
    if options.kind == "asked":
        searches = Path(options.searches).read_text().split()
        work = asyncio.ensure_future(clients.asked(options.rate, searches))
    else:
        pages = (clients.page(number / options.clients) for number in range(options.clients))
        work = asyncio.ensure_future(asyncio.gather(*pages))  # type: ignore[assignment]
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    print("ready", flush=True)
    try:
        await work
    except asyncio.CancelledError:
        print(json.dumps(clients.taken), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("kind", choices=("asked", "pages"))
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--searches", type=Path)
    parser.add_argument("--clients", type=int, default=50)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
