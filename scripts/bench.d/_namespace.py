"""A network namespace for a benchmark: veth links `d0`, `d1` ... to a second namespace, removed when it ends."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pyroute2 import netns


def ip(name: str, words: str, *, stdin: str | None = None) -> str:
    """Run the `ip` command in a namespace."""
    return subprocess.run(
        ["ip", "-n", name, *words.split()], input=stdin, check=True, capture_output=True, text=True
    ).stdout


@contextmanager
def switch_namespace(links: int, prefix: str = "hk-bench") -> Iterator[tuple[str, str]]:
    """Names of the switch's and the peers' namespace; link N has 10.0.N.1/24 and fd00:N::1/64, its peer .2 and ::2."""
    switch, peers = f"{prefix}-{os.getpid()}-s", f"{prefix}-{os.getpid()}-p"
    try:
        for name in (switch, peers):
            netns.create(name)
            ip(name, "link set lo up")
        for number in range(links):
            ip(switch, f"link add d{number} type veth peer name e{number} netns {peers}")
            ip(switch, f"addr add 10.0.{number}.1/24 dev d{number}")
            ip(switch, f"addr add fd00:{number}::1/64 dev d{number} nodad")
            ip(peers, f"addr add 10.0.{number}.2/24 dev e{number}")
            ip(peers, f"addr add fd00:{number}::2/64 dev e{number} nodad")
            ip(peers, f"link set e{number} up")
            ip(switch, f"link set d{number} up")
        ip(switch, "route add default via 10.0.0.2 dev d0 proto bird metric 32")
        ip(switch, "-6 route add default via fd00:0::2 dev d0 proto bird metric 32")
        yield switch, peers
    finally:
        for name in (switch, peers):
            if name in netns.listnetns():
                netns.remove(name)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first row as the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
