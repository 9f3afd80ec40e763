"""Questions to the switch's BIRD, over its control socket."""

from __future__ import annotations

import re
from dataclasses import dataclass

from arm.simulate.lab.layout import Layout
from arm.simulate.lab.processes import output

TABLES = ("peers4", "peers6", "master4", "master6")
_COUNT = re.compile(r"^(\d+) of (\d+) routes for (\d+) networks in table (\S+)", re.MULTILINE)
_PROTOCOL = re.compile(r"^(\S+)\s+BGP\s+\S+\s+(\S+)\s+\S+\s*(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TableCount:
    """Size of one of BIRD's tables."""

    routes: int
    networks: int


def ask(layout: Layout, question: str) -> str | None:
    """What BIRD says; None if it does not answer."""
    return output("birdc", "-r", "-s", str(layout.bird_control), *question.split())


def tables(layout: Layout) -> dict[str, TableCount]:
    """Size of every table; empty if BIRD does not answer."""
    said = "".join(ask(layout, f"show route count table {name}") or "" for name in TABLES)
    return {name: TableCount(int(total), int(networks)) for _, total, networks, name in _COUNT.findall(said)}


def sessions(layout: Layout) -> dict[str, str]:
    """State of every BGP session in BIRD's words (Established, Connect, ...); empty if BIRD does not answer."""
    said = ask(layout, "show protocols") or ""
    return {name: (info.split() or [state])[0] for name, state, info in _PROTOCOL.findall(said)}
