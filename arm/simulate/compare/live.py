"""What so many slots would carry, from the traffic that the daemon remembers in its state directory.

The remembered rates are sampled, and who picks the largest of noisy numbers picks luck as well: the same numbers would
grade themselves too well. So the samples of each prefix are dealt into two heaps at random: one chooses, the other
grades. What a choice made with all samples carries lies above that figure; what the numbers say of themselves is shown
beside it. Covers and routes that ride along are not counted: they need the table.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

FILE: Final = "choice.json"


def read_state(directory: Path) -> dict[str, list[tuple[str, float, float]]]:
    """(prefix, bytes/s, samples) of each family by its label; ValueError if the file is not a state of ARM's."""
    document = json.loads((directory / FILE).read_bytes())
    try:
        return {
            label: [(str(row[0]), float(row[1]), float(row[2])) for row in found]
            for label, found in document["families"].items()
        }
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{directory / FILE} is not a state of ARM's: {error!r}") from None


def coverage(rates: Sequence[tuple[float, float]], sizes: Sequence[int], seed: int = 1) -> list[tuple[float, float]]:
    """For each number of slots (share by one half of the samples graded by the other, share as the numbers say)."""
    chance = random.Random(seed)
    choosing: list[float] = []
    grading: list[float] = []
    for rate, samples in rates:
        whole = max(1, round(samples))
        taken = sum(chance.random() < 0.5 for _ in range(whole)) if whole < 1000 else whole / 2
        choosing.append(rate * taken / whole)
        grading.append(rate - rate * taken / whole)
    order = sorted(range(len(rates)), key=lambda n: -choosing[n])
    told = sorted((rate for rate, _ in rates), reverse=True)
    total, graded = sum(told) or 1.0, sum(grading) or 1.0
    return [(sum(grading[n] for n in order[:size]) / graded, sum(told[:size]) / total) for size in sizes]


def live(directory: Path, sizes: Sequence[int]) -> str:
    """The answer as a table."""
    lines = ["| family | slots | of the remembered traffic, at least | as the samples say of themselves |", "|---|--:|--:|--:|"]  # fmt: skip # noqa: E501
    for label, found in read_state(directory).items():
        if not found:
            continue
        shares = coverage([(rate, samples) for _, rate, samples in found], sizes)
        lines += [f"| {label} | {size:,} | {sure:.1%} | {told:.1%} |" for size, (sure, told) in zip(sizes, shares, strict=True)]  # fmt: skip # noqa: E501
    return "\n".join(lines) + "\n"
