"""The process of a simulated upstream: `python -m arm.simulate.upstream --help`.

It reads a table that was saved before, or makes one, dials its peer or listens for it, and takes the commands of
arm.simulate.feed on a Unix socket until SIGTERM or SIGINT. With `--journal` every change that it told, and every coming
and going of its session, is one line of JSON in a file:

    {"at": monotonic ns, "prefix": "192.0.2.0/24", "rank": [AS path length, ORIGIN] or null}
    {"at": monotonic ns, "session": "up" | "complete" | "down"}
    {"at": monotonic ns, "session": "started"}, when a process begins: it tells the table, whatever came before
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from arm.bgp import tcp
from arm.bgp.peer import Peer
from arm.model import Prefix, Role, format_prefix, parse_address
from arm.simulate.announcer import Announcer, Rank
from arm.simulate.control import ControlServer
from arm.simulate.feed import TICK, Feed
from arm.simulate.paths import Upstream, Variant
from arm.simulate.shape import synthetic_table
from arm.simulate.table import Table

log = logging.getLogger(__name__)


class Journal:
    """Lines of JSON, each written at once: what is in the file has been told."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def change(self, prefix: Prefix, rank: Rank | None) -> None:
        """A prefix is told otherwise from now on."""
        self._write({"prefix": format_prefix(prefix), "rank": rank})

    def session(self, event: str) -> None:
        """The session, or the process, has come to this."""
        log.info("session %s", event)
        self._write({"session": event})

    def _write(self, entry: dict[str, Any]) -> None:
        with self._lock:
            self._file.write(json.dumps({"at": time.monotonic_ns(), **entry}) + "\n")
            self._file.flush()


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m arm.simulate.upstream", description="A simulated BGP upstream.")
    parser.add_argument("--table", type=Path, help="a saved table; default: make one")
    parser.add_argument("--ipv4", type=int, default=1_050_000, help="IPv4 prefixes of a made-up table")
    parser.add_argument("--ipv6", type=int, default=240_000, help="IPv6 prefixes of a made-up table")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slot", type=int, choices=(0, 1), default=0, help="which of the two upstreams this is")
    parser.add_argument("--as", type=int, dest="own_as", default=65134, help="first AS of its paths")
    parser.add_argument("--session-as", type=int, help="AS number in the session, if another")
    parser.add_argument("--next-hop", default="10.0.0.134")
    parser.add_argument("--next-hop6", default="fd00::134")
    parser.add_argument("--router-id", help="default: the IPv4 next hop")
    parser.add_argument("--peer", default="10.0.0.136", help="address of the peer")
    parser.add_argument("--peer-as", type=int, default=65136)
    parser.add_argument("--port", type=int, default=179, help="port of the peer, 0 not to dial it")
    parser.add_argument("--local-address", help="own address")
    parser.add_argument("--listen", type=int, metavar="PORT", help="wait there for the peer as well")
    parser.add_argument("--hold-time", type=int, default=90)
    parser.add_argument("--restart-time", type=int, default=0, help="offer graceful restart with so many seconds")
    parser.add_argument("--default", choices=("better", "normal", "worse", "none"), default="none")
    parser.add_argument("--control", type=Path, required=True, help="Unix socket for commands")
    parser.add_argument("--journal", type=Path)
    return parser


def build(options: argparse.Namespace, journal: Journal | None) -> Feed:
    """The feed that the options ask for; ValueError or OSError if it can not be."""
    if options.table is not None:
        table = Table.load(options.table)
    else:
        table = synthetic_table(ipv4=options.ipv4, ipv6=options.ipv6, seed=options.seed)
    upstream = Upstream(options.slot, options.own_as, parse_address(options.next_hop), parse_address(options.next_hop6))
    session_as = options.session_as or options.own_as
    peer = Peer(
        name="upstream",
        address=options.peer,
        local_as=session_as,
        peer_as=options.peer_as,
        router_id=options.router_id or options.next_hop,
        role=Role.PUSH,
        local_address=options.local_address,
        connect=bool(options.port),
        port=options.port or 179,
        hold_time=options.hold_time,
        restart_time=options.restart_time,
    )
    announcer = Announcer(
        table,
        upstream,
        default=None if options.default == "none" else Variant[options.default.upper()],
        local_pref=100 if peer.internal else None,
        record=journal.change if journal is not None else lambda prefix, rank: None,
    )
    announcer.prepare()

    def listen() -> Sequence[socket.socket]:
        return [tcp.listen(options.local_address or "::", options.listen)] if options.listen else ()

    note: Callable[[str], None] = journal.session if journal is not None else lambda event: None
    return Feed(announcer, peer, listen=listen, seed=options.seed, note=note)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal; exit status."""
    options = arguments().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    journal = Journal(options.journal.open("a")) if options.journal else None
    feed = build(options, journal)
    if journal is not None:
        journal.session("started")
    control = ControlServer(options.control, feed.command)
    feed.start()
    control.start()
    log.info("upstream started prefixes=%d", len(feed.announcer.table))
    try:
        while not stop.wait(TICK):
            feed.step()
    finally:
        control.stop()
        feed.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
