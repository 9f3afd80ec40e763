"""The verdict of a comparison: ARM beside the best of the others, seed by seed, and how many changes it needs.

Both have seen the same seconds of the same world, so their difference is far surer than either figure: the interval is
that of the paired differences. Results of earlier runs can be put together, so that a large comparison may be run in
pieces.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from arm.simulate.compare.baselines import BASELINES
from arm.simulate.compare.report import Cell, half_interval
from arm.simulate.compare.run import Result

_YARDSTICK: Final = "sflow-rt"
"""Whose changes per second ARM's are measured by."""
_HEAD: Final = (
    "| profile | next hops | slots | seeds | clairvoyant | solver on samples | arm | best other | arm above it "
    "| arm changes/s | sflow-rt changes/s | ratio | misled bytes |"
)


def read_json(paths: Iterable[Path]) -> list[Cell]:
    """The cells that `--json` wrote, file after file; OSError or ValueError if one is no such file."""
    cells: list[Cell] = []
    for path in paths:
        try:
            for cell in json.loads(path.read_bytes())["cells"]:
                results = [Result(**result) for result in cell["results"]]
                cells.append(Cell(cell["profile"], cell["next_hops"], cell["seed"], results))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not what --json writes: {error!r}") from None
    return cells


def summary(cells: Iterable[Cell]) -> str:
    """A line for each profile, number of next hops and slots, as a Markdown table; empty without ARM and another."""
    groups: dict[tuple[str, int, int], dict[str, dict[int, Result]]] = {}
    for cell in cells:
        for result in cell.results:
            group = groups.setdefault((cell.profile, cell.next_hops, result.slots), {})
            group.setdefault(result.policy, {})[cell.seed] = result
    found = [_line(key, group) for key, group in sorted(groups.items())]
    if not any(found):
        return ""
    lines = [_HEAD, "|---|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|", *(line for line in found if line)]
    return "\n".join(lines) + "\n"


def _line(key: tuple[str, int, int], group: Mapping[str, Mapping[int, Result]]) -> str:
    own = group.get("arm")
    others = [name for name in BASELINES if name in group]
    if not own or not others:
        return ""
    seeds = [seed for seed in own if all(seed in group[name] for name in others)]
    if not seeds:
        return ""

    def mean(name: str) -> float:
        return statistics.fmean(group[name][seed].coverage for seed in seeds)

    def shown(name: str) -> str:
        return f"{mean(name):.2%}" if name in group and all(seed in group[name] for seed in seeds) else ""

    best = max(others, key=mean)
    above = [100 * (own[seed].coverage - group[best][seed].coverage) for seed in seeds]
    changes = _changes(own, seeds)
    yardstick = _changes(group[_YARDSTICK], seeds) if _YARDSTICK in group else None
    against = "" if yardstick is None else f"{yardstick:,.1f}"
    ratio = f"1/{yardstick / changes:.1f}" if yardstick and changes else ""
    error = f" ± {half_interval(above):.2f}" if len(seeds) > 1 else ""
    arm_error = f" ± {half_interval([own[seed].coverage for seed in seeds]):.2%}" if len(seeds) > 1 else ""
    misled = sum(own[seed].wrong_bytes for seed in seeds)
    return (
        f"| {key[0]} | {key[1]} | {key[2]:,} | {len(seeds)} | {shown('clairvoyant')} | {shown('solver on samples')} "
        f"| **{mean('arm'):.2%}**{arm_error} | {best} {mean(best):.2%} | {statistics.fmean(above):+.2f}{error} "
        f"| {changes:,.1f} | {against} | {ratio} | {misled:,.0f} |"
    )


def _changes(results: Mapping[int, Result], seeds: Sequence[int]) -> float:
    return statistics.fmean(results[seed].churn for seed in seeds)
