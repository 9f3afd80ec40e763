"""Results for people and programs: a table, JSON, and plots as SVG, drawn here so that no library is needed."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from arm.simulate.compare.run import Result

_STUDENT: Final = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
"""Quantile for 95% by degrees of freedom."""
_COLOURS: Final = ("#1b6ca8", "#d1495b", "#66a182", "#edae49", "#8d5a97", "#2e4057", "#a0a0a0", "#5f9ea0", "#c17c74")


@dataclass(frozen=True, slots=True)
class Cell:
    """What one comparison was about, and what came of it."""

    profile: str
    next_hops: int
    seed: int
    results: Sequence[Result]


@dataclass(frozen=True, slots=True)
class Row:
    """One policy in one setting, over all seeds."""

    profile: str
    next_hops: int
    slots: int
    policy: str
    seeds: int
    coverage: float
    error: float
    """Half of the 95% confidence interval; 0 for a single seed."""
    least: float
    churn: float
    churn_p99: float
    wrong_bytes: float
    wrong_operations: int
    covers: float
    cpu: float


def rows(cells: Iterable[Cell]) -> list[Row]:
    """Results put together over the seeds, in the order in which they came."""
    groups: dict[tuple[str, int, int, str], list[Result]] = {}
    for cell in cells:
        for result in cell.results:
            groups.setdefault((cell.profile, cell.next_hops, result.slots, result.policy), []).append(result)
    return [_row(key, group) for key, group in sorted(groups.items(), key=lambda item: item[0][:3])]


def half_interval(values: Sequence[float]) -> float:
    """Half of the 95% confidence interval of a mean, by Student's t; 0 for a single value."""
    if len(values) < 2:
        return 0.0
    return _STUDENT.get(len(values) - 1, 1.96) * statistics.stdev(values) / math.sqrt(len(values))


def _row(key: tuple[str, int, int, str], group: Sequence[Result]) -> Row:
    shares = [result.coverage for result in group]
    mean = statistics.fmean
    return Row(
        profile=key[0], next_hops=key[1], slots=key[2], policy=key[3], seeds=len(group),
        coverage=mean(shares), error=half_interval(shares), least=min(result.least for result in group),
        churn=mean(result.churn for result in group), churn_p99=mean(result.churn_p99 for result in group),
        wrong_bytes=sum(result.wrong_bytes for result in group),
        wrong_operations=sum(result.wrong_operations for result in group),
        covers=mean(result.covers for result in group),
        cpu=mean(result.cpu for result in group),
    )  # fmt: skip


def text(found: Sequence[Row]) -> str:
    """A table in Markdown, which reads well as it is. Misled: bytes sent the wrong way / operations that did so."""
    lines = [
        "| profile | next hops | slots | policy | coverage | worst | changes/s | p99 | misled | covers | CPU ms/s |",
        "|---|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in found:
        error = f" ± {row.error:.2%}" if row.seeds > 1 else ""
        lead = f"| {row.profile} | {row.next_hops} | {row.slots:,} | {row.policy} | {row.coverage:.2%}{error} "
        if row.policy in ("clairvoyant", "best static set", "solver on samples"):
            lines.append(f"{lead}| {row.least:.2%} | | | | | |")
        else:
            lines.append(
                f"{lead}| {row.least:.2%} | {row.churn:,.1f} | {row.churn_p99:,.0f} "
                f"| {row.wrong_bytes:,.0f}/{row.wrong_operations} | {row.covers:,.0f} | {row.cpu * 1000:.1f} |"
            )
    return "\n".join(lines) + "\n"


def write_json(path: Path, settings: Mapping[str, object], cells: Iterable[Cell]) -> None:
    """Everything, second by second; OSError if it can not be written."""
    document = {
        "settings": dict(settings),
        "cells": [
            {
                "profile": cell.profile,
                "next_hops": cell.next_hops,
                "seed": cell.seed,
                "results": [result.document() for result in cell.results],
            }
            for cell in cells
        ],
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


# --- plots -----------------------------------------------------------------------------------------------------------


def bars(title: str, values: Sequence[tuple[str, float, float]]) -> str:
    """Horizontal bars of (name, share of 1, error)."""
    width, left, step = 720, 170, 26
    scale = width - left - 80
    height = 50 + step * len(values)
    parts = [f'<text x="10" y="22" font-size="15">{escape(title)}</text>']
    for n, (name, share, error) in enumerate(values):
        y = 38 + step * n
        end = left + scale * share
        parts.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect x="{left}" y="{y}" width="{scale * share:.1f}" height="18" fill="{_COLOURS[n % len(_COLOURS)]}"/>'
        )
        if error:
            reach = scale * error
            parts.append(
                f'<line x1="{end - reach:.1f}" x2="{end + reach:.1f}" y1="{y + 9}" y2="{y + 9}" stroke="#000"/>'
            )
        parts.append(f'<text x="{end + 8:.1f}" y="{y + 14}">{share:.1%}</text>')
    return _svg(width, height, parts)


def lines(title: str, series: Sequence[tuple[str, Sequence[float]]]) -> str:
    """Shares of 1 over seconds, one line for each (name, values)."""
    width, height, left, top = 720, 320, 60, 40
    values = [value for _, data in series for value in data]
    low = math.floor(min(values, default=0.0) * 20) / 20
    high = min(1.0, math.ceil(max(values, default=1.0) * 20) / 20)
    span = max(high - low, 0.05)
    inner_w, inner_h = width - left - 160, height - top - 40
    parts = [f'<text x="10" y="22" font-size="15">{escape(title)}</text>']
    for n in range(5):
        share = low + span * n / 4
        y = top + inner_h * (1 - n / 4)
        parts.append(f'<line x1="{left}" x2="{left + inner_w}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{share:.1%}</text>')
    for n, (name, data) in enumerate(series):
        colour = _COLOURS[n % len(_COLOURS)]
        across = max(len(data) - 1, 1)
        points = " ".join(
            f"{left + inner_w * at / across:.1f},{top + inner_h * (1 - (value - low) / span):.1f}"
            for at, value in enumerate(data)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{left + inner_w + 10}" y="{top + 14 + 18 * n}" fill="{colour}">{escape(name)}</text>')
    parts.append(f'<text x="{left + inner_w / 2:.0f}" y="{height - 8}" text-anchor="middle">seconds</text>')
    return _svg(width, height, parts)


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def write_plots(directory: Path, cells: Sequence[Cell]) -> list[Path]:
    """A bar chart for each setting, and the seconds of its first seed; OSError if they can not be written."""
    directory.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    found = rows(cells)
    for profile, hops, slots in dict.fromkeys((row.profile, row.next_hops, row.slots) for row in found):
        name = f"{profile}-{hops}-{slots}"
        title = f"{profile}, {hops} next hops, {slots:,} slots"
        chosen = [row for row in found if (row.profile, row.next_hops, row.slots) == (profile, hops, slots)]
        chosen.sort(key=lambda row: -row.coverage)
        first = next(cell for cell in cells if (cell.profile, cell.next_hops) == (profile, hops))
        drawings = {
            f"{name}.svg": bars(f"coverage: {title}", [(row.policy, row.coverage, row.error) for row in chosen]),
            f"{name}-seconds.svg": lines(
                f"coverage by second: {title}",
                [(r.policy, r.trend) for r in first.results if r.slots == slots and len(r.trend) > 1 and r.used],
            ),
        }
        for file, drawing in drawings.items():
            path = directory / file
            path.write_text(drawing, encoding="utf-8")
            written.append(path)
    return written
