"""A route reflector without a router: one session that tells, of two upstreams with the full table, the best routes.

`python -m arm.simulate.reflection --help`. It stands in for BIRD where there is none: in `arm demo`.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from arm.bgp.encode import encode_update, path_attributes
from arm.bgp.peer import Peer
from arm.model import Family, Role, parse_address, parse_prefix
from arm.simulate.announcer import Announcer
from arm.simulate.control import ControlServer
from arm.simulate.feed import TICK, Feed
from arm.simulate.paths import Upstream, Variant
from arm.simulate.table import Table

UPSTREAMS: Final = (
    Upstream(0, 65134, parse_address("10.0.0.134"), parse_address("fd00::134")),
    Upstream(1, 65135, parse_address("10.0.0.135"), parse_address("fd00::135")),
)
"""The default route is that of the first."""
OWN: Final = {
    Family.IPV4: (parse_prefix("198.18.0.0/15"), parse_address("10.0.0.1")),
    Family.IPV6: (parse_prefix("fd00::/16"), parse_address("fd00::1")),
}
"""The network's own prefixes and where they are: the sampler's traffic that comes from the Internet goes there."""


class Reflection(Announcer):
    """The messages of a router that has both upstreams and tells the best route of each prefix."""

    def __init__(self, table: Table, upstreams: tuple[Upstream, Upstream] = UPSTREAMS) -> None:
        super().__init__(table, upstreams[0], default=Variant.NORMAL, local_pref=100)
        self._upstreams = upstreams

    def _upstream_of(self, path: int) -> Upstream:
        return self._upstreams[self.table.paths.best(path)]

    def _default_update(self, family: Family, variant: Variant) -> list[bytes]:
        """The default route, and behind it one's own network."""
        prefix, next_hop = OWN[family]
        ipv4 = family is Family.IPV4
        raw = path_attributes(as_path=(), next_hop=next_hop if ipv4 else None, local_pref=self._local_pref)
        return [*super()._default_update(family, variant), *encode_update(raw, next_hop, [prefix])]


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal; exit status."""
    parser = argparse.ArgumentParser(prog="python -m arm.simulate.reflection", description=main.__doc__)
    parser.add_argument("--table", type=Path, required=True, help="a saved table")
    parser.add_argument("--peer", default="127.0.0.1", help="where ARM listens")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--local-address", default="127.0.0.1")
    parser.add_argument("--as", type=int, dest="own_as", default=65136)
    parser.add_argument("--churn", type=float, default=0.0, help="updates a second")
    parser.add_argument("--control", type=Path, required=True, help="Unix socket for commands")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    peer = Peer(
        name="reflection",
        address=options.peer,
        local_as=options.own_as,
        peer_as=options.own_as,
        router_id="10.0.0.136",
        role=Role.PUSH,
        local_address=options.local_address,
        connect=True,
        port=options.port,
    )
    feed = Feed(Reflection(Table.load(options.table)), peer)
    feed.rate = options.churn
    control = ControlServer(options.control, feed.command)
    feed.start()
    control.start()
    try:
        while not stop.wait(TICK):
            feed.step()
    finally:
        control.stop()
        feed.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
