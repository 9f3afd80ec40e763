"""Figures of a benchmark beside their peers and goals, as a table of text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line: what ARM does, what the peer does in the same run, and what is asked for."""

    what: str
    unit: str
    arm: float
    peer: float | None = None
    goal: str = ""
    met: bool | None = None

    def cells(self) -> list[str]:
        ratio = f"{self.arm / self.peer:.2f}" if self.peer else ""
        met = "" if self.met is None else "met" if self.met else "MISSED"
        peer = "" if self.peer is None else number(self.peer)
        return [f"{self.what} ({self.unit})", number(self.arm), peer, ratio, self.goal, met]


def number(value: float) -> str:
    """Three significant digits or all of the whole ones."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def show(title: str, peer: str, figures: Sequence[Figure]) -> int:
    """Print the table; 1 if a goal was missed."""
    rows = [["", "ARM", peer, "ratio", "goal", ""], *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    load = os.getloadavg()[0]
    print(f"{title}   ({os.cpu_count()} cores, load {load:.1f})\n")
    for row in rows:
        first, *rest = (cell.ljust(width) if at in (0, 4) else cell.rjust(width)
                        for at, (cell, width) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
        print("  ".join([first, *rest]).rstrip())
    return int(any(figure.met is False for figure in figures))
